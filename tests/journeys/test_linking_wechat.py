"""Story 2, by WeChat: she scans a code on her preference page, or signs in where she reads it inside WeChat."""

from __future__ import annotations

import re
from html import unescape
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from gateway.sandbox.behaviour import State
from gateway.store import keys
from tests.support.centre import token
from tests.support.running import Running, until

PHONE: Final = "+447400000321"
MARIA: Final = "oWeChatMaria0321"
NIKOS: Final = "oWeChatNikos0322"
INSIDE: Final = {"User-Agent": "Mozilla/5.0 (iPhone) MicroMessenger/8.0.50"}
SCAN: Final = re.compile(r'<code class="holds">([^<]+)</code>')


class Browser:
    """A browser with cookies, on a person's own link."""

    def __init__(self, gw: Running, http: aiohttp.ClientSession, base: str) -> None:
        self.base = base
        self._gw = gw
        self._http = http
        self.status = 0
        self.page = ""
        self.url = ""

    async def opens(self, path: str, **headers: str) -> str:
        """Open a page, following redirects."""
        url = path if path.startswith("http") else self._gw.url + path
        async with self._http.get(url, headers=headers) as answer:
            self.status, self.page, self.url = answer.status, await answer.text(), str(answer.url)
        return self.page

    async def code(self) -> str:
        """What the code on the linking page holds."""
        found = SCAN.search(await self.opens(f"{self.base}/wechat"))
        assert found is not None, self.page
        return unescape(found[1])


async def browsing(gw: Running, http: aiohttp.ClientSession, customer: str, mode: str = "live") -> Browser:
    """Somebody at their own link."""
    return Browser(gw, http, "/p/" + await token(gw.service.gateway, customer, mode=mode))


@pytest.fixture
async def http() -> Any:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as made:
        yield made


async def test_a_scan_joins_her_and_a_message_comes_by_wechat(gw: Running, http: aiohttp.ClientSession) -> None:
    await gw.customer("maria", sms=PHONE, preferences={"channels": ["wechat", "sms"], "language": "zh-Hans"})
    gw.sandbox.world.device("openid", MARIA).following = False
    browser = await browsing(gw, http, "maria")
    code = await browser.code()
    assert '<svg class="qr"' in browser.page
    assert "请用微信扫描二维码" in browser.page
    assert "maria" not in code
    shown = browser.url

    await gw.sandbox.wechat.scan(MARIA, code)
    await until(lambda: _linked(gw, "maria", MARIA))

    assert "微信已绑定" in await browser.opens(shown.removeprefix(gw.url))
    chats = gw.sandbox.world.chats
    await until(lambda: any("绑定" in chat.text for chat in chats(MARIA)), seen=lambda: chats(MARIA))
    sent = await gw.send("maria", content={"text": "The power is out."})
    await until(lambda: any(chat.text == "The power is out." for chat in chats(MARIA)))
    assert (await gw.message(sent["id"]))["attempts"][0]["channel"] == "wechat"
    [line] = [one for one in await _ledger(gw, "maria") if one["channel"] == "wechat"]
    assert (line["state"], line["way"], line["address"]) == ("granted", "lifted_by_wechat_link", MARIA)


async def test_a_code_works_once_and_only_ours_do(gw: Running, http: aiohttp.ClientSession) -> None:
    await gw.customer("maria", sms=PHONE)
    code = await (await browsing(gw, http, "maria")).code()
    await gw.sandbox.wechat.scan(MARIA, code)
    await until(lambda: _linked(gw, "maria", MARIA))

    await gw.sandbox.wechat.scan(NIKOS, code)
    await gw.sandbox.wechat.scan(NIKOS, "f" * 40)
    await gw.sandbox.wechat.scan(NIKOS, "maria")
    await gw.sandbox.wechat.write(NIKOS, "hello")
    await until(lambda: _heard(gw, NIKOS, "hello"))

    assert not await _linked(gw, "maria", NIKOS)


