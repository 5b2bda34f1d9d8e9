"""Reads the mails that come back: delivery reports, old-fashioned bounces, complaints, automatic replies.

Which attempt came back is told by the signed return path or envelope id (`verp`), never by addresses in the text. What
happened is told by the report (RFC 3464); where there is none, flufl.bounce's detectors are asked. The report's Action
decides, not the first digit of its Status: a 4.x.x that failed has failed for good.

Everything here comes from strangers: any bytes at all give a `BounceNews`, never an exception.
"""

from __future__ import annotations

import binascii
import email
import email.message
import email.policy
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias, cast

import flufl.bounce
import msgspec
import structlog

from gateway.channels.smtp_faults import explain_dsn
from gateway.channels.verp import REF_HEADER, VerpReader
from gateway.message import AttemptStatus, Fault, Receipt

_SIZE_MAX: Final = 262_144  # a report stands before the original it returns
_PARTS_MAX: Final = 200
_EDGES_MAX: Final = 2_000  # lines that begin as a boundary does: each may cost a part
_RETURN_HEADERS: Final = ("X-Original-To", "Delivered-To", "Envelope-To", "To")
_EMBEDDED_HEADERS: Final = (REF_HEADER, "Return-Path")
_ADDRESSES: Final = re.compile(r"[^\s<>,;\"]+@[^\s<>,;\"]+")
_DAEMON: Final = re.compile(r"mailer-daemon|postmaster|mail delivery", re.IGNORECASE)
_REPLY_IN_TEXT: Final = re.compile(r"(?<![\d.])(([45])\d\d)[ -]#?((\2)\.\d{1,3}\.\d{1,3})(?![\d.])")
_NO_COMPLAINT: Final = frozenset(("auth-failure", "not-spam", "virus"))
_ACTIONS: Final[dict[str, AttemptStatus]] = {
    "failed": "failed",
    "delayed": "sent",
    "delivered": "delivered",
    "relayed": "sent",
    "expanded": "sent",
}
_ACTION_OF_CLASS: Final = {"2": "delivered", "4": "delayed", "5": "failed"}

log = structlog.get_logger()
# It logs what its detectors stumble over, with a traceback, once for each mail that a stranger sends.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)

_Mail: TypeAlias = "email.message.Message[str, str]"


class BounceNews(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a returned mail said.

    `receipts` are (message id, receipt). `about`: the (message id, attempt id) that came back, also without a receipt.
    `complaint`: the person reported us as unwanted. `auto_reply`: an absence note and the like, to be ignored.
    `recipient`: the address spoken of, for operators. `reason`: why there is no receipt, in one word or two.
    """

    receipts: tuple[tuple[str, Receipt], ...] = ()
    about: tuple[str, str] | None = None
    complaint: bool = False
    auto_reply: bool = False
    recipient: str | None = None
    reason: str = ""


class _Report(msgspec.Struct, frozen=True):
    """One recipient's part of a delivery report."""

    recipient: str | None
    action: str
    status: str
    diagnostic: str


def parse(raw: bytes, read: VerpReader, now: int, envelope_to: Sequence[str] = ()) -> BounceNews:
    """What this mail says. `envelope_to`: whom it was delivered to (SMTP's RCPT TO), where known; `now` in ms.

    Takes under 5 ms for a real bounce, up to 0.3 s for one made to be slow: call it in a thread.
    """
    try:
        return _parse(raw[:_SIZE_MAX], read, now, envelope_to)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError) as bad:
        # The standard parser promises never to fail, but its accessors do on mails made to break them.
        log.warning("bounce_unreadable", error=type(bad).__name__)
        return BounceNews(reason="unreadable")


def _parse(raw: bytes, read: VerpReader, now: int, envelope_to: Sequence[str]) -> BounceNews:
    if raw.count(b"\n--") > _EDGES_MAX:
        return BounceNews(reason="unreadable")  # the detectors take seconds over so many parts
    mail = email.message_from_bytes(raw, policy=email.policy.compat32)
    parts = _parts(mail)
    reports = [report for part in parts if _is(part, "delivery-status") for report in _reports(part)]
    about = _about(mail, parts, read, envelope_to)
    if any(_is(part, "delivery-status") for part in parts):
        return _from_reports(reports, about, now)
    if (complaint := _complaint(mail, parts)) is not None:
        return _from_complaint(complaint, about, now)
    if any(_is(part, "feedback-report") for part in parts):
        return BounceNews(about=about, reason="no_complaint")  # of our signature, or that somebody wants our mail
    if any(_is(part, "delivery-status") for part in mail.walk()):
        return BounceNews(about=about, reason="no_bounce")  # somebody forwards a report; the detectors would read it
    if _is_auto_reply(mail):
        return BounceNews(auto_reply=True, about=about, reason="auto_reply")
    return _from_text(mail, parts, about, now)


