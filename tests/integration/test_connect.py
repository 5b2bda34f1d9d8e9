from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.store.connect import connect, server_facts, version_of
from tests.support.ports import free_port
from tests.support.redis_nodes import cluster, node, sentinel
from tests.support.wire import answering


def clock() -> int:
    return time.time_ns() // 1_000_000


async def use(client: Redis) -> None:
    """The kinds of answers that the store reads."""
    redis = cast("Any", client)
    assert await redis.set("{t}k", b"\xff\x00")
    assert await redis.get("{t}k") == b"\xff\x00"
    await redis.hset("{t}h", mapping={"a": "1"})
    assert await redis.hgetall("{t}h") == {b"a": b"1"}
    await redis.zadd("{t}z", {"m": 1.5})
    assert await redis.eval("return {1, 'x', false, {KEYS[1]}}", 1, "{t}k") == [1, b"x", None, [b"{t}k"]]
    assert await redis.eval("return redis.call('zrange', KEYS[1], 0, -1, 'withscores')", 1, "{t}z") == [b"m", b"1.5"]


class Deaf:
    """Answers the greeting, then takes INCR and breaks the connection without an answer."""

    def __init__(self) -> None:
        self.incremented = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            words = [await self.word(reader) for _ in range(int(head[1:]))]
            if words[0] in (b"INCR", b"INCRBY"):
                self.incremented += 1
                break
            writer.write({b"HELLO": b"%1\r\n+proto\r\n:3\r\n", b"PING": b"+PONG\r\n"}.get(words[0], b"+OK\r\n"))

    async def word(self, reader: asyncio.StreamReader) -> bytes:
        size = int((await reader.readline())[1:])
        return (await reader.readexactly(size + 2))[:-2]


@pytest.fixture
async def deaf() -> AsyncGenerator[tuple[Deaf, int]]:
    fake = Deaf()
    async with answering(fake.serve) as port:
        yield fake, port


async def test_a_broken_connection_repeats_nothing(deaf: tuple[Deaf, int]) -> None:
    fake, port = deaf
    client = await connect(f"redis://127.0.0.1:{port}", max_connections=2)
    with pytest.raises(RedisConnectionError):
        await client.incr("n")
    assert fake.incremented == 1
    async with client.pipeline(transaction=False) as pipe:
        pipe.incr("n")
        with pytest.raises(RedisConnectionError):
            await pipe.execute()
    assert fake.incremented == 2
    await client.aclose()


async def test_nothing_there_is_an_error_at_once() -> None:
    with pytest.raises(RedisConnectionError):
        await connect(f"redis://127.0.0.1:{free_port()}", max_connections=1)
    with pytest.raises(ValueError, match="must begin with"):
        await connect("http://127.0.0.1", max_connections=1)


async def test_a_plain_server_with_a_password(tmp_path: Path) -> None:
    given = {"requirepass": "pw", "appendonly": "yes", "appendfsync": "always"}
    with node(tmp_path, options=given) as server:
        client = await connect(f"redis://:pw@{server.address}/1", max_connections=2)
        await use(client)
        facts = await server_facts(client, clock)
        assert (facts.appendonly, facts.appendfsync, facts.eviction) == (True, "always", "noeviction")
        assert facts.version >= (7, 2, 0)
        assert abs(facts.skew_ms) < 1000
        assert 59_000 < (await server_facts(client, lambda: clock() - 60_000)).skew_ms < 61_000
        assert await cast("Any", client).client_getname() in ("gateway", b"gateway")
        await client.aclose()


async def test_who_comes_late_waits_for_a_connection(redis_url: str) -> None:
    client = await connect(redis_url, max_connections=1)
    redis = cast("Any", client)
    blocked = asyncio.create_task(redis.blpop(["list"], 20))
    # The only connection is in the blocking read: the next command stands in line, and isn't refused.
    waiting = asyncio.create_task(redis.get("k"))
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    blocked.cancel()
    assert await waiting is None
    await client.aclose()


async def test_a_primary_found_by_sentinel(tmp_path: Path) -> None:
    with node(tmp_path) as primary, sentinel(primary) as watcher:
        # The first one listed isn't there; the second is asked.
        client = await connect(f"redis+sentinel://127.0.0.1:{free_port()},{watcher.address}/main", max_connections=1)
        await use(client)
        assert await asyncio.gather(*(client.get("none") for _ in range(5))) == [None] * 5
        assert (await server_facts(client, clock)).role == "master"
        await client.aclose()


async def test_a_cluster() -> None:
    with cluster(1, 0) as nodes:
        client = await connect(nodes.url, max_connections=4)
        assert isinstance(client, RedisCluster)
        await use(client)
        assert (await server_facts(client, clock)).role == "master"
        await client.aclose()
    with pytest.raises(RedisConnectionError):
        await connect(nodes.url, max_connections=1)


def test_versions() -> None:
    assert version_of("7.2.4") == (7, 2, 4)
    assert version_of("8.0-rc1") == (8, 0, 0)
    assert version_of("") == (0, 0, 0)
