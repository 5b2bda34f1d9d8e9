from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.contract.client import Api
from tests.contract.world import World, world

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The carriers live as long as the gateway: all tests here share one loop."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def w(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    """One running gateway for the whole session; every test makes people of its own."""
    async with world(
        tmp_path_factory.mktemp("served"),
        TEAM_ADDRESSES="+306947777777,team@example.org",
        ALLOWED_COUNTRIES="GR,GB,US,HK",
    ) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rough(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    """Another one, for carriers that behave so badly that the gateway may close a channel to everybody."""
    async with world(tmp_path_factory.mktemp("rough")) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def trial(w: World) -> Api:
    """A key of mode `test` with every scope."""
    return await w.key(mode="test")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nobody(w: World) -> Api:
    """A client without a key."""
    return Api(w.http, w.gateway.base, None)
