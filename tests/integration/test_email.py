"""The e-mail channel against a real SMTP server."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.channels.base import Accepted, Attachment, Callback, Channel, Malformed, Refused, Unknown
from gateway.channels.verp import read_verp
from gateway.message import Attempt, Fault
from gateway.settings_types import Secret
from tests.support.email_bench import KEY, NOW, WORDS, Bench, outbound, parsed
from tests.support.smtp_relay import DROP, HANG
from tests.support.wire import answering

FAR = datetime(2120, 1, 1, tzinfo=UTC)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield Bench(stack)


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield cast("list[Any]", entries)


async def test_mail_is_taken_whole(bench: Bench) -> None:
    relay = await bench.relay()
    channel: Channel = bench.channel(relay.port)
    link = "https://gw.example/u/" + "t" * 420
    bill = Attachment("Λογαριασμός.pdf", "application/pdf", b"%PDF-1.7")
    words = msgspec.structs.replace(WORDS, attachments=(bill,))
    result = await channel.send(outbound(words=words, unsubscribe_url=link))
    assert result == Accepted(provider_id="<tok-00m-1-email-1@acme.example>", status="sent")
    mail = parsed(relay.mails[0].data)
    assert mail["subject"] == "Διακοπή ρεύματος"
    assert mail["from"] == "Acme <no-reply@acme.example>"
    assert mail["to"] == "maria@example.org"
    assert mail["date"] == "Sun, 22 Nov 2026 06:12:12 +0000"
    assert mail["auto-submitted"] == "auto-generated"
    assert f"List-Unsubscribe: <{link}>\r\n".encode() in relay.mails[0].data
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in relay.mails[0].data
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().split() == ["Καλημέρα", ".", "τέλος"]
    assert "<p>Καλημέρα</p>" in html.get_content()
    assert [part.get_filename() for part in mail.iter_attachments()] == ["Λογαριασμός.pdf"]


async def test_return_path_names_the_attempt(bench: Bench) -> None:
    relay = await bench.relay()
    await bench.channel(relay.port).send(outbound())
    sender = relay.mails[0].sender
    assert sender.endswith("@b.acme.example")
    assert read_verp(sender, [KEY]) == ("00m-1", "a1")
    assert f"SIZE={len(relay.mails[0].data)}" in relay.mails[0].options


async def test_without_a_bounce_domain_returns_go_to_the_sender(bench: Bench) -> None:
    relay = await bench.relay()
    await bench.channel(relay.port, bounce_domain=None).send(outbound())
    assert relay.mails[0].sender == "no-reply@acme.example"


async def test_internationalised_addresses(bench: Bench) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port)
    await channel.send(outbound(to="maria@παράδειγμα.example"))
    await channel.send(outbound(to="μαρία@example.org"))
    domain, local = relay.mails
    assert domain.recipient == "maria@xn--hxajbheg2az3al.example"
    assert "SMTPUTF8" not in domain.options
    assert local.recipient == "μαρία@example.org"
    assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(local.options)
    assert "To: <μαρία@example.org>".encode() in local.data


async def test_relay_without_smtputf8(bench: Bench) -> None:
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 old.example\r\n")
        while line := await reader.readline():
            writer.write(b"250 old.example\r\n" if line.startswith((b"EHLO", b"HELO")) else b"500 what?\r\n")

    async with answering(old) as port:
        channel = bench.channel(port)
        result = await channel.send(outbound(to="μαρία@example.org"))
    assert isinstance(result, Refused)
    assert result.fault is Fault.MISCONFIGURED


@pytest.mark.parametrize(
    "stage, reply, fault, code",
    [
        ("rcpt", "550 5.1.1 <maria@example.org> unknown", Fault.BAD_ADDRESS, "550 5.1.1"),
        ("rcpt", "550 no such user", Fault.DOUBTFUL_ADDRESS, "550"),
        ("rcpt", "452 4.2.2 over quota", Fault.MAILBOX_FULL, "452 4.2.2"),
        ("rcpt", "451 4.7.1 Greylisted", Fault.UNAVAILABLE, "451 4.7.1"),
        ("rcpt", "421 4.7.0 too many", Fault.THROTTLED, "421 4.7.0"),
        ("mail", "421 4.3.2 closing", Fault.THROTTLED, "421 4.3.2"),
        ("mail", "550 5.1.0 sender rejected", Fault.MISCONFIGURED, "550 5.1.0"),
        ("mail", "451 4.3.0 queue trouble", Fault.UNAVAILABLE, "451 4.3.0"),
        ("data", "554 5.7.1 spam", Fault.FILTERED, "554 5.7.1"),
        ("data", "552 5.3.4 too big", Fault.CONTENT_REFUSED, "552 5.3.4"),
        ("data", "451 4.3.0 try later", Fault.UNAVAILABLE, "451 4.3.0"),
        ("data", "598 9.9.9 what no table knows", Fault.UNEXPLAINED, "598"),
    ],
)
async def test_refusals(bench: Bench, stage: str, reply: str, fault: Fault, code: str) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port)
    relay.script[stage].append(reply)
    result = await channel.send(outbound())
    assert isinstance(result, Refused)
    assert (result.fault, result.code) == (fault, code)
    assert "maria" not in result.detail
    assert relay.mails == []
    assert isinstance(await channel.send(outbound()), Accepted), "the next mail goes out"


async def test_greylisting_waits_five_minutes(bench: Bench) -> None:
    relay = await bench.relay()
    relay.script["rcpt"].append("450 4.2.0 Greylisted")
    result = await bench.channel(relay.port).send(outbound())
    assert isinstance(result, Refused)
    assert result.retry_after == 300


async def test_refused_connection(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = await bench.channel(taken.getsockname()[1]).send(outbound())
    assert isinstance(result, Refused)
    assert result.fault is Fault.UNAVAILABLE


@pytest.mark.parametrize("stage", ["mail", "rcpt"])
@pytest.mark.parametrize("how", [HANG, DROP])
async def test_silence_before_the_text_is_no_hand_over(bench: Bench, stage: str, how: str) -> None:
    relay = await bench.relay()
    relay.script[stage].append(how)
    result = await bench.channel(relay.port, timeout=0.4).send(outbound())
    assert isinstance(result, Refused)
    assert result.fault is Fault.UNAVAILABLE
    assert relay.mails == []


@pytest.mark.parametrize("how", [HANG, DROP])
async def test_silence_after_the_final_dot_is_unknown(bench: Bench, how: str) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port, timeout=0.4)
    relay.script["data"].append(how)
    assert isinstance(await channel.send(outbound()), Unknown)
    assert isinstance(await channel.send(outbound(attempt="a2")), Accepted)
    first, second = (parsed(mail.data)["message-id"] for mail in relay.mails)
    assert first == second, "the repeat can be recognised"


async def test_answer_that_is_no_smtp(bench: Bench) -> None:
    relay = await bench.relay()
    relay.script["data"].append("what?")
    relay.script["rcpt"].append("huh")
    channel = bench.channel(relay.port)
    refused = await channel.send(outbound())
    assert isinstance(refused, Refused)
    assert refused.fault is Fault.UNAVAILABLE
    assert isinstance(await channel.send(outbound()), Unknown)


async def test_login(bench: Bench, logs: list[Any]) -> None:
    relay = await bench.relay(login=("gw", "s3cret-word"))
    right = bench.channel(relay.port, user="gw", password=Secret("s3cret-word"))
    wrong = bench.channel(relay.port, user="gw", password=Secret("wr0ng-word"))
    assert isinstance(await right.send(outbound()), Accepted)
    refused = await wrong.send(outbound())
    assert isinstance(refused, Refused)
    assert refused.fault is Fault.ACCOUNT_SHUT
    assert refused.code
    assert refused.code.startswith("535")
    assert "-word" not in repr((refused, logs))


async def test_starttls_required_but_not_offered(bench: Bench) -> None:
    relay = await bench.relay()
    result = await bench.channel(relay.port, starttls="required").send(outbound())
    assert isinstance(result, Refused)
    assert result.fault is Fault.MISCONFIGURED
    assert relay.mails == []


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay.example")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, datetime(2020, 1, 1, tzinfo=UTC), FAR)
    (folder / "cert.pem").write_bytes(made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    plain = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_unproven_certificate(bench: Bench, tmp_path: Path) -> None:
    relay = await bench.relay(tls=self_signed(tmp_path))
    required = await bench.channel(relay.port, starttls="required").send(outbound())
    assert isinstance(required, Refused)
    assert required.fault is Fault.MISCONFIGURED
    assert "certificate" in required.detail
    assert isinstance(await bench.channel(relay.port, starttls="offered").send(outbound()), Accepted)
    assert isinstance(await bench.channel(relay.port, starttls="never").send(outbound()), Accepted)


async def test_bad_addresses_and_texts_never_reach_the_wire(bench: Bench) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port)
    for to in ("a@b.example\r\nBcc: x@y.example", "a@b.example> SIZE=1", "a b@c.example", "nobody", "x@" + "é" * 80):
        result = await channel.send(outbound(to=to))
        assert isinstance(result, Refused)
        assert result.fault is Fault.BAD_ADDRESS
    for changes in (
        {"unsubscribe_url": "https://a.example/>\r\nBcc: x@y.example"},
        {"words": msgspec.structs.replace(WORDS, text="\ud800")},
    ):
        result = await channel.send(outbound(**changes))
        assert isinstance(result, Refused)
        assert result.fault is Fault.CONTENT_REFUSED
    assert relay.connections == 0


async def test_smtp_can_neither_be_asked_nor_called_by(bench: Bench) -> None:
    channel = bench.channel(1)
    attempt = Attempt(id="a1", channel="email", address="maria@example.org", times={"started": NOW})
    assert isinstance(await channel.find(outbound(), attempt), Unknown)
    await channel.recall(attempt)
    with pytest.raises(Malformed):
        channel.read(Callback(method="POST", path="", url="", headers={}, query={}, body=b"", now=NOW))
    assert not channel.traits.finds
    assert channel.traits.proves == {"accepted", "acknowledged"}


async def test_logs_hold_no_address_and_no_content(bench: Bench, logs: list[Any]) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port, timeout=0.4)
    relay.script["rcpt"].append("550 5.1.1 <maria@example.org>: Διακοπή")
    relay.script["data"].append(HANG)
    await channel.send(outbound())
    await channel.send(outbound())
    assert {entry["event"] for entry in logs} == {"email_refused", "email_answer_lost"}
    assert "maria" not in repr(logs)
    assert "Διακοπή" not in repr(logs)
