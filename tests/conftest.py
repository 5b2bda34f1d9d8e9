from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Generator
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from gateway.store.clock import Clock
from gateway.store.connect import connect
from gateway.store.scripts import Scripts
from tests.support.keyleaks import leaks
from tests.support.redis_server import throwaway_redis

# The suite starts some hundred processes: each would compile all modules anew where bytecode isn't kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture(scope="session")
def redis_server() -> Generator[str]:
    """The URL of a real server of this process's own: one per xdist worker, in memory, no fsync."""
    with throwaway_redis() as url:
        yield url


@pytest.fixture
async def redis_client(redis_server: str) -> AsyncGenerator[Redis]:
    """A client as the gateway opens it, on an empty server."""
    client = await connect(redis_server, max_connections=32, name="test")
    await cast("Any", client).flushall()
    yield client
    await client.aclose()


@pytest.fixture
def redis_url(redis_server: str, redis_client: Redis) -> str:
    """The URL of the server, emptied for this test."""
    return redis_server


@pytest.fixture
async def scripts(redis_client: Redis) -> AsyncGenerator[Scripts]:
    """The Lua scripts on the server of this test."""
    made = Scripts(redis_client)
    yield made
    await made.close()


@pytest.fixture
async def clock(redis_client: Redis) -> Clock:
    """The server's clock, read once."""
    seconds, micros = await cast("Any", redis_client).time()
    made = Clock()
    made.read(seconds * 1000 + micros // 1000)
    return made


@pytest.fixture
async def no_key_leaks(redis_client: Redis) -> AsyncGenerator[None]:
    """Fails a test that left a key without TTL or permit. For a module: pytestmark = pytest.mark.usefixtures("no_key_leaks")."""
    yield
    assert await leaks(redis_client) == []
