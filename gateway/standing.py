"""How a message stands in the broadcast it belongs to: one state of five, and what counts beside it.

Pure, and derived from the record alone, so whoever counts again from the records counts the same.
"""

from __future__ import annotations

from typing import Final, Literal

from gateway.message import Attempt, Message
from gateway.prompts import PAGE

Standing = Literal["waiting", "told_only", "reached", "unreached", "suppressed"]
"""Each message of a broadcast has exactly one, so the five counts sum to the number of messages."""

STANDINGS: Final[tuple[Standing, ...]] = ("waiting", "told_only", "reached", "unreached", "suppressed")
NAMES: Final[tuple[str, ...]] = (*STANDINGS, "told", "acknowledged")
"""The states, and what stands beside them."""
_TOLD: Final = ("accepted", "sent", "delivered")


def told(message: Message) -> bool:
    """Whether a provider has accepted an attempt."""
    return any(map(taken, message.attempts))


def taken(attempt: Attempt) -> bool:
    """Whether a provider has accepted this attempt."""
    return any(name in attempt.times for name in _TOLD)


def acknowledged(message: Message) -> bool:
    """Whether the person answered or acknowledged, by whatever way."""
    return message.answer is not None or message.acknowledged_at is not None or bool(_acknowledging(message))


def standing(message: Message) -> Standing:
    """The state of a message in its broadcast. Whoever has answered is reached, also where an update took its place."""
    if not message.done:
        return "told_only" if told(message) else "waiting"
    if acknowledged(message):
        return "reached"
    match message.verdict.state:
        case "reached":
            return "reached"
        case "unreached" | "expired":
            return "unreached"
        case "suppressed":
            return "suppressed"
        case _:
            return "told_only" if told(message) else "suppressed"


def names(message: Message) -> frozenset[str]:
    """Under which names the message is listed: its state, "told", "acknowledged"."""
    found: set[str] = {standing(message)}
    if told(message):
        found.add("told")
    if acknowledged(message):
        found.add("acknowledged")
    return frozenset(found)


def by_channel(message: Message) -> frozenset[str]:
    """What the message counts for on each channel, once: "told:sms", "reached:sms", "acknowledged:sms", "failed:sms".

    An answer on a page counts for the channel that brought the link.
    """
    found = {f"told:{a.channel}" for a in message.attempts if taken(a)}
    found |= {f"failed:{a.channel}" for a in message.attempts if a.status == "failed"}
    first = _acknowledging(message)[:1]
    if message.answer is not None and (message.answer.channel != PAGE or not first):
        first = [message.answer.channel]
    found |= {f"acknowledged:{channel}" for channel in first}
    if message.verdict.state == "reached":
        first = [] if message.verdict.channel is None else [message.verdict.channel]
    if standing(message) == "reached":
        found |= {f"reached:{channel}" for channel in first}
    return frozenset(found)


def _acknowledging(message: Message) -> list[str]:
    """The channels of attempts that the person answered, the first answer's first."""
    answered = [a for a in message.attempts if a.engagement in ("acknowledged", "answered")]
    return [a.channel for a in sorted(answered, key=lambda a: (a.times.get(a.engagement, a.started_at), a.id))]
