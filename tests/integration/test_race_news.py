"""News that comes at every moment: before its commit, beside it, after it; whatever overtakes what, the record ends the same (G8)."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from gateway.channels.base import Accepted, Callback, Forged, Reading
from gateway.delivery.meeting import Meeting
from gateway.message import Fault, Message, Receipt
from gateway.prompts import Prompt
from gateway.store.keys import early_news, provider_id
from gateway.store.scripts import Scripts
from tests.support.core import MAIL, PHONE, Core, Hang, Scripted, core, where
from tests.support.turns import before_command

REACH = {"until": "delivered", "step": 2, "within": 60}
NEWS = Receipt(attempt="", at=1, status="delivered")


def callback(body: bytes) -> Callback:
    return Callback(method="POST", path="", url="", headers={}, query={}, body=body, now=1)


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


async def turned(gw: Core, message: Message) -> None:
    """The message's turn on SMS, worked off by this process alone."""
    case = await gw.gateway.desk.reopen(message.id)
    assert case is not None
    board = gw.gateway.boards["live"]
    await gw.gateway.sender.turn(case, board.began(board.posts["sms"], "critical"))


async def test_an_acknowledgement_at_every_moment_of_a_turn(redis_url: str, tmp_path: Path) -> None:
    """By another process, before each single command of the turn: also while it commits."""
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as one, core(redis_url, tmp_path, sms) as two:
        await one.person("maria", sms=PHONE)
        moment = 0
        for moment in itertools.count():
            sent = await one.send("maria", prompt=Prompt(kind="acknowledge"))
            with before_command(one.gateway.scripts, moment, lambda sent=sent: _acknowledged(two, sent)) as done:
                await turned(one, sent)
            if not done:
                break
            found = await one.message(sent)
            assert (found.verdict.state, found.verdict.level, found.acknowledged_by) == (
                "reached",
                "acknowledged",
                "ana",
            )
            assert [a.status for a in found.attempts] == ["accepted"] * sms.to().count(sent.id)
            assert sms.to().count(sent.id) <= 1
        assert moment > 5


async def _acknowledged(gw: Core, message: Message) -> None:
    assert await gw.gateway.receipts.acknowledge(message.id, "ana") is not None


async def test_a_receipt_at_every_moment_of_a_turn(redis_url: str, tmp_path: Path) -> None:
    """Once the attempt has begun, nothing said of it gets lost."""
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as one, core(redis_url, tmp_path, sms) as two:
        await one.person("maria", sms=PHONE)
        begun: list[bool] = []

        async def delivered(sent: Message) -> None:
            begun.append(bool((await two.message(sent)).attempts))
            await two.gateway.receipts.absorb(sent.id, [Receipt(attempt="a1", at=7, status="delivered")])

        for moment in itertools.count():
            sent = await one.send("maria")
            with before_command(one.gateway.scripts, moment, lambda sent=sent: delivered(sent)) as done:
                await turned(one, sent)
            if not done:
                break
            [attempt] = (await one.message(sent)).attempts
            assert attempt.provider_id is not None
            assert attempt.status == ("delivered" if begun[-1] else "accepted")
        assert set(begun) == {True, False}


@pytest.mark.parametrize("first", ["delivered", "failed"])
async def test_two_processes_settle_one_attempt(redis_url: str, tmp_path: Path, first: str) -> None:
    """With opposite news, at every moment: the better word stands, and the end is told once."""
    news = {
        "delivered": Receipt(attempt="a1", at=9, status="delivered"),
        "failed": Receipt(attempt="a1", at=8, status="failed", fault=Fault.UNREACHABLE),
    }
    other = next(receipt for name, receipt in news.items() if name != first)
    async with core(redis_url, tmp_path, Scripted("sms")) as one, core(redis_url, tmp_path, Scripted("sms")) as two:
        await one.person("maria", sms=PHONE)
        moment = 0
        for moment in itertools.count():
            sent = await one.send("maria")
            await turned(one, sent)
            absorbed = two.gateway.receipts.absorb
            with before_command(one.gateway.scripts, moment, lambda a=absorbed, s=sent: a(s.id, [other])) as done:
                await one.gateway.receipts.absorb(sent.id, [news[first]])
            if not done:
                break
            found = await one.message(sent)
            assert (found.verdict.state, found.attempts[0].status) == ("reached", "delivered")
            assert set(found.attempts[0].times) >= {"delivered", "failed"}, "both are on record"
            told = [f[b"t"] for _, f in await one.client.xrange(where(sent.id).events) if f[b"id"] == sent.id.encode()]
            assert told.count(b"message.done") == 1
        assert moment > 2


