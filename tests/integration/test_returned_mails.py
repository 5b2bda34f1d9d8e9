"""What follows from mails that come back: complaints withdraw, notes and forgeries do nothing, all of it is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.channels.base import Accepted
from gateway.channels.verp import verp_token
from gateway.customer import Customer
from gateway.delivery.returns import Returns
from gateway.message import Message
from gateway.preferences.consent import permission
from tests.support.core import MAIL, SECRET, Core, Scripted, core
from tests.support.mail_corpus import FOLDER, KEY

OUTCOMES = ("complaint", "unmatched_complaint", "auto_reply", "no_bounce", "bounced", "outlived")


def returns(gw: Core) -> Returns:
    parts = gw.gateway
    return Returns(parts.settings, parts.receipts, parts.messages, parts.customers, parts.metrics)


def counted(gw: Core) -> dict[str, float]:
    told = gw.gateway.registry.get_sample_value
    found = {name: told("gateway_returned_mails_total", {"outcome": name}) for name in OUTCOMES}
    return {name: value for name, value in found.items() if value}


def returned(name: str, message: str) -> bytes:
    """A mail of the corpus, as if it were about this message; a forged one stays as it is."""
    raw = (FOLDER / f"{name}.eml").read_bytes()
    theirs, ours = (verp_token(of, "a1", key).encode() for of, key in ((name, KEY), (message, SECRET.encode())))
    return raw.replace(theirs, ours)


async def sent_mail(gw: Core) -> Message:
    gw.work()
    await gw.person("maria", email=MAIL)
    sent = await gw.send("maria", "service")
    return await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "sent")


def may(customer: Customer, category: str) -> bool:
    return permission(customer.consents, "email", category, customer.keys[MAIL], "opt_out").allowed


async def test_a_complaint_withdraws_for_the_person_and_for_the_address(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("email", usual=Accepted(provider_id="p", status="sent"))) as gw:
        sent = await sent_mail(gw)
        await gw.person("other", email=MAIL)
        report = returned("complaint-abuse", sent.id)
        for _ in range(3):  # the answer was lost, so it comes again
            assert await returns(gw).take(report, [], gw.gateway.clock.now()) == "complaint"
        for name in ("maria", "other"):
            customer = await gw.customer(name)
            wants = {category: may(customer, category) for category in ("survey", "marketing", "outage", "service")}
            assert wants == {"survey": False, "marketing": False, "outage": True, "service": True}, name
        await gw.person("later", email=MAIL)
        assert not may(await gw.customer("later"), "survey")
        ledger = await gw.gateway.customers.ledger("maria")
        assert sorted((e.category, e.address is None) for e in ledger) == [
            ("marketing", False),
            ("marketing", True),
            ("survey", False),
            ("survey", True),
        ]
        assert {e.proof for e in ledger} == {(await gw.gateway.customers.ledger("other"))[0].proof}
        assert (await gw.message(sent)).attempts[0].status == "delivered", "who complains has read it"
        assert counted(gw) == {"complaint": 3}


@pytest.mark.parametrize("name", ["complaint-forged", "auto-reply-vacation", "noise"])
async def test_what_says_nothing_changes_nothing(redis_url: str, tmp_path: Path, name: str) -> None:
    async with core(redis_url, tmp_path, Scripted("email", usual=Accepted(provider_id="p", status="sent"))) as gw:
        sent = await sent_mail(gw)
        said = await returns(gw).take(returned(name, sent.id), [], gw.gateway.clock.now())
        assert counted(gw) == {said: 1}
        assert said in ("unmatched_complaint", "auto_reply", "no_bounce")
        assert (await gw.customer("maria")).consents == ()
        assert (await gw.customer("maria")).health == {}
        assert (await gw.message(sent)).attempts[0].status == "sent"


async def test_a_bounce_of_a_message_that_is_gone_is_told_apart(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("email", usual=Accepted(provider_id="p", status="sent"))) as gw:
        sent = await sent_mail(gw)
        gone, raw = (returned("hard-unknown-user", name) for name in ("00m-gone", sent.id))
        assert await returns(gw).take(gone, [], gw.gateway.clock.now()) == "outlived"
        assert await returns(gw).take(raw, [], gw.gateway.clock.now()) == "bounced"
        (health,) = (await gw.customer("maria")).health.values()
        assert health.evidence is not None
        assert health.evidence.bounce == (await gw.message(sent)).attempts[0].bounce
        assert counted(gw) == {"outlived": 1, "bounced": 1}
