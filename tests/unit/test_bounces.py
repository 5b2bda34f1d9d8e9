"""Returned mails: real bounces of Postfix, reports of every Action, old formats, complaints, absence notes, noise."""

from __future__ import annotations

import base64
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.channels import bounces
from gateway.channels.bounces import BounceNews
from gateway.channels.verp import verp_address, verp_reader, verp_token
from gateway.message import Fault, Receipt

NOW = 1_795_327_932_000
KEY = b"k" * 32
PATH = verp_address("m1", "a1", domain="back.example", key=KEY)
TOKEN = verp_token("m1", "a1", KEY)
READER = verp_reader(KEY)
SAMPLES = Path(__file__).parent.parent / "data" / "postfix_dsn"


def crlf(text: str) -> bytes:
    return text.lstrip("\n").replace("\n", "\r\n").encode()


def read(text: str | bytes, to: str = "") -> BounceNews:
    return bounces.parse(crlf(text) if isinstance(text, str) else text, READER, NOW, [to] if to else [])


def failed(fault: Fault, code: str | None, attempt: str = "a1") -> Receipt:
    return Receipt(attempt=attempt, at=NOW, status="failed", fault=fault, provider_code=code)


@pytest.mark.parametrize(
    "number, fault, code, recipient",
    [
        (0, Fault.BAD_ADDRESS, "550 5.1.1", "nouser@example.org"),
        (1, Fault.FILTERED, "550 5.7.1", "ok@example.org"),
        (2, Fault.MAILBOX_FULL, "452 4.2.2", "full@example.org"),
    ],
)
@pytest.mark.parametrize("way", ["return path", "envelope id"])
def test_postfix(number: int, fault: Fault, code: str, recipient: str, way: str) -> None:
    raw = (SAMPLES / f"postfix_dsn_{number}.eml").read_bytes()
    mail = message_from_bytes(raw, policy=policy.default)
    kept = {"return path": str(mail["to"]), "envelope id": f"msg{(0, 2, 1)[number]}"}[way]

    def reader(text: str) -> tuple[str, str] | None:
        return ("m9", "a9") if text == kept else None

    news = bounces.parse(raw, reader, NOW)
    assert news == BounceNews(receipts=(("m9", failed(fault, code, "a9")),), about=("m9", "a9"), recipient=recipient)
    assert bounces.parse(raw, lambda _: None, NOW) == BounceNews(recipient=recipient, reason="unmatched")


REPORT = """
From: MAILER-DAEMON@mx.example
To: {to}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Something happened.
--b
Content-Type: {kind}

Reporting-MTA: dns; mx.example
{envelope}

Final-Recipient: rfc822; maria@example.org
{fields}

--b--
"""


def report(fields: str, *, to: str = PATH, envelope: str = "", kind: str = "message/delivery-status") -> str:
    return REPORT.format(fields=fields, to=to, envelope=envelope or "X-None: 1", kind=kind)


@pytest.mark.parametrize(
    "fields, receipt",
    [
        ("Action: failed\nStatus: 5.1.1", failed(Fault.BAD_ADDRESS, "5.1.1")),
        ("Action: Failed (bad)\nStatus: 4.4.1", failed(Fault.UNREACHABLE, "4.4.1")),
        ("Action: failed\nStatus: 5.7.26", failed(Fault.MISCONFIGURED, "5.7.26")),
        (
            "Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 5.2.1 off",
            failed(Fault.BAD_ADDRESS, "550 5.2.1"),
        ),
        ("Status: 5.1.1", failed(Fault.BAD_ADDRESS, "5.1.1")),
        ("Action: delayed\nStatus: 4.4.1", Receipt(attempt="a1", at=NOW, status="sent", provider_code="4.4.1")),
        ("Action: delivered\nStatus: 2.0.0", Receipt(attempt="a1", at=NOW, status="delivered", provider_code="2.0.0")),
        ("Action: relayed\nStatus: 2.0.0", Receipt(attempt="a1", at=NOW, status="sent", provider_code="2.0.0")),
        ("Action: expanded\nStatus: 2.0.0", Receipt(attempt="a1", at=NOW, status="sent", provider_code="2.0.0")),
    ],
)
def test_action_decides(fields: str, receipt: Receipt) -> None:
    news = read(report(fields))
    assert news == BounceNews(receipts=(("m1", receipt),), about=("m1", "a1"), recipient="maria@example.org")


