"""Replies and delivery codes against the table."""

from __future__ import annotations

import pytest

from gateway.channels.faults import load_table
from gateway.channels.smtp_faults import Stage, explain, explain_dsn
from gateway.message import Fault


@pytest.mark.parametrize(
    "stage, reply, text, fault",
    [
        ("connect", 554, "no service for you", Fault.ACCOUNT_SHUT),
        ("connect", 421, "too many connections", Fault.THROTTLED),
        ("connect", 521, "host does not accept mail", Fault.ACCOUNT_SHUT),
        ("auth", 535, "5.7.8 bad credentials", Fault.ACCOUNT_SHUT),
        ("auth", 535, "authentication failed", Fault.ACCOUNT_SHUT),
        ("auth", 550, "go away", Fault.ACCOUNT_SHUT),
        ("auth", 454, "4.7.0 temporary authentication failure", Fault.THROTTLED),
        ("ehlo", 530, "5.7.0 Must issue a STARTTLS command first", Fault.MISCONFIGURED),
        ("mail", 530, "5.7.0 authentication required", Fault.MISCONFIGURED),
        ("mail", 553, "sender not allowed", Fault.MISCONFIGURED),
        ("mail", 550, "5.7.1 relay access denied", Fault.ACCOUNT_SHUT),
        ("rcpt", 550, "5.1.1 user unknown", Fault.BAD_ADDRESS),
        ("rcpt", 550, "user unknown", Fault.DOUBTFUL_ADDRESS),
        ("rcpt", 550, "4.1.1 first digits disagree", Fault.DOUBTFUL_ADDRESS),
        ("rcpt", 550, "user 5.1.1 not at the start", Fault.DOUBTFUL_ADDRESS),
        ("rcpt", 550, "5.4.1 recipient address rejected", Fault.DOUBTFUL_ADDRESS),
        ("rcpt", 450, "4.1.1 lookup failing", Fault.UNAVAILABLE),
        ("rcpt", 552, "over quota", Fault.MAILBOX_FULL),
        ("rcpt", 554, "refused", Fault.FILTERED),
        ("rcpt", 556, "domain takes no mail", Fault.BAD_ADDRESS),
        ("data", 552, "too large", Fault.CONTENT_REFUSED),
        ("data", 550, "5.7.1 spam", Fault.FILTERED),
        ("data", 550, "5.7.515 access denied, sender domain doesn't meet the level", Fault.ACCOUNT_SHUT),
        ("data", 421, "4.7.28 unusual rate", Fault.THROTTLED),
        ("data", 451, "4.7.650 deferred", Fault.THROTTLED),
        ("rcpt", 252, "cannot verify", Fault.UNEXPLAINED),
    ],
)
def test_replies(stage: Stage, reply: int, text: str, fault: Fault) -> None:
    assert explain(stage, reply, text).fault is fault


@pytest.mark.parametrize("stage", ["connect", "ehlo", "auth", "mail"])
def test_nothing_said_before_the_recipient_blames_the_recipient(stage: Stage) -> None:
    for reply in (*range(400, 460), *range(500, 560)):
        # Not x.4.1: a route is looked up for a recipient, so that is never said so early.
        for enhanced in ("1.1", "1.2", "2.1", "2.2", "0.0", ""):
            fault = explain(stage, reply, f"{reply // 100}.{enhanced} text" if enhanced else "text").fault
            assert fault not in (Fault.BAD_ADDRESS, Fault.DOUBTFUL_ADDRESS, Fault.MAILBOX_FULL)


def test_silence() -> None:
    assert explain("mail", "timeout").fault is Fault.UNAVAILABLE
    assert explain("rcpt", "disconnect").fault is Fault.UNAVAILABLE


def test_codes_and_waits() -> None:
    verdict = explain("rcpt", 450, "4.2.0 <someone@example.org> greylisted")
    assert (verdict.code, verdict.retry_after) == ("450 4.2.0", 300)
    assert "someone" not in verdict.meaning
    assert explain("data", 550, "no enhanced code").code == "550"


@pytest.mark.parametrize(
    "status, diagnostic, fault, code",
    [
        ("5.1.1", "smtp; 550 5.1.1 <a@b.example> unknown", Fault.BAD_ADDRESS, "550 5.1.1"),
        ("4.2.2", "smtp; 452 4.2.2 over quota", Fault.MAILBOX_FULL, "452 4.2.2"),
        ("4.4.1", "", Fault.UNREACHABLE, "4.4.1"),
        ("4.4.7", "smtp; 451 4.4.7 expired", Fault.UNREACHABLE, "451 4.4.7"),
        ("4.7.1", "smtp; 451 4.7.1 greylisted to the end", Fault.UNREACHABLE, "451 4.7.1"),
        ("5.0.0", "smtp; 550 5.1.1 unknown user", Fault.BAD_ADDRESS, "550 5.1.1"),
        ("5.0.0", "smtp; 550 unknown user", Fault.DOUBTFUL_ADDRESS, "550"),
        ("5.0.0", "X-Unix; 69", Fault.UNEXPLAINED, ""),
        ("5.1.1", "smtp; host 192.0.2.55 [10.4.50.1] said no", Fault.BAD_ADDRESS, "5.1.1"),
        ("5.4.4", "X-Postfix; host 198.51.100.550 not found", Fault.BAD_ADDRESS, "5.4.4"),
        ("5.7.26", "smtp; 550 5.7.26 unauthenticated mail", Fault.MISCONFIGURED, "550 5.7.26"),
        ("", "smtp; 550 5.2.1 disabled", Fault.BAD_ADDRESS, "550 5.2.1"),
        ("", "", Fault.UNEXPLAINED, ""),
        ("5.1.1 (bad destination mailbox address)", "", Fault.BAD_ADDRESS, "5.1.1"),
        ("nonsense", "\x00\x00", Fault.UNEXPLAINED, ""),
    ],
)
def test_delivery_reports(status: str, diagnostic: str, fault: Fault, code: str) -> None:
    verdict = explain_dsn(status, diagnostic)
    assert (verdict.fault, verdict.code, verdict.retry_after) == (fault, code, None)


def test_every_row_says_something_known() -> None:
    words = {"reply", "enhanced", "stage", "class", "retry", "fallback", "suppress", "meaning", "fault", "retry_after"}
    for row in load_table("smtp_status"):
        assert set(row) <= words
        assert row["meaning"]
