"""What people send us: noted once, understood once, and obeyed at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Callback, Inbound, Reading
from gateway.delivery.intake import NewMessage
from gateway.message import Message
from gateway.prompts import Prompt
from tests.support.core import MAIL, OTHER_PHONE, PHONE, Core, Scripted, core, until

ACK = Prompt(kind="acknowledge")
NPS = Prompt(kind="scale", min=0, max=10)
STRANGER = "+306912345677"


def skipped(message: Message) -> dict[str, str]:
    return {s.channel: s.why.code for s in message.skipped}


async def sent(gw: Core, customer: str = "maria", category: str = "outage", **more: Any) -> Message:
    """A message that a provider has taken."""
    made = await gw.send(customer, category, **more)
    return await gw.when(made, lambda m: m.attempts and m.attempts[-1].status == "accepted")


async def allowed(gw: Core, customer: str, category: str = "outage") -> set[str]:
    """Channels on which a message would go out now."""
    new = NewMessage(customer=customer, category=category, content={"text": "x", "subject": "x"})
    _, route = await gw.gateway.intake.preview("live", new)
    return {step.channel for step in route}


async def test_the_same_item_counts_once(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        message = await sent(gw, prompt=NPS)
        item = Inbound(id="SM1", channel="sms", sender=PHONE, text="7", at=gw.gateway.clock.now())
        told = await asyncio.gather(*(gw.gateway.inbox.note("live", item) for _ in range(5)))
        assert sorted(told) == ["ok"] + ["seen"] * 4
        found = await gw.when(message, lambda m: m.answer)
        assert found.answer is not None
        assert (found.answer.value, found.later_answers) == (7, [])
        assert await gw.gateway.inbox.note("test", item) == "ok", "test keys have a world of their own"
        other = Inbound(id="SM1", channel="wechat", sender=PHONE, text="7", at=1)
        assert await gw.gateway.inbox.note("live", other) == "ok", "ids of another channel are other ids"


@pytest.mark.parametrize(
    "words, closed",
    [
        ("STOP", {"sms"}),
        ("  stop. ", {"sms"}),
        ("Please stop texting me", {"sms"}),
        ("ΣΤΟΠ", {"sms"}),
        ("STOP ALL", {"sms", "voice", "email"}),
    ],
)
async def test_stop_binds_at_once_in_its_scope(redis_url: str, tmp_path: Path, words: str, closed: set[str]) -> None:
    everything = {"sms", "voice", "email"}
    async with core(redis_url, tmp_path, *map(Scripted, everything)) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE, email=MAIL)
        await gw.person("nikos", sms=OTHER_PHONE)
        assert await gw.hears(PHONE, words) == "consent"
        for category in ("outage", "service", "code", "survey"):
            assert await allowed(gw, "maria", category) == everything - closed
        assert await allowed(gw, "nikos") == {"sms"}
        ledger = await gw.gateway.customers.ledger("maria")
        assert [e.wording for e in ledger if e.state == "withdrawn"] == [words]
        assert await gw.hears(PHONE, "START") == "consent"
        assert await allowed(gw, "maria") == everything, "what STOP from the same address closed"


async def test_start_gives_back_only_what_that_address_closed(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, email=MAIL)
        await gw.gateway.people.add_consent(
            "maria",
            {"channel": "email", "category": "*", "state": "withdrawn", "way": "letter", "wording": "No e-mail."},
        )
        await gw.hears(PHONE, "START")
        assert await allowed(gw, "maria") == {"sms"}
        assert await allowed(gw, "maria", "marketing") == set(), "and is no opt-in"


async def test_stop_stops_what_is_waiting(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        board = gw.gateway.boards["live"]
        await board.pause("sms", "maintenance", None)
        waiting = await gw.send("maria")
        await gw.when(waiting, lambda m: m.held)
        await gw.hears(PHONE, "STOP")
        await board.pause("sms", None, None)
        await gw.nudge(waiting)
        ended = await gw.ended(waiting)
        assert (ended.verdict.state, ended.verdict.code, sms.handed) == ("suppressed", "opted_out", [])


async def test_stop_is_no_answer(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        message = await sent(gw, prompt=Prompt(kind="text", question="What was it?"))
        assert await gw.hears(PHONE, "stop") == "consent"
        assert (await gw.message(message)).answer is None


async def test_an_unfollow_closes_its_channel_alone(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("wechat"), Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", wechat="openid-1", sms=PHONE)
        assert await gw.hears("openid-1", "", channel="wechat", kind="unfollow") == "consent"
        assert await allowed(gw, "maria") == {"sms"}
        assert await gw.hears("openid-1", "", channel="wechat", kind="follow") == "consent"
        assert await allowed(gw, "maria") == {"sms", "wechat"}


@pytest.mark.parametrize("mode", ["test"])
async def test_another_mode_changes_no_customer(redis_url: str, tmp_path: Path, mode: Any) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), test_channels=[Scripted("sms")]) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        before = await gw.gateway.customers.load("maria")
        live = await sent(gw, prompt=ACK)
        tried = await sent(gw, prompt=ACK, mode=mode)
        assert await gw.hears(PHONE, "STOP", mode=mode) != "consent"
        assert await gw.hears(PHONE, "1", mode=mode) == "answer"
        assert (await gw.message(tried)).answer is not None
        assert (await gw.message(live)).answer is None
        assert await gw.gateway.customers.load("maria") == before
        assert await allowed(gw, "maria") == {"sms"}


async def test_the_newest_question_it_fits_gets_the_answer(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        older = await sent(gw, prompt=NPS)
        newer = await sent(gw, prompt=ACK)
        assert await gw.hears(PHONE, "9") == "answer"
        assert await gw.hears(PHONE, "1") == "answer"
        assert await gw.hears(PHONE, "what a mess") == "linked"
        found = [(await gw.message(one)).answer for one in (older, newer)]
        assert [a and a.value for a in found] == [9, True]
        for one in (older, newer):
            verdict = (await gw.message(one)).verdict
            assert (verdict.state, verdict.level) == ("reached", "acknowledged"), "any fitting answer acknowledges"


async def test_the_first_answer_counts_and_later_ones_are_kept(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        message = await sent(gw, prompt=NPS)
        for words in ("9", "3", "4"):
            await gw.hears(PHONE, words)
        found = await gw.message(message)
        assert (found.answer and found.answer.value, [a.value for a in found.later_answers]) == (9, [3, 4])


async def test_an_answer_to_a_superseded_message_counts_for_the_newest(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("voice")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        older = await sent(gw, prompt=ACK, thread="t", reach={"channels": ["voice"]})
        newer = await sent(gw, prompt=ACK, thread="t", reach={"channels": ["sms"]})
        await gw.ended(older)
        key: dict[str, Any] = {"kind": "key", "channel": "voice", "message": older.id, "attempt": "a1"}
        assert await gw.hears(PHONE, "1", **key) == "answer"
        found = await gw.message(newer)
        assert (found.verdict.state, found.answer and found.answer.channel) == ("reached", "voice")
        assert found.attempts[0].engagement == "none", (
            "the text message has proved nothing: she answered on the telephone"
        )
        assert (await gw.message(older)).answer is None


async def test_a_reply_to_a_superseded_message_while_the_newest_waits(redis_url: str, tmp_path: Path) -> None:
    """She answers what she has; the newest of the thread hasn't left yet and needn't any more."""
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        older = await sent(gw, prompt=ACK, thread="t")
        await gw.gateway.boards["live"].pause("sms", "maintenance", None)
        newer = await gw.send("maria", prompt=ACK, thread="t")
        await gw.ended(older)
        assert await gw.hears(PHONE, "1") == "answer"
        assert (await gw.ended(newer)).verdict.state == "reached"
        assert len(sms.handed) == 1


async def test_a_key_that_is_pressed(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("voice"), Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", voice=PHONE, sms=PHONE)
        message = await sent(gw, prompt=ACK)
        key: dict[str, Any] = {"kind": "key", "channel": "voice", "message": message.id, "attempt": "a1"}
        assert await gw.hears(PHONE, "5", **key) == "linked"
        assert await gw.hears(PHONE, "1", **key) == "answer"
        found = await gw.message(message)
        assert (found.verdict.attempt, found.attempts[0].engagement) == ("a1", "acknowledged")
        other = await sent(gw)
        nine: dict[str, Any] = {"kind": "key", "channel": "voice", "message": other.id, "attempt": "a1"}
        assert await gw.hears(PHONE, "9", **nine) == "consent"
        assert await allowed(gw, "maria") == {"sms"}, "nine ends calls, and calls alone"


async def test_who_is_nobodys_is_unlinked(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        assert await gw.hears(STRANGER, "hello") == "unlinked"
        assert await gw.hears(STRANGER, "STOP") == "consent"
        await gw.person("late", sms=STRANGER)
        assert await allowed(gw, "late") == set(), "a withdrawal follows the address, whoever owns it later"


async def test_of_two_who_share_a_number_the_one_last_written_to(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", sms=PHONE)
        assert await gw.hears(PHONE, "hello") == "unlinked", "nobody was written to"
        hers = await sent(gw, "maria", prompt=ACK)
        his = await sent(gw, "nikos", prompt=ACK)
        assert await gw.hears(PHONE, "1") == "answer"
        assert (await gw.message(his)).answer is not None
        assert (await gw.message(hers)).answer is None
        again = await sent(gw, "maria", prompt=ACK)
        assert await gw.hears(PHONE, "1") == "answer"
        assert (await gw.message(again)).answer is not None
        assert await gw.hears(PHONE, "STOP") == "consent"
        for name in ("maria", "nikos"):
            assert await allowed(gw, name) == set()


async def test_an_answer_after_the_question_closed_is_late(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("voice")) as gw:
        gw.work()
        await gw.person("maria", voice=PHONE)
        message = await sent(gw, prompt=Prompt(kind="acknowledge", closes_in=60))
        await gw.age(message, 100)
        key: dict[str, Any] = {"kind": "key", "channel": "voice", "message": message.id, "attempt": "a1"}
        assert await gw.hears(PHONE, "1", **key) == "answer"
        found = await gw.message(message)
        assert found.answer is not None
        assert (found.answer.late, found.verdict.state) == (True, "reached")


@pytest.mark.parametrize("channel", ["sms", "wechat"])
async def test_an_answer_after_the_end_corrects_the_verdict(redis_url: str, tmp_path: Path, channel: str) -> None:
    """Also on a channel that never carried the message."""
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("wechat")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, wechat="openid-1", channels=["sms"])
        message = await sent(gw, prompt=ACK, reach={"within": 100})
        await gw.age(message, 100)
        assert (await gw.ended(message)).verdict.state == "unreached"
        sender = PHONE if channel == "sms" else "openid-1"
        assert await gw.hears(sender, "1", channel=channel) == "answer"
        verdict = (await gw.message(message)).verdict
        assert (verdict.state, verdict.late, verdict.level) == ("reached", True, "acknowledged")


async def test_when_a_person_last_wrote_never_goes_back(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("wechat")) as gw:
        gw.work()
        await gw.person("maria", wechat="openid-1")
        now = gw.gateway.clock.now()
        await gw.hears("openid-1", "hello", channel="wechat", at=now)
        await gw.hears("openid-1", "earlier", channel="wechat", at=now - 5_000_000)
        assert (await gw.customer("maria")).wrote_at["wechat"] == now


async def test_callbacks_are_durable_before_they_are_answered(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        sms.readings[b"in"] = Reading(inbound=(Inbound(id="1", channel="sms", sender=PHONE, text="STOP", at=5),))
        call = Callback(method="POST", path="inbound", url="", headers={}, query={}, body=b"in", now=1)
        await gw.gateway.handle("sms", call)
        [item] = await gw.items(PHONE)
        gw.work()
        assert await gw.worked(item) == "consent"
        await until(lambda: gw.client.pttl(item))
        assert await gw.client.pttl(item) > 0