def _from_reports(reports: list[_Report], about: tuple[str, str] | None, now: int) -> BounceNews:
    recipient = next((report.recipient for report in reports if report.recipient), None)
    known = [report for report in reports if report.action in _ACTIONS]
    if about is None or not known:
        return BounceNews(about=about, recipient=recipient, reason="unmatched" if known else "no_action")
    receipts = tuple((about[0], _receipt(report, about[1], now)) for report in known)
    return BounceNews(receipts=receipts, about=about, recipient=recipient)


def _receipt(report: _Report, attempt: str, now: int) -> Receipt:
    status = _ACTIONS[report.action]
    if status != "failed":
        return Receipt(attempt=attempt, at=now, status=status, provider_code=report.status.strip()[:12] or None)
    verdict = explain_dsn(report.status, report.diagnostic)
    return Receipt(attempt=attempt, at=now, status=status, fault=verdict.fault, provider_code=verdict.code)


def _from_complaint(recipient: str, about: tuple[str, str] | None, now: int) -> BounceNews:
    news = BounceNews(complaint=True, about=about, recipient=recipient or None, reason="" if about else "unmatched")
    if about is None:
        return news
    # Who complains about a mail has it.
    delivered = Receipt(attempt=about[1], at=now, status="delivered")
    return msgspec.structs.replace(news, receipts=((about[0], delivered),))


def _from_text(mail: _Mail, parts: list[_Mail], about: tuple[str, str] | None, now: int) -> BounceNews:
    waiting, failed = _detected(mail)
    found = sorted(failed or waiting)
    if not found:
        return BounceNews(about=about, reason="no_bounce")
    recipient = found[0].decode("ascii", "replace")
    if about is None or not failed:
        return BounceNews(about=about, recipient=recipient, reason="delayed" if waiting else "unmatched")
    verdict = _code_in_text(parts)
    fault, code = verdict or (Fault.DOUBTFUL_ADDRESS, None)
    receipt = Receipt(attempt=about[1], at=now, status="failed", fault=fault, provider_code=code)
    return BounceNews(receipts=((about[0], receipt),), about=about, recipient=recipient)


def _detected(mail: _Mail) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """(delayed, failed) recipients as flufl.bounce finds them."""
    try:
        return cast("tuple[frozenset[bytes], frozenset[bytes]]", cast("Any", flufl.bounce).all_failures(mail))
    except Exception as bad:  # noqa: BLE001 - a boundary: seventeen heuristics of a library over hostile text
        log.warning("bounce_detector_failed", error=type(bad).__name__)
        return frozenset(), frozenset()


def _code_in_text(parts: list[_Mail]) -> tuple[Fault, str] | None:
    """The fault of the first "550 5.1.1" in the text; lone numbers prove nothing and are passed over."""
    for part in parts:
        if part.get_content_maintype() == "text" and (found := _REPLY_IN_TEXT.search(_text(part))):
            verdict = explain_dsn(found[3], f"{found[1]} {found[3]}")
            return verdict.fault, verdict.code
    return None


def _about(mail: _Mail, parts: list[_Mail], read: VerpReader, envelope_to: Sequence[str]) -> tuple[str, str] | None:
    """Which attempt: by return path, then envelope id, then what the returned original carries."""
    for clue in _clues(mail, parts, envelope_to):
        if (found := read(clue)) is not None:
            return found
    return None


def _clues(mail: _Mail, parts: list[_Mail], envelope_to: Sequence[str]) -> Iterator[str]:
    yield from envelope_to
    for name in _RETURN_HEADERS:
        yield from _addresses(mail, name)
    for part in parts:
        if _is(part, "delivery-status"):
            for block in _blocks(part):
                yield str(block.get("Original-Envelope-Id", "")).strip()
    for part in parts:
        if _is(part, "feedback-report"):
            for block in _blocks(part):
                yield from _addresses(block, "Original-Mail-From")
    for original in _originals(parts):
        for name in _EMBEDDED_HEADERS:
            for value in original.get_all(name, []):
                yield str(value).strip().strip("<>")


