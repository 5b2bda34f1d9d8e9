"""At the start of `gateway serve` Redis may still be starting: it is waited for, and the log says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from gateway.store.wait import wait_for_redis
from tests.support.commands import end, environment, ports, start
from tests.support.redis_node import Node
from tests.support.redis_nodes import node
from tests.support.running import until


@pytest.fixture
def late(tmp_path: Path) -> Iterator[Node]:
    """A server that is not there yet."""
    with node(tmp_path) as made:
        made.stop()
        yield made


async def test_a_server_that_comes_later_is_found(late: Node) -> None:
    with capture_logs() as said:
        waiting = asyncio.create_task(wait_for_redis(late.url, asyncio.Event()))
        await until(lambda: len(said) > 1)
        assert not waiting.done()
        await asyncio.to_thread(late.start)
        await waiting
    assert {(line["event"], line["where"]) for line in said} == {("waiting_for_redis", late.url)}


async def test_the_wait_has_an_end(late: Node) -> None:
    with capture_logs() as said, pytest.raises(RedisConnectionError):
        await wait_for_redis(late.url, asyncio.Event(), seconds=0.3)
    assert said


async def test_who_is_stopped_waits_no_longer(late: Node) -> None:
    stopped = asyncio.Event()
    with capture_logs() as said:
        waiting = asyncio.create_task(wait_for_redis(late.url, stopped, seconds=3600))
        await until(lambda: bool(said))
        stopped.set()
        await asyncio.wait_for(waiting, 5)


async def test_a_refused_login_is_no_reason_to_wait(tmp_path: Path) -> None:
    with node(tmp_path, options={"requirepass": "secret"}) as made, capture_logs() as said:
        with pytest.raises(AuthenticationError):
            await wait_for_redis(made.url.replace("//", "//:wrong@"), asyncio.Event())
        assert not said


async def test_the_gateway_and_its_redis_may_start_in_any_order(tmp_path: Path, late: Node) -> None:
    home = tmp_path / "gateway"
    home.mkdir()
    variables = environment(home, REDIS_URL=late.url, SECRET_KEY="k" * 64, **ports())
    starting = asyncio.create_task(start(home, ["serve"], variables))

    def waits() -> bool:
        told = home / "err.txt"
        return starting.done() or (told.exists() and "waiting_for_redis" in told.read_text())

    await until(waits, 30)
    await asyncio.to_thread(late.start)
    assert await end(await starting) == 0
