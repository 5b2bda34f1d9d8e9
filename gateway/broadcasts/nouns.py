"""What a broadcast is: whom it is for, how it stands, and what is left to do of it in each partition."""

from __future__ import annotations

import math
from typing import Any, Final, Literal

import msgspec

from gateway.message import Lane, Mode, Reach
from gateway.prompts import Prompt
from gateway.store.keys import PARTITIONS
from gateway.store.standing import ByChannel

State = Literal["expanding", "sending", "paused", "done", "cancelled"]
Phase = Literal["first", "all", "cancel", "watch", "over"]
"""What a job does: write to those who go first, to all, cancel, watch the messages end; nothing any more."""

ALL: Final = (1 << PARTITIONS) - 1
"""Every partition, as bits."""


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The people whose messages stand so in other broadcasts of the same mode.

    `names`: of `gateway.standing.NAMES`. `channel`: tried on it; `code`: of the verdict, or of a channel that was skipped.
    """

    broadcasts: tuple[str, ...]
    names: tuple[str, ...]
    channel: str | None = None
    code: str | None = None


class Audience(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom it is for: exactly one of these. `where`: attribute to a value, or to a list of which any will do."""

    customers: tuple[str, ...] | None = None
    where: dict[str, Any] | None = None
    group: str | None = None
    standing: Standing | None = None


class NewBroadcast(msgspec.Struct, frozen=True, kw_only=True):
    """A broadcast as asked for. Times in ms; the fields of the message as in `NewMessage`.

    `id` None: one is made. `rate`: messages per second. `priority_first`: people with the attribute `medical_priority`
    go first, with `priority_rounds`. `kind`: which service it is for, and `about` what each of its messages serves.
    """

    audience: Audience
    category: str
    id: str | None = None
    template: str | None = None
    data: dict[str, Any] = {}
    content: dict[str, Any] | None = None
    reach: dict[str, Any] = {}
    priority: Lane | None = None
    prompt: Prompt | None = None
    thread: str | None = None
    send_at: int | None = None
    expires_at: int | None = None
    rate: float | None = None
    priority_first: bool = False
    priority_rounds: int = 3
    reference: str | None = None
    metadata: dict[str, Any] = {}
    about: str | None = None
    kind: str = "broadcast"
    retry_of: str | None = None
    uncapped: bool = False


class Broadcast(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The record. Times in ms. The audience without its list: `listed` says how many people that names.

    `digest`: of what was asked for. `where`: who of all customers, and `roster`: the list of people, if there is one, both
    also where a group gave them. `first_by`, `expanded_by`, `ended_by`: which partitions (bits) have done so. `orders`: how
    many commands it was given, `carried`: how many of them its jobs know. `cut`: cancelled before it had come to everybody.
    """

    id: str
    mode: Mode
    category: str
    lane: Lane
    audience: Audience
    reach: Reach
    created_at: int
    digest: bytes
    kind: str = "broadcast"
    listed: int | None = None
    where: dict[str, Any] | None = None
    roster: str | None = None
    template: str | None = None
    template_version: int | None = None
    prompt: Prompt | None = None
    thread: str | None = None
    about: str | None = None
    reference: str | None = None
    metadata: dict[str, Any] = {}
    rate: float | None = None
    priority_first: bool = False
    priority_rounds: int = 3
    send_at: int | None = None
    expires_at: int | None = None
    retry_of: str | None = None
    uncapped: bool = False
    paused_at: int | None = None
    cancelled_at: int | None = None
    cut: bool = False
    ended_at: int | None = None
    first_by: int = 0
    expanded_by: int = 0
    ended_by: int = 0
    orders: int = 1
    carried: int = 0

    @property
    def begins(self) -> int:
        """When its first message may go out, ms."""
        return max(self.created_at, self.send_at or 0)

    @property
    def over(self) -> bool:
        """Whether nothing of it is under way any more, or will be."""
        return self.ended_at is not None or self.cancelled_at is not None

    @property
    def halted(self) -> bool:
        """Whether nothing of it may begin: it is paused, or cancelled and not at its end."""
        return self.ended_at is None and (self.paused_at is not None or self.cancelled_at is not None)

    @property
    def state(self) -> State:
        """How it stands; `expanding` also while its time is still to come."""
        if self.cancelled_at is not None:
            return "cancelled"
        if self.ended_at is not None:
            return "done"
        if self.paused_at is not None:
            return "paused"
        return "sending" if self.expanded_by == ALL else "expanding"


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """How many messages of a partition were no longer waiting at a time (ms)."""

    at: int
    gone: int


class Rouse(msgspec.Struct, frozen=True, array_like=True):
    """Messages are still to be woken in `left` rounds, in this one those after `after`, not before `at` (ms)."""

    left: int
    at: int
    after: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A broadcast's work in one partition, and how far it is. Times in ms.

    `cursor`: the last one dealt with. `seen`, `total`: ids looked at, and how many there were to look at when it began.
    `unknown`: ids that are nobody's. `heard`: how many of the broadcast's orders it knows. `rouse`: how often, and after
    which message, those that the pause held are still to be woken. `samples`: how many no longer waited, lately.
    """

    broadcast: str
    mode: Mode
    number: int
    phase: Phase = "all"
    cursor: str = ""
    seen: int = 0
    total: int | None = None
    unknown: int = 0
    heard: int = 0
    rouse: Rouse | None = None
    expanded_at: int | None = None
    samples: tuple[Sample, ...] = ()


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """People: `audience` is the sum of the five states after it; `told` and `acknowledged` are counted among them."""

    audience: int = 0
    waiting: int = 0
    told_only: int = 0
    reached: int = 0
    unreached: int = 0
    suppressed: int = 0
    told: int = 0
    acknowledged: int = 0
    unknown: int = 0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is. `of`: people it is for, None while that isn't known. `percent`: 100 only when it is done.

    Of a cancelled one, `percent` says how many of them had been written to.
    """

    percent: int | None
    expanded: int
    of: int | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A broadcast as it stands. `rate`: messages handed over per second lately; `eta` (ms): when nobody will wait any more."""

    broadcast: Broadcast
    state: State
    counts: Counts
    by_channel: dict[str, ByChannel]
    progress: Progress
    rate: float
    eta: int | None


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to try again: those whose message stands under one of `names`, narrowed by channel and code."""

    names: tuple[str, ...]
    channel: str | None = None
    code: str | None = None


class Differs(Exception):
    """There is a broadcast of that id that was asked for in other words."""


class Over(Exception):
    """The broadcast is done or cancelled."""


class Passed(Exception):
    """What it says is out of date: nobody more may be told. Its text says why and what to do, for people."""


def percent(gone: int, of: int, *, done: bool) -> int:
    """A share in whole percent, rounded down; 100 only for what is done."""
    if done:
        return 100
    return 0 if of <= 0 else min(99, math.floor(100 * gone / of))
