"""The page that joins a person with WeChat, in Chromium: readable by anybody, on a small screen, in every language."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page

from tests.support.browsing import LAYOUT, faultless, faultless_by_night, link, phone
from tests.support.running import Running

LANGUAGES: Final = ("en", "zh-Hans", "zh-Hant", "el")
INSIDE: Final = "Mozilla/5.0 (iPhone) MicroMessenger/8.0.50"

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@asynccontextmanager
async def page_of(house: Running, chromium: Browser, name: str, path: str, **options: Any) -> AsyncGenerator[Page]:
    """The page of a person's link. Whatever the browser complains about fails the test."""
    await house.customer(name, email=f"{name}@example.org")
    async with phone(chromium, **options) as page:
        await page.goto(await link(house, name) + path)
        yield page


async def test_the_page_with_the_code_has_no_barriers(house: Running, chromium: Browser) -> None:
    async with page_of(house, chromium, "code", "/wechat?lang=en") as page:
        first = page.url
        for language in LANGUAGES:
            await page.goto(first.replace("lang=en", f"lang={language}"))
            assert await page.locator("html").get_attribute("lang") == language
            box = await page.locator("svg.qr").bounding_box()
            assert box is not None
            assert box["width"] >= 180, "large enough to be scanned"
            wrong = await faultless(page, None if language == "en" else LAYOUT, targets=0)
            assert wrong == []


async def test_the_page_goes_on_by_itself_once_the_code_is_scanned(house: Running, chromium: Browser) -> None:
    async with page_of(house, chromium, "scans", "/wechat") as page:
        assert await faultless_by_night(page) == []
        await house.sandbox.wechat.scan("oWeChatScans0341", await page.locator("code.holds").inner_text())
        await page.get_by_role("heading", name="WeChat is connected").wait_for()
        assert await faultless(page, targets=0) == []


async def test_without_scripts_a_button_looks_again(house: Running, chromium: Browser) -> None:
    async with page_of(house, chromium, "plainly", "/wechat", java_script_enabled=False) as page:
        holds = await page.locator("code.holds").inner_text()
        await page.get_by_role("link", name="I have scanned it").click()
        await page.get_by_text("Nobody has scanned this code yet.").wait_for()
        assert await page.locator("code.holds").inner_text() == holds, "the same code, however often one looks"
        await house.sandbox.wechat.scan("oWeChatPlain0341", holds)
        async with asyncio.timeout(30):
            while await page.get_by_role("heading", name="WeChat is connected").count() == 0:
                await page.reload()


async def test_inside_wechat_one_tap_is_enough(house: Running, chromium: Browser) -> None:
    async with page_of(house, chromium, "inside", "/wechat", user_agent=INSIDE) as page:
        house.sandbox.world.device("openid", "oWeChatInside0341").person.name = "Maria (sample)"
        assert await faultless(page, targets=0) == []
        await page.get_by_role("link", name="Connect this WeChat").click()
        await page.get_by_role("link", name="Maria (sample)").click()
        await page.get_by_role("heading", name="WeChat is connected").wait_for()
        assert await faultless(page, targets=0) == []
