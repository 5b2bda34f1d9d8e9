"""What guards the preference centre: whose forms are taken, what is stored where, what a page may load, who is forgotten."""

from __future__ import annotations

import json
import re
from typing import Final

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.delivery.request import NewMessage
from gateway.links import PREFERENCES, preference_subject
from gateway.message import Mode
from gateway.store.api_keys import Scope
from gateway.web.centre.texts import texts_in
from gateway.web.centre.visit import POSTS_PER_HOUR
from tests.support.centre import ANA, Visitor, said, token
from tests.support.web_client import Api
from tests.support.web_parts import bearer

EN: Final = texts_in("en")
EVIL: Final = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
HERE: Final = "https://gateway.example.com"


@pytest.fixture
async def ana(gateway: Gateway, session: aiohttp.ClientSession) -> Visitor:
    await gateway.people.put("ana", ANA)
    visitor = Visitor(gateway, session)
    await visitor.look()
    return visitor


async def post(ana: Visitor, path: str, headers: dict[str, str], **fields: str) -> int:
    """The status of a form sent with these headers alone."""
    [seen] = set(re.findall(r'name="seen" value="(\w+)"', ana.page))
    async with ana.session.post(
        ana.base + path, data={"seen": seen, **fields}, headers=headers, allow_redirects=False
    ) as answer:
        return answer.status


@pytest.mark.parametrize(
    "headers, taken",
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": HERE}, True),
        ({}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": HERE}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": HERE + ".evil.example"}, False),
    ],
)
async def test_forms_of_other_sites_change_nothing(ana: Visitor, headers: dict[str, str], taken: bool) -> None:
    assert await post(ana, "/switch", headers, kind="survey", on="0") == (303 if taken else 403)
    assert bool(await ana.ledger()) is taken


async def test_looking_changes_nothing(ana: Visitor) -> None:
    before = await ana.gateway.customers.load("ana")
    for path in ("/order", "/switch", "/stop", "/resume", "/allow", "/about/marketing/agree", "/about/outage/own"):
        async with ana.session.get(ana.base + path, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, ana.base)
    for path in ("", "/quiet?quiet=none", "/forget?step=2&sure=1", "/language?language=el", "?done=stopped"):
        await ana.look(path)
        assert ana.status == 200
    assert await ana.gateway.customers.load("ana") == before


