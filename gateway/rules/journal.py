"""What a customer's events mean for each other: which runs they start, and which they cancel. Pure.

One journal a customer (and mode) holds the runs that are open and the contrary events of the last day. It is read and
swapped as a whole, so events that come at once, or out of order, are taken one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.rules.conditions import MISSING, same, within

KIND: Final = "journal"
DAY_MS: Final = 86_400_000
EARLY_MS: Final = DAY_MS
"""How long a contrary event is remembered that comes before the event it is contrary to."""
MOST_SEEN: Final = 500
MOST_OPEN: Final = 1_000
"""How many runs of one customer may be open."""
_LONGEST: Final = 256

Against = tuple[str, dict[str, Any]]
"""A type of contrary events, and the values they must have at which paths."""


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """A contrary event: its own time and when it came in (ms), and the values that may be asked for."""

    type: str
    id: str
    at: int
    came: int
    values: dict[str, Any] = {}


class Open(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that hasn't ended: what started it, when it is due (ms), what would cancel it; `ended_by`: what has."""

    rule: str
    type: str
    event: str
    at: int
    due: int
    against: tuple[Against, ...] = ()
    ended_by: tuple[str, str] | None = None


class Slot(msgspec.Struct, frozen=True):
    """Until when (ms) a rule that acts once per customer is taken, and by which run."""

    run: str
    until: int


class Journal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A customer's journal. `open` by run, `slots` by rule."""

    customer: str
    seen: tuple[Seen, ...] = ()
    open: dict[str, Open] = {}
    slots: dict[str, Slot] = {}

    def lives_until(self, now: int) -> int:
        """When nobody needs it any more, ms."""
        ends = (
            *(one.due + 366 * DAY_MS for one in self.open.values()),
            *(one.until for one in self.slots.values()),
            *(one.came + EARLY_MS for one in self.seen),
        )
        return max(ends, default=now) + DAY_MS


class Start(msgspec.Struct, frozen=True):
    """A run to be begun. `per`: for how long (ms) it takes its rule for the customer; None: for this event alone."""

    run: str
    open: Open
    per: int | None = None


class Coming(msgspec.Struct, frozen=True):
    """An event that has come in. Times in ms."""

    type: str
    id: str
    at: int
    came: int
    data: Mapping[str, Any]


def against(pairs: Sequence[tuple[str, Mapping[str, str]]], data: Mapping[str, Any]) -> tuple[Against, ...]:
    """What would cancel a run, by type and (their path -> our path); where our value is missing, nothing of it can."""
    found: list[Against] = []
    for type_, match in pairs:
        values = {theirs: within(data, ours) for theirs, ours in match.items()}
        if all(map(_comparable, values.values())):
            found.append((type_, values))
    return tuple(found)


def taken_in(
    journal: Journal, event: Coming, asked: Collection[str] | None, starts: Sequence[Start]
) -> tuple[Journal, tuple[str, ...], tuple[str, ...]]:
    """The journal with an event in it, the runs that are cancelled, and those it begins; one may be both.

    `asked`: the paths that rules ask of events of its type, None: it isn't contrary to any. Done again it says the same.
    """
    seen = tuple(one for one in journal.seen if one.came > event.came - EARLY_MS)
    if asked is not None and not any((one.type, one.id) == (event.type, event.id) for one in seen):
        values = {path: value for path in asked if _comparable(value := within(event.data, path))}
        seen = (*seen, Seen(event.type, event.id, event.at, event.came, values))[-MOST_SEEN:]
    slots = {rule: slot for rule, slot in journal.slots.items() if slot.until > event.came}
    opened = dict(journal.open)
    ended: list[str] = []
    for run, one in journal.open.items():
        if one.ended_by == (event.type, event.id):
            ended.append(run)
        elif one.ended_by is None and contrary(one, event.type, event.id, event.at, lambda p: within(event.data, p)):
            ended.append(run)
            opened[run] = msgspec.structs.replace(one, ended_by=(event.type, event.id))
            _release(slots, one.rule, run)
    begun: list[str] = []
    for start in starts:
        if start.run in opened:
            begun.append(start.run)
            if opened[start.run].ended_by is not None:
                ended.append(start.run)
            continue
        slot = slots.get(start.open.rule) if start.per is not None else None
        if slot is not None and slot.run != start.run:
            continue
        before = next((one for one in seen if _was_contrary(start.open, one)), None)
        opened[start.run] = start.open
        if before is not None:
            opened[start.run] = msgspec.structs.replace(start.open, ended_by=(before.type, before.id))
            ended.append(start.run)
        elif start.per is not None:
            slots[start.open.rule] = Slot(start.run, event.came + start.per)
        begun.append(start.run)
    changed = msgspec.structs.replace(journal, seen=seen, open=opened, slots=slots)
    return changed, tuple(ended), tuple(begun)


def closed(journal: Journal, run: str, *, acted: bool) -> Journal:
    """The journal without a run; one that didn't act leaves its rule free for another."""
    one = journal.open.get(run)
    slots = dict(journal.slots)
    if one is not None and not acted:
        _release(slots, one.rule, run)
    return msgspec.structs.replace(journal, open={k: v for k, v in journal.open.items() if k != run}, slots=slots)


def contrary(one: Open, type_: str, id_: str, at: int, value_of: Callable[[str], Any]) -> bool:
    """Whether an event cancels a run: of a type and values it is against, and not from before what started it.

    In the same millisecond another type counts as later; of the same type the ids decide, so that one of two stays.
    """
    if (one.type, one.event) == (type_, id_) or at < one.at:
        return False
    if type_ == one.type and (at, id_) <= (one.at, one.event):
        return False
    return any(
        type_ == wanted and all(same(value_of(path), value) for path, value in values.items())
        for wanted, values in one.against
    )


def _was_contrary(one: Open, seen: Seen) -> bool:
    return contrary(one, seen.type, seen.id, seen.at, lambda path: seen.values.get(path, MISSING))


def _release(slots: dict[str, Slot], rule: str, run: str) -> None:
    if rule in slots and slots[rule].run == run:
        del slots[rule]


def _comparable(value: Any) -> bool:
    """Whether a value may be compared by `match`: a plain one, and not a long text."""
    return value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= _LONGEST)
