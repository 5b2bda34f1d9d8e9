"""What cases look like on the wire."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.cases.nouns import Case, FollowUp, Offer, Status
from gateway.content.content import Content
from gateway.prompts import LONGEST, SHORTEST
from gateway.web.api.ids import END, CustomerId
from gateway.web.api.types import OptionIn, Time, wire_time, wire_time_or_none
from gateway.web.operations import Page

LINE: Final = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*" + END
"""One line that isn't blank."""
CaseId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:@-]{1,128}" + END)]
Subject = Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE, description="One line; customers read it.")]
Kind = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_-]{0,63}" + END,
        description="Which table of the settings says who owns it, `[cases.<kind>]`; without any, what you like.",
    ),
]
Owner = Annotated[
    str, Meta(min_length=1, max_length=128, pattern=LINE, description="A person or a team, as you call them.")
]
Description = Annotated[str, Meta(max_length=10_000)]
Words = Annotated[str, Meta(min_length=1, max_length=4000, pattern=r"\S")]
Cause = Annotated[
    str, Meta(min_length=1, max_length=500, pattern=LINE, description="Cases with the same words have the same fault.")
]
Action = Annotated[
    str, Meta(min_length=1, max_length=2000, pattern=r"\S", description="What was done; customers read it.")
]


class _In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request body: what it doesn't know, it refuses."""


class CaseIn(_In, frozen=True, kw_only=True):
    """A case to open. `notify`: tell the customer that we know, are sorry, and see to it."""

    customer: CustomerId
    subject: Subject
    kind: Kind
    description: Description = ""
    id: CaseId | None = None
    owner: Owner | None = None
    due_in: Annotated[int, Meta(ge=1, le=315_360_000, description="Seconds; else as the kind says.")] | None = None
    outage: Annotated[CaseId, Meta(description="The outage that it comes from.")] | None = None
    notify: bool = False


class CasePatch(_In, frozen=True, kw_only=True):
    """A JSON merge patch (RFC 7396). `owner` null: nobody; `description` null: none. `status`: `open` withdraws the offer that is out, `closed` ends a
    resolved case, `reopened` opens a resolved or closed one again.
    """

    owner: Owner | UnsetType | None = UNSET
    subject: Subject | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    kind: Kind | UnsetType = UNSET
    due_at: Time | UnsetType = UNSET
    status: Status | UnsetType = UNSET


class CasesQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which cases to list."""

    owner: Owner | None = None
    status: Status | None = None
    customer: CustomerId | None = None
    kind: Kind | None = None
    overdue: Annotated[bool, Meta(description="Past their due time, and nobody has resolved them.")] | None = None


class CaseNoteIn(_In, frozen=True, kw_only=True):
    """A note. `by`: who wrote it; else the id of the API key."""

    text: Words
    by: Annotated[str, Meta(min_length=1, max_length=128, pattern=LINE)] | None = None


class CaseOfferIn(_In, frozen=True, kw_only=True):
    """Ways to make it good. `happened`: what went wrong and why, told with the offer."""

    options: Annotated[tuple[OptionIn, ...], Meta(min_length=2, max_length=4)]
    closes_in: Annotated[int, Meta(ge=SHORTEST, le=LONGEST, description="Seconds.")] = 604800
    happened: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"\S")] | None = None


class CaseResolveIn(_In, frozen=True, kw_only=True):
    """What it was, what was done, and after how many seconds the customer is asked whether it is solved."""

    root_cause: Cause
    action: Action
    follow_up_after: Annotated[int, Meta(ge=0, le=31_536_000, description="Seconds.")] = 86400


class AnnounceIn(_In, frozen=True, kw_only=True):
    """Whom to tell: exactly one of `cases`, `root_cause`, `outage`. Without `content` the built-in words are used."""

    cases: Annotated[tuple[CaseId, ...], Meta(min_length=1, max_length=10_000)] | None = None
    root_cause: Cause | None = None
    outage: CaseId | None = None
    content: Content | None = None


class AnnouncedOut(msgspec.Struct, frozen=True, kw_only=True):
    """How many people it goes to, and how many of them had been told when this was answered: the broadcast has the rest."""

    broadcast: str
    people: int
    told: int


class CaseNoteOut(msgspec.Struct, frozen=True, kw_only=True):
    """Words on a case. `of`: whose they are."""

    id: str
    at: dt.datetime
    of: Literal["operator", "customer", "gateway"]
    by: str | None
    channel: str | None
    text: str


class CaseStepOut(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to it. `by`: the id of an API key, `customer` or `gateway`."""

    at: dt.datetime
    by: str
    what: str
    facts: dict[str, Any]


