"""What goes into the scripts and what comes out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from gateway.message import Lane
from gateway.store.keys import Partition

Outcome = Literal["ok", "exists", "conflict", "customer", "cap", "gone", "done", "seen"]
"""What a script says it did, or why it did nothing; each function of `Scripts` says which it means."""

Places = Mapping[str, int | None]
"""Where a message stands: line key to score, or None to leave that line."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that changes together with a message's state. Times in ms.

    `order`: its place in its thread, None where it takes none; `joins`: it isn't due yet, so it takes nobody's place.
    `customer`: the record that must be there for a message to be let in, None: let in anyway.
    `stands`: its places in its broadcast (`store.derived`). `timeline`: the customer's, and `told` its new lines.
    """

    state: bytes
    lane: Lane
    wake: int | None
    places: Places
    event: str = ""
    counters: Sequence[str] = ()
    index: Sequence[str] = ()
    thread: str | None = None
    order: int | None = None
    joins: bool = False
    done: bool = False
    keep_record: int = 0
    keep_body: int = 0
    customer: str | None = None
    stands: Sequence[str] = ()
    keep_stands: int = 0
    timeline: str | None = None
    told: Sequence[bytes] = ()
    keep_told: int = 0


class Taken(msgspec.Struct, frozen=True):
    """An agenda member handed out: its record's version and state, and the flags others set on it.

    `abandoned`: how many others have taken it since its last result and neither came to one nor handed it back.
    """

    member: str
    version: int
    state: bytes
    superseded_by: str
    cancelled_at: str
    abandoned: int
    channel: str | None


class Haul(msgspec.Struct, frozen=True):
    """What one take brought: the server's time (ms), when something falls due next, the items.

    `gone`: how many entries were dropped because their record is gone.
    """

    now: int
    next_due: int | None
    items: tuple[Taken, ...]
    gone: int = 0


def place(change: Change) -> str | int:
    """A message's place in its thread: it only joins while it isn't due."""
    return (
        f"join:{change.order}"
        if change.joins and change.order is not None
        else ("" if change.order is None else change.order)
    )


def bell(at: Partition, change: Change) -> str:
    """What is rung: the lane, the partition, and whose lines were joined."""
    lines = (key.split(":")[2] for key, score in change.places.items() if score is not None)
    return f"{change.lane}:{at.number}:{','.join(lines)}"


def thread(at: Partition, change: Change) -> str:
    """The key of a message's thread; of none, one that nobody has."""
    return change.thread or f"{at.prefix}thread:none"


def timeline(at: Partition, change: Change) -> str:
    """The key of the customer's timeline; of none, one that nobody has."""
    return change.timeline or f"{at.prefix}timeline:none"
