"""The ordinary life of messages under a worker, and what must hold while several of them are under way."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from gateway.channels.base import Accepted, Refused
from gateway.customer import Address, Customer
from gateway.message import Fault, Receipt
from gateway.settings_types import ChannelSettings
from tests.support.core import MAIL, OTHER_PHONE, PHONE, Hang, Scripted, core, until

STEP = {"until": "delivered", "step": 2, "within": 60}


def delivered(attempt: str, at: int = 1) -> Receipt:
    return Receipt(attempt=attempt, at=at, status="delivered")


async def test_a_message_goes_out_and_its_receipt_ends_it(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        waiting = await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert (waiting.status, waiting.verdict.state) == ("waiting", "pending")
        await gw.gateway.receipts.absorb(sent.id, [delivered("a1")])
        ended = await gw.ended(sent)
        assert (ended.verdict.state, ended.verdict.proven, ended.verdict.channel) == ("reached", True, "sms")
        assert sms.to() == [sent.id]
        assert (sms.handed[0].to, sms.handed[0].words.text) == (PHONE, "News.")


async def test_a_definite_refusal_goes_on_to_the_next_channel_at_once(redis_url: str, tmp_path: Path) -> None:
    sms, mail = Scripted("sms", Refused(fault=Fault.BAD_ADDRESS)), Scripted("email")
    async with core(redis_url, tmp_path, sms, mail) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, email=MAIL)
        sent = await gw.send("maria")
        found = await gw.when(sent, lambda m: len(m.attempts) == 2)
        assert [(a.channel, a.status, a.fault) for a in found.attempts[:1]] == [("sms", "failed", Fault.BAD_ADDRESS)]

        async def judged() -> bool:
            return [h.state for h in (await gw.customer("maria")).health.values()] == ["suppressed"]

        await until(judged)


async def test_a_channel_of_an_outsider_needs_no_change_here(redis_url: str, tmp_path: Path) -> None:
    pigeon = Scripted("pigeon")
    async with core(redis_url, tmp_path, pigeon, categories={"outage": {"channels": ["pigeon"]}}) as gw:
        gw.work()
        await gw.gateway.customers.write(Customer(id="maria", addresses=(Address("pigeon", "loft-7"),)), None)
        sent = await gw.send("maria")
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert [out.to for out in pigeon.handed] == ["loft-7"]


async def test_a_batch_is_decided_by_the_worker_and_everybody_gets_one(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        names = [f"c-{n}" for n in range(30)]
        for n, name in enumerate(names):
            await gw.person(name, sms=f"+3069123456{n:02d}")
        gw.work()
        sent = await gw.send_many(names)
        await until(lambda: len(sms.handed) >= len(sent))
        assert Counter(sms.to()) == Counter(m.id for m in sent)


async def test_one_that_hangs_holds_up_none_of_the_others(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms = Scripted("sms", hang)
    async with core(redis_url, tmp_path, sms, limits={"sms": ChannelSettings(concurrency=16)}) as gw:
        for n in range(16):
            await gw.person(f"c-{n}", sms=f"+3069123456{n:02d}")
        gw.work()
        first = await gw.send("c-0")
        await asyncio.wait_for(hang.reached.wait(), 5)
        others = [await gw.send(f"c-{n}") for n in range(1, 16)]
        for one in others:
            await gw.when(one, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert (await gw.message(first)).attempts[0].status == "started"
        hang.answer(Accepted(provider_id="late"))
        await gw.when(first, lambda m: m.attempts[0].provider_id == "late")


async def test_hung_sends_leave_room_to_decide_the_rest(redis_url: str, tmp_path: Path) -> None:
    """A provider that hangs with hundreds under way must not stop decisions: fall-back goes by its clock (G6)."""
    hang = Hang()
    sms, mail = Scripted("sms", usual=hang, timeout=60), Scripted("email")
    most = 260
    async with core(redis_url, tmp_path, sms, mail, limits={"sms": ChannelSettings(concurrency=most)}) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", email=MAIL)
        await gw.send_many(["maria"] * most)
        await until(lambda: len(sms.handed) == most, 20)
        [other] = await gw.send_many(["nikos"])
        await gw.when(other, lambda m: m.attempts and m.attempts[0].status == "accepted")
        hang.answer(Accepted(provider_id="x"))


async def test_two_workers_send_every_message_once(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as one, core(redis_url, tmp_path, sms) as two:
        for n in range(40):
            await one.person(f"c-{n}", sms=f"+3069123456{n:02d}")
        one.work()
        two.work()
        batch = await one.send_many([f"c-{n}" for n in range(20)])
        singles = [await two.send(f"c-{n}") for n in range(20, 40)]
        await until(lambda: len(sms.handed) >= 40)
        for message in (*batch, *singles):
            found = await one.when(message, lambda m: m.attempts and m.attempts[0].status == "accepted")
            assert len(found.attempts) == 1
        assert set(Counter(sms.to()).values()) == {1}


async def test_stopping_finishes_what_is_under_way(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms = Scripted("sms", hang)
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", sms=OTHER_PHONE)
        sent = await gw.send("maria")
        await asyncio.wait_for(hang.reached.wait(), 5)
        stopping = asyncio.create_task(gw.stop())
        later = await gw.send("nikos")
        hang.answer(Accepted(provider_id="p-1"))
        await asyncio.wait_for(stopping, 5)
        found = await gw.message(sent)
        assert (found.attempts[0].status, found.attempts[0].provider_id) == ("accepted", "p-1")
        assert (await gw.message(later)).attempts == [], "a worker that stops takes nothing more"
        assert await gw.line(later, "sms")


async def test_a_critical_message_falls_back_after_its_step(redis_url: str, tmp_path: Path) -> None:
    sms, voice = Scripted("sms"), Scripted("voice")
    async with core(redis_url, tmp_path, sms, voice) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        sent = await gw.send("maria", reach=STEP)
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        await gw.age(sent, 2)
        found = await gw.when(sent, lambda m: len(m.attempts) == 2)
        assert [a.channel for a in found.attempts] == ["sms", "voice"]
        await gw.gateway.receipts.absorb(sent.id, [delivered("a1")])
        ended = await gw.ended(sent)
        assert ended.verdict.channel == "sms", "an earlier attempt stays open and still counts"


async def test_the_first_proof_ends_calls_that_ring(redis_url: str, tmp_path: Path) -> None:
    sms, voice = Scripted("sms"), Scripted("voice", recalls=True, rings=180)
    async with core(redis_url, tmp_path, sms, voice) as gw:
        gw.work()
        await gw.person("maria", voice=PHONE, sms=PHONE)
        sent = await gw.send("maria", reach={**STEP, "mode": "all_at_once"})
        found = await gw.when(sent, lambda m: [a.status for a in m.attempts] == ["accepted"] * 2)
        number = {a.channel: a.id for a in found.attempts}
        await gw.gateway.receipts.absorb(sent.id, [delivered(number["sms"])])
        await gw.ended(sent)
        assert voice.recalled == [number["voice"]]


async def test_a_cancelled_message_begins_nothing_more(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        assert await gw.gateway.messages.cancel(sent.id) == "ok"
        gw.work()
        ended = await gw.ended(sent)
        assert (ended.verdict.state, ended.attempts, sms.handed) == ("cancelled", [], [])
        assert not await gw.line(sent, "sms")
        assert await gw.wake(sent) is None
        assert await gw.gateway.messages.cancel(sent.id) == "done"
