from __future__ import annotations

from collections.abc import AsyncGenerator

import aiohttp
import pytest
from redis.asyncio import Redis

from gateway.app import Gateway
from tests.support.front import Front, front
from tests.support.web_gateway import gateway_on


@pytest.fixture
async def gateway(redis_url: str) -> AsyncGenerator[Gateway]:
    """The real gateway with all four channels; no worker runs."""
    async with gateway_on(redis_url) as made:
        yield made


@pytest.fixture
async def door(gateway: Gateway, redis_client: Redis) -> AsyncGenerator[Front]:
    """Its public listener."""
    async with front(gateway, redis_client) as made:
        yield made


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    """A client that keeps no cookies."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session
