"""SMTP replies and delivery status codes become our faults, by the ordered rules of `tables/smtp_status.json`."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final, Literal

import msgspec

from gateway.channels.faults import fault_of, load_table, row_of
from gateway.message import Fault

Stage = Literal["connect", "ehlo", "auth", "mail", "rcpt", "data", "after_data_dot", "dsn"]

_ENHANCED: Final = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_DIAGNOSTIC_ENHANCED: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_DIAGNOSTIC_REPLY: Final = re.compile(r"(?<![\d.])([245]\d\d)(?![\d.])")
_STATUS: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?![\d.])")


class Verdict(msgspec.Struct, frozen=True):
    """What a reply means. `code` is reply and enhanced code as given, `meaning` our words (never the server's)."""

    fault: Fault
    code: str
    meaning: str
    retry_after: int | None = None


class _Rule(msgspec.Struct, frozen=True):
    reply: re.Pattern[str]
    enhanced: re.Pattern[str] | None
    stages: frozenset[str]
    fault: Fault
    meaning: str
    retry_after: int | None


def explain(stage: Stage, reply: int | str, text: str = "") -> Verdict:
    """The verdict on a server's reply; `reply` is the code, or "timeout" or "disconnect" where there was none.

    The enhanced code (RFC 2034) counts only at the start of the text and with the reply's own first digit.
    """
    code = str(reply)
    found = _ENHANCED.match(text)
    enhanced = found[1] if found and found[1][0] == code[0] else ""
    return _verdict(stage, code, enhanced)


def explain_dsn(status: str, diagnostic: str) -> Verdict:
    """The verdict on a final failure in a delivery report (RFC 3464): its Status and Diagnostic-Code fields.

    Whatever the code's first digit, the report is final: the mail system has done the waiting already.
    """
    found = _STATUS.match(status)
    enhanced = found[1] if found else ""
    if not enhanced or enhanced.endswith(".0.0"):
        better = _DIAGNOSTIC_ENHANCED.search(diagnostic)
        if better and (not enhanced or better[1][0] == enhanced[0]):
            enhanced = better[1]
    digit = enhanced[:1] or "5"
    # "5xx" fits the rules for a whole class and none for a single reply code.
    reply = next((code for code in _DIAGNOSTIC_REPLY.findall(diagnostic) if code[0] == digit), f"{digit}xx")
    verdict = _verdict("dsn", reply, "" if enhanced.endswith(".0.0") else enhanced)
    return msgspec.structs.replace(verdict, fault=_final(verdict.fault), retry_after=None)


def _final(fault: Fault) -> Fault:
    if fault in (Fault.UNAVAILABLE, Fault.THROTTLED, Fault.QUOTA):
        return Fault.UNREACHABLE
    # One receiver's opinion of us must not shut the whole channel.
    return Fault.MISCONFIGURED if fault is Fault.ACCOUNT_SHUT else fault


def _verdict(stage: Stage, reply: str, enhanced: str) -> Verdict:
    code = " ".join(part for part in (reply, enhanced) if part and "x" not in part)
    for rule in _rules():
        if not rule.stages & {stage, "any"} or rule.reply.fullmatch(reply) is None:
            continue
        if rule.enhanced is None or rule.enhanced.fullmatch(enhanced):
            return Verdict(rule.fault, code, rule.meaning, rule.retry_after)
    return Verdict(Fault.UNEXPLAINED, code, "a reply that no rule knows")


@cache
def _rules() -> tuple[_Rule, ...]:
    return tuple(_rule(raw) for raw in load_table("smtp_status"))


def _rule(raw: dict[str, Any]) -> _Rule:
    row = row_of(raw)
    return _Rule(
        reply=re.compile(raw["reply"]),
        enhanced=re.compile(raw["enhanced"]) if raw["enhanced"] else None,
        stages=frozenset(raw["stage"].split("|")),
        fault=Fault(raw["fault"]) if "fault" in raw else fault_of(row),
        meaning=row.meaning,
        retry_after=raw.get("retry_after"),
    )
