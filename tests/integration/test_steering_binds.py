"""A withdrawal binds before its sender is answered, and binds whoever the sender was said to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Inbound
from gateway.customer import ConsentEntry
from gateway.delivery.inbox import Wanted
from gateway.message import Attempt
from gateway.prompts import Prompt
from tests.integration.test_steering_words import STRANGER, answered, route
from tests.support.core import MAIL, PHONE, Core, Scripted, core, until

OPENID = "oMaria00000000000000000000001"


async def comes(gw: Core, **more: Any) -> str | None:
    """An item comes in and is answered, with no worker there; the words of the answer."""
    now = gw.gateway.clock.now()
    item = Inbound(id=f"in-{now}", at=now, **more)
    await gw.gateway.inbox.note("live", item)
    return await gw.gateway.inbox.at_once("live", item)


@pytest.mark.parametrize(
    "sent",
    [
        {"channel": "sms", "sender": PHONE, "kind": "opt_out", "text": "STOP"},
        {"channel": "sms", "sender": PHONE, "kind": "opt_out", "text": "STOPALL"},
        {"channel": "sms", "sender": PHONE, "text": "STOP outage messages"},
        {"channel": "sms", "sender": PHONE, "text": "stop wechat"},
        {"channel": "wechat", "sender": OPENID, "kind": "unfollow"},
        {"channel": "wechat", "sender": OPENID, "text": "退订"},
        {"channel": "wechat", "sender": OPENID, "text": "退订短信"},
    ],
)
async def test_every_withdrawal_binds_before_its_sender_is_answered(
    redis_url: str, tmp_path: Path, sent: dict[str, Any]
) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("wechat")) as gw:
        await gw.person("maria", sms=PHONE, wechat=OPENID)
        assert await route(gw, "maria", "outage") == ["sms", "wechat"]
        told = await comes(gw, **sent)
        stopped = await gw.gateway.customers.ledger("maria")
        assert len(stopped) == 1
        assert len(await route(gw, "maria", "outage")) < 2
        if "kind" in sent:
            assert told is None, "the provider confirms it"
        gw.work()
        await gw.hears(PHONE, "hello")
        assert await gw.gateway.customers.ledger("maria") == stopped, "obeyed once"


async def test_the_key_that_ends_calls_binds_before_the_call_goes_on(redis_url: str, tmp_path: Path) -> None:
    voice = Scripted("voice")
    async with core(redis_url, tmp_path, voice) as gw:
        worker = gw.work()
        await gw.person("maria", voice=PHONE)
        sent = await gw.send("maria", prompt=Prompt(kind="acknowledge"))
        called = await gw.when(sent, lambda m: m.attempts and m.attempts[-1].status == "accepted")
        assert isinstance(called.attempts[-1], Attempt)
        assert worker is not None
        await gw.stop()
        await comes(gw, channel="voice", sender=PHONE, kind="key", text="9", message=sent.id)
        assert await route(gw, "maria", "survey") == []


async def test_whoever_an_operator_says_they_are_is_bound_by_what_they_stop(redis_url: str, tmp_path: Path) -> None:
    sms, mail = Scripted("sms"), Scripted("email")
    async with core(redis_url, tmp_path, sms, mail) as gw:
        gw.work()
        await gw.person("maria", email=MAIL)
        await linked(gw, "maria")
        told = await answered(gw, sms, STRANGER, "STOP survey", "consent")
        assert "No more surveys" in told
        assert await route(gw, "maria", "survey") == []
        assert await route(gw, "maria", "outage") == ["email"]
        assert await gw.hears(STRANGER, "START survey") == "consent"
        assert await route(gw, "maria", "survey") == ["email"], "from there it is lifted, too"
        assert await gw.hears(STRANGER, "STOP ALL") == "consent"
        assert await route(gw, "maria", "outage") == []
        assert await gw.hears(STRANGER, "START") == "consent"
        assert await route(gw, "maria", "outage") == ["email"]


async def test_they_are_bound_before_they_are_answered(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email")) as gw:
        gw.work()
        await gw.person("maria", email=MAIL)
        await linked(gw, "maria")
        await gw.stop()
        assert "any channel" in str(await comes(gw, channel="sms", sender=STRANGER, text="STOP ALL"))
        assert await route(gw, "maria", "outage") == []


async def test_what_they_may_lift_is_what_they_stopped_themselves(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, email=MAIL, categories={"survey": {"enabled": False}})
        await linked(gw, "maria")
        await gw.hears(PHONE, "STOP ALL")
        for words in ("START", "START survey"):
            assert await gw.hears(STRANGER, words) == "consent"
        assert await route(gw, "maria", "outage") == []
        await gw.hears(PHONE, "START")
        assert await route(gw, "maria", "outage") == ["email", "sms"]
        assert await route(gw, "maria", "survey") == []


async def linked(gw: Core, customer: str) -> None:
    """A text from a number that nobody knows, and an operator who says whose it is."""
    assert await gw.hears(STRANGER, "hello") == "unlinked"
    [item], _ = await gw.gateway.inbound.page("live", Wanted(unlinked=True), 1, None)
    assert await gw.gateway.inbound.link("live", item.id, customer) is not None


@pytest.mark.parametrize("words", ["STOP", "STOP ALL", "退订", "STOP survey"])
@pytest.mark.parametrize("leaves", [None, "unfollow", "block"])
async def test_who_follows_again_opens_what_leaving_closed_and_nothing_they_stopped(
    redis_url: str, tmp_path: Path, words: str, leaves: str | None
) -> None:
    """Following isn't a word: a new telephone does it, too."""
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("wechat")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, wechat=OPENID)
        await gw.hears(OPENID, words, channel="wechat")
        closed = [await route(gw, "maria", name) for name in ("outage", "survey")]
        assert closed != [["sms", "wechat"]] * 2
        if leaves == "block":
            told = ConsentEntry("wechat", "*", "withdrawn", "provider_block", "43004", gw.gateway.clock.now() + 1)
            await gw.gateway.customers.withdraw("wechat", OPENID, [told])
            await until(lambda: gw.gateway.clock.now() > told.at)
        if leaves == "unfollow":
            assert await gw.hears(OPENID, "", channel="wechat", kind="unfollow") == "consent"
        assert await gw.hears(OPENID, "", channel="wechat", kind="follow") == "consent"
        assert [await route(gw, "maria", name) for name in ("outage", "survey")] == closed
        undo = "START survey" if "survey" in words else "START"
        assert await gw.hears(OPENID, undo, channel="wechat") == "consent"
        assert await route(gw, "maria", "survey") == ["sms", "wechat"]


