"""The health of addresses: what bounces teach, who may see it, and the way back."""

from __future__ import annotations

import asyncio
import smtplib
from typing import Any

import pytest

from tests.contract.self_service import dry, ledger, open_to, said
from tests.contract.waiting import eventually
from tests.contract.world import HOST, Person, World, run

LONG = {"step": 600, "within": 900}


def report(action: str = "failed", status: str = "5.1.1", code: str = "550 5.1.1 no such user") -> bytes:
    """A delivery report as a mail server writes it (RFC 3464), without any address of ours."""
    lines = (
        "From: MAILER-DAEMON@relay.example", "Subject: Undelivered", "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=B", "",
        "--B", "Content-Type: text/plain", "", "Sorry.",
        "--B", "Content-Type: message/delivery-status", "", "Reporting-MTA: dns; relay.example", "",
        "Final-Recipient: rfc822; x@example.org", f"Action: {action}", f"Status: {status}",
        f"Diagnostic-Code: smtp; {code}", "", "--B--", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


def complaint(original: bytes) -> bytes:
    """An abuse report (ARF) around a mail of ours."""
    lines = (
        "From: loop@isp.example", "Subject: complaint", "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=feedback-report; boundary=B", "",
        "--B", "Content-Type: text/plain", "", "A complaint.",
        "--B", "Content-Type: message/feedback-report", "", "Feedback-Type: abuse", "User-Agent: x/1", "Version: 1", "",
        "--B", "Content-Type: message/rfc822", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + original + b"\r\n--B--\r\n"


async def come_back(w: World, to: str, mail: bytes) -> None:
    """A mail comes to the bounce port."""

    def deliver() -> None:
        with smtplib.SMTP(HOST, int(w.gateway.variables["GATEWAY_BOUNCE_PORT"]), timeout=10) as server:
            server.sendmail("", [to], mail)

    await asyncio.to_thread(deliver)


async def test_who_is_not_ours_is_refused(w: World) -> None:
    _, _, sender = await mailed(w)
    forged = f"{sender.partition('@')[0][:-4]}aaaa@bounces.example.org"
    for to in (forged, "somebody@elsewhere.example"):
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            await come_back(w, to, report())
    await come_back(w, "lost@bounces.example.org", report())


async def mailed(w: World, category: str = "service") -> tuple[Person, Any, str]:
    """Somebody who was sent a mail, the message, and the mail's return path."""
    person = await w.person("email", "sms")
    message = await w.send(person, category=category, reach={**LONG, "channels": ["email"]})
    return person, message, await w.mail.sender(person.email)


async def health(w: World, who: Person, channel: str = "email") -> Any:
    stored = (await w.api("GET", f"/v1/customers/{who.id}")).body["addresses"]
    return next(one.get("health") for one in stored if one["channel"] == channel)


async def test_a_bounce_suppresses_and_lifting_frees(w: World) -> None:
    person, message, sender = await mailed(w)
    await come_back(w, sender, report())
    found = await eventually(lambda: health(w, person))
    assert (found["state"], found["reason"]["code"]) == ("suppressed", "bad_address")
    assert found["evidence"]["message"] == message["id"]
    assert (await w.done(message))["verdict"]["state"] == "unreached"
    assert (await dry(w, person))[1]["email"] == "suppressed_address"
    lift = {"channel": "email", "value": person.email, "reason": "They called."}
    for scopes in (("customers",), ("operate", "read")):
        assert (await (await w.key(*scopes))("POST", "/v1/addresses/lift", lift)).status == 403
    assert (await w.api("POST", "/v1/addresses/lift", lift)).status == 200
    assert await health(w, person) is None
    assert await open_to(w, person) == {"email", "sms"}


async def test_the_list_is_masked_for_those_who_only_read(w: World) -> None:
    person, _, sender = await mailed(w)
    await come_back(w, sender, report())
    await eventually(lambda: health(w, person))
    for scope, shown in (("customers", True), ("read", False)):
        answer = await (await w.key(scope))("GET", "/v1/addresses", health="suppressed", limit=500)
        mine = next(one for one in answer.body["items"] if one["customers"] == [person.id])
        assert (mine["address"] == person.email) is shown
    assert (await (await w.key("send"))("GET", "/v1/addresses", health="suppressed")).status == 403
    assert (await w.api("GET", "/v1/addresses", health="ill")).status == 422


async def test_what_is_no_failure_of_ours_changes_nothing(w: World) -> None:
    person, _, sender = await mailed(w)
    away = b"From: x@example.org\r\nAuto-Submitted: auto-replied\r\nSubject: away\r\n\r\n550 5.1.1 no such user\r\n"
    strange = "lost@bounces.example.org"
    for to, mail in ((sender, away), (sender, report("delayed", "4.4.1", "450 busy")), (strange, report())):
        await come_back(w, to, mail)
    other, _, last = await mailed(w)
    await come_back(w, last, report())
    await eventually(lambda: health(w, other))
    assert await health(w, person) is None


async def test_a_full_mailbox_is_only_suspect(w: World) -> None:
    person, _, sender = await mailed(w)
    await come_back(w, sender, report(status="5.2.2", code="552 5.2.2 mailbox full"))
    found = await eventually(lambda: health(w, person))
    assert (found["state"], found["reason"]["code"]) == ("suspect", "mailbox_full")
    assert await open_to(w, person) == {"email", "sms"}


async def test_a_bounce_by_the_command(w: World) -> None:
    person, _, sender = await mailed(w)
    given = (w.gateway.folder, w.gateway.variables, "bounce", "--recipient", sender)
    assert (await run(*given, given=report()))[0] == 0
    assert (await eventually(lambda: health(w, person)))["state"] == "suppressed"
    assert (await run(*given, given=b"no mail at all"))[0] == 0


async def test_a_complaint_withdraws_and_says_nothing_of_health(w: World) -> None:
    person, _, sender = await mailed(w, "survey")
    original = next(data for _, to, data in w.mail.taken if to == person.email)
    await come_back(w, sender, complaint(original))
    await eventually(lambda: said(w, person))
    assert set(await said(w, person)) == {("email", "survey", "withdrawn"), ("email", "marketing", "withdrawn")}
    assert {one["way"] for one in await ledger(w, person)} == {"complaint"}
    assert await open_to(w, person) == {"email", "sms"}
    assert await health(w, person) is None


async def test_a_number_that_takes_no_texts_may_still_be_called(w: World) -> None:
    person = await w.person("sms", "voice")
    message = await w.send(person, reach={**LONG, "channels": ["sms"]})
    await w.twilio.report(await w.twilio.text(person.number), "undelivered", ErrorCode="30005")
    await w.done(message)
    assert (await eventually(lambda: health(w, person, "sms")))["state"] == "suppressed"
    assert await health(w, person, "voice") is None
    assert await open_to(w, person) == {"voice"}


async def test_health_belongs_to_the_address_and_a_put_leaves_it(w: World) -> None:
    person, _, sender = await mailed(w)
    await come_back(w, sender, report())
    await eventually(lambda: health(w, person))
    same = {"addresses": [{"channel": "email", "value": person.email}]}
    assert (await w.api("PUT", f"/v1/customers/{person.id}", same)).status == 200
    assert (await health(w, person))["state"] == "suppressed"
    given = {"recipient": same, "category": "outage", "content": {"subject": "s", "text": "x"}}
    body = (await w.api("POST", "/v1/messages", given, dry_run="true")).body
    assert [one["why"]["code"] for one in body["skipped"] if one["channel"] == "email"] == ["suppressed_address"]
