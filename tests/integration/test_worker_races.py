"""Two things at once: whatever overtakes what, the record ends the same and nothing is sent against it."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from gateway.channels.base import Accepted, Callback, Inbound, Reading, Refused
from gateway.delivery.desk import Case
from gateway.delivery.meeting import Meeting
from gateway.message import Fault, Message, Receipt
from gateway.prompts import Prompt
from gateway.store.messages import Loaded, decode_taken
from gateway.store.scripts import Scripts
from tests.support.core import MAIL, PHONE, Core, Hang, Scripted, core, until, where

REACH = {"until": "delivered", "step": 2, "within": 60}
NEWS = Receipt(attempt="", at=1, status="delivered")


def callback(body: bytes) -> Callback:
    return Callback(method="POST", path="", url="", headers={}, query={}, body=body, now=1)


async def taken(gw: Core, message: Message, channel: str = "sms") -> Case:
    """A message that a worker has taken out of a line and put on its desk, before it begins."""
    haul = await gw.gateway.scripts.take(where(message.id).number, 10_000, {}, {channel: (1, 1, 0)})
    [one] = haul.items
    return await gw.gateway.desk.open(Loaded(decode_taken(one), one.version))


async def test_a_newer_message_ends_the_older_while_it_is_in_flight(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms, mail = Scripted("sms", hang), Scripted("email")
    async with core(redis_url, tmp_path, sms, mail) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, email=MAIL)
        older = await gw.send("maria", thread="outage-1", reach=REACH)
        await asyncio.wait_for(hang.reached.wait(), 5)
        newer = await gw.send("maria", thread="outage-1", reach=REACH)
        ended = await gw.ended(older)
        assert ended.verdict.state == "superseded"
        hang.answer(Refused(fault=Fault.BAD_ADDRESS))
        told = await gw.when(older, lambda m: m.attempts[0].status == "failed")
        assert (told.verdict.state, len(told.attempts)) == ("superseded", 1), "no further attempt, but news is recorded"
        await gw.when(newer, lambda m: m.attempts)
        assert older.id not in mail.to()


async def test_a_receipt_overtakes_the_answer_to_its_send(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    async with core(redis_url, tmp_path, Scripted("sms", hang)) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        await asyncio.wait_for(hang.reached.wait(), 5)
        await gw.gateway.receipts.absorb(sent.id, [Receipt(attempt="a1", at=7, status="delivered")])
        assert (await gw.message(sent)).verdict.state == "reached"
        hang.answer(Accepted(provider_id="p-1"))
        found = await gw.when(sent, lambda m: m.attempts[0].provider_id == "p-1")
        assert (found.verdict.state, found.verdict.at, found.attempts[0].status) == (
            "reached",
            found.verdict.at,
            "delivered",
        )
        assert found.attempts[0].times["delivered"] == 7


async def test_an_event_under_a_provider_id_comes_before_we_know_the_id(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    chat = Scripted("wechat", hang)
    async with core(redis_url, tmp_path, chat) as gw:
        chat.readings[b"finished"] = Reading(by_provider_id=(("77", NEWS),))
        gw.work()
        await gw.person("maria", wechat="openid-maria")
        sent = await gw.send("maria")
        await asyncio.wait_for(hang.reached.wait(), 5)
        await gw.gateway.handle("wechat", callback(b"finished"))
        await gw.gateway.handle("wechat", callback(b"finished"))
        assert (await gw.message(sent)).verdict.state == "pending"
        hang.answer(Accepted(provider_id="77"))
        assert (await gw.ended(sent)).verdict.channel == "wechat"


async def test_an_event_under_a_provider_id_comes_after(redis_url: str, tmp_path: Path) -> None:
    chat = Scripted("wechat", Accepted(provider_id="78"))
    async with core(redis_url, tmp_path, chat) as gw:
        chat.readings[b"finished"] = Reading(by_provider_id=(("78", NEWS),))
        gw.work()
        await gw.person("maria", wechat="openid-maria")
        sent = await gw.send("maria")
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        await gw.gateway.handle("wechat", callback(b"finished"))
        assert (await gw.message(sent)).verdict.state == "reached"


async def test_many_early_events_at_once_are_all_kept(scripts: Scripts) -> None:
    """G8: early receipts. None is lost to another that comes in the same moment, nor to the introduction."""
    meeting = Meeting(scripts)
    news = [Receipt(attempt="", at=n, status="sent") for n in range(1, 9)]
    told = await asyncio.gather(
        *(meeting.whose("wechat", "1", one) for one in news[:6]),
        meeting.introduce("wechat", "1", "m1", "a1"),
        *(meeting.whose("wechat", "1", one) for one in news[6:]),
    )
    heard: set[int] = set()
    for answer in told:
        if isinstance(answer, list):
            heard |= {r.at for r in answer if r is not None}
        elif answer is not None:
            assert (answer[0], answer[1].attempt) == ("m1", "a1")
            heard.add(answer[1].at)
    assert heard == {r.at for r in news}


async def test_ids_of_one_provider_do_not_mean_another(scripts: Scripts) -> None:
    meeting = Meeting(scripts)
    await meeting.introduce("wechat", "1", "m1", "a1")
    assert await meeting.whose("sms", "1", NEWS) is None


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_three_at_once_with_a_conflict_on_each(redis_url: str, tmp_path: Path, order: tuple[int, ...]) -> None:
    hangs = [Hang() for _ in range(3)]
    names = ("sms", "email", "wechat")
    channels = [Scripted(name, hang) for name, hang in zip(names, hangs, strict=True)]
    async with core(redis_url, tmp_path, *channels) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, email=MAIL, wechat="openid-maria")
        sent = await gw.send("maria", reach={**REACH, "mode": "all_at_once"})
        for hang in hangs:
            await asyncio.wait_for(hang.reached.wait(), 5)
        # Each send has begun on a version that the others' begins have moved on from.
        for n in order:
            hangs[n].answer(Accepted(provider_id=f"p-{names[n]}"))
        found = await gw.when(sent, lambda m: {a.status for a in m.attempts} == {"accepted"})
        assert {a.channel: a.provider_id for a in found.attempts} == {name: f"p-{name}" for name in names}
        assert [len(c.handed) for c in channels] == [1, 1, 1]
        assert len({a.id for a in found.attempts}) == 3


async def test_stop_between_take_and_begin_wins(redis_url: str, tmp_path: Path) -> None:
    sms, mail = Scripted("sms"), Scripted("email")
    async with core(redis_url, tmp_path, sms, mail) as gw:
        await gw.person("maria", sms=PHONE, email=MAIL)
        sent = await gw.send("maria")
        case = await taken(gw, sent)
        gateway = gw.gateway
        entry = gateway.inbox._entry  # pyright: ignore[reportPrivateUsage] - the entry a STOP makes, without its worker
        stop = Inbound(id="1", channel="sms", sender=PHONE, text="STOP", at=gateway.clock.now())
        await gateway.customers.withdraw("sms", PHONE, [entry(stop, "sms", "*", "withdrawn")])
        await gateway.sender.turn(case, gateway.boards["live"].posts["sms"])
        assert sms.handed == []
        assert await gw.line(sent, "email"), "what she still wants comes by what she still allows"
        assert (await gw.message(sent)).attempts == []


async def test_cancel_between_take_and_begin_wins(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        case = await taken(gw, sent)
        assert await gw.gateway.messages.cancel(sent.id) == "ok"
        await gw.gateway.sender.turn(case, gw.gateway.boards["live"].posts["sms"])
        assert sms.handed == []
        assert (await gw.message(sent)).verdict.state == "cancelled"


async def test_a_newer_message_between_take_and_begin_wins(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        older = await gw.send("maria", thread="t")
        case = await taken(gw, older)
        await until(lambda: gw.gateway.clock.now() > older.created_at)
        newer = await gw.send("maria", thread="t")
        await gw.gateway.sender.turn(case, gw.gateway.boards["live"].posts["sms"])
        assert sms.handed == []
        found = await gw.message(older)
        assert (found.verdict.state, found.superseded_by) == ("superseded", newer.id)


async def test_two_turns_of_one_message_begin_once(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        one, two = [await gw.gateway.desk.reopen(sent.id) for _ in range(2)]
        assert one is not None
        assert two is not None
        post = gw.gateway.boards["live"].posts["sms"]
        await asyncio.gather(gw.gateway.sender.turn(one, post), gw.gateway.sender.turn(two, post))
        assert len(sms.handed) == 1
        assert len((await gw.message(sent)).attempts) == 1


async def test_an_answer_while_the_send_is_in_flight(redis_url: str, tmp_path: Path) -> None:
    """The person is quicker than the provider's answer to us."""
    hang = Hang()
    async with core(redis_url, tmp_path, Scripted("sms", hang)) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", prompt=Prompt(kind="acknowledge"))
        await asyncio.wait_for(hang.reached.wait(), 5)
        assert await gw.hears(PHONE, "1") == "answer"
        hang.answer(Accepted(provider_id="p-1"))
        found = await gw.when(sent, lambda m: m.attempts[0].provider_id == "p-1")
        assert (found.verdict.state, found.verdict.level, found.answer is not None) == ("reached", "acknowledged", True)