def test_action_of_no_known_kind() -> None:
    news = read(report("Action: pondered\nStatus: 2.0.0"))
    assert (news.receipts, news.reason, news.auto_reply) == ((), "no_action", False)


@pytest.mark.parametrize("kind", ["message/global-delivery-status", "message/delivery-status"])
def test_internationalised_report(kind: str) -> None:
    news = read(report("Action: failed\nStatus: 5.1.1", kind=kind))
    assert news.receipts == (("m1", failed(Fault.BAD_ADDRESS, "5.1.1")),)


def test_report_in_base64() -> None:
    fields = "Action: failed\nStatus: 5.1.1"
    plain = report(fields)
    inner = plain.partition("Content-Type: message/delivery-status\n\n")[2].partition("\n--b--")[0]

    sealed = base64.encodebytes(inner.encode()).decode()
    kind = "Content-Type: message/delivery-status\n"
    mail = plain.replace(f"{kind}\n{inner}", f"{kind}Content-Transfer-Encoding: base64\n\n{sealed}")
    assert read(mail).receipts == (("m1", failed(Fault.BAD_ADDRESS, "5.1.1")),)


@pytest.mark.parametrize("clue", ["envelope_to", "Delivered-To", "X-Original-To", "envelope id"])
def test_correlation(clue: str) -> None:
    envelope = f"Original-Envelope-Id: {TOKEN}" if clue == "envelope id" else ""
    text = report("Action: failed\nStatus: 5.1.1", to="someone@example.org", envelope=envelope)
    if clue in ("Delivered-To", "X-Original-To"):
        text = f"{clue}: <{PATH}>\n" + text.lstrip("\n")
    assert read(text, PATH if clue == "envelope_to" else "").about == ("m1", "a1")


def test_returned_original_names_the_attempt() -> None:
    text = report("Action: failed\nStatus: 5.1.1", to="no-reply@acme.example")
    original = f"--b\nContent-Type: text/rfc822-headers\n\nX-Message-Ref: {TOKEN}\nSubject: x\n\n--b--"
    assert read(text.replace("--b--", original)).about == ("m1", "a1")


def test_forged_return_path_is_nobody() -> None:
    forged = PATH.replace("m1", "m2")
    news = read(report("Action: failed\nStatus: 5.1.1", to=forged), forged)
    assert news == BounceNews(recipient="maria@example.org", reason="unmatched")


def test_report_quoted_inside_a_returned_mail_is_no_report() -> None:
    inner = report("Action: failed\nStatus: 5.1.1").lstrip("\n")
    text = f"From: maria@example.org\nTo: {PATH}\nContent-Type: message/rfc822\n\n{inner}"
    assert read(text).receipts == ()


QMAIL = f"""
From: MAILER-DAEMON@old.example
To: {PATH}
Subject: failure notice

Hi. This is the qmail-send program at old.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<maria@example.org>:
192.0.2.55 does not like recipient.
Remote host said: 550 5.1.1 <maria@example.org>... User unknown
Giving up on 192.0.2.55.

--- Below this line is a copy of the message.
"""


def test_old_bounce() -> None:
    news = read(QMAIL)
    assert news.receipts == (("m1", failed(Fault.BAD_ADDRESS, "550 5.1.1")),)
    assert news.recipient == "maria@example.org"


def test_old_bounce_without_a_code() -> None:
    news = read(QMAIL.replace("550 5.1.1 ", ""))
    assert news.receipts == (("m1", failed(Fault.DOUBTFUL_ADDRESS, None)),)
    assert read(QMAIL.replace(PATH, "no-reply@acme.example")).reason == "unmatched"


