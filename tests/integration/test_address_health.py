"""What attempts teach of addresses: kept before the record is, once for each attempt, whatever dies or loses between."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import msgspec
import pytest

from gateway.channels.base import Accepted, Refused
from gateway.customer import Address, AddressHealth, Evidence
from gateway.message import Fault, Message, Receipt
from gateway.news import absorb
from gateway.selfservice.verification import Challenge
from gateway.store.keys import of_customer
from tests.support.core import MAIL, PHONE, Core, Scripted, core, until, where
from tests.support.keeping import keeper

TAKEN = Accepted(provider_id="p", status="sent")


async def handed(gw: Core, category: str = "service", **more: str) -> Message:
    """A message whose first attempt is with its provider."""
    sent = await gw.send("maria", category, **more)  # pyright: ignore[reportArgumentType] - a mode
    return await gw.when(sent, lambda m: m.attempts and m.attempts[0].status in ("accepted", "sent"))


async def health(gw: Core, channel: str) -> AddressHealth | None:
    """What the one customer's record says of an address."""
    found = [one for name, one in (await gw.customer("maria")).health.items() if name.startswith(f"{channel}:")]
    return found[0] if found else None


def failed(gw: Core, fault: Fault, code: str | None = None, attempt: str = "a1") -> Receipt:
    return Receipt(attempt=attempt, at=gw.gateway.clock.now(), status="failed", fault=fault, provider_code=code)


async def interrupted(gw: Core, sent: Message, receipt: Receipt) -> None:
    """A process that got a receipt's news as far as the commit, which it loses to another, and then died."""
    desk = gw.gateway.desk
    case = await desk.reopen(sent.id)
    assert case is not None
    absorb(case.message, receipt)
    await gw.client.hincrby(where(sent.id).message(sent.id), "v", 1)
    assert not await desk.write(case, desk.decide(case))


async def test_what_is_learnt_outlives_a_death_before_the_commit_and_counts_once(
    redis_url: str, tmp_path: Path
) -> None:
    async with core(redis_url, tmp_path, Scripted("email", usual=TAKEN)) as gw:
        gw.work()
        await gw.person("maria", email=MAIL)
        sent = await handed(gw)
        bounce = failed(gw, Fault.MAILBOX_FULL, "452 4.2.2")
        await interrupted(gw, sent, bounce)
        assert (await gw.message(sent)).attempts[0].status == "sent", "nothing was committed"
        first = await health(gw, "email")
        assert first is not None
        assert (first.state, first.count, first.refs) == ("suspect", 1, (f"{sent.id}/a1",))
        for _ in range(3):
            await gw.gateway.receipts.absorb(sent.id, [bounce])
        assert (await gw.message(sent)).attempts[0].status == "failed"
        assert await health(gw, "email") == first


