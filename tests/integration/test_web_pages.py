"""The pages behind signed links, and the doors for providers."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.customer import Address, Customer
from gateway.links import ANSWER, MESSAGE, UNSUBSCRIBE
from gateway.message import Message
from gateway.prompts import Option, Prompt
from gateway.web.page_texts import language_for, languages, paragraphs, texts_in
from gateway.web.server import build_callbacks_app, build_console_app
from tests.support.web_parts import bearer, served

GREEK, HERE = texts_in("el"), "https://gateway.example.com"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def sent(gateway: Gateway, category: str = "service", prompt: Prompt | None = None, **content: Any) -> Message:
    """A message to a Greek customer, accepted and not sent."""
    from gateway.delivery.request import NewMessage

    person = Customer(id="c-1", locale="el", addresses=(Address("email", "ana@example.com"),))
    if await gateway.customers.load("c-1") is None:
        await gateway.customers.write(person, 0)
    words = {"text": {"el": "Καλημέρα.\n\nΔείτε https://example.com/a?b=1&c=2.", "en": "Hello."}, **content}
    new = NewMessage(customer="c-1", category=category, content=words, prompt=prompt)
    return (await gateway.intake.accept("live", new, gateway.intake.origin()))[0]


async def get(session: aiohttp.ClientSession, url: str, status: int = 200, **headers: str) -> str:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with session.get(url.removeprefix(HERE), headers=names) as response:
        return await checked(response, status)


async def post(session: aiohttp.ClientSession, url: str, body: str, status: int = 200) -> str:
    async with session.post(url.removeprefix(HERE), data=body, headers=FORM) as response:
        return await checked(response, status)


async def checked(response: aiohttp.ClientResponse, status: int) -> str:
    text = await response.text()
    assert response.status == status, text
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers
    assert "<script" not in text
    return text


async def test_the_whole_message_in_the_customers_language(gateway: Gateway, session: aiohttp.ClientSession) -> None:
    message = await sent(
        gateway, html="<p>Καλημέρα</p>", attachments=[{"name": "σχέδιο.pdf", "type": "application/pdf", "data": "eA=="}]
    )
    link = gateway.links.url("m", MESSAGE, message.id, 60)
    page = await get(session, link)
    assert '<html lang="el">' in page
    assert "<p>Καλημέρα.</p>" in page
    assert '<a href="https://example.com/a?b=1&amp;c=2"' in page
    async with session.get(link.removeprefix(HERE) + "/design") as response:
        assert "sandbox" in response.headers["Content-Security-Policy"]
        assert "Καλημέρα" in await response.text()
    async with session.get(link.removeprefix(HERE) + "/files/0") as response:
        assert (response.headers["Content-Type"], await response.read()) == ("application/pdf", b"x")
        assert response.headers["Content-Disposition"].startswith("attachment")
    await get(session, link + "/files/1", 404)


async def test_words_are_never_markup(gateway: Gateway, session: aiohttp.ClientSession) -> None:
    message = await sent(gateway, text="<b>&amp; <img src=x>", subject="</title><i>")
    page = await get(session, gateway.links.url("m", MESSAGE, message.id, 60))
    assert "<img" not in page
    assert "<i>" not in page


@pytest.mark.parametrize("path", ["m", "a", "u"])
async def test_links_that_do_not_hold(gateway: Gateway, session: aiohttp.ClientSession, path: str) -> None:
    message = await sent(gateway, prompt=Prompt(kind="yes_no"))
    purpose = {"m": MESSAGE, "a": ANSWER, "u": UNSUBSCRIBE}
    good = gateway.links.sign(purpose[path], message.id, 60)
    other = gateway.links.sign(purpose["u" if path != "u" else "m"], message.id, 60)
    for bad in ("x", good[:-1], other, good.replace(".", ",", 1), "%00", "a" * 3000):
        await get(session, f"/{path}/{bad}", 404)
    await get(session, f"/{path}/{gateway.links.sign(purpose[path], message.id, -1)}", 410)
    await get(session, f"/{path}/{gateway.links.sign(purpose[path], 'm' + '0' * 23, 60)}", 410)
    page = await get(session, f"/{path}/x", 404, Accept_Language="fr;q=0.9, zh-TW, en;q=0.1")
    assert texts_in("zh-Hant").problem.bad in page


async def test_looking_counts_nothing_and_sending_counts_once(gateway: Gateway, session: aiohttp.ClientSession) -> None:
    message = await sent(gateway, "survey", Prompt(kind="scale", min=0, max=10, question={"en": "How?", "el": "Πόσο;"}))
    link = gateway.links.url("a", ANSWER, message.id, 60)
    page = await get(session, link + "?v=7")
    assert re.findall(r'value="(\d+)" required checked', page) == ["7"]
    assert "Πόσο;" in page
    assert "checked" not in await get(session, link + "?v=11")
    loaded = await gateway.messages.load(message.id)
    assert loaded is not None
    assert loaded.message.answer is None
    assert GREEK.answer.missing in await post(session, link, "v=11", 422)
    assert GREEK.answer.missing in await post(session, link, "", 422)
    assert GREEK.answer.missing in await post(session, link, "v=\xff%ff", 422)
    thanks = await post(session, link, "v=9")
    assert GREEK.answer.thanks in thanks
    assert GREEK.answer.given.format(answer="9") in thanks
    assert GREEK.answer.already in await post(session, link, "v=3")
    loaded = await gateway.messages.load(message.id)
    assert loaded is not None
    assert loaded.message.answer is not None
    assert loaded.message.answer.value == 9
    assert loaded.message.verdict.state == "reached"


@pytest.mark.parametrize(
    "prompt, given, value",
    [
        (Prompt(kind="acknowledge"), "1", True),
        (Prompt(kind="yes_no"), "2", False),
        (Prompt(kind="choice", options=(Option("a", "One"), Option("b", "Two & three"))), "2", "b"),
        (Prompt(kind="text"), "%CE%BA%CE%B1%CE%BB%CE%AC%0D%0A%21", "καλά\n!"),
    ],
)
async def test_every_kind_of_question(
    gateway: Gateway, session: aiohttp.ClientSession, prompt: Prompt, given: str, value: Any
) -> None:
    message = await sent(gateway, prompt=prompt)
    link = gateway.links.url("a", ANSWER, message.id, 60)
    assert "<form" in await get(session, link)
    await post(session, link, f"v={given}")
    loaded = await gateway.messages.load(message.id)
    assert loaded is not None
    assert loaded.message.answer is not None
    assert loaded.message.answer.value == value


async def test_a_message_that_asks_nothing(gateway: Gateway, session: aiohttp.ClientSession) -> None:
    message = await sent(gateway)
    assert GREEK.answer.none in await get(session, gateway.links.url("a", ANSWER, message.id, 60), 404)


async def test_one_click_acts_at_once_and_looking_does_not(gateway: Gateway, session: aiohttp.ClientSession) -> None:
    message = await sent(gateway, "service")
    link = gateway.links.url("u", UNSUBSCRIBE, message.id, 60)
    assert GREEK.unsubscribe.button in await get(session, link)
    assert await gateway.customers.ledger("c-1") == []
    for _ in range(2):
        await post(session, link, "List-Unsubscribe=One-Click")
    found = await gateway.customers.load("c-1")
    assert found is not None
    assert {(entry.channel, entry.category, entry.state) for entry in found[0].consents} == {
        ("email", "service", "withdrawn")
    }


def test_languages_are_whole_and_chosen_well() -> None:
    assert languages() == {"en", "el", "zh-Hans", "zh-Hant"}
    wanted = re.findall(r"\{\w+\}", str(texts_in("en")))
    for language in languages():
        assert sorted(re.findall(r"\{\w+\}", str(texts_in(language)))) == sorted(wanted)
    assert language_for("zh-CN", "en", "en") == "zh-Hans"
    assert language_for("fr", "zh-HK,en;q=0.5", "el") == "zh-Hant"
    assert language_for(None, "fr, *;q=0.5", "el-CY") == "el"
    assert language_for(None, "", "fr") == "en"


def test_links_in_texts_end_where_people_think() -> None:
    assert paragraphs("a\n\n\nb (https://x.test/y).") == [
        [("a", False)],
        [("b (", False), ("https://x.test/y", True), (").", False)],
    ]
    assert paragraphs("见https://x.test/a。") == [[("见", False), ("https://x.test/a", True), ("。", False)]]
    assert paragraphs("  ") == []


HOSTILE = [
    b"",
    b"\x00\xff\xfe",
    b"<xml>",
    b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    b"a=" + b"%" * 1000,
    b"[" * 5000,
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_doors_refuse_what_no_provider_sent(session: aiohttp.ClientSession, body: bytes) -> None:
    paths = [
        "sms/status/m1/a1",
        "sms/inbound",
        "voice/status/x/y",
        "voice/gather/m/a/0",
        "voice/%00/..",
        "wechat",
        "wechat?signature=%ff&timestamp=x&nonce=%00&msg_signature=1&encrypt_type=aes",
    ]
    for path in paths:
        for headers in ({}, {"X-Twilio-Signature": "x"}, FORM, {"Content-Type": "text/xml"}):
            async with session.post(f"/callbacks/{path}", data=body, headers=headers) as response:
                assert response.status in (400, 403), (path, await response.text())
                assert response.content_type == "application/problem+json"
    async with session.get("/callbacks/wechat?echostr=1") as response:
        assert response.status in (400, 403)


async def test_doors_have_limits(session: aiohttp.ClientSession) -> None:
    for path, size, status in (("wechat", 257 * 1024, 413), ("sms/inbound", 257 * 1024, 413), ("pigeon", 1, 404)):
        async with session.post(f"/callbacks/{path}", data=b"x" * size) as response:
            assert response.status == status


async def test_a_door_of_its_own(gateway: Gateway) -> None:
    async with served(build_callbacks_app(lambda: gateway.test_callbacks)) as session:
        async with session.post("/callbacks/sms/inbound", data=b"") as response:
            assert response.status == 403
        async with session.get("/v1/messages") as response:
            assert response.status == 404


async def test_the_internal_listener_has_figures_and_no_api(gateway: Gateway) -> None:
    async with served(build_console_app(gateway)) as session:
        async with session.get("/metrics") as response:
            assert response.status == 200
            assert response.content_type == "text/plain"
        async with session.get("/v1/messages") as response:
            assert response.status == 404


async def test_the_reference_needs_no_key_and_no_network(gateway: Gateway, session: aiohttp.ClientSession) -> None:
    for path in (
        "/openapi.json",
        "/docs",
        "/problems/invalid",
        "/assets/docs.css",
        "/assets/docs.js",
        "/assets/page.css",
    ):
        async with session.get(path) as response:
            assert response.status == 200
    async with session.get("/docs") as response:
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        assert "unsafe" not in response.headers["Content-Security-Policy"]
    async with session.get("/assets/docs.css") as response:
        tag = response.headers["ETag"]
    async with session.get("/assets/docs.css", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
    for path in ("/assets/..%2fpages.py", "/assets/none.css", "/problems/none", "/docs/x"):
        async with session.get(path, headers=await bearer(gateway, "read")) as response:
            assert response.status == 404