def test_absence_note() -> None:
    text = f"From: Maria <maria@example.org>\nTo: {PATH}\nSubject: Away\nAuto-Submitted: auto-replied (vacation)\n\nBack on Monday."
    assert read(text) == BounceNews(auto_reply=True, about=("m1", "a1"), reason="auto_reply")
    old = text.replace("Auto-Submitted: auto-replied (vacation)", "X-Autoreply: yes")
    assert read(old).auto_reply
    asked = text.replace("auto-replied (vacation)", "no")
    assert read(asked) == BounceNews(about=("m1", "a1"), reason="no_bounce")


COMPLAINT = """
From: feedback@isp.example
To: abuse@acme.example
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is a complaint.
--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: isp/1.0
Version: 1
{more}

--b
Content-Type: message/rfc822

From: no-reply@acme.example
Message-ID: <tok@acme.example>
{original}
Subject: x

y
--b--
"""


@pytest.mark.parametrize("kind", ["abuse", "Abuse", "fraud", "opt-out", "other"])
def test_complaint(kind: str) -> None:
    text = COMPLAINT.format(kind=kind, more="Original-Rcpt-To: <maria@example.org>", original=f"X-Message-Ref: {TOKEN}")
    delivered = Receipt(attempt="a1", at=NOW, status="delivered")
    assert read(text) == BounceNews(
        receipts=(("m1", delivered),), about=("m1", "a1"), complaint=True, recipient="maria@example.org"
    )


def test_complaint_correlated_by_return_path() -> None:
    text = COMPLAINT.format(kind="abuse", more=f"Original-Mail-From: <{PATH}>", original="X-None: 1")
    assert (read(text).about, read(text).complaint) == (("m1", "a1"), True)
    text = COMPLAINT.format(kind="abuse", more="X-None: 1", original=f"Return-Path: <{PATH}>")
    assert (read(text).about, read(text).recipient) == (("m1", "a1"), None)


def test_complaint_about_an_unknown_mail() -> None:
    text = COMPLAINT.format(kind="abuse", more="Original-Rcpt-To: maria@example.org", original="X-None: 1")
    assert read(text) == BounceNews(complaint=True, recipient="maria@example.org", reason="unmatched")


@pytest.mark.parametrize("kind", ["auth-failure", "not-spam", "virus"])
def test_feedback_that_is_no_complaint(kind: str) -> None:
    assert not read(COMPLAINT.format(kind=kind, more="X: 1", original=f"X-Message-Ref: {TOKEN}")).complaint


def test_complaint_without_its_report_part() -> None:
    text = COMPLAINT.format(kind="abuse", more="X: 1", original=f"X-Message-Ref: {TOKEN}")
    news = read(text.replace("message/feedback-report", "text/plain"))
    assert (news.complaint, news.about) == (True, ("m1", "a1"))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff" * 500,
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n" * 50,
        b"Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n!!!",
        b"Content-Type: text/plain; charset=no-such\nAuto-Submitted: \xff\nTo: \xff@\xfe\n\n\xff",
        b"Content-Type: message/rfc822\n\n" * 3000,
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * 3000,
        b"Content-Type: multipart/report; report-type*=utf-8''%ff; boundary=b\n\n--b--",
        b"X: y\n" * 200_000,
    ],
)
def test_hostile_mails(raw: bytes) -> None:
    news = bounces.parse(raw, READER, NOW, ["x", PATH])
    assert news.receipts == ()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2000), st.integers(0, 200))
def test_damaged_bounces_never_raise(noise: bytes, at: int, cut: int) -> None:
    raw = (SAMPLES / "postfix_dsn_0.eml").read_bytes()
    assert isinstance(bounces.parse(raw[:at] + noise + raw[at + cut :], READER, NOW), BounceNews)