async def test_an_answer_is_news_again_once_another_was_given(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        for words, outcome, holds in (
            ("LANG zh-Hant", "language", "繁體"),
            ("Ελληνικά", "language", "ελληνικά"),
            ("LANG zh-Hant", "language", "繁體"),
            ("English", "language", "English"),
            ("STOP survey", "consent", "No more surveys"),
            ("START survey", "consent", "surveys"),
            ("STOP survey", "consent", "No more surveys"),
            ("stop calling me", "consent", "No more phone calls"),
        ):
            assert holds in await answered(gw, sms, PHONE, words, outcome)
        before = len(sms.handed)
        assert await gw.hears(PHONE, "stop calling me") == "consent"
        await answered(gw, sms, PHONE, "HELP", "help")
        assert len(sms.handed) == before + 1, "the same again is said once"


async def test_a_stranger_who_was_answered_stays_a_stranger(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await answered(gw, sms, STRANGER, "HELP", "help")
        assert await gw.hears(STRANGER, "hello") == "unlinked"


@pytest.mark.parametrize("words", ["ORDER sms", "ORDER wechat", "order email", "ORDER sms sms", "ORDER sms pigeon"])
async def test_half_an_order_is_said_to_be_one(redis_url: str, tmp_path: Path, words: str) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        assert "PREF sms voice email" in await answered(gw, sms, PHONE, words, "unclear")


async def test_start_says_what_stays_off(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        assert "had stopped" not in await answered(gw, sms, PHONE, "START", "consent"), "they had stopped nothing"
        await answered(gw, sms, PHONE, "STOP survey", "consent")
        told = await answered(gw, sms, PHONE, "START", "consent")
        assert "everything except surveys" in told
