# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# flufl.bounce ships no types.
from __future__ import annotations

import asyncio
from email import message_from_bytes
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import pytest
from flufl.bounce import all_failures

from gateway.sandbox.app import Sandbox
from gateway.sandbox.behaviour import Behaviour, Carrier, Fate, State
from gateway.sandbox.clock import Clock, Tasks
from gateway.sandbox.mail import Envelope, report
from gateway.sandbox.smtp import Mailboxes
from gateway.sandbox.world import World
from tests.integration.test_sandbox_kit import sandbox

SENDER = "b+token@bounce.example.org"
LINK = "https://example.org/p/" + "x" * 120


def mail(to: str = "someone@example.org") -> bytes:
    message = EmailMessage()
    message["From"] = "Notices <notices@example.org>"
    message["To"] = to
    message["Subject"] = "Διακοπή ρεύματος"
    message["Message-ID"] = "<m-1@example.org>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(f"The power is off. {LINK}")
    message.add_alternative(f'<h1>Off</h1><a href="{LINK}&amp;a=1">preferences</a>', subtype="html")
    head, body = message.as_bytes().split(b"\n\n", 1)
    return head + b"\nList-Unsubscribe: <https://example.org/u/1>\n\n" + body


def client_of(box: Sandbox | Mailboxes) -> aiosmtplib.SMTP:
    host = box.mail if isinstance(box, Sandbox) else box
    return aiosmtplib.SMTP(
        hostname=host.host, port=host.port, start_tls=False, local_hostname="test.example", timeout=5
    )


async def test_a_mail_is_taken_and_can_be_read() -> None:
    async with sandbox() as (box, _):
        async with client_of(box) as client:
            await client.ehlo()
            for extension in ("8bitmime", "smtputf8", "dsn", "size"):
                assert client.supports_extension(extension)
            options = ["BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=m+2B1"]
            refused, text = await client.sendmail(
                SENDER, ["Someone@example.org"], mail(), mail_options=options, rcpt_options=["NOTIFY=FAILURE,DELAY"]
            )
        assert refused == {}
        assert "queued" in text
        [got] = box.world.mails("someone@EXAMPLE.org")
        assert (got.subject, got.envelope_from, got.one_click) == ("Διακοπή ρεύματος", SENDER, True)
        assert got.links == [LINK + "&a=1", LINK]
        assert got.unsubscribe == "https://example.org/u/1"
        assert "<h1>Off</h1>" in got.html
        assert box.world.copies(Carrier.EMAIL) == {"<m-1@example.org>": 1}


@pytest.mark.parametrize(
    "address,code", [("a0002@example.org", 550), ("a0003@example.org", 451), ("a0004@example.org", 550)]
)
async def test_refusals_by_fate(address: str, code: int) -> None:
    async with sandbox() as (box, _), client_of(box) as client:
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as caught:
            await client.sendmail(SENDER, [address], mail())
        assert caught.value.recipients[0].code == code
        await client.sendmail(SENDER, ["good@example.org"], mail())
        assert box.world.accepted[Carrier.EMAIL] == 1


@pytest.mark.parametrize("fate,copies", [(Fate.UNKNOWN, 1), (Fate.LOST, 0)])
async def test_the_connection_dies_after_the_final_dot(fate: Fate, copies: int) -> None:
    async with sandbox() as (box, _):
        box.behaviour.fates["a@example.org"] = fate
        client = client_of(box)
        await client.connect()
        with pytest.raises((aiosmtplib.SMTPServerDisconnected, ConnectionError)):
            await client.sendmail(SENDER, ["a@example.org"], mail())
        client.close()
        assert len(box.world.mails("a@example.org")) == copies


