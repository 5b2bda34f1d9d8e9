"""What follows from a change of a message: places in indexes, events, news for what it serves, lines of the timeline.

Pure: the record before and the record now say all of it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway import standing
from gateway.message import Attempt, Message
from gateway.store.entries import Entry, encoded
from gateway.store.keys import Partition, digest

_OPEN: Final = ("", "pending")
_OF_PEOPLE: Final = ("told",)
_SHOWN: Final[dict[str, str]] = {
    "unknown": "unknown",
    "accepted": "accepted",
    "sent": "accepted",
    "failed": "failed",
    "delivered": "delivered",
}
"""What of an attempt's outcome is a line of the timeline: passing on a text from one network to the next is none."""


class Before(msgspec.Struct, frozen=True):
    """What a message looked like before a change, as far as anything depends on it.

    `answers`: how many there were, `said`: the words of the one that counts. `names`, `counted`: where it stood in its
    broadcast, if it belongs to one.
    """

    lines: tuple[str, ...] = ()
    held: bool = False
    state: str = ""
    attempts: Mapping[str, str] = {}
    answers: int = 0
    said: str = ""
    acknowledged: bool = False
    told: Mapping[str, tuple[Any, ...]] = {}
    names: frozenset[str] = frozenset()
    counted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, message: Message) -> Before:
        """Remember what matters of a message that is about to change."""
        stands = message.broadcast is not None
        return cls(
            tuple(message.turns),
            message.held is not None,
            message.verdict.state,
            {a.id: a.status for a in message.attempts},
            answers_of(message),
            "" if message.answer is None else message.answer.text,
            message.acknowledged_at is not None,
            {a.id: told(a) for a in message.attempts},
            standing.names(message) if stands else frozenset(),
            standing.by_channel(message) if stands else frozenset(),
        )


def told(attempt: Attempt) -> tuple[Any, ...]:
    """What an attempt has taught us of its address; a change of it is news of the address."""
    return attempt.status, attempt.fault, attempt.provider_code, attempt.bounce, attempt.answered_by


def answers_of(message: Message) -> int:
    """How many answers there are."""
    return 0 if message.answer is None else 1 + len(message.later_answers)


def events(before: Before, message: Message) -> list[str]:
    """The events a change is told as."""
    found: list[str] = []
    if message.held is not None and not before.held:
        found.append("message.held")
    if {a.id: a.status for a in message.attempts} != before.attempts:
        found.append("message.attempt")
    if message.answer is not None and not before.answers:
        found.append("message.answered")
    if message.verdict.state != before.state and before.state not in _OPEN:
        found.append("message.corrected")
    elif message.done and before.state in _OPEN:
        found.append("message.done")
    return found


def owes(before: Before, message: Message) -> bool:
    """Whether a change is news for what the message serves: an answer or words added to it, its end, or a correction of how it ended."""
    return message.about is not None and (
        answers_of(message) != before.answers
        or (message.answer is not None and message.answer.text != before.said)
        or (message.acknowledged_at is not None) != before.acknowledged
        or (message.done and message.verdict.state != before.state)
    )


def stands(at: Partition, before: Before, message: Message) -> list[str]:
    """How its places in its broadcast change: "+" or "-" and a list's key, or a hash's key, "#" and what it counts."""
    if message.broadcast is None:
        return []
    now, counted = standing.names(message), standing.by_channel(message)
    counts = at.by_channel(message.mode, message.broadcast)
    return [
        *_by_person(at, message, now - before.names),
        *(f"-{at.standing(message.mode, message.broadcast, name)}" for name in sorted(before.names - now)),
        *(f"+{at.standing(message.mode, message.broadcast, name)}" for name in sorted(now - before.names)),
        *(f"-{counts}#{what}" for what in sorted(before.counted - counted)),
        *(f"+{counts}#{what}" for what in sorted(counted - before.counted)),
    ]


def _by_person(at: Partition, message: Message, came: frozenset[str]) -> list[str]:
    """Where broadcasts share a thread, what counts once for each person, whichever of them did it."""
    if message.thread is None:
        return []
    who = digest(f"{message.thread}{chr(0)}{message.customer}")[:16]
    return [f"+{at.people(message.mode, name, message.thread)}#{who}" for name in _OF_PEOPLE if name in came]


def discarded(at: Partition, message: Message) -> list[str]:
    """How the places of a message that is thrown away change: nothing more is tried, as if it had been cancelled."""
    if message.broadcast is None or message.done:
        return []
    was, now = standing.standing(message), "told_only" if standing.told(message) else "suppressed"
    key = functools.partial(at.standing, message.mode, message.broadcast)
    return [] if was == now else [f"-{key(was)}", f"+{key(now)}"]


def told_of(before: Before, message: Message, *, new: bool) -> list[bytes]:
    """The lines a change adds to the customer's timeline, without words and addresses; `new`: it has just come in."""
    found: list[bytes] = []

    def add(kind: str, **facts: Any) -> None:
        found.append(encoded(Entry(kind=kind, of=message.id, mode=message.mode, facts=facts)))

    if new:
        served = {} if message.about is None else {"about": message.about}
        add("message", category=message.category, **served)
    for attempt in message.attempts:
        shown = _SHOWN.get(attempt.status)
        if shown is not None and shown != _SHOWN.get(before.attempts.get(attempt.id, "")):
            add("attempt", attempt=attempt.id, channel=attempt.channel, status=shown)
    for n in range(before.answers, answers_of(message)):
        given = [message.answer, *message.later_answers][n]
        if given is not None and message.prompt is not None:
            value = {} if message.prompt.kind == "text" else {"value": given.value}
            add("answer", n=n, channel=given.channel, **value)
    if message.acknowledged_at is not None and not before.acknowledged and message.answer is None:
        add("acknowledged")
    if message.done and message.verdict.state != before.state:
        channel = {} if message.verdict.channel is None else {"channel": message.verdict.channel}
        add("verdict", state=message.verdict.state, **channel)
    return found
