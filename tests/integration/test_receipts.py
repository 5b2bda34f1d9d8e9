"""Receipts in any order: repeated, early, late, the record ends the same (G8)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.channels.base import Accepted, Callback, Reading, Refused
from gateway.message import Cost, Fault, Message, Receipt
from gateway.prompts import Prompt
from tests.support.core import MAIL, PHONE, Core, Hang, Scripted, core, until, where

SMS = [
    Receipt(attempt="a1", at=10, status="sent"),
    Receipt(attempt="a1", at=30, status="delivered", units=2),
    Receipt(attempt="a1", at=20, status="sent", cost=Cost("0.05", "USD", "provider")),
    Receipt(attempt="a1", at=40, engagement="read"),
]
FAILING = [
    Receipt(attempt="a1", at=10, status="sent"),
    Receipt(attempt="a1", at=20, status="failed", fault=Fault.UNREACHABLE, provider_code="30003"),
    Receipt(attempt="a1", at=25, status="failed", fault=Fault.BAD_ADDRESS, provider_code="30005"),
    Receipt(attempt="nobody", at=25, status="delivered"),
]
CALL = [
    Receipt(attempt="a1", at=10, status="sent", answered_by="human"),
    Receipt(attempt="a1", at=20, heard=True),
    Receipt(attempt="a1", at=30, ended=True),
    Receipt(attempt="a1", at=30, answered_by="unknown"),
]


async def begun(gw: Core, **more: Any) -> Message:
    """A message with one attempt that a provider has taken; no worker runs any more, so only receipts change it."""
    gw.work()
    sent = await gw.send("maria", **more)
    await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
    await gw.stop()
    return sent


async def stored(gw: Core, message: Message) -> Message:
    """The stored state without what a clock put into it, and without the words of how it was closed at the time."""
    found = await gw.message(message)
    verdict = msgspec.structs.replace(found.verdict, at=None, level=None, text=None)
    closing = None if found.closing is None else msgspec.structs.replace(found.closing, at=None, level=None, text=None)
    return msgspec.structs.replace(
        found, verdict=verdict, closing=closing, held=None, status="done" if found.done else "waiting"
    )


@pytest.mark.parametrize("news", [SMS, FAILING, CALL], ids=["sms", "failing", "call"])
async def test_every_order_gives_the_same_record(redis_url: str, tmp_path: Path, news: Sequence[Receipt]) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await begun(gw)
        key = where(sent.id).message(sent.id)
        blank = await gw.client.dump(key)
        ends: list[Message] = []
        for order in itertools.permutations(news):
            await gw.client.restore(key, 0, blank, replace=True)
            for receipt in order:
                await gw.gateway.receipts.absorb(sent.id, [receipt])
            await gw.gateway.receipts.absorb(sent.id, list(reversed(order)))
            ends.append(await stored(gw, sent))
        assert all(end == ends[0] for end in ends)
        assert ends[0].done


@pytest.mark.parametrize("news", [SMS, FAILING, CALL], ids=["sms", "failing", "call"])
async def test_all_at_once_gives_the_same_record(redis_url: str, tmp_path: Path, news: Sequence[Receipt]) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await begun(gw)
        key = where(sent.id).message(sent.id)
        blank = await gw.client.dump(key)
        ends: list[Message] = []
        for _ in range(4):
            await gw.client.restore(key, 0, blank, replace=True)
            await asyncio.gather(*(gw.gateway.receipts.absorb(sent.id, [r]) for r in (*news, *news)))
            ends.append(await stored(gw, sent))
        assert all(end == ends[0] for end in ends)


async def test_a_repeat_writes_nothing(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await begun(gw)
        await gw.gateway.receipts.absorb(sent.id, SMS)
        version = await gw.client.hget(where(sent.id).message(sent.id), "v")
        events = await gw.client.xlen(where(sent.id).events)
        for _ in range(3):
            await gw.gateway.receipts.absorb(sent.id, SMS)
        assert await gw.client.hget(where(sent.id).message(sent.id), "v") == version
        assert await gw.client.xlen(where(sent.id).events) == events


async def test_news_of_nobody(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        for name in ("", "nobody", "m" + "0" * 23, "\udcff", "x" * 5000):
            assert await gw.gateway.receipts.absorb(name, SMS) is None
        assert [k async for k in gw.client.scan_iter()] == []


async def test_news_under_another_id_than_the_providers_counts_for_nothing(redis_url: str, tmp_path: Path) -> None:
    """A signed callback may name any attempt; the id that the provider gave says which one it is about."""
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await begun(gw, reach={"until": "delivered"})
        [known] = (await gw.message(sent)).attempts
        assert known.provider_id is not None
        news = [Receipt(attempt="a1", at=10, status="delivered", provider_id="p-other")]
        await gw.gateway.receipts.absorb(sent.id, news)
        found = await gw.message(sent)
        assert (found.attempts, found.done) == ([known], False)
        assert gw.gateway.registry.get_sample_value("gateway_news_of_others_total", {"channel": "sms"}) == 1
        news = [Receipt(attempt="a1", at=10, status="delivered", provider_id=known.provider_id)]
        await gw.gateway.receipts.absorb(sent.id, news)
        assert (await gw.message(sent)).attempts[0].status == "delivered"


async def test_unreached_becomes_reached_late_and_only_once(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", reach={"within": 10})
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        await gw.age(sent, 10)
        ended = await gw.ended(sent)
        assert (ended.verdict.state, ended.verdict.code) == ("unreached", "no_receipt")
        unreached = where(sent.id).index("live", "unreached")
        assert await gw.client.zrange(unreached, 0, -1) == [sent.id.encode()]
        await gw.gateway.receipts.absorb(sent.id, [Receipt(attempt="a1", at=99, status="delivered")])
        late = await gw.message(sent)
        assert (late.verdict.state, late.verdict.late, late.verdict.proven) == ("reached", True, True)
        assert await gw.client.zcard(unreached) == 0, "the indexes follow a correction"
        kinds = [f[b"t"].decode() for _, f in await gw.client.xrange(where(sent.id).events)]
        assert kinds.count("message.done") == 1
        assert kinds[-1].split()
        assert "message.corrected" in kinds
        await gw.gateway.receipts.absorb(
            sent.id, [Receipt(attempt="a1", at=100, status="failed", fault=Fault.UNREACHABLE)]
        )
        assert (await gw.message(sent)).verdict.state == "reached"


async def test_unproven_reached_becomes_bounced(redis_url: str, tmp_path: Path) -> None:
    mail = Scripted("email", Accepted(provider_id="p", status="sent"), proves=1)
    async with core(redis_url, tmp_path, mail) as gw:
        gw.work()
        await gw.person("maria", email=MAIL)
        sent = await gw.send("maria", "service")
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "sent")
        await gw.age(sent, 900)
        ended = await gw.ended(sent)
        assert (ended.verdict.state, ended.verdict.proven) == ("reached", False)
        at = gw.gateway.clock.now()
        bounced = Receipt(attempt="a1", at=at, status="failed", fault=Fault.BAD_ADDRESS, provider_code="5.1.1")
        await gw.gateway.receipts.absorb(sent.id, [bounced])
        found = await gw.message(sent)
        assert (found.verdict.state, found.verdict.code) == ("unreached", "bounced")
        assert [h.state for h in (await gw.customer("maria")).health.values()] == ["suppressed"]


async def test_a_definite_failure_by_receipt_falls_back_at_once(redis_url: str, tmp_path: Path) -> None:
    sms, voice = Scripted("sms"), Scripted("voice")
    async with core(redis_url, tmp_path, sms, voice) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        sent = await gw.send("maria")
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        failed = Receipt(attempt="a1", at=50, status="failed", fault=Fault.UNREACHABLE)
        await gw.gateway.receipts.absorb(sent.id, [failed])
        found = await gw.when(sent, lambda m: len(m.attempts) == 2)
        assert found.attempts[1].channel == "voice"


async def test_acknowledging_counts_once(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("voice")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        sent = await gw.send("maria", prompt=Prompt(kind="acknowledge"))
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        one, two = await asyncio.gather(
            gw.gateway.receipts.acknowledge(sent.id, "ana"), gw.gateway.receipts.acknowledge(sent.id, "ben")
        )
        assert one is not None
        assert two is not None
        found = await gw.message(sent)
        assert (found.verdict.state, found.verdict.level) == ("reached", "acknowledged")
        assert found.acknowledged_by in ("ana", "ben")
        await gw.gateway.receipts.acknowledge(sent.id, "carl")
        assert (await gw.message(sent)).acknowledged_by == found.acknowledged_by
        assert len(found.attempts) == 1
        assert await gw.gateway.receipts.acknowledge("nobody", "ana") is None


async def test_a_callback_with_news_of_many_messages(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = [await gw.send("maria") for _ in range(3)]
        for one in sent:
            await gw.when(one, lambda m: m.attempts and m.attempts[0].status == "accepted")
        news = tuple((one.id, Receipt(attempt="a1", at=1, status="delivered")) for one in sent)
        sms.readings[b"all"] = Reading(receipts=(*news, ("nobody", SMS[0]), *news))
        call = Callback(method="POST", path="", url="", headers={}, query={}, body=b"all", now=1)
        await gw.gateway.handle("sms", call)
        for one in sent:
            assert (await gw.message(one)).verdict.state == "reached"


async def test_memory_is_full_while_a_send_is_in_flight(redis_url: str, tmp_path: Path) -> None:
    """G7: what the provider said is kept; nothing that has begun waits for room."""
    hang = Hang()
    sms = Scripted("sms", hang)
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        await asyncio.wait_for(hang.reached.wait(), 5)
        await gw.client.config_set("maxmemory", 1)
        try:
            hang.answer(Accepted(provider_id="p-1"))
            await gw.when(sent, lambda m: m.attempts[0].provider_id == "p-1")
        finally:
            await gw.client.config_set("maxmemory", 512 * 2**20)


async def test_memory_is_full_when_an_account_is_shut(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms, voice = Scripted("sms", hang), Scripted("voice")
    async with core(redis_url, tmp_path, sms, voice) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        sent = await gw.send("maria")
        await asyncio.wait_for(hang.reached.wait(), 5)
        await gw.client.config_set("maxmemory", 1)
        try:
            hang.answer(Refused(fault=Fault.ACCOUNT_SHUT))
            await gw.when(sent, lambda m: len(m.attempts) == 2)
        finally:
            await gw.client.config_set("maxmemory", 512 * 2**20)
        await until(lambda: voice.handed)