# Every kind of news in any order, with repeats, early, late and forged.

Step = Callable[[Core, str], Awaitable[object]]


def by_us(receipt: Receipt) -> Step:
    """News that names our attempt."""
    return lambda gw, sent: gw.gateway.receipts.absorb(sent, [receipt])


def by_id(receipt: Receipt) -> Step:
    """News that knows nothing but the provider's id."""
    return lambda gw, _: gw.gateway.receipts.read("sms", Reading(by_provider_id=(("77", receipt),)))


async def answered(gw: Core, sent: str) -> None:
    """The provider's answer to our send, with its id."""
    early = await Meeting(gw.gateway.scripts).introduce("sms", "77", sent, "a1")
    taken = Receipt(attempt="a1", at=5, status="accepted", provider_id="77")
    await gw.gateway.receipts.absorb(sent, [taken, *filter(None, early)])


async def forged(gw: Core, _: str) -> None:
    with pytest.raises(Forged):
        await gw.gateway.handle("sms", callback(b"forged"))


STEPS: list[Step] = [
    answered,
    by_us(Receipt(attempt="a1", at=20, status="sent", provider_id="77")),
    by_us(Receipt(attempt="a1", at=40, status="failed", fault=Fault.UNREACHABLE, provider_code="30003")),
    by_us(Receipt(attempt="a7", at=1, status="delivered")),
    by_id(Receipt(attempt="", at=30, status="sent", units=2)),
    by_id(Receipt(attempt="", at=50, status="delivered")),
    by_id(Receipt(attempt="", at=60, engagement="read")),
]


class Suspicious(Scripted):
    """Knows a forgery when it sees one."""

    def read(self, call: Callback) -> Reading:
        raise Forged("wrong signature")


async def test_any_order_of_everything_gives_one_record(redis_url: str, tmp_path: Path) -> None:
    dice = random.Random(8)
    async with core(redis_url, tmp_path, Suspicious("sms", asyncio.CancelledError())) as gw:
        await gw.person("maria", sms=PHONE)
        gw.work()
        sent = (await gw.send("maria")).id
        await gw.when(sent, lambda m: m.attempts)
        await gw.kill()
        key = where(sent).message(sent)
        blank = await gw.client.dump(key)
        ends: set[bytes] = set()
        for _ in range(60):
            await gw.client.restore(key, 0, blank, replace=True)
            await gw.client.delete(provider_id("sms", "77"), early_news("sms", "77"))
            steps = [*STEPS, forged, *dice.choices([*STEPS, forged], k=4)]
            dice.shuffle(steps)
            if dice.random() < 0.3:
                await asyncio.gather(*(step(gw, sent) for step in steps))
            else:
                for step in steps:
                    await step(gw, sent)
            ends.add(msgspec.json.encode(_lasting(await gw.message(sent)), order="deterministic"))
        assert len(ends) == 1, ends
        assert (await gw.message(sent)).verdict.state == "reached"


def _lasting(message: Message) -> Message:
    """What must not depend on the order: all but when, and at what level, the clock saw it close."""
    verdict = msgspec.structs.replace(message.verdict, at=None, level=None, text=None, late=False)
    return msgspec.structs.replace(message, verdict=verdict, closing=None, held=None, skipped=())