class CaseOfferOut(msgspec.Struct, frozen=True, kw_only=True):
    """The newest offer. `message`: the one that carries it."""

    n: int
    state: Literal["out", "chosen", "lapsed", "withdrawn", "unreached"]
    options: tuple[OptionIn, ...]
    made_at: dt.datetime
    closes_at: dt.datetime
    message: str | None


class CaseFollowUpOut(msgspec.Struct, frozen=True, kw_only=True):
    """The question whether it is solved. `round`: how often it has been resolved."""

    round: int
    ask_at: dt.datetime
    asked_at: dt.datetime | None
    message: str | None
    solved: bool | None


class CaseOut(msgspec.Struct, frozen=True, kw_only=True):
    """A case. `customer` is null once the person has been erased."""

    id: str
    customer: str | None
    kind: str
    subject: str
    description: str
    status: Status
    owner: str | None
    due_at: dt.datetime
    overdue: bool
    outage: str | None
    source: Annotated[str | None, Meta(description="What opened it, if no person did.")]
    offer: CaseOfferOut | None
    chosen: Annotated[str | None, Meta(description="The id of the option that the customer chose last.")]
    root_cause: str | None
    action: str | None
    follow_up: CaseFollowUpOut | None
    notes: tuple[CaseNoteOut, ...]
    history: tuple[CaseStepOut, ...]
    created_at: dt.datetime
    changed_at: dt.datetime
    resolved_at: dt.datetime | None
    closed_at: dt.datetime | None


class CaseList(msgspec.Struct, frozen=True):
    """A page, the newest first."""

    items: tuple[CaseOut, ...]
    next: str | None


def case_out(case: Case) -> CaseOut:
    """A case as it is shown."""
    return CaseOut(
        id=case.id,
        customer=case.customer,
        kind=case.kind,
        subject=case.subject,
        description=case.description,
        status=case.status,
        owner=case.owner,
        due_at=wire_time(case.due_at),
        overdue=case.under_way and case.overdue_at is not None,
        outage=case.outage,
        source=case.source,
        offer=None if case.offer is None else _offer(case.offer),
        chosen=case.chosen,
        root_cause=case.root_cause,
        action=case.action,
        follow_up=None if case.follow_up is None else _follow_up(case.follow_up),
        notes=notes_out(case),
        history=tuple(CaseStepOut(at=wire_time(s.at), by=s.by, what=s.what, facts=s.facts) for s in case.history),
        created_at=wire_time(case.created_at),
        changed_at=wire_time(case.changed_at),
        resolved_at=wire_time_or_none(case.resolved_at),
        closed_at=wire_time_or_none(case.closed_at),
    )


def notes_out(case: Case) -> tuple[CaseNoteOut, ...]:
    """The notes, in the order in which they were written."""
    return tuple(
        CaseNoteOut(id=n.id, at=wire_time(n.at), of=n.of, by=n.by or None, channel=n.channel, text=n.text)
        for n in case.notes
    )


def _offer(offer: Offer) -> CaseOfferOut:
    return CaseOfferOut(
        n=offer.n,
        state=offer.ended or "out",
        options=tuple(OptionIn(id=one.id, label=one.label) for one in offer.options),
        made_at=wire_time(offer.made_at),
        closes_at=wire_time(offer.closes_at),
        message=offer.message,
    )


def _follow_up(asked: FollowUp) -> CaseFollowUpOut:
    return CaseFollowUpOut(
        round=asked.round,
        ask_at=wire_time(asked.ask_at),
        asked_at=wire_time_or_none(asked.asked_at),
        message=asked.message,
        solved=asked.solved,
    )