async def test_every_answer_is_guarded(ana: Visitor) -> None:
    for path in ("", "/data", "/export", "/nothing", "/about/none", "/quiet"):
        await ana.look(path)
        assert ana.headers["Referrer-Policy"] == "no-referrer"
        assert ana.headers["Cache-Control"] == "no-store"
        policy = ana.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "Set-Cookie" not in ana.headers
    await ana.look()
    assert not re.search(r"<script(?! src=\"/assets/)|\sstyle=|\son\w+=|<style", ana.page)
    for found in re.findall(r'(?:src|href)="([^"]+)"', ana.page):
        assert found.startswith(("/assets/", "/p/")), found
    where = await ana.press("/order", follow=False, do="down", channel="sms")
    assert (ana.headers["Cache-Control"], ana.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert where.startswith(ana.base + "?")


async def test_words_are_never_markup(gateway: Gateway, session: aiohttp.ClientSession) -> None:
    person = {**ANA, "name": EVIL, "attributes": {EVIL: EVIL}, "addresses": [{**ANA["addresses"][0], "label": EVIL[:64]}]}  # fmt: skip
    await gateway.people.put("ana", person)
    entry = {"channel": "sms", "category": "survey", "state": "withdrawn", "way": EVIL[:60], "wording": EVIL}
    await gateway.people.add_consent("ana", entry)
    ana = Visitor(gateway, session)
    for path in ("", "/data", f"?done={EVIL}&at={EVIL}&lang={EVIL}", f"/addresses/add?channel={EVIL}&instead={EVIL}"):
        page = await ana.look(path)
        assert ana.status == 200
        assert "<script>" not in page
        assert "<img" not in page
    page = await ana.press("/addresses/add", channel="sms", value=EVIL, label=EVIL)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


async def test_many_changes_are_slowed_down(ana: Visitor) -> None:
    from gateway.store import keys

    key = keys.of_customer("ana").uses("page", "ana")
    for number in range(POSTS_PER_HOUR):
        await ana.gateway.scripts.use(key, POSTS_PER_HOUR, 3_600_000, f"r{number}")
    assert said(await ana.press("/switch", kind="survey", on="0")) == EN.page.busy
    assert ana.status == 429
    assert await ana.ledger() == []


async def test_the_link_of_a_trial_message_shows_and_changes_nothing(ana: Visitor) -> None:
    for mode in ("team", "test"):
        ana.base = "/p/" + await token(ana.gateway, "ana", 60, mode)
        assert EN.page.trial in await ana.look()
        for path in ("/stop", "/switch", "/forget", "/addresses/add"):
            page = await ana.press(
                path, kind="survey", on="0", step="2", sure="1", channel="sms", value="+306900000000"
            )
            assert (ana.status, said(page)) == (403, EN.page.trial), path
    assert await ana.ledger() == []
    assert await ana.gateway.customers.load("ana") is not None


async def test_messages_lead_to_it_and_say_so_in_their_language(ana: Visitor) -> None:
    gateway = ana.gateway
    new = NewMessage(customer="ana", category="service", template="welcome")
    message, _ = await gateway.intake.accept("live", new, gateway.intake.origin())
    raw = await gateway.messages.body(message)
    from gateway.delivery.words import unpack

    assert raw is not None
    person, category = await ana.person(), gateway.rules.categories["service"]
    for channel in ("sms", "email"):
        words = gateway.words.render(message, unpack(raw), person, category, channel, in_window=True)
        found = re.search(rf"{HERE}/p/(\S+)", getattr(words, "text", ""))
        assert found is not None, words
        async with ana.session.get(f"/p/{found[1]}") as answer:
            assert answer.status == 200
    own = NewMessage(customer="ana", category="service", template="welcome", data={"link": "https://example.com/mine"})
    message, _ = await gateway.intake.accept("live", own, gateway.intake.origin())
    raw = await gateway.messages.body(message)
    assert raw is not None
    words = gateway.words.render(message, unpack(raw), person, category, "sms", in_window=True)
    assert "https://example.com/mine" in getattr(words, "text", "")


async def test_what_is_held_is_shown_in_words_and_as_json(ana: Visitor) -> None:
    await ana.press("/switch", kind="survey", on="0")
    entry = {"channel": "email", "category": "marketing", "state": "granted", "way": "form", "wording": "Yes, offers."}
    await ana.gateway.people.add_consent("ana", entry)
    page = re.sub(r"\s+", " ", await ana.look("/data"))
    for words in ("Ana Pappas", "+306912345678", "ana@example.com", "Kypseli", "Yes, offers.", "on this page"):
        assert words in page
    assert "You have stopped messages “Surveys” on every channel." in page
    assert "You have agreed to messages “Offers” by e-mail." in page
    tree = json.loads(await ana.look("/export"))
    assert ana.headers["Content-Disposition"].startswith("attachment")
    assert tree["customer"]["name"] == "Ana Pappas"
    assert {one["category"] for one in tree["consents"]["items"]} == {"survey", "marketing"}


async def test_to_be_forgotten_takes_two_steps(ana: Visitor) -> None:
    page = await ana.look("/forget")
    assert EN.forget.step.format(step=1) in page
    page = await ana.press("/forget", step="1", sure="1")
    assert EN.forget.step.format(step=2) in page
    assert said(await ana.press("/forget", step="2")) == EN.forget.sure_missing
    assert await ana.gateway.customers.load("ana") is not None
    page = await ana.press("/forget", step="2", sure="1")
    [number] = re.findall(r'<dd class="mono">([^<]+)</dd>', page)
    assert await ana.gateway.erasures.certificate(number) is not None
    assert await ana.gateway.customers.load("ana") is None
    assert EN.forget.gone in await ana.look()
    assert ana.status == 410


# How operators come by links


async def test_operators_make_links(ana: Visitor, admin: Api) -> None:
    made = await admin("POST", "/v1/customers/ana/preference-link", {"expires_in": 600}, status=201)
    path = made["url"].removeprefix(HERE)
    assert path.startswith("/p/")
    async with ana.session.get(path) as answer:
        assert answer.status == 200
    payload, ends = ana.gateway.links.opened(PREFERENCES, path.removeprefix("/p/"))
    assert preference_subject(payload) == ("live", "ana", (await ana.person()).created_at)
    assert abs(ends - ana.gateway.clock.now() - 600_000) < 10_000
    thirty = await admin("POST", "/v1/customers/ana/preference-link", status=201)
    _, ends = ana.gateway.links.opened(PREFERENCES, thirty["url"].rpartition("/")[2])
    assert abs(ends - ana.gateway.clock.now() - 30 * 86_400_000) < 10_000
    for wrong in (0, 59, 366 * 86_400, "x", None, 1.5):
        bad = await admin("POST", "/v1/customers/ana/preference-link", {"expires_in": wrong}, status=422)
        assert [one["pointer"] for one in bad["errors"]] == ["/expires_in"]
    await admin("POST", "/v1/customers/nobody/preference-link", {}, status=404)
    await admin("POST", "/v1/customers/ana/preference-link", {"x": 1}, status=422)
    one, two = [await admin("POST", "/v1/customers/ana/preference-link", {}, status=201, Idempotency_Key="k") for _ in range(2)]  # fmt: skip
    assert one == two


@pytest.mark.parametrize("scope, mode, status", [("customers", "live", 201), ("customers", "team", 403), ("customers", "test", 403), ("read", "live", 403)])  # fmt: skip
async def test_only_live_keys_for_customers_make_them(ana: Visitor, scope: Scope, mode: Mode, status: int) -> None:
    api = Api(ana.session, await bearer(ana.gateway, scope, mode=mode))
    await api("POST", "/v1/customers/ana/preference-link", {}, status=status)
