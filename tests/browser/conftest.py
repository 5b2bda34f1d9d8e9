"""One service and one browser for all tests of a module."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.support.redis_server import throwaway_redis
from tests.support.running import Running, running

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS: Final = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
BRAND: Final = (
    '[brand]\nname = "Aegean Power"\nprivacy_url = "https://example.com/privacy"\ncontact = "help@example.com"\n'
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncGenerator[Browser]:
    """A browser without windows."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Running]:
    """A whole gateway with look-alike carriers; each test has a customer of its own."""
    folder: Path = tmp_path_factory.mktemp("centre")
    (folder / "gateway.toml").write_text(BRAND, encoding="utf-8")
    with throwaway_redis() as url:
        async with running(url, folder, DEFAULT_TIME_ZONE="Europe/Athens") as made:
            yield made
