"""E-mail through a real Postfix of its own: one mail arrives, one comes back as a bounce that names its attempt."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from gateway.channels import bounces
from gateway.channels.base import Accepted, Outbound, Rendered
from gateway.channels.email import EmailChannel
from gateway.channels.verp import verp_reader, verp_token
from gateway.message import Fault
from gateway.settings_types import SmtpSettings
from tests.support.postfix import MISSING, postfix
from tests.support.smtp_relay import Relay, serving

NOW = 1_795_327_932_000
KEY = b"k" * 32

pytestmark = [pytest.mark.mta, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


@pytest.fixture
async def people() -> AsyncIterator[Relay]:
    async with serving(Relay()) as relay:
        yield relay


@pytest.fixture
async def back() -> AsyncIterator[Relay]:
    async with serving(Relay()) as relay:
        yield relay


@pytest.fixture
async def mta(people: Relay, back: Relay) -> AsyncIterator[int]:
    ways = {"people.example": f"smtp:[127.0.0.1]:{people.port}", "back.example": f"smtp:[127.0.0.1]:{back.port}"}
    async with postfix(ways) as running:
        yield running.port


@pytest.fixture
async def channel(mta: int) -> AsyncIterator[EmailChannel]:
    relay = SmtpSettings(
        host="127.0.0.1",
        port=mta,
        starttls="never",
        email_from="Acme <no-reply@acme.example>",
        from_address="no-reply@acme.example",
        bounce_domain="back.example",
    )
    made = EmailChannel(relay, secret_key=KEY, clock=lambda: NOW, timeout=20)
    yield made
    await made.close()


def outbound(attempt: str, to: str) -> Outbound:
    return Outbound(
        message="00m-1",
        attempt=attempt,
        mode="live",
        round=1,
        token=f"tok-{attempt}",
        to=to,
        category="service",
        words=Rendered(language="el", subject="Διακοπή ρεύματος", text="Καλημέρα\n.\n" + "x" * 1200),
        valid_for=3600,
        callback_base="https://gw.example",
        unsubscribe_url="https://gw.example/u/" + "t" * 420,
    )


async def test_delivery_and_bounce(channel: EmailChannel, people: Relay, back: Relay) -> None:
    people.script["rcpt"].append("550 5.1.1 <nobody@people.example>: User unknown")
    gone = await channel.send(outbound("a1", "nobody@people.example"))
    assert gone == Accepted(provider_id="<tok-a1@acme.example>", status="sent"), (
        "Postfix takes it, and bounces it later"
    )
    await back.until_taken(1)
    bounce = back.mails[0]
    reader = verp_reader(KEY)

    news = bounces.parse(bounce.data, reader, NOW, [bounce.recipient])
    ((message, receipt),) = news.receipts
    assert (message, receipt.attempt) == ("00m-1", "a1")
    assert (receipt.status, receipt.fault, receipt.provider_code) == ("failed", Fault.BAD_ADDRESS, "550 5.1.1")
    assert news.recipient == "nobody@people.example"

    token = verp_token("00m-1", "a1", KEY)
    assert f"Original-Envelope-Id: {token}\n".encode() in bounce.data.replace(b"\r\n", b"\n")
    assert b"x" * 60 not in bounce.data, "only the headers came back (RET=HDRS)"
    headless = re.sub(rb"b\+[\w.-]+@back\.example", b"lost@back.example", bounce.data)
    headless = headless.replace(b"X-Message-Ref: " + token.encode(), b"X-Message-Ref: lost")
    assert bounces.parse(headless, reader, NOW).about == ("00m-1", "a1"), "the envelope id alone is enough"

    fine = await channel.send(outbound("a2", "maria@people.example"))
    assert isinstance(fine, Accepted)
    await people.until_taken(1)
    mail = people.mails[0].data
    assert b"List-Unsubscribe: <https://gw.example/u/" + b"t" * 420 + b">\r\n" in mail
    assert len(back.mails) == 1
