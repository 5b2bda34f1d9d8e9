"""Whatever comes between take, begin, hand-over and commit: what had begun goes on, and what had not never begins."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.channels.base import Accepted, Inbound, Outbound, Refused
from gateway.delivery.desk import Case
from gateway.delivery.withdrawals import Withdrawals
from gateway.message import Attempt, Fault, Message
from gateway.store.messages import Loaded, decode_taken
from tests.support.core import MAIL, PHONE, Core, Hang, Scripted, core, until, where
from tests.support.turns import before_command

REACH = {"until": "delivered", "step": 2, "within": 60}
Event = Callable[[Core, Message], Awaitable[object]]


async def taken(gw: Core, message: Message) -> Case:
    """A message that a worker has taken out of a line and put on its desk, before it begins."""
    haul = await gw.gateway.scripts.take(where(message.id).number, 10_000, {}, {"sms": (1, 1, 0)})
    [one] = [item for item in haul.items if item.member == f"m:{message.id}"]
    return await gw.gateway.desk.open(Loaded(decode_taken(one), one.version))


async def turn(gw: Core, case: Case) -> bool:
    """Its turn on SMS."""
    board = gw.gateway.boards["live"]
    return await gw.gateway.sender.turn(case, board.began(board.posts["sms"], "critical"))


async def stops(gw: Core, _: Message) -> None:
    """What a STOP does, without its worker."""
    stop = Inbound(id="1", channel="sms", sender=PHONE, text="STOP", at=gw.gateway.clock.now())
    await Withdrawals(gw.gateway.customers, gw.gateway.clock).close(stop, "sms")


async def prefers_mail(gw: Core, _: Message) -> None:
    await gw.gateway.people.put_preferences("maria", {"channels": ["email"]})


async def cancelled(gw: Core, message: Message) -> None:
    assert await gw.gateway.messages.cancel(message.id) == "ok"


async def a_newer_one(gw: Core, message: Message) -> None:
    await until(lambda: gw.gateway.clock.now() > message.created_at)
    await gw.send("maria", thread="t", reach=REACH)


async def erased(gw: Core, _: Message) -> None:
    assert await gw.gateway.customers.delete("maria")


EVENTS: dict[str, tuple[Event, str]] = {
    "a STOP": (stops, "pending"),
    "a change of preferences": (prefers_mail, "pending"),
    "a cancellation": (cancelled, "cancelled"),
    "a newer message of the thread": (a_newer_one, "superseded"),
    "an erasure": (erased, "suppressed"),
}


@pytest.mark.parametrize("name", EVENTS)
async def test_at_every_moment_of_a_turn(redis_url: str, tmp_path: Path, name: str) -> None:
    """By another process, before each single command: nothing is handed over that had not begun before it."""
    event, verdict = EVENTS[name]
    sms, mail = Scripted("sms"), Scripted("email")
    async with core(redis_url, tmp_path, sms, mail) as one, core(redis_url, tmp_path, sms, mail) as two:
        begun: list[bool] = []

        async def happens(sent: Message) -> None:
            begun.append(bool((await two.message(sent)).attempts))
            await event(two, sent)

        for moment in itertools.count():
            await one.client.flushall()
            await one.person("maria", sms=PHONE, email=MAIL)
            sent = await one.send("maria", thread="t", reach=REACH)
            case = await taken(one, sent)
            with before_command(one.gateway.scripts, moment, lambda sent=sent: happens(sent)) as done:
                await turn(one, case)
            if not done:
                break
            found = await one.message(sent)
            assert sms.to().count(sent.id) == len(found.attempts) == begun[-1], (name, moment)
            if begun[-1]:
                assert found.attempts[0].status == "accepted", "what the provider said is kept"
            else:
                assert found.verdict.state == verdict
                assert await one.line(sent, "email") == (verdict == "pending"), "by what she still allows"
        assert set(begun) == {True, False}, "it came before the begin and after it"


@pytest.mark.parametrize("name", EVENTS)
async def test_while_the_provider_is_being_called(redis_url: str, tmp_path: Path, name: str) -> None:
    """Between begin and the provider's answer: that one copy is out, and no further one follows on the channel."""
    event, verdict = EVENTS[name]
    sms, mail = Scripted("sms"), Scripted("email")
    async with core(redis_url, tmp_path, sms, mail) as gw:
        await gw.person("maria", sms=PHONE, email=MAIL)
        sent = await gw.send("maria", thread="t", reach={**REACH, "rounds": 3})

        async def meanwhile(_: Outbound) -> Refused:
            await event(gw, sent)
            return Refused(fault=Fault.UNAVAILABLE)

        sms.script.append(meanwhile)
        await turn(gw, await taken(gw, sent))
        found = await gw.message(sent)
        assert [(a.channel, a.status) for a in found.attempts] == [("sms", "failed")]
        gw.work()
        await gw.age(sent, 2)
        if verdict == "pending":
            await until(lambda: sent.id in mail.to())
            await gw.gateway.messages.cancel(sent.id)
        assert (await gw.ended(sent)).verdict.state == _END.get(verdict, verdict)
        assert (sms.to().count(sent.id), sent.id in mail.to()) == (1, verdict == "pending")


_END = {"pending": "cancelled", "suppressed": "unreached"}
"""How it ends here: those that went on by mail are cancelled, and whoever was tried at all isn't suppressed."""


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


async def test_two_turns_of_one_message_begin_once(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        one, two = [await gw.gateway.desk.reopen(sent.id) for _ in range(2)]
        assert one is not None
        assert two is not None
        await asyncio.gather(turn(gw, one), turn(gw, two))
        assert len(sms.handed) == 1
        assert len((await gw.message(sent)).attempts) == 1


class Ringing(Scripted):
    """Calls, whose provider takes its time to end them."""

    def __init__(self, *script: Hang) -> None:
        super().__init__("voice", *script, recalls=True, rings=180)
        self.hangs_up = asyncio.Event()

    async def recall(self, attempt: Attempt) -> None:
        await super().recall(attempt)
        await self.hangs_up.wait()


async def test_a_call_that_was_being_asked_for_at_the_end_does_not_ring_on(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    voice = Ringing(hang)
    async with core(redis_url, tmp_path, voice) as gw:
        gw.work()
        await gw.person("maria", voice=PHONE)
        sent = await gw.send("maria")
        await asyncio.wait_for(hang.reached.wait(), 5)
        await gw.gateway.messages.cancel(sent.id)
        await gw.ended(sent)
        assert voice.recalled == [], "there is no call yet"
        hang.answer(Accepted(provider_id="CA1"))
        await until(lambda: voice.recalled == ["a1"])
        voice.hangs_up.set()


async def test_a_provider_that_is_slow_to_end_a_call_keeps_nobody_waiting(redis_url: str, tmp_path: Path) -> None:
    voice = Ringing()
    async with core(redis_url, tmp_path, voice) as gw:
        gw.work()
        await gw.person("maria", voice=PHONE)
        sent = await gw.send("maria")
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        await asyncio.wait_for(gw.gateway.receipts.acknowledge(sent.id, "ana"), 5)
        await until(lambda: voice.recalled == ["a1"])
        voice.hangs_up.set()
