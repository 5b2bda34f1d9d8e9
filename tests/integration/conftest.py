from __future__ import annotations

from collections.abc import AsyncGenerator

import aiohttp
import pytest

from gateway.app import Gateway
from tests.support.web_client import ANA, Api
from tests.support.web_gateway import gateway_on, public
from tests.support.web_parts import bearer


@pytest.fixture
async def gateway(redis_url: str) -> AsyncGenerator[Gateway]:
    """All parts of a gateway, joined, without a worker."""
    async with gateway_on(redis_url) as made:
        yield made


@pytest.fixture
async def session(gateway: Gateway) -> AsyncGenerator[aiohttp.ClientSession]:
    """A client without a key on its public listener."""
    async with public(gateway) as made:
        yield made


@pytest.fixture
async def admin(gateway: Gateway, session: aiohttp.ClientSession) -> Api:
    """A client with a key that may do everything."""
    return Api(session, await bearer(gateway, "admin"))


@pytest.fixture
async def ana(admin: Api) -> Api:
    """The same, and the customer c-1 exists."""
    await admin("PUT", "/v1/customers/c-1", ANA, status=201)
    return admin
