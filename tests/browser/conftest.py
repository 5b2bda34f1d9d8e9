"""One browser and one service for all tests in a browser that a worker runs; each test has a context and people of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.browsing import chromium_running
from tests.support.redis_server import throwaway_redis
from tests.support.running import Running, running

BRAND: Final = (
    '[brand]\nname = "Aegean Power"\nprivacy_url = "https://example.com/privacy"\ncontact = "help@example.com"\n'
)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncGenerator[Browser]:
    """A browser without windows."""
    async with chromium_running() as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Running]:
    """A whole gateway with look-alike carriers; each test has a customer of its own."""
    folder: Path = tmp_path_factory.mktemp("centre")
    (folder / "gateway.toml").write_text(BRAND, encoding="utf-8")
    with throwaway_redis() as url:
        async with running(url, folder, DEFAULT_TIME_ZONE="Europe/Athens") as made:
            yield made
