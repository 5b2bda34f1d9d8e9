"""A worker dies at each point of a message's way; whoever comes after it finds the record and knows what to do (G3, G4)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Absent, Accepted, Unknown
from gateway.message import Message, Receipt
from tests.support.core import MAIL, PHONE, Core, Hang, Scripted, core, until, where

LEASE_S = 30


async def died(gw: Core, hang: Hang, category: str, **more: Any) -> Message:
    """A message whose worker died after the hand-over, before the provider answered; its lease has passed."""
    gw.work()
    sent = await gw.send("maria", category, **more)
    await asyncio.wait_for(hang.reached.wait(), 5)
    await gw.kill()
    assert [a.status for a in (await gw.message(sent)).attempts] == ["started"]
    await gw.age(sent, LEASE_S)
    gw.work()
    return sent


async def test_death_after_take(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        haul = await gw.gateway.scripts.take(where(sent.id).number, 10_000, {}, {"sms": (1, 1, 0)})
        assert [t.member for t in haul.items] == [f"m:{sent.id}"]
        wake = await gw.wake(sent)
        assert wake is not None
        assert wake <= haul.now + 10_000, "the deciding lease"
        gw.work()
        await gw.nudge(sent)
        found = await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert (len(found.attempts), len(sms.handed)) == (1, 1)


async def test_death_after_begin_before_the_hand_over(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", asyncio.CancelledError())
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        await gw.when(sent, lambda m: m.attempts)
        await until(lambda: sms.handed)
        wake, lease = await gw.wake(sent), (await gw.message(sent)).attempts[0].lease_until
        assert wake is not None
        assert wake <= lease, "somebody looks when the attempt's lease has passed"
        await gw.age(sent, LEASE_S)
        found = await gw.when(sent, lambda m: len(m.attempts) == 2 and m.attempts[1].status == "accepted")
        assert [a.status for a in found.attempts] == ["unknown", "accepted"]
        assert len({out.token for out in sms.handed}) == 1, "a repeat can be recognised"
        assert len({out.attempt for out in sms.handed}) == 2


async def test_try_again_repeats_once_in_a_step_and_then_goes_on(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms, voice = Scripted("sms", hang, asyncio.CancelledError()), Scripted("voice")
    async with core(redis_url, tmp_path, sms, voice) as gw:
        await gw.person("maria", sms=PHONE, voice=PHONE)
        sent = await died(gw, hang, "outage")
        await until(lambda: len(sms.handed) == 2)
        await gw.age(sent, LEASE_S)
        await gw.when(sent, lambda m: [a.status for a in m.attempts] == ["unknown", "unknown"])
        await gw.age(sent, 300 - 2 * LEASE_S)
        found = await gw.when(sent, lambda m: len(m.attempts) == 3 and m.attempts[2].status == "accepted")
        assert [a.channel for a in found.attempts] == ["sms", "sms", "voice"]
        assert len(sms.handed) <= 1 + sum(a.status == "unknown" for a in found.attempts), "G4"


async def test_reconcile_asks_the_provider_who_has_it(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms = Scripted("sms", hang, finds=True)
    sms.found.append(Accepted(provider_id="p-1"))
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await died(gw, hang, "service")
        found = await gw.when(sent, lambda m: m.attempts[0].status == "accepted")
        assert (found.attempts[0].provider_id, sms.asked, len(sms.handed)) == ("p-1", ["a1"], 1)
        assert found.attempts[0].asked == 1


async def test_reconcile_believes_absence_only_after_a_minute(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms = Scripted("sms", hang, finds=True)
    sms.found.extend([Absent(), Unknown(), Absent()])
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await died(gw, hang, "service")
        early = await gw.when(sent, lambda m: m.attempts[0].asked == 1)
        assert [a.status for a in early.attempts] == ["unknown"]
        await gw.age(sent, LEASE_S + 1)
        await gw.when(sent, lambda m: m.attempts[0].asked == 2)
        assert len(sms.handed) == 1
        await gw.age(sent, 61)  # it is asked at ever longer intervals
        found = await gw.when(sent, lambda m: len(m.attempts) == 2 and m.attempts[1].status == "accepted")
        assert next((a.status, a.fault) for a in found.attempts) == ("failed", "not_taken")
        assert sms.asked == ["a1"] * 3


async def test_reconcile_without_anybody_to_ask_repeats_once(redis_url: str, tmp_path: Path) -> None:
    """SMTP can't be asked: one repeat, recognisable by its token."""
    hang = Hang()
    mail = Scripted("email", hang)
    async with core(redis_url, tmp_path, mail) as gw:
        await gw.person("maria", email=MAIL)
        sent = await died(gw, hang, "service")
        await gw.when(sent, lambda m: [a.status for a in m.attempts] == ["unknown", "accepted"])
        assert len({out.token for out in mail.handed}) == 1
        assert mail.asked == []


