"""The pipe to Redis: what leaves together, and what becomes of callers when the server is away, full or forgetful."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError, ResponseError

from gateway.store.connect import connect
from gateway.store.keys import partition, rate
from gateway.store.pipe import MOST, Pipe, StoreUnavailable
from gateway.store.scripts import Scripts
from tests.support.core import until
from tests.support.redis_nodes import node
from tests.support.redis_server import throwaway_redis


@asynccontextmanager
async def own_server() -> AsyncGenerator[Any]:
    """A server of this test's own, which may be broken."""
    with throwaway_redis() as url:
        client = await connect(url, max_connections=4)
        try:
            yield client
        finally:
            await client.aclose()


async def test_a_crowd_shares_writes_and_everybody_gets_its_own_answer(redis_client: Any) -> None:
    pipe = Pipe(redis_client)
    before = (await redis_client.info("stats"))["total_reads_processed"]
    answers = await asyncio.gather(*(pipe.send("ECHO", f"{n}") for n in range(MOST * 10)))
    reads = (await redis_client.info("stats"))["total_reads_processed"] - before
    assert answers == [f"{n}".encode() for n in range(MOST * 10)]
    assert reads < MOST * 10 / 4


async def test_order_is_kept(redis_client: Any) -> None:
    pipe = Pipe(redis_client, most=3)
    await asyncio.gather(*(pipe.send("RPUSH", "{x}:order", n) for n in range(50)), pipe.send("EXPIRE", "{x}:order", 60))
    assert await redis_client.lrange("{x}:order", 0, -1) == [str(n).encode() for n in range(50)]


async def test_a_large_item_does_not_hold_back_the_others(redis_client: Any) -> None:
    pipe = Pipe(redis_client)
    big = b"x" * (1024 * 1024)
    told = await asyncio.gather(
        *(
            pipe.send("SET", f"{{x}}:{n}", big if n == 3 else b"y", "EX", 60, size=len(big) if n == 3 else 1)
            for n in range(9)
        )
    )
    assert len(told) == 9
    assert await redis_client.strlen("{x}:3") == len(big)


async def test_one_refusal_is_nobody_elses(redis_client: Any) -> None:
    pipe = Pipe(redis_client)
    await pipe.send("SET", "{x}:text", "words", "EX", 60)
    good, bad, after = await asyncio.gather(
        pipe.send("ECHO", "a"), pipe.send("LPUSH", "{x}:text", "1"), pipe.send("ECHO", "b"), return_exceptions=True
    )
    assert (good, after) == (b"a", b"b")
    assert isinstance(bad, ResponseError)
    assert not isinstance(bad, StoreUnavailable)


@pytest.mark.parametrize("wrong", [None, {"a": 1}, "lone \ud800 surrogate"], ids=["None", "dict", "surrogate"])
async def test_what_cannot_be_sent_fails_alone_and_at_once(redis_client: Any, wrong: Any) -> None:
    pipe = Pipe(redis_client)
    async with asyncio.timeout(5):
        good, bad, after = await asyncio.gather(
            pipe.send("ECHO", "a"), pipe.send("SET", "{x}:y", wrong), pipe.send("ECHO", "b"), return_exceptions=True
        )
        assert (good, after) == (b"a", b"b")
        assert isinstance(bad, Exception)
        assert not isinstance(bad, StoreUnavailable), "a bug is no outage"
        assert await pipe.send("ECHO", "c") == b"c", "the pipe goes on"


async def test_scripts_that_the_server_has_forgotten_are_sent_again(redis_client: Any, scripts: Scripts) -> None:
    for _ in range(3):
        await redis_client.script_flush()
        told = await asyncio.gather(*(scripts.tokens(rate(f"x{n}"), 1, 4, 1, critical=True) for n in range(5)))
        assert [granted for granted, _ in told] == [1] * 5
    calls = (await redis_client.info("commandstats"))["cmdstat_eval"]["calls"]
    await scripts.tokens(rate("x0"), 1, 4, 1, critical=True)
    assert (await redis_client.info("commandstats"))["cmdstat_eval"]["calls"] == calls, "once is enough"


async def test_a_forgotten_script_runs_once(redis_client: Any, scripts: Scripts) -> None:
    await redis_client.script_flush()
    at = partition(0)
    assert await scripts.note(at, "item", b"state", 60_000) == "ok"
    assert await scripts.note(at, "item", b"state", 60_000) == "seen"


async def test_a_full_memory_is_no_room_and_ends_go_on(redis_client: Any, scripts: Scripts) -> None:
    at = partition(0)
    await scripts.note(at, "before", b"state", 60_000)
    await redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable):
            await scripts.note(at, "item", b"state", 60_000)
        with pytest.raises(StoreUnavailable):
            await scripts.pipe.send("SET", "{x}:y", "z", "EX", 60)
        await scripts.settle(at, "i:before", b"state", 60_000)
    finally:
        await redis_client.config_set("maxmemory", 512 * 2**20)
    assert await scripts.note(at, "item", b"state", 60_000) == "ok"


async def test_a_forgotten_script_and_a_full_memory(redis_client: Any, scripts: Scripts) -> None:
    await redis_client.script_flush()
    await redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable):
            await scripts.note(partition(0), "item", b"state", 60_000)
        await scripts.settle(partition(0), "i:nobody", b"state", 60_000)
    finally:
        await redis_client.config_set("maxmemory", 512 * 2**20)


