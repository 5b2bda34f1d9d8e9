"""Forgetting a person: at once unknown, then gone from everywhere, whoever dies on the way; others stay as they are."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from gateway.channels.base import Accepted, CannotErase, Inbound
from gateway.customer import Address
from gateway.delivery.request import NewMessage, Recipient, Rejected
from gateway.message import Message, Receipt
from gateway.privacy import copies
from gateway.store.erasing import hashed
from tests.support.core import MAIL, OTHER_PHONE, PHONE, Core, Hang, Scripted, core, where
from tests.support.erasing import NEEDLES, Deleting, Killed, anna, die, ended, erased, look, work
from tests.support.needles import left
from tests.support.turns import before_command


async def test_a_person_is_unknown_at_once(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), DATA_DIR=str(tmp_path)) as gw:
        await anna(gw)
        erasure = await gw.gateway.erasures.begin("needle-anna", "key-1")
        assert await gw.gateway.customers.load("needle-anna") is None
        with pytest.raises(Rejected):
            await gw.send("needle-anna")
        assert await gw.gateway.erasures.begin("needle-anna", "key-2") == erasure, "asked again it is the same"
        with pytest.raises(KeyError):
            await gw.gateway.erasures.begin("nobody", "key-1")
        assert (await look(gw, erasure)).state == "running"


async def test_whoever_dies_at_any_step_another_goes_on(redis_url: str, redis_client: Redis, tmp_path: Path) -> None:
    """Before a command of an erasure the process dies; every third one is tried, which takes long enough."""
    client: Any = redis_client
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email"), DATA_DIR=str(tmp_path)) as gw:
        number, died = 0, True
        while died:
            await client.flushall()
            await anna(gw)
            await gw.send("needle-anna", "service", content={"text": "needle-text"}, reference="needle-reference")
            with before_command(gw.gateway.scripts, number, die) as reached, contextlib.suppress(Killed):
                await work(gw, await gw.gateway.erasures.begin("needle-anna", "key-1"))
            died = bool(reached)
            found = await erased(gw, "needle-anna")
            assert (found.state, found.customer) == ("done", None)
            assert found.erased == {"profiles": 1, "addresses": 2, "contents": 1, "messages": 1}, number
            assert await left(redis_client, NEEDLES) == [], number
            number += 3
    assert number > 50, "there were enough to die at"


async def test_what_is_under_way_is_waited_for_and_deleted_at_the_provider(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms = Deleting("sms", hang)
    async with core(redis_url, tmp_path, sms, DATA_DIR=str(tmp_path)) as gw:
        await anna(gw)
        gw.work()
        sent = await gw.send("needle-anna", "service")
        await asyncio.wait_for(hang.reached.wait(), 5)
        erasure = await gw.gateway.erasures.begin("needle-anna", "key-1")
        await gw.when(sent, lambda m: m.done)
        assert (await look(gw, erasure)).state == "running", "nobody knows yet what the provider has"
        hang.answer(Accepted(provider_id="SM1"))
        found = await ended(gw, erasure)
        assert (found.state, sms.deleted) == ("done", ["SM1"])
        message = await gw.message(sent)
        assert (message.verdict.state, message.attempts[0].provider_id) == ("cancelled", None)


async def test_a_provider_that_is_down_is_asked_again(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "FIRST_REST_MS", 1)
    not_yet = CannotErase(reason="Not finished with.", code="20009", later=True)
    sms = Deleting("sms", told=(not_yet, RuntimeError("a bug of the channel's")))
    async with core(redis_url, tmp_path, sms, DATA_DIR=str(tmp_path)) as gw:
        await anna(gw)
        gw.work()
        sent = await gw.send("needle-anna", "service")
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].provider_id)
        found = await ended(gw, await gw.gateway.erasures.begin("needle-anna", "key-1"))
        assert [(one.outcome, one.count) for one in found.copies] == [("erased", 1)]
        assert len(sms.deleted) == 3


async def test_what_a_provider_never_deletes_is_said(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "GIVEN_UP_MS", -1)
    sms = Deleting("sms", told=(CannotErase(reason="Refused.", code="20003", later=True),))
    async with core(redis_url, tmp_path, sms, DATA_DIR=str(tmp_path)) as gw:
        await anna(gw)
        gw.work()
        sent = await gw.send("needle-anna", "service")
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].provider_id)
        found = await ended(gw, await gw.gateway.erasures.begin("needle-anna", "key-1"))
        assert found.state == "incomplete"
        assert [(one.outcome, one.code) for one in found.copies] == [("failed", "20003")]


async def test_late_news_finds_nobody(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), DATA_DIR=str(tmp_path)) as gw:
        await anna(gw)
        gw.work()
        sent = await gw.send("needle-anna", "service")
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].provider_id)
        await ended(gw, await gw.gateway.erasures.begin("needle-anna", "key-1"))
        before = await gw.message(sent)
        news = Receipt(attempt="a1", at=gw.gateway.clock.now(), status="delivered", provider_id="SM1")
        assert await gw.gateway.receipts.absorb(sent.id, [news]) is None
        assert await gw.message(sent) == before
        assert gw.gateway.registry.get_sample_value("gateway_news_of_erased_total") == 1
        assert await gw.gateway.pages.load(sent.id) is None
        assert await gw.gateway.pages.answer(sent.id, "yes", "yes") is None
        assert await gw.gateway.pages.unsubscribe(sent.id, "Stop.") is None
        assert await gw.gateway.messages.cancel(sent.id) == "done"
        with pytest.raises(Rejected):
            await gw.gateway.intake.again("live", sent.id, None, gw.gateway.intake.origin())
        assert await gw.message(sent) == before


async def test_who_shares_an_address_stays_as_they_are(redis_url: str, redis_client: Redis, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), DATA_DIR=str(tmp_path)) as gw:
        await anna(gw)
        await gw.person("bert", sms=PHONE)
        sent = await gw.send("bert", "service")
        bert = await gw.customer("bert")
        await erased(gw, "needle-anna")
        assert await gw.customer("bert") == bert
        assert (await gw.message(sent)).customer == "bert"
        assert await gw.gateway.customers.owners(PHONE) == ["bert"]
        assert await left(redis_client, ["needle-anna", "needle-name", MAIL]) == []


async def test_withdrawals_bind_whoever_comes_after(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email"), DATA_DIR=str(tmp_path)) as gw:
        await anna(gw)
        gw.work()
        assert await gw.hears(PHONE, "STOP") == "consent"
        await ended(gw, await gw.gateway.erasures.begin("needle-anna", "key-1"))
        await gw.person("needle-anna", sms=OTHER_PHONE, email="new@example.org")
        await gw.person("carla", sms=PHONE, email=MAIL)
        for who in ("needle-anna", "carla"):
            asked = await gw.ended(await gw.send(who, "survey", reach={"channels": ["email"]}))
            assert "opted_out" in {one.why.code for one in asked.skipped if one.channel == "email"}, who
        stopped = await gw.ended(await gw.send("carla", "service", reach={"channels": ["sms"]}))
        assert "opted_out" in {one.why.code for one in stopped.skipped if one.channel == "sms"}
        told = await gw.when(await gw.send("needle-anna", "service", reach={"channels": ["sms"]}), lambda m: m.attempts)
        assert told.attempts[0].address == OTHER_PHONE, "a STOP binds its address, and no other"
        ledger = [entry.wording for name in ("needle-anna", "carla") for entry in (await gw.customer(name)).consents]
        assert set(ledger) == {"(erased)"}, "their words are gone"


def recipient(*numbers: str) -> NewMessage:
    """A message to somebody who is no customer."""
    addresses = tuple(Address("sms", number) for number in numbers)
    return NewMessage(category="service", content={"text": "needle-text"}, recipient=Recipient(addresses=addresses))


async def accepted(gw: Core, new: NewMessage) -> Message:
    """Accept a message."""
    return (await gw.gateway.intake.accept("live", new, gw.gateway.intake.origin()))[0]


@pytest.mark.parametrize("numbers", [[PHONE], [PHONE, OTHER_PHONE]])
async def test_a_one_off_recipient_at_no_other_address_is_the_same_person(
    redis_url: str, redis_client: Redis, tmp_path: Path, numbers: list[str]
) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), DATA_DIR=str(tmp_path)) as gw:
        once = await accepted(gw, recipient(*numbers))
        await anna(gw)
        gw.work()
        found = await ended(gw, await gw.gateway.erasures.begin("needle-anna", "key-1"))
        same = len(numbers) == 1
        assert found.erased.get("one-off recipients", 0) == same
        assert (await gw.message(once)).erased is same
        assert (await left(redis_client, [PHONE, "needle-text"]) == []) is same


async def test_a_message_for_one_never_reaches_another_who_is_given_the_id(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms, DATA_DIR=str(tmp_path)) as gw:
        await anna(gw)
        sent = await gw.send("needle-anna", "service")
        await gw.gateway.erasures.begin("needle-anna", "key-1")
        await gw.person("needle-anna", sms=OTHER_PHONE)
        gw.work()
        assert (await gw.when(sent, lambda m: m.erased)).done
        assert sms.handed == []
        new = await gw.send("needle-anna", "service")
        await gw.when(new, lambda m: m.attempts and m.attempts[0].provider_id)
        assert [out.to for out in sms.handed] == [OTHER_PHONE]


async def test_nothing_is_accepted_for_one_who_was_erased_meanwhile(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), DATA_DIR=str(tmp_path)) as gw:

        async def gone() -> None:
            await gw.gateway.erasures.begin("needle-anna", "key-1")

        number, refused = 0, 0
        while True:
            await anna(gw)
            with before_command(gw.gateway.scripts, number, gone) as reached:
                try:
                    await gw.send("needle-anna", "service")
                except Rejected:
                    refused += 1
            if not reached:
                break
            number += 1
        assert number == refused > 1, "at whichever command"


@given(ids=st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=2, unique=True), key=st.binary(min_size=8))
def test_hashes_tell_ids_apart_and_need_the_key(ids: list[str], key: bytes) -> None:
    one, two = ids
    assert hashed(key, one) == hashed(key, one)
    assert len({hashed(key, one), hashed(key, two), hashed(key + b"x", one)}) == 3
    assert one not in hashed(key, one) or len(one) < 3


async def test_what_lies_in_the_morgue_goes_too(redis_url: str, redis_client: Redis, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), DATA_DIR=str(tmp_path)) as gw:
        await anna(gw)
        sent = [await gw.send("needle-anna", "service", content={"text": "needle-text"}) for _ in range(2)]
        for one in sent:
            await gw.gateway.scripts.bury(where(one.id), f"m:{one.id}", "ValueError: needle-text")
        await gw.client.hset(where(sent[1].id).message(sent[1].id), "s", b"\xc1 needle-text, and nobody can read it")
        found = await erased(gw, "needle-anna")
        assert found.erased["messages"] == 2
        assert await gw.client.zcard(where(sent[0].id).morgue) == 0
        assert await left(redis_client, NEEDLES) == []


async def test_a_stop_that_has_just_come_in_still_binds(redis_url: str, redis_client: Redis, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), DATA_DIR=str(tmp_path)) as gw:
        await gw.person("needle-anna", sms=PHONE)
        said = Inbound(id="i1", channel="sms", sender=PHONE, text="STOP", at=gw.gateway.clock.now() - 1)
        await gw.gateway.inbox.note("live", said)
        erasure = await gw.gateway.erasures.begin("needle-anna", "key-1")
        await work(gw, erasure)
        assert (await look(gw, erasure)).state == "running", "it waits for what the words mean"
        gw.work()
        assert (await ended(gw, erasure)).erased["inbound"] == 1
        assert await left(redis_client, NEEDLES) == []
        await gw.person("carla", sms=PHONE)
        assert [(one.channel, one.wording) for one in (await gw.customer("carla")).consents] == [("sms", "(erased)")]