async def test_a_code_whose_time_is_over_joins_nobody(gw: Running, http: aiohttp.ClientSession) -> None:
    await gw.customer("maria", sms=PHONE)
    code = await (await browsing(gw, http, "maria")).code()
    token = gw.sandbox.wechat.linking.scene_of(code)
    key = keys.invitation(token)
    seconds = await gw.service.gateway.client.ttl(key)
    assert 600 <= seconds <= 1800
    assert token not in key, "in Redis it appears hashed"
    await gw.service.gateway.client.delete(key)

    await gw.sandbox.wechat.scan(MARIA, code)
    await gw.sandbox.wechat.write(MARIA, "hello")
    await until(lambda: _heard(gw, MARIA, "hello"))

    assert not await _linked(gw, "maria", MARIA)


async def test_two_of_a_family_on_one_wechat_are_both_bound_by_what_it_says(
    gw: Running, http: aiohttp.ClientSession
) -> None:
    for name in ("maria", "nikos"):
        await gw.customer(name, sms=PHONE, preferences={"channels": ["wechat"]})
        await gw.sandbox.wechat.scan(MARIA, await (await browsing(gw, http, name)).code())
        await until(lambda name=name: _linked(gw, name, MARIA))

    await gw.sandbox.wechat.unfollow(MARIA)
    await until(lambda: _closed(gw, "maria"))
    await until(lambda: _closed(gw, "nikos"))
    assert await _linked(gw, "maria", MARIA), "the address stays, closed: following again is enough"
    page = await (await browsing(gw, http, "maria")).opens((await browsing(gw, http, "maria")).base + "/wechat")
    assert "You have left our WeChat account" in page

    left = gw.sandbox.clock.now() // 1000
    await until(lambda: gw.sandbox.clock.now() // 1000 > left)  # WeChat counts whole seconds, and a tie is a withdrawal
    await gw.sandbox.wechat.follow(MARIA)
    await until(lambda: _open(gw, "maria"))
    await until(lambda: _open(gw, "nikos"))


async def test_inside_wechat_she_signs_in_without_a_code(gw: Running, http: aiohttp.ClientSession) -> None:
    await gw.customer("maria", sms=PHONE)
    browser = await browsing(gw, http, "maria")
    page = await browser.opens(f"{browser.base}/wechat", **INSIDE)
    assert f"{browser.base}/wechat/sign-in" in page
    assert "/wechat/sign-in" not in await browser.opens(f"{browser.base}/wechat"), "elsewhere it would lead nowhere"

    async with http.get(f"{gw.url}{browser.base}/wechat/sign-in", headers=INSIDE, allow_redirects=False) as answer:
        there = answer.headers["Location"]
    asked = parse_qs(urlsplit(there).query)
    assert there.startswith(f"{gw.sandbox.wechat_base}/connect/oauth2/authorize?"), (
        "the look-alike stands in for WeChat"
    )
    assert asked["scope"] == ["snsapi_base"]
    assert re.fullmatch("[0-9a-zA-Z]{1,128}", asked["state"][0])

    page = await browser.opens(there.replace("#", f"&openid={MARIA}#"), **INSIDE)
    assert (browser.status, urlsplit(browser.url).path) == (200, f"{browser.base}/wechat")
    assert "WeChat is connected" in page
    assert await _linked(gw, "maria", MARIA)
    [line] = [one for one in await _ledger(gw, "maria") if one["channel"] == "wechat"]
    assert line["way"] == "lifted_by_wechat_sign_in"


async def test_a_sign_in_that_did_not_set_out_here_joins_nobody(gw: Running, http: aiohttp.ClientSession) -> None:
    """Somebody leads her to the end of a sign-in of their own: her WeChat must not become theirs."""
    await gw.customer("mallory", sms=PHONE)
    theirs = await browsing(gw, http, "mallory")
    async with http.get(f"{gw.url}{theirs.base}/wechat/sign-in", allow_redirects=False) as answer:
        there = answer.headers["Location"]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as hers:
        victim = await browsing(gw, hers, "mallory")
        await victim.opens(there.replace("#", f"&openid={MARIA}#"), **INSIDE)
        assert victim.status == 403
    for bad in ("", "?code=abc", "?code=abc&state=00", "?code=abc&state=" + "ff" * 40):
        await theirs.opens(f"{theirs.base}/wechat/oauth{bad}")
        assert theirs.status == 403
    assert not await _linked(gw, "mallory", MARIA)


async def test_a_sign_in_counts_once(gw: Running, http: aiohttp.ClientSession) -> None:
    await gw.customer("maria", sms=PHONE)
    browser = await browsing(gw, http, "maria")
    async with http.get(f"{gw.url}{browser.base}/wechat/sign-in", allow_redirects=False) as answer:
        there = answer.headers["Location"]
    async with http.get(there.replace("#", f"&openid={MARIA}#"), allow_redirects=False) as answer:
        back = answer.headers["Location"]
    code = parse_qs(urlsplit(back).query)["code"][0]
    await gw.service.gateway.wechat_links.signed_in("maria", code, state="a-sign-in")
    await browser.opens(back)
    assert browser.status == 422
    assert "WeChat did not tell us who you are" in browser.page


async def test_without_wechat_or_when_it_is_away_the_page_says_so(
    gw: Running, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gw.customer("maria", sms=PHONE)
    browser = await browsing(gw, http, "maria")
    gw.switch("wechat", State.REFUSES)
    await browser.opens(f"{browser.base}/wechat")
    assert browser.status == 503
    assert "WeChat gives us no code just now" in browser.page
    gw.switch("wechat", State.UP)
    links = gw.service.gateway.wechat_links
    for _ in range(19):
        await links.begin("maria")
    await browser.opens(f"{browser.base}/wechat")
    assert browser.status == 429
    assert "Please wait an hour" in browser.page
    await browser.opens("/p/forged.1.abc/wechat")
    assert browser.status == 404
    monkeypatch.setattr(links, "_account", None)
    await browser.opens(f"{browser.base}/wechat")
    assert (browser.status, "We are not on WeChat." in browser.page) == (404, True)


async def test_a_link_of_a_test_message_shows_no_code(gw: Running, http: aiohttp.ClientSession) -> None:
    await gw.customer("maria", sms=PHONE)
    browser = await browsing(gw, http, "maria", "test")
    assert '<svg class="qr"' not in await browser.opens(f"{browser.base}/wechat")
    assert browser.status == 200
    await browser.opens(f"{browser.base}/wechat/sign-in")
    assert browser.status == 403


async def _linked(gw: Running, customer: str, openid: str) -> bool:
    found = await gw.service.gateway.customers.load(customer)
    return found is not None and ("wechat", openid) in [(one.channel, one.value) for one in found[0].addresses]


async def _closed(gw: Running, customer: str) -> bool:
    return await _skipped(gw, customer) == "opted_out"


async def _open(gw: Running, customer: str) -> bool:
    return await _skipped(gw, customer) is None


async def _skipped(gw: Running, customer: str) -> str | None:
    body = {"customer": customer, "category": "outage", "content": {"text": "The power is out."}}
    answer = await gw.api("POST", "/v1/messages?dry_run=true", body)
    return next((one["why"]["code"] for one in answer.body["skipped"] if one["channel"] == "wechat"), None)


async def _heard(gw: Running, openid: str, words: str) -> bool:
    found = (await gw.api("GET", "/v1/inbound")).body["items"]
    return any(one.get("text") == words and one.get("from", one.get("sender")) == openid for one in found)


async def _ledger(gw: Running, customer: str) -> list[dict[str, Any]]:
    return (await gw.api("GET", f"/v1/customers/{customer}/consents")).body["items"]
