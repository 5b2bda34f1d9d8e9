"""The tour's words for what becomes of a message."""

from __future__ import annotations

from typing import Final

from gateway.message import Attempt, Fault, Message
from gateway.routing.retry import REMEDIES

CHANNELS: Final = {"wechat": "WeChat", "sms": "SMS", "voice": "Voice", "email": "E-mail"}
MARKS: Final = {
    "delivered": "[bold green]✓[/]",
    "failed": "[bold red]✗[/]",
    "unknown": "[bold yellow]?[/]",
    "started": "[cyan]›[/]",
    "accepted": "[yellow]…[/]",
    "sent": "[yellow]…[/]",
}


def channel(name: str) -> str:
    """A channel as people call it."""
    return CHANNELS.get(name, name)


def inline(name: str) -> str:
    """The same within a sentence."""
    return name if name not in CHANNELS else CHANNELS[name] if name in ("sms", "wechat") else CHANNELS[name].lower()


def fate(attempt: Attempt, *, last: bool) -> str:
    """What became of a try, or what it is up to. `last`: no other try has begun since."""
    match attempt.status:
        case "started":
            return "being handed over"
        case "unknown":
            return "the carrier's answer was lost: it may or may not have it"
        case "failed":
            code = f" (code {attempt.provider_code})" if attempt.provider_code else ""
            return REMEDIES[attempt.fault or Fault.UNEXPLAINED].text.rstrip(".") + code
        case "delivered":
            return _delivered(attempt)
        case _:
            return _open(attempt, last=last)


def _delivered(attempt: Attempt) -> str:
    answered = attempt.engagement in ("acknowledged", "answered")
    if attempt.channel == "voice":
        return "a person answered, heard it and pressed 1" if answered else "a person answered and heard it out"
    return "answered" if answered else "the receipt came: delivered"


def _open(attempt: Attempt, *, last: bool) -> str:
    if attempt.channel == "voice":
        if attempt.answered_by == "machine":
            return "an answering machine took the call: that doesn't count"
        if attempt.ended:
            return "the call ended before it was heard out"
        return "a person listens" if "human" in attempt.times else "calling"
    if attempt.channel == "email":
        return "the mail host took it; that alone proves nothing"
    return "the carrier has it, no receipt yet" if last else "the carrier has it; no receipt came in time"


def verdict(message: Message) -> str:
    """How a message ended, in a few words."""
    end = message.verdict
    match end.state:
        case "reached":
            how = {"acknowledged": " and acknowledged", "delivered": ", with proof"}.get(end.level or "", "")
            return f"reached by {inline(end.channel or '')}{how}"
        case "pending":
            return message.held.text if message.held is not None else "under way"
        case _:
            return end.text or end.code or end.state


def route(message: Message) -> str:
    """The tries so far in one line, for the terminal."""
    return " → ".join(f"{channel(one.channel)} {MARKS[one.status]}" for one in message.attempts)


def why_not(message: Message) -> str:
    """Why somebody was not reached, from what was tried."""
    if not message.attempts:
        return "nothing is left to try"
    fates: dict[str, str] = {}
    for one in message.attempts:
        fates[one.channel] = _short(one)
    return "; ".join(f"{channel(name)}: {words}" for name, words in fates.items())


def _short(attempt: Attempt) -> str:
    if attempt.status == "failed":
        return _FAULTS.get(attempt.fault or Fault.UNEXPLAINED, "failed")
    if attempt.status == "unknown":
        return "answer lost"
    if attempt.channel == "voice":
        return "an answering machine" if attempt.answered_by == "machine" else "not heard out"
    return "taken, no proof" if attempt.channel == "email" else "no receipt"


_FAULTS: Final = {
    Fault.BAD_ADDRESS: "no such address",
    Fault.DECLINED: "declined",
    Fault.OPTED_OUT: "blocked",
    Fault.NO_ANSWER: "rang out",
    Fault.BUSY: "busy",
    Fault.UNAVAILABLE: "was down",
    Fault.UNREACHABLE: "out of reach",
}
