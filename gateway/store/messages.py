"""Messages in Redis: the record is the truth; lines, agenda, indexes, events and counters follow from it.

`Messages.change` is the one place where they are derived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.message import Held, Message, Mode
from gateway.preferences.caps import Counted
from gateway.routing.view import Next, deadline_of
from gateway.store.changes import Change, Outcome, Taken
from gateway.store.clock import Clock
from gateway.store.derived import Before, events, owes, stands, told, told_of
from gateway.store.entries import DAY_MS, TIMELINE_DAYS
from gateway.store.ids import place_of
from gateway.store.keys import Partition, line_name, of_customer
from gateway.store.pipe import scored
from gateway.store.roll import Roll
from gateway.store.scripts import Scripts

__all__ = ["BURIED", "LATE_ANSWERS_MS", "Before", "Loaded", "Messages", "told"]

BURIED: Final = "morgue"
"""Why a message is held that could not be worked on."""
LATE_ANSWERS_MS: Final = 30 * DAY_MS
"""How long after closing a question still knows its answers, which are late then."""
ANSWERS_FIRST_MS: Final = 600_000
"""By how much an answer goes before messages that wait to be decided: a survey's next question stands behind no broadcast."""
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Message)


class _Head(msgspec.Struct):
    schema: int = 1


_head_decoder: Final = msgspec.msgpack.Decoder(_Head)


class Loaded(msgspec.Struct, frozen=True):
    """A message as stored, with its version."""

    message: Message
    version: int


class Messages:
    """Reads and writes message records. Retentions in days."""

    def __init__(
        self,
        scripts: Scripts,
        clock: Clock,
        roll: Roll,
        *,
        keep_records: int,
        keep_content: int,
        keep_timeline: int = TIMELINE_DAYS,
    ) -> None:
        self._scripts = scripts
        self._clock = clock
        self._roll = roll
        self._keep_record = keep_records * DAY_MS
        self._keep_body = keep_content * DAY_MS
        self._keep_told = keep_timeline * DAY_MS

    async def load(self, message_id: str) -> Loaded | None:
        """A message and its version; None when there is none of that id."""
        place = place_of(message_id)
        if place is None:
            return None
        fields = await self._scripts.urgent.send("HMGET", place[1].message(message_id), "v", "s", "sup", "can", "why")
        if fields[1] is None:
            return None
        message = decode(fields[1], _text(fields[2]), _text(fields[3]))
        if fields[4] is not None and not message.done:
            message.status, message.held = "held", in_the_morgue(message, self._clock.now())
        return Loaded(message, int(fields[0]))

    async def body(self, message: Message) -> bytes | None:
        """The stored content; None when it has outlived its retention."""
        return await self._scripts.urgent.send("GET", of_customer(message.customer).body(message.body_of or message.id))

    async def cap_uses(self, message: Message, caps: Sequence[Counted]) -> dict[str, tuple[int, ...]]:
        """By cap, when (ms) other messages of this customer counted against it."""
        at = of_customer(message.customer)
        places = [at.cap(message.mode, message.customer, one.key) for one in caps]
        found = await asyncio.gather(
            *(self._scripts.urgent.send("ZRANGE", place, 0, -1, "WITHSCORES") for place in places)
        )
        return {
            one.key: tuple(int(used) for member, used in scored(uses) if member != message.id)
            for one, uses in zip(caps, found, strict=True)
        }

    async def accept(
        self, message: Message, following: Next, body: bytes, *, claims: bool, anybody: bool = True
    ) -> Outcome:
        """Store a new message; "exists" when its id is there already; unless for `anybody`, "customer" when they are gone."""
        at = of_customer(message.customer)
        change = self._accepting(at, message, following, claims=claims, anybody=anybody)
        return await self._scripts.accept(at, message.id, change, body, self._minute(at, message.mode))

    async def accept_all(self, messages: Sequence[Message], following: Next) -> list[Outcome]:
        """As `accept` with the body they share, for many whom nothing has been decided for; only for people who are there.

        They are of one pattern and one partition: what follows from them alike is worked out once.
        """
        at = of_customer(messages[0].customer)
        alike = self._accepting(at, messages[0], following, claims=False, anybody=False)
        changes = [(message.id, self._like(at, alike, message)) for message in messages]
        return await self._scripts.accept_all(at, changes, self._minute(at, messages[0].mode))

    def _like(self, at: Partition, alike: Change, message: Message) -> Change:
        """What is a message's own in a change that others share."""
        message.schema = self._roll.writes
        return msgspec.structs.replace(
            alike,
            state=_encoder.encode(message),
            index=_indexes(at, message),
            customer=at.customer(message.customer),
            thread=at.thread(message.mode, message.customer, message.thread) if message.thread else None,
            timeline=at.timeline(message.customer),
            told=told_of(Before(), message, new=True),
        )

    def _accepting(self, at: Partition, message: Message, following: Next, *, claims: bool, anybody: bool) -> Change:
        """What an accept changes."""
        change = self._change(
            at,
            Before(),
            message,
            following,
            claims=claims,
            joins=not (claims or message.done),
            new=True,
            index=_indexes(at, message),
        )
        lives = max(0, following.deadline - self._clock.now()) + self._keep_body
        return msgspec.structs.replace(
            change,
            keep_body=lives,
            counters=[*change.counters, f"accepted:{message.category}"],
            customer=None if anybody else at.customer(message.customer),
        )

    async def commit(
        self, before: Before, message: Message, version: int, following: Next, *, claims: bool = False
    ) -> tuple[Outcome, int]:
        """Swap the record if nobody else has; the new version."""
        at = of_customer(message.customer)
        change = self._change(at, before, message, following, claims=claims)
        return await self._scripts.commit(at, message.id, version, change, self._minute(at, message.mode))

    async def begin(
        self, before: Before, message: Message, versions: tuple[int, int], following: Next, caps: Sequence[Counted]
    ) -> tuple[Outcome, int]:
        """Record the attempt that stands last in the message, unless message or customer changed meanwhile.

        With its first attempt a message counts against its caps, once.
        """
        at = of_customer(message.customer)
        attempt = message.attempts[-1]
        change = self._change(at, before, message, following, claims=False)
        opens = None if message.prompt is None else message.due_at + message.prompt.closes_in * 1000 + LATE_ANSWERS_MS
        return await self._scripts.begin(
            at,
            message.id,
            versions,
            msgspec.structs.replace(change, counters=[f"begun:{attempt.channel}"]),
            keys=(at.customer(message.customer), at.awaiting(message.mode, message.customer)),
            caps=[
                (at.cap(message.mode, message.customer, one.key), one.cap.limit, one.cap.window * 1000)
                for one in (caps if len(message.attempts) == 1 else ())
            ],
            open_until=opens,
            channel=attempt.channel,
            minute=self._minute(at, message.mode),
        )

    async def cancel(self, message_id: str) -> Outcome:
        """Mark a message cancelled; the worker ends it. "done": too late. "gone": no such message."""
        place = place_of(message_id)
        return "gone" if place is None else await self._scripts.cancel(place[1], message_id, self._clock.now())

    async def awaiting(self, mode: Mode, customer: str) -> list[str]:
        """Ids of the customer's messages whose prompt may be open, newest first."""
        key = of_customer(customer).awaiting(mode, customer)
        return [m.decode() for m in await self._scripts.urgent.send("ZRANGE", key, 0, -1, "REV")]

    async def load_many(self, ids: list[str]) -> list[Loaded | None]:
        """Several messages, in the order of their ids."""
        return list(await asyncio.gather(*(self.load(i) for i in ids)))

    def _minute(self, at: Partition, mode: Mode) -> str:
        return at.count(mode, self._clock.now())

    @staticmethod
    def _line(at: Partition, message: Message, channel: str) -> str:
        return at.line(line_name(message.mode, channel), message.lane)

    def _change(
        self,
        at: Partition,
        before: Before,
        message: Message,
        following: Next,
        *,
        claims: bool,
        joins: bool = False,
        new: bool = False,
        index: list[str] | None = None,
    ) -> Change:
        gone = [c for c in before.lines if c not in message.turns]
        places: dict[str, int | None] = dict.fromkeys((self._line(at, message, c) for c in gone), None)
        places.update({self._line(at, message, c): message.created_at for c in message.turns})
        ops = list(index or ())
        held, unreached = at.index(message.mode, "held"), at.index(message.mode, "unreached")
        if (message.held is not None) != before.held:
            ops.append(("+" if message.held is not None else "-") + held)
        state = message.verdict.state
        if (state == "unreached") != (before.state == "unreached"):
            ops.append(("+" if state == "unreached" else "-") + unreached)
        counters = [f"{state}:{message.category}"] if state not in ("pending", before.state) else []
        message.schema = self._roll.writes
        message.owed = message.owed or owes(before, message)
        now = self._clock.now()
        return Change(
            state=_encoder.encode(message),
            lane=message.lane,
            wake=_news_at(message, now) if message.owed else following.wake_at,
            places=places,
            event=" ".join((*(("message.accepted",) if new else ()), *events(before, message))),
            counters=counters,
            index=ops,
            thread=at.thread(message.mode, message.customer, message.thread) if message.thread else None,
            order=message.order if message.thread and (claims or joins) else None,
            joins=joins,
            done=message.done,
            keep_record=self._keep_record,
            keep_body=self._keep_body,
            stands=stands(at, before, message),
            keep_stands=max(0, following.deadline - now) + self._keep_record,
            timeline=at.timeline(message.customer),
            told=told_of(before, message, new=new),
            keep_told=self._keep_told,
        )