async def test_states_of_the_whole_carrier() -> None:
    async with sandbox() as (box, _):
        client = client_of(box)
        await client.connect()
        box.behaviour.switch(Carrier.EMAIL, State.THROTTLES)
        with pytest.raises(aiosmtplib.SMTPSenderRefused, match=r"4\.7\.0"):
            await client.sendmail(SENDER, ["a@example.org"], mail())
        box.behaviour.switch(Carrier.EMAIL, State.REFUSES)
        with pytest.raises((aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPServerDisconnected)):
            await client.sendmail(SENDER, ["a@example.org"], mail())
        client.close()
        with pytest.raises(aiosmtplib.SMTPConnectResponseError) as caught:
            await client_of(box).connect()
        assert caught.value.code == 421
        box.behaviour.switch(Carrier.EMAIL, State.HANGS)
        client = client_of(box)
        await client.connect()
        sending = asyncio.ensure_future(client.sendmail(SENDER, ["a@example.org"], mail()))
        done, _ = await asyncio.wait({sending}, timeout=0.05)
        assert not done
        box.behaviour.switch(Carrier.EMAIL, State.UP)
        with pytest.raises((aiosmtplib.SMTPException, ConnectionError)):
            await sending
        client.close()
        assert box.world.accepted[Carrier.EMAIL] == 0


async def test_a_login_is_asked_for_when_there_is_one() -> None:
    async with sandbox(smtp_login=("user", "pass")) as (box, _):
        assert "user:pass@" in box.smtp_url
        async with client_of(box) as client:
            with pytest.raises(aiosmtplib.SMTPSenderRefused, match=r"5\.7\.0"):
                await client.sendmail(SENDER, ["a@example.org"], mail())
            with pytest.raises(aiosmtplib.SMTPAuthenticationError):
                await client.login("user", "wrong")
            await client.login("user", "pass")
            await client.sendmail(SENDER, ["a@example.org"], mail())
        assert len(box.world.mails("a@example.org")) == 1


async def _bounce_host() -> tuple[Mailboxes, World, Tasks]:
    clock, tasks = Clock(scale=0.0), Tasks()
    world = World(clock)
    host = Mailboxes(world, Behaviour(), clock, tasks)
    await host.start()
    return host, world, tasks


@pytest.mark.parametrize(
    "fate,notify,action",
    [
        (Fate.UNDELIVERED, "FAILURE,DELAY", "failed"),
        (Fate.UNDELIVERED, "", "failed"),
        (Fate.DELIVERED, "SUCCESS,FAILURE", "delivered"),
        (Fate.UNDELIVERED, "NEVER", None),
        (Fate.DELIVERED, "FAILURE", None),
    ],
)
async def test_reports_go_back_to_the_envelope_sender(fate: Fate, notify: str, action: str | None) -> None:
    host, world, tasks = await _bounce_host()
    try:
        async with sandbox(bounce=(host.host, host.port)) as (box, _):
            box.behaviour.fates["a@example.org"] = fate
            async with client_of(box) as client:
                wishes = [f"NOTIFY={notify}", "ORCPT=rfc822;a+2Bb@example.org"] if notify else []
                await client.sendmail(
                    SENDER, ["a@example.org"], mail(), mail_options=["ENVID=env+2B7"], rcpt_options=wishes
                )
            await box.idle()
        reports = world.mails(SENDER)
        assert len(reports) == (1 if action else 0)
        if action:
            headers = dict(reports[0].headers)
            assert headers["Auto-Submitted"] == "auto-replied"
            assert "delivery-status" in headers["Content-Type"]
            assert reports[0].envelope_from == ""
    finally:
        await host.stop()
        await tasks.stop()


def test_a_report_reads_as_rfc_3464() -> None:
    envelope = Envelope(sender=SENDER, recipient="a@example.org", envid="env+7", orcpt="rfc822;a@example.org")
    raw = report(mail(), envelope, action="failed", host="mx.example", at=1_800_000_000_000, number="dsn-1")
    message = message_from_bytes(raw)
    status: Any = message.get_payload()
    fields, recipient = status[1].get_payload()
    assert fields["Original-Envelope-Id"] == "env+7"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
    assert all_failures(message) == (set(), {b"a@example.org"})
