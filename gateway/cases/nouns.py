"""A case as data: what went wrong for a person, who sees to it, and how far it is. Times in ms, durations in seconds."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from gateway.message import Mode
from gateway.prompts import Option

Status = Literal["open", "waiting", "resolved", "closed", "reopened"]
Ended = Literal["chosen", "lapsed", "withdrawn", "unreached"]
Voice = Literal["operator", "customer", "gateway"]

STATUSES: Final[tuple[Status, ...]] = ("open", "waiting", "resolved", "closed", "reopened")
UNDER_WAY: Final[tuple[Status, ...]] = ("open", "waiting", "reopened")
"""Somebody has still to see to it: these fall overdue, and hold surveys."""
DAY_MS: Final = 86_400_000
SILENCE_MS: Final = 7 * DAY_MS
"""How long after the follow-up silence means that it is solved."""


class NewCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case as asked for.

    `owner`, `due_in` (seconds): None as the kind says. `outage`: the id of the outage it comes from. `source`: what
    opened it, "<kind>:<what>"; None: a person did. `notify`: tell the customer that we know and are sorry.
    """

    customer: str
    subject: str
    kind: str
    description: str = ""
    owner: str | None = None
    due_in: int | None = None
    outage: str | None = None
    source: str | None = None
    notify: bool = False


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Words on a case. `of`: whose they are; `by`: who wrote them, as given, else the id of the API key."""

    id: str
    at: int
    of: Voice
    text: str
    by: str = ""
    channel: str | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was done to a case. `n` counts them from 1; `by`: an API key's id, "customer" or "gateway"; no words in `facts`."""

    n: int
    at: int
    by: str
    what: str
    facts: dict[str, Any] = {}


class Offer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Ways to make it good, of which the customer chooses one.

    `token`: the request that made it. `message`: what carries it, None: not handed over yet. `ended`: None while it is out.
    """

    n: int
    options: tuple[Option, ...]
    made_at: int
    closes_at: int
    token: str
    happened: str | None = None
    message: str | None = None
    ended: Ended | None = None
    ended_at: int | None = None


class FollowUp(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The question whether it is solved. `round`: of which resolution. `failed`: why it could not be put."""

    round: int
    ask_at: int
    token: str
    message: str | None = None
    asked_at: int | None = None
    solved: bool | None = None
    answered_at: int | None = None
    failed: str | None = None


class Thanks(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A word back to somebody who answered by text: by the n-th template of that name, on that channel."""

    template: Literal["case-chosen", "case-reopened"]
    n: int
    at: int
    channel: str
    data: dict[str, Any] = {}


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One case.

    `customer`: None once the person has been erased, and with them all words but `root_cause`. `complaint`: holds
    surveys to the customer while it is under way. `due_in`: how long it has when it is opened again. `steps`: how many
    there were; `history` has the newest of them. `told`: how many of them the timeline has. `flagged`: the customer's
    record knows of the last change of status. `notice`: the message that said we know; "": owed. `drop`: messages to cancel.
    `thanks`: words back that are owed.
    """

    id: str
    mode: Mode
    customer: str | None
    kind: str
    subject: str
    created_at: int
    changed_at: int
    token: str
    description: str = ""
    status: Status = "open"
    owner: str | None = None
    due_at: int
    due_in: int
    version: int = 1
    outage: str | None = None
    source: str | None = None
    complaint: bool = True
    overdue_at: int | None = None
    escalations: int = 0
    offer: Offer | None = None
    chosen: str | None = None
    root_cause: str | None = None
    action: str | None = None
    resolved_at: int | None = None
    follow_up: FollowUp | None = None
    closed_at: int | None = None
    notes: tuple[Note, ...] = ()
    history: tuple[Step, ...] = ()
    steps: int = 0
    told: int = 0
    flagged: bool = False
    notice: str | None = None
    drop: tuple[str, ...] = ()
    thanks: tuple[Thanks, ...] = ()

    @property
    def under_way(self) -> bool:
        """Whether somebody has still to see to it."""
        return self.status in UNDER_WAY

    @property
    def offered(self) -> Offer | None:
        """The offer that is out, if one is."""
        return self.offer if self.status == "waiting" else None