def _indexes(at: Partition, message: Message) -> list[str]:
    """The lists a new message stands on."""
    found = [f"+{at.index(message.mode, 'all')}", f"+{at.index(message.mode, 'customer', message.customer)}"]
    return (
        found if message.reference is None else [*found, f"+{at.index(message.mode, 'reference', message.reference)}"]
    )


def _news_at(message: Message, now: int) -> int:
    """When news is to be told: at once, and what a person answered before all that waits in the same lane."""
    return now - ANSWERS_FIRST_MS if message.answer is not None else now


def decode(state: bytes, superseded_by: str, cancelled_at: str) -> Message:
    """A stored record, with the flags that others set on it. Raises msgspec.DecodeError when it can't be read."""
    message = _decoder.decode(state)
    if superseded_by:
        message.superseded_by = superseded_by
    if cancelled_at:
        message.cancelled_at = int(cancelled_at)
    return message


def in_the_morgue(message: Message, now: int) -> Held:
    """What people see of a message that could not be worked on."""
    text = "It could not be worked on, and waits in the morgue for an operator: `gateway morgue list` says why."
    return Held(until=deadline_of(message, now), code=BURIED, text=text, since=now)


def schema_of(taken: Taken) -> int:
    """The schema number of a taken message, whatever else its release put into it. Raises msgspec.DecodeError."""
    return _head_decoder.decode(taken.state).schema


def decode_taken(taken: Taken) -> Message:
    """The message an agenda member stands for. Raises msgspec.DecodeError."""
    return decode(taken.state, taken.superseded_by, taken.cancelled_at)


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode()
