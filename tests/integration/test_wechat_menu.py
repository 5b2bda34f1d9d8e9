"""The WeChat menu: shown by the command, taken by the account, pressed on the phones."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from gateway.channels.base import Accepted, Refused
from gateway.channels.wechat import WeChatChannel
from gateway.channels.wechat_menu import entries, menu
from gateway.cli import app
from gateway.sandbox.app import Sandbox
from gateway.sandbox.people import samples
from gateway.settings_types import Secret, WeChatSettings
from tests.integration.test_sandbox_kit import browser, sandbox
from tests.integration.test_sandbox_phones import CHROMIUM, act, detail, visiting


def test_the_command_shows_the_menu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["wechat", "menu", "--language", "zh-HK"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout) == menu("zh-Hant", "en")


async def applied(box: Sandbox, redis_url: str, wanted: dict[str, object]) -> object:
    """What the account says to a menu."""
    config = box.config
    account = WeChatSettings(
        app_id=config.wechat_app_id,
        app_secret=Secret(config.wechat_secret),
        token=Secret("t"),
        api_base=box.wechat_base,
    )
    async with aiohttp.ClientSession() as session, cast("Any", Redis).from_url(redis_url) as redis:
        channel = WeChatChannel(account, session=session, redis=redis, clock=lambda: int(time.time() * 1000))
        return await channel.set_menu(wanted)


async def test_the_account_takes_our_menu_and_the_phones_press_it(redis_url: str) -> None:
    async with sandbox(people=samples()) as (box, hook), browser() as session:
        assert (await detail(box, session, "ana"))["menu"] == []
        wanted = menu("en", "en")
        assert isinstance(await applied(box, redis_url, wanted), Accepted)
        shown = (await detail(box, session, "ana"))["menu"]
        assert [(one["key"], one["name"]) for one in shown] == entries(wanted)
        assert await act(box, session, "ana", "menu", key="language:el") == 204
        await box.idle()
        [heard] = hook.on("/callbacks/wechat")
        assert "<Event><![CDATA[CLICK]]></Event>" in heard.body
        assert "<EventKey><![CDATA[language:el]]></EventKey>" in heard.body
        refused = await applied(box, redis_url, {"button": [{"name": "x" * 40, "type": "click", "key": "k"}]})
        assert isinstance(refused, Refused)
        assert refused.code == "40018"
        assert box.wechat.menu.entries() == shown, "and the old one stays"


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
async def test_the_menu_stands_below_the_conversation(redis_url: str) -> None:
    async with sandbox(people=samples()) as (box, hook):
        await applied(box, redis_url, menu("en", "en"))
        async with visiting(box, viewport={"width": 360, "height": 740}) as page:
            await page.get_by_role("button", name="Ana (sample)").click()
            await page.get_by_role("button", name="WeChat, 0 items").click()
            await page.get_by_role("group", name="Menu of the account").get_by_role("button", name="Help").click()
            await hook.until(lambda: bool(hook.on("/callbacks/wechat")))
            await page.locator(".when", has_text="chooses “Help”").wait_for()
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
