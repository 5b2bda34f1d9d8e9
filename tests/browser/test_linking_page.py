"""The page that joins a person with WeChat, in Chromium: readable by anybody, on a small screen, in every language."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, async_playwright

from gateway.links import PREFERENCES
from tests.support.running import Running, running

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
LANGUAGES: Final = ("en", "zh-Hans", "zh-Hant", "el")
SMALL: Final = {"width": 320, "height": 640}
MARIA: Final = "oWeChatMaria0341"
INSIDE: Final = "Mozilla/5.0 (iPhone) MicroMessenger/8.0.50"
SHOTS: Final = os.environ.get("SCREENSHOTS", "")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Running]:
    async with running(redis_url, tmp_path) as made:
        await made.customer("maria", email="maria@example.org")
        yield made


@asynccontextmanager
async def page_of(gw: Running, path: str, **options: Any) -> AsyncGenerator[Page]:
    """The page of a person's link. Whatever the browser complains about fails the test."""
    base = f"{gw.url}/p/{gw.service.gateway.links.sign(PREFERENCES, 'maria', 3600)}"
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await chromium.new_page(**options)
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(base + path)
        yield page
        await chromium.close()
        assert complaints == []


async def check(page: Page, name: str) -> None:
    """No violations, and nothing that has to be scrolled sideways."""
    found = await cast("Any", Axe()).run(page)
    assert found.violations_count == 0, found.generate_report()
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    if SHOTS:
        await page.screenshot(path=f"{SHOTS}/wechat-{name}.png", full_page=True)


async def test_the_page_with_the_code_has_no_barriers(gw: Running) -> None:
    async with page_of(gw, "/wechat?lang=en", viewport=SMALL) as page:
        first = page.url
        for language in LANGUAGES:
            await page.goto(first.replace("lang=en", f"lang={language}"))
            assert await page.locator("html").get_attribute("lang") == language
            box = await page.locator("svg.qr").bounding_box()
            assert box is not None
            assert box["width"] >= 180, "large enough to be scanned"
            await check(page, language)


async def test_the_page_goes_on_by_itself_once_the_code_is_scanned(gw: Running) -> None:
    async with page_of(gw, "/wechat", color_scheme="dark") as page:
        await check(page, "dark")
        await gw.sandbox.wechat.scan(MARIA, await page.locator("code.holds").inner_text())
        await page.get_by_role("heading", name="WeChat is connected").wait_for()
        await check(page, "linked")


async def test_without_scripts_a_button_looks_again(gw: Running) -> None:
    async with page_of(gw, "/wechat", java_script_enabled=False) as page:
        holds = await page.locator("code.holds").inner_text()
        await page.get_by_role("link", name="I have scanned it").click()
        await page.get_by_text("Nobody has scanned this code yet.").wait_for()
        assert await page.locator("code.holds").inner_text() == holds, "the same code, however often one looks"
        await gw.sandbox.wechat.scan(MARIA, holds)
        while await page.get_by_role("heading", name="WeChat is connected").count() == 0:
            await page.reload()


async def test_inside_wechat_one_tap_is_enough(gw: Running) -> None:
    async with page_of(gw, "/wechat", user_agent=INSIDE, viewport=SMALL) as page:
        gw.sandbox.world.device("openid", MARIA).person.name = "Maria (sample)"
        await check(page, "inside")
        await page.get_by_role("link", name="Connect this WeChat").click()
        await page.get_by_role("link", name="Maria (sample)").click()
        await page.get_by_role("heading", name="WeChat is connected").wait_for()
        await check(page, "inside-linked")
