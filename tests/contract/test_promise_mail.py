"""A mail relay that answers badly: what is sent, and what the record says (G4)."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from typing import Any

import pytest

from tests.contract.rough import calm
from tests.contract.world import Person, World


def ids(rough: World, to: str) -> list[str]:
    """The Message-IDs of all mails to somebody."""
    return [
        str(message_from_bytes(data, policy=policy.default)["Message-ID"])
        for _, one, data in rough.mail.taken
        if one == to
    ]


COPIES = {"outage": 2, "service": 2, "survey": 1}


async def first(rough: World, message: Any) -> Any:
    now = await rough.when(message, lambda one: one["attempts"] and one["attempts"][0]["status"] != "started")
    return now["attempts"][0]


@pytest.mark.parametrize(
    "answer", ["421 4.3.2 Closing", "451 4.7.1 Greylisted", "452 4.2.2 Full", "552 5.2.2 Quota", "550 no"]
)
async def test_a_refusal_is_never_unknown(rough: World, answer: str) -> None:
    """The relay said no: nothing was sent, so nothing is unknown, and the next channel has its turn."""
    person = await rough.person("email", "sms", preferences={"channels": ["email", "sms"]})
    rough.mail.told[person.email].extend([answer] * 9)
    message = await rough.send(person, reach={"step": 4, "within": 60})
    attempt = await first(rough, message)
    assert (attempt["status"], attempt["provider_code"][:3]) == ("failed", answer[:3]), attempt
    await rough.twilio.text(person.number, seconds=20)
    await calm(rough, "email")


async def test_closed_after_the_dot_is_unknown(rough: World) -> None:
    """The relay has the mail and dies before it answers; a repeat carries the same Message-ID."""
    sent: dict[str, tuple[Person, Any]] = {}
    for category in COPIES:
        person = await rough.person("email")
        rough.mail.cut[person.email] = "after"
        sent[category] = (person, await rough.send(person, category=category, reach={"step": 6, "within": 8}))
        await rough.mail.mail(person.email)
        await calm(rough, "email")
    for category, (person, message) in sent.items():
        done = await rough.done(message)
        assert len(ids(rough, person.email)) == COPIES[category], (category, done["attempts"])
        assert len(set(ids(rough, person.email))) == 1, category
        assert {one["status"] for one in done["attempts"]} == {"unknown"}, (category, done["attempts"])
        assert (done["verdict"]["state"], done["verdict"]["code"]) == ("unreached", "outcome_unknown"), category


async def test_closed_before_the_dot_is_no_unknown(rough: World) -> None:
    """RCPT is taken and the line drops before the mail is complete: no relay delivers half a mail."""
    person = await rough.person("email")
    rough.mail.cut[person.email] = "before"
    message = await rough.send(person, category="service", reach={"step": 6, "within": 8})
    attempt = await first(rough, message)
    assert attempt["status"] in {"failed", "unknown"}
    assert ids(rough, person.email) == []


async def test_message_ids_differ_between_messages_and_rounds(rough: World) -> None:
    person = await rough.person("email")
    message = await rough.send(person, reach={"step": 2, "within": 30, "rounds": 2})
    await rough.mail.mail(person.email, 2)
    other = await rough.send(person, reach={"step": 2, "within": 30})
    await rough.mail.mail(person.email, 3)
    assert len(set(ids(rough, person.email))) == 3
    assert all(re.fullmatch(r"<[^<>\s@]+@[^<>\s@]+>", one) for one in ids(rough, person.email))
    assert message["id"] != other["id"]