def _originals(parts: list[_Mail]) -> Iterator[_Mail]:
    """The returned mail's own headers, whole or headers alone."""
    for part in parts:
        if part.get_content_type() == "message/rfc822":
            yield from _blocks(part)
        elif part.get_content_type() in ("text/rfc822-headers", "message/rfc822-headers"):
            yield email.message_from_string(_text(part), policy=email.policy.compat32)


def _complaint(mail: _Mail, parts: list[_Mail]) -> str | None:
    """The complaining recipient ("" where it isn't told) when this is a complaint (ARF, RFC 5965), else None."""
    blocks = [block for part in parts if _is(part, "feedback-report") for block in _blocks(part)]
    if not blocks and str(mail.get_param("report-type", "")).lower() != "feedback-report":
        return None
    kinds = {str(block.get("Feedback-Type", "")).strip().lower() for block in blocks}
    if kinds & _NO_COMPLAINT:
        return None
    told = (found for block in blocks for found in _addresses(block, "Original-Rcpt-To"))
    return next(told, "")


def _is_auto_reply(mail: _Mail) -> bool:
    """RFC 3834. Old mail systems mark real bounces the same way, but sign them as what they are."""
    marked = str(mail.get("Auto-Submitted", "no")).partition(";")[0].strip().lower() != "no"
    marked = marked or "X-Autoreply" in mail or "X-Autorespond" in mail
    marked = marked or str(mail.get("Precedence", "")).strip().lower() == "auto_reply"
    bounced = "X-Failed-Recipients" in mail or _DAEMON.search(str(mail.get("From", "")))
    return marked and not bounced


def _reports(part: _Mail) -> Iterator[_Report]:
    for block in _blocks(part):
        status, action = str(block.get("Status", "")), str(block.get("Action", "")).split("(")[0].strip().lower()
        addresses = [*_addresses(block, "Original-Recipient"), *_addresses(block, "Final-Recipient")]
        if status or action:
            yield _Report(
                recipient=next(iter(addresses), None),
                action=action or _ACTION_OF_CLASS.get(status.strip()[:1], ""),
                status=status,
                diagnostic=str(block.get("Diagnostic-Code", "")),
            )


def _addresses(mail: _Mail, name: str) -> list[str]:
    return [found for value in mail.get_all(name, []) for found in _ADDRESSES.findall(str(value))]


def _parts(mail: _Mail) -> list[_Mail]:
    """The mail's own parts, without walking into a returned original: what that holds is no report about it."""
    found: list[_Mail] = []
    queue = [mail]
    while queue and len(found) < _PARTS_MAX:
        part = queue.pop(0)
        found.append(part)
        if part.get_content_maintype() == "multipart":
            queue.extend(_blocks(part))
    return found


def _blocks(part: _Mail) -> list[_Mail]:
    """The messages inside a part: header blocks of a report, the returned mail, the parts of a multipart."""
    payload = cast("object", part.get_payload())
    # The parser takes message/delivery-status apart, but neither its UTF-8 form (RFC 6533) nor one in base64.
    global_report = part.get_content_type() == "message/global-delivery-status"
    if isinstance(payload, list) and not global_report and not _in_base64(part):
        return [cast("_Mail", block) for block in cast("list[object]", payload)]
    if _is(part, "delivery-status") or _is(part, "feedback-report"):
        blocks = re.split(r"\n\s*\n", _text(part).replace("\r\n", "\n"))
        return [email.message_from_string(block, policy=email.policy.compat32) for block in blocks]
    return []


def _is(part: _Mail, kind: str) -> bool:
    return part.get_content_type() in (f"message/{kind}", f"message/global-{kind}")


def _in_base64(part: _Mail) -> bool:
    return str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64"


def _text(part: _Mail) -> str:
    payload = cast("object", part.get_payload(decode=not part.is_multipart()))
    if isinstance(payload, list):
        text = "\n\n".join(str(inner) for inner in cast("list[object]", payload))
        return binascii.a2b_base64(text).decode("utf-8", "replace") if _in_base64(part) else text
    return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