async def test_never_again_is_never_repeated_and_does_not_fall_back(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms, mail = Scripted("sms", hang), Scripted("email")
    async with core(redis_url, tmp_path, sms, mail) as gw:
        await gw.person("maria", sms=PHONE, email=MAIL)
        sent = await died(gw, hang, "survey")
        held = await gw.when(sent, lambda m: m.held)
        assert (held.status, held.held and held.held.code) == ("held", "unknown_outcome")
        await gw.age(sent, 3600)
        await gw.age(sent, 259200)
        ended = await gw.ended(sent)
        assert (ended.verdict.state, ended.verdict.code) == ("unreached", "outcome_unknown")
        assert (len(sms.handed), len(mail.handed)) == (1, 0)
        await gw.gateway.receipts.absorb(sent.id, [Receipt(attempt="a1", at=5, status="delivered")])
        late = await gw.message(sent)
        assert (late.verdict.state, late.verdict.late, late.attempts[0].status) == ("reached", True, "delivered")


@pytest.mark.parametrize("category", ["outage", "service", "survey"])
async def test_a_receipt_explains_a_lost_answer(redis_url: str, tmp_path: Path, category: str) -> None:
    sms = Scripted("sms", Unknown())
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", category)
        waiting = await gw.when(
            sent, lambda m: m.attempts and m.attempts[0].lease_until < m.attempts[0].started_at + 6000
        )
        assert waiting.attempts[0].status == "started", "not unknown before a callback had its five seconds"
        await gw.gateway.receipts.absorb(sent.id, [Receipt(attempt="a1", at=1, status="sent")])
        await gw.age(sent, LEASE_S)
        await until(lambda: _settled(gw, sent))
        found = await gw.message(sent)
        assert ([a.status for a in found.attempts], len(sms.handed)) == (["sent"], 1)


async def _settled(gw: Core, message: Message) -> bool:
    wake = await gw.wake(message)
    return wake is not None and wake > gw.gateway.clock.now() + 10_000


async def test_a_lost_answer_is_unknown_after_five_seconds(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", Unknown())
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].lease_until < m.attempts[0].started_at + 6000)
        await gw.age(sent, 5.5)
        await gw.when(sent, lambda m: [a.status for a in m.attempts] == ["unknown", "accepted"])


async def test_death_at_each_of_many_points_leaves_nothing_behind(redis_url: str, tmp_path: Path) -> None:
    """Kills at arbitrary moments: every message ends up with a provider or waits visibly, none twice without an unknown."""
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        for n in range(24):
            await gw.person(f"c-{n}", sms=f"+3069123456{n:02d}")
        sent = await gw.send_many([f"c-{n}" for n in range(24)])
        for ticks in range(1, 40, 3):
            gw.work()
            for _ in range(ticks):
                await asyncio.sleep(0)
            await gw.kill()
        gw.work()
        for message in sent:
            if not (await gw.message(message)).attempts:
                await gw.nudge(message)
        for message in sent:
            found = await gw.when(message, lambda m: m.attempts)
            if found.attempts[0].status == "started":
                await gw.age(message, LEASE_S)
            found = await gw.when(message, lambda m: m.attempts[-1].status == "accepted")
            copies = sms.to().count(message.id)
            assert copies <= 1 + sum(a.status == "unknown" for a in found.attempts), "G4"


@pytest.mark.parametrize("how", ["deadline", "cancel"])
async def test_death_before_the_answer_while_the_message_ends(redis_url: str, tmp_path: Path, how: str) -> None:
    """A message that ends with an attempt whose worker died: the attempt is called unknown all the same, not started for ever."""
    hang = Hang()
    async with core(redis_url, tmp_path, Scripted("sms", hang)) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", "survey", reach={"within": 20})
        await asyncio.wait_for(hang.reached.wait(), 5)
        await gw.kill()
        if how == "cancel":
            await gw.gateway.messages.cancel(sent.id)
            gw.work()
            assert [a.status for a in (await gw.ended(sent)).attempts] == ["started"], "its answer may still come"
        else:
            record = (await gw.message(sent)).attempts[0]
            assert record.lease_until - record.started_at < 20_000
        await gw.age(sent, LEASE_S)
        gw.work()
        found = await gw.when(sent, lambda m: m.done and m.attempts[0].status == "unknown")
        assert found.verdict.state == ("cancelled" if how == "cancel" else "unreached")
        await until(lambda: _asleep(gw, found))


async def _asleep(gw: Core, message: Message) -> bool:
    return await gw.wake(message) is None


async def test_an_answer_after_the_end_is_still_taken_in(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    async with core(redis_url, tmp_path, Scripted("sms", hang)) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", "survey")
        await asyncio.wait_for(hang.reached.wait(), 5)
        await gw.gateway.messages.cancel(sent.id)
        ended = await gw.ended(sent)
        assert await gw.wake(sent) == ended.attempts[0].lease_until
        hang.answer(Accepted(provider_id="p1"))
        await gw.when(sent, lambda m: m.attempts[0].status == "accepted")
        assert await gw.wake(sent) is None
