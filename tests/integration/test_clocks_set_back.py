"""Whoever takes consent back now is obeyed, even if a clock puts it before what they had agreed to."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Inbound
from gateway.customer import ConsentEntry
from gateway.delivery.withdrawals import Withdrawals
from gateway.preferences.consent import permission
from tests.integration.test_returned_mails import returned, returns
from tests.support.core import MAIL, PHONE, Core, Scripted, core

HOUR_MS = 3_600_000
SECOND_MS = 1000
YES: dict[str, Any] = {"state": "granted", "way": "form", "wording": "Yes.", "proof": "form 7"}


@pytest.fixture
async def made(redis_url: str, tmp_path: Path) -> AsyncGenerator[Core]:
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email"), Scripted("voice")) as gw:
        await gw.person("ana", sms=PHONE, voice=PHONE, email=MAIL)
        yield gw


def set_back(gw: Core, by: int = HOUR_MS) -> None:
    """The server's clock goes back, or a fail-over finds one that is behind."""
    gw.gateway.clock.read(gw.gateway.clock.now() - by)


def text(gw: Core, words: str) -> Inbound:
    return Inbound(id="1", channel="sms", sender=PHONE, text=words, at=gw.gateway.clock.now())


async def agrees(gw: Core, channel: str, category: str, **more: Any) -> None:
    await gw.gateway.people.add_consent("ana", {"channel": channel, "category": category, **YES, **more})


async def may(gw: Core, channel: str, value: str, category: str = "outage") -> bool:
    known = await gw.customer("ana")
    return permission(known.consents, channel, category, known.keys[value], "opt_out").allowed


async def says_at_once(gw: Core, said: Inbound) -> None:
    await gw.gateway.inbox.note("live", said)
    await gw.gateway.inbox.at_once("live", said)


async def test_a_stop_is_later_than_what_was_agreed_to_before(made: Core) -> None:
    await agrees(made, "sms", "*")
    set_back(made)
    await says_at_once(made, text(made, "STOP"))
    assert not await may(made, "sms", PHONE)
    assert await may(made, "email", MAIL)
    newest = (await made.gateway.customers.ledger("ana"))[-1]
    assert (newest.state, newest.wording) == ("withdrawn", "STOP")


async def test_a_stop_is_later_than_the_start_before_it(made: Core) -> None:
    made.work()
    assert await made.hears(PHONE, "STOP") == "consent"
    assert await made.hears(PHONE, "START") == "consent"
    assert await may(made, "sms", PHONE)
    await made.stop()
    set_back(made)
    await says_at_once(made, text(made, "STOP"))
    assert not await may(made, "sms", PHONE)


async def test_the_worker_dates_it_as_it_was_dated_when_it_came(made: Core) -> None:
    made.work()
    await agrees(made, "sms", "*")
    early = made.gateway.clock.now() - HOUR_MS
    assert await made.hears(PHONE, "STOP ALL", at=early) == "consent"
    assert not await may(made, "sms", PHONE)
    assert not await may(made, "email", MAIL)
    assert await made.hears(PHONE, "START") == "consent"
    assert await may(made, "sms", PHONE)


async def test_a_block_told_in_whole_seconds_is_not_older_than_a_grant_of_that_second(made: Core) -> None:
    made.work()
    await agrees(made, "sms", "*")
    granted = (await made.gateway.customers.ledger("ana"))[-1].at
    second = granted - granted % SECOND_MS
    assert await made.hears(PHONE, "", kind="opt_out", at=second) == "consent"
    assert not await may(made, "sms", PHONE)


async def test_a_stop_that_is_worked_off_once_more_undoes_no_start(made: Core) -> None:
    """A worker died after it had written the STOP; START came before another one took the item over."""
    said = Withdrawals(made.gateway.customers, made.gateway.clock)
    await agrees(made, "sms", "*")
    set_back(made)
    stop = await said.dated(text(made, "STOP"))
    start = Inbound(id="2", channel="sms", sender=PHONE, text="START", at=stop.at + SECOND_MS)
    await said.close(stop, "sms")
    assert not await may(made, "sms", PHONE)
    assert await said.lift(start)
    assert await may(made, "sms", PHONE)
    await said.close(stop, "sms")
    assert await may(made, "sms", PHONE)
    assert await said.lift(start), "what it did the first time is still what it did"
    again = Inbound(id="3", channel="sms", sender=PHONE, text="START", at=start.at + SECOND_MS)
    assert not await said.lift(again)


async def test_what_is_switched_off_or_withdrawn_now_counts_now(made: Core) -> None:
    people = made.gateway.people
    await people.put_preferences("ana", {"categories": {"survey": {"enabled": False}}})
    await agrees(made, "*", "survey")
    await agrees(made, "email", "*")
    set_back(made)
    await people.put_preferences("ana", {"categories": {"survey": {"enabled": False}}})
    assert not await may(made, "sms", PHONE, "survey")
    no = {"channel": "email", "category": "*", "state": "withdrawn", "way": "letter", "wording": "No e-mail."}
    shown = await people.add_consent("ana", no)
    assert not await may(made, "email", MAIL)
    assert shown["state"] == "withdrawn"
    await people.choose("ana", "survey", on=True, way="page", wording="Yes.")
    set_back(made)
    await people.choose("ana", "survey", on=False, way="page", wording="No.")
    assert not await may(made, "sms", PHONE, "survey")


async def test_a_withdrawal_with_a_date_of_its_own_keeps_it(made: Core) -> None:
    """Who brings the history of a person says when each thing was said: the newest entry of a pair decides."""
    await agrees(made, "sms", "*", at="2026-03-01T12:00:00Z")
    before = {"channel": "sms", "category": "*", "state": "withdrawn", "way": "letter", "wording": "No."}
    await made.gateway.people.add_consent("ana", before | {"at": "2026-02-01T12:00:00Z"})
    assert await may(made, "sms", PHONE)


@pytest.mark.parametrize("way", ["one_click", "complaint"])
async def test_one_click_and_complaint_count_for_person_and_mailbox(made: Core, way: str) -> None:
    made.work()
    await made.person("bo", email=MAIL)
    message = await made.when(await made.send("ana", "survey", reach={"channels": ["email"]}), lambda m: m.attempts)
    await agrees(made, "email", "survey")
    lifted = ConsentEntry("email", "survey", "granted", "lifted_by_page", "Yes.", made.gateway.clock.now())
    await made.gateway.customers.withdraw("email", MAIL, [lifted])
    await made.stop()
    set_back(made)
    if way == "one_click":
        assert await made.gateway.pages.unsubscribe(message.id, "one click") is not None
    else:
        report = returned("complaint-abuse", message.id)
        assert await returns(made).take(report, [], made.gateway.clock.now()) == "complaint"
    assert not await may(made, "email", MAIL, "survey")
    bo = await made.customer("bo")
    assert not permission(bo.consents, "email", "survey", bo.keys[MAIL], "opt_out").allowed