async def test_a_mirrored_opt_out_outlives_it_too(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms", usual=TAKEN)) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await handed(gw)
        news = failed(gw, Fault.OPTED_OUT, "21610")
        await interrupted(gw, sent, news)
        assert [(e.state, e.way) for e in (await gw.customer("maria")).consents] == [("withdrawn", "provider_block")]
        await gw.gateway.receipts.absorb(sent.id, [news])
        assert len(await gw.gateway.customers.ledger("maria")) == 1


async def test_what_lost_to_a_better_word_is_taken_back(redis_url: str, tmp_path: Path) -> None:
    """One process was told that it failed, another that it got through; the first loses the swap."""
    async with core(redis_url, tmp_path, Scripted("email", usual=TAKEN)) as gw:
        gw.work()
        await gw.person("maria", email=MAIL)
        sent = await handed(gw)
        late = await gw.gateway.desk.reopen(sent.id)
        await interrupted(gw, sent, failed(gw, Fault.BAD_ADDRESS, "550 5.1.1"))
        assert late is not None
        delivered = Receipt(attempt="a1", at=gw.gateway.clock.now(), status="delivered")
        absorb(late.message, delivered)
        # It read the customer before anything was held against the address, so it takes nothing back.
        late.version += 1
        assert await gw.gateway.desk.write(late, gw.gateway.desk.decide(late))
        assert await health(gw, "email") is not None
        # Whatever is heard of the message next finds that somebody spoke too soon.
        clicked = Receipt(attempt="a1", at=delivered.at, engagement="clicked")
        await gw.gateway.receipts.absorb(sent.id, [clicked])
        assert await health(gw, "email") is None


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_news_in_any_order_gives_the_same_health(redis_url: str, tmp_path: Path, order: tuple[int, ...]) -> None:
    async with core(redis_url, tmp_path, Scripted("email", usual=TAKEN)) as gw:
        gw.work()
        await gw.person("maria", email=MAIL)
        first, second = await handed(gw), await handed(gw)
        doubt = failed(gw, Fault.DOUBTFUL_ADDRESS, "550")
        certain = msgspec.structs.replace(doubt, fault=Fault.BAD_ADDRESS, provider_code="550 5.1.1")
        news = [(first, doubt), (first, certain), (second, Receipt(attempt="a1", at=doubt.at, status="delivered"))]
        for place in order:
            await gw.gateway.receipts.absorb(news[place][0].id, [news[place][1]])
        found = await health(gw, "email")
        assert found is not None
        assert (found.state, found.code, found.count, found.at) == ("suppressed", "bad_address", 1, certain.at)
        assert found.evidence == Evidence(f"{first.id}/a1", certain.at, "bad_address", "550 5.1.1")


@pytest.mark.parametrize("mode", ["test", "team"])
async def test_test_messages_teach_nothing(redis_url: str, tmp_path: Path, mode: str) -> None:
    usual = Refused(fault=Fault.BAD_ADDRESS, code="21211")
    sms, look_alike = Scripted("sms", usual=usual), Scripted("sms", usual=usual)
    async with core(redis_url, tmp_path, sms, test_channels=[look_alike], TEAM_ADDRESSES=PHONE) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.ended(await gw.send("maria", mode="test" if mode == "test" else "team"))
        assert (await health(gw, "sms") is None) is (mode == "test")


async def test_one_bad_number_is_bad_on_its_own_channel_alone(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", usual=Refused(fault=Fault.BAD_ADDRESS, code="30006"))
    voice = Scripted("voice", usual=Accepted(provider_id="p", status="sent"))
    async with core(redis_url, tmp_path, sms, voice) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        await gw.when(await gw.send("maria"), lambda m: len(m.attempts) == 2)
        again = await gw.send("maria")
        found = await gw.when(again, lambda m: m.attempts)
        assert [a.channel for a in found.attempts] == ["voice"]
        assert [(s.channel, s.why.code, s.why.text) for s in found.skipped] == [
            ("sms", "suppressed_address", "This address is no longer used: The address does not exist on this channel.")
        ]
        assert await health(gw, "voice") is None


async def test_a_text_from_the_number_clears_doubts_and_nothing_graver(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms", usual=TAKEN)) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        for fault, left in ((Fault.UNREACHABLE, None), (Fault.BAD_ADDRESS, "suppressed")):
            sent = await handed(gw)
            await gw.gateway.receipts.absorb(sent.id, [failed(gw, fault)])
            assert await health(gw, "sms") is not None
            await gw.hears(PHONE, f"Hello, I am here ({fault}).")
            found = await health(gw, "sms")
            assert (found and found.state) == left
            if found is not None:
                assert found.proved_at is not None


async def test_a_call_that_is_taken_clears_calls_that_were_not(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("voice", usual=TAKEN)) as gw:
        gw.work()
        await gw.person("maria", voice=PHONE)
        for states in ("good", "good", "suspect"):
            sent = await handed(gw)
            await gw.gateway.receipts.absorb(sent.id, [failed(gw, Fault.NO_ANSWER)])
            found = await health(gw, "voice")
            assert found is not None
            assert found.state == states
        sent = await handed(gw)
        taken = Receipt(attempt="a1", at=gw.gateway.clock.now(), answered_by="human", heard=True)
        await gw.gateway.receipts.absorb(sent.id, [taken])
        assert await health(gw, "voice") is None


async def test_a_full_memory_holds_up_no_message_and_the_health_comes_after_it(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("email", usual=TAKEN)) as gw:
        gw.work()
        await gw.person("maria", email=MAIL)
        sent = await handed(gw)
        await gw.client.config_set("maxmemory", 1)
        try:
            await gw.gateway.receipts.absorb(sent.id, [failed(gw, Fault.BAD_ADDRESS)])
            assert (await gw.message(sent)).attempts[0].status == "failed"
        finally:
            await gw.client.config_set("maxmemory", 512 * 2**20)
        assert await health(gw, "email") is None
        key = gw.gateway.customers.address_key(MAIL)
        assert await gw.client.zscore(of_customer(key).health("due"), f"email:{key}")
        await gw.client.zadd(of_customer(key).health("due"), {f"email:{key}": 1})
        assert await keeper(gw).walk()
        found = await health(gw, "email")
        assert found is not None
        assert found.state == "suppressed"


async def test_a_code_reaches_a_dead_address_and_revives_it(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", usual=TAKEN)
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await handed(gw)
        await gw.gateway.receipts.absorb(sent.id, [failed(gw, Fault.BAD_ADDRESS)])
        barred = await gw.ended(await gw.send("maria", "service"))
        assert barred.skipped[0].why.code == "suppressed_address"
        wanted = Challenge(customer="maria", purpose="open", address=Address("sms", PHONE))
        name = await gw.gateway.verification.begin(wanted, language="en", time_zone=None)
        await until(lambda: len(sms.handed) == 2)
        code = re.search(r"\b\d{6}\b", sms.handed[-1].words.text)
        assert code is not None
        found = await health(gw, "sms")
        assert found is not None, "having been sent a code proves nothing"
        assert await gw.gateway.verification.check(name, await gw.customer("maria"), "open", code[0]) == wanted
        assert await health(gw, "sms") is None
        assert len((await handed(gw)).attempts) == 1
