"""WeChat's look-alike tells an account who somebody is: by a scanned code, and by the sign-in of a web page."""

from __future__ import annotations

import json
from typing import Any, Final, cast
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from gateway.sandbox.app import Sandbox
from tests.integration.test_sandbox_kit import browser, sandbox
from tests.integration.test_sandbox_phones import act
from tests.integration.test_sandbox_wechat import APP, OPENID, PATH, ask, event_of, token_of

BACK: Final = "http://127.0.0.1:9/p/token/wechat/oauth"
ASKED: Final = {
    "appid": APP["appid"],
    "redirect_uri": BACK,
    "response_type": "code",
    "scope": "snsapi_base",
    "state": "a1B2",
}


async def code_of(box: Sandbox, session: aiohttp.ClientSession, seconds: Any = 600, **more: Any) -> dict[str, Any]:
    wanted = {
        "expire_seconds": seconds,
        "action_name": "QR_STR_SCENE",
        "action_info": {"scene": {"scene_str": "tok-1"}},
    }
    token = await token_of(box, session)
    return await ask(session, f"{box.wechat_base}/cgi-bin/qrcode/create?access_token={token}", wanted | more)


async def test_what_a_code_holds_can_be_scanned_from_the_phones_page() -> None:
    async with sandbox() as (box, hook), browser() as session:
        made = await code_of(box, session)
        assert made["expire_seconds"] == 600
        person = box.world.device("openid", OPENID).person.id
        assert await act(box, session, person, "scan", text=made["url"]) == 204
        await box.idle()
        [event] = [event_of(heard) for heard in hook.on(PATH)]
        assert (event["Event"], event["EventKey"]) == ("SCAN", "tok-1")


async def test_a_code_whose_time_is_over_only_leads_to_the_account() -> None:
    async with sandbox() as (box, hook), browser() as session:
        made = await code_of(box, session, 1)
        lasting = await code_of(box, session, action_name="QR_LIMIT_STR_SCENE")
        assert "expire_seconds" not in lasting
        now = box.clock.now()
        box.clock.now = lambda: now + 2_000
        await box.wechat.scan(OPENID, made["url"])
        assert hook.on(PATH) == []
        await box.wechat.scan(OPENID, lasting["ticket"])
        await box.wechat.unfollow(OPENID)
        await box.wechat.scan(OPENID, made["url"])
        keys = [event_of(heard).get("EventKey") for heard in hook.on(PATH)]
        assert keys == ["tok-1", "", ""]


@pytest.mark.parametrize(
    "bad",
    [
        {"expire_seconds": 0},
        {"expire_seconds": 2_592_001},
        {"expire_seconds": "600"},
        {"action_info": {"scene": {"scene_str": "x" * 65}}},
    ],
)
async def test_codes_are_refused_as_wechat_refuses_them(bad: dict[str, Any]) -> None:
    async with sandbox() as (box, _), browser() as session:
        assert (
            await code_of(box, session, **({"seconds": bad["expire_seconds"]} if "expire_seconds" in bad else bad))
        )["errcode"] == 47003


async def test_a_sign_in_is_told_once() -> None:
    async with sandbox() as (box, _), browser() as session:
        box.world.device("openid", OPENID)
        asks = f"{box.wechat_base}/connect/oauth2/authorize"
        async with session.get(asks, params=ASKED) as page:
            assert f"openid={OPENID}" in (await page.text())
        async with session.get(asks, params=ASKED | {"openid": OPENID}, allow_redirects=False) as sent_back:
            back = urlsplit(sent_back.headers["Location"])
        given = parse_qs(back.query)
        assert (back.path, given["state"]) == (urlsplit(BACK).path, ["a1B2"])
        code = given["code"][0]
        assert [await whose(box, session, code, appid="other"), await whose(box, session, code, secret="x")] == [
            40013,
            40125,
        ]
        assert await whose(box, session, code) == OPENID
        assert await whose(box, session, code) == 40163
        assert await whose(box, session, "never-given") == 40029


@pytest.mark.parametrize(
    "bad",
    [
        {"appid": "other"},
        {"scope": "snsapi_userinfo"},
        {"response_type": "token"},
        {"redirect_uri": "javascript:alert(1)"},
        {"state": "a.b"},
        {"state": "a" * 129},
    ],
)
async def test_sign_ins_are_refused_as_wechat_refuses_them(bad: dict[str, str]) -> None:
    async with sandbox() as (box, _), browser() as session:
        answer = await session.get(f"{box.wechat_base}/connect/oauth2/authorize", params=ASKED | bad)
        assert answer.status == 400


async def whose(box: Sandbox, session: aiohttp.ClientSession, code: str, **change: str) -> str | int:
    asked = {**APP, "code": code, "grant_type": "authorization_code"} | change
    async with session.get(f"{box.wechat_base}/sns/oauth2/access_token", params=asked) as answer:
        told = cast("dict[str, Any]", json.loads(await answer.text()))
    return told.get("openid") or told["errcode"]