async def test_a_connection_that_breaks_in_flight_is_an_outage_and_heals() -> None:
    async with own_server() as client:
        pipe = Pipe(client)
        held = asyncio.create_task(pipe.send("BLPOP", "{x}:nothing", 0))
        queued = asyncio.create_task(pipe.send("ECHO", "queued"))
        other = await connect_like(client)
        await until(lambda: _blocked(other))
        await other.execute_command("CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal")
        await other.aclose()
        told = await asyncio.gather(held, queued, return_exceptions=True)
        assert isinstance(told[0], StoreUnavailable)
        assert await pipe.send("ECHO", "again") == b"again"


async def _blocked(client: Any) -> bool:
    return (await client.info("clients"))["blocked_clients"] == 1


async def connect_like(client: Any) -> Any:
    path = client.connection_pool.connection_kwargs["path"]
    return await connect(f"unix://{path}", max_connections=2)


async def test_a_server_that_is_gone_and_comes_back(redis_server: str) -> None:
    async with own_server() as client:
        pipe = Pipe(client)
        assert await pipe.send("ECHO", "a") == b"a"
        with contextlib.suppress(RedisError, OSError):
            await client.execute_command("SHUTDOWN", "NOSAVE")
        told = await asyncio.gather(*(pipe.send("ECHO", f"{n}") for n in range(100)), return_exceptions=True)
        assert {type(one) for one in told} == {StoreUnavailable}
        # The same pipe, and a server that listens at the same place again.
        await asyncio.to_thread(moved, client.connection_pool.connection_kwargs["path"], redis_server)
        await until(lambda: _alive(pipe))


def moved(place: str, url: str) -> None:
    Path(place).unlink(missing_ok=True)
    Path(place).symlink_to(url.removeprefix("unix://"))


async def _alive(pipe: Pipe) -> bool:
    try:
        return await pipe.send("ECHO", "back") == b"back"
    except StoreUnavailable:
        return False


async def test_a_caller_who_is_cancelled_takes_nothing_back(redis_client: Any) -> None:
    """Its command may be on its way already, so it is carried out, and the others in the batch get theirs."""
    pipe = Pipe(redis_client)
    callers = [asyncio.create_task(pipe.send("INCR", "{x}:n")) for _ in range(10)]
    await asyncio.sleep(0)
    for n in (0, 4, 9):
        callers[n].cancel()
    told = await asyncio.gather(*callers, return_exceptions=True)
    assert sum(isinstance(one, asyncio.CancelledError) for one in told) == 3
    await pipe.close()
    assert await redis_client.getdel("{x}:n") == b"10"


async def test_nobody_can_pile_up_without_end(redis_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.stream.WAITING_MOST", 500)
    pipe = Pipe(redis_client)
    waiting = [asyncio.ensure_future(pipe.send("PING")) for _ in range(500)]
    one_more = asyncio.ensure_future(pipe.send("PING"))
    with pytest.raises(StoreUnavailable):
        await one_more
    await asyncio.gather(*waiting)
    assert await pipe.send("ECHO", "room again") == b"room again"


async def test_closing_waits_for_what_is_under_way(redis_client: Any) -> None:
    pipe = Pipe(redis_client)
    one = asyncio.create_task(pipe.send("ECHO", "a"))
    await asyncio.sleep(0)
    await pipe.close()
    assert await one == b"a"
    await Pipe(redis_client).close()


async def test_who_stands_in_line_behind_a_server_that_hangs_is_not_kept_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.stream.ANSWER_SECONDS", 0.3)
    with node(tmp_path) as server:
        client = await connect(server.url, max_connections=4)
        pipe = Pipe(client, most=1)
        assert await pipe.send("INCR", "{x}:n") == 1
        with server.frozen():
            async with asyncio.timeout(3):
                told = await asyncio.gather(*(pipe.send("INCR", "{x}:n") for _ in range(50)), return_exceptions=True)
        assert {type(one) for one in told} == {StoreUnavailable}
        assert await pipe.send("INCR", "{x}:n") <= 4, "what was given up on was not sent after all"
        await client.aclose()


async def test_who_waits_when_the_gateway_stops_is_told(redis_client: Any) -> None:
    pipe = Pipe(redis_client, most=1)
    waiting = [asyncio.create_task(pipe.send("BLPOP", "{x}:nothing", 0)) for _ in range(3)]
    await until(lambda: _blocked(redis_client))
    [stream] = pipe._streams.values()  # pyright: ignore[reportPrivateUsage] - the task that a closing loop cancels
    flusher = stream._flusher  # pyright: ignore[reportPrivateUsage]
    assert flusher is not None
    flusher.cancel()
    async with asyncio.timeout(5):
        told = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in told} == {StoreUnavailable}
    assert await pipe.send("ECHO", "a") == b"a"


async def test_nothing_is_sent_after_the_end(redis_client: Any) -> None:
    pipe = Pipe(redis_client)
    waiting = asyncio.ensure_future(pipe.send("ECHO", "a"))
    await asyncio.sleep(0)
    await pipe.close()
    assert await waiting == b"a", "what was under way is waited for"
    for durable in (False, True):
        with pytest.raises(StoreUnavailable, match="stopping"):
            await pipe.send("ECHO", "b", durable=durable)
    with pytest.raises(StoreUnavailable, match="stopping"):
        await pipe.send_all([(("ECHO", "b"), False)])
