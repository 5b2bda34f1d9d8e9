"""What callers say of broadcasts and groups, and what they are shown."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.broadcasts.nouns import Audience, Counts, Progress, Report, State
from gateway.content.content import Content
from gateway.message import Lane, Mode
from gateway.store.standing import ByChannel
from gateway.web.api.ids import END, CustomerId
from gateway.web.api.types import (
    AudienceIn,
    Category,
    ChannelName,
    PromptIn,
    ReachIn,
    Time,
    wire_time,
    wire_time_or_none,
)
from gateway.web.api.types_out import ReachOut, TemplateOfMessage
from gateway.web.operations import Page

BroadcastId = Annotated[
    str, Meta(pattern=rf"^[A-Za-z0-9._:@-]{{1,128}}{END}", description="Chosen by you; else one is made.")
]


class _In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request body: what it doesn't know, it refuses."""


class BroadcastIn(_In, frozen=True):
    """One message to an audience: a `template` with `data`, or `content`."""

    audience: AudienceIn
    category: Category
    id: BroadcastId | None = None
    template: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    data: dict[str, Any] = {}
    content: Content | None = None
    prompt: PromptIn | None = None
    reach: ReachIn | None = None
    priority: Annotated[Lane, Meta(description="May only lower the category's own.")] | None = None
    send_at: Annotated[Time, Meta(description="Nobody is written to before.")] | None = None
    expires_at: Time | None = None
    rate: Annotated[float, Meta(ge=0.01, le=100_000, description="Messages per second at most.")] | None = None
    priority_first: Annotated[
        bool, Meta(description="People with the attribute `medical_priority: true` go first, with `priority_rounds`.")
    ] = False
    priority_rounds: Annotated[int, Meta(ge=1, le=10)] = 3
    thread: (
        Annotated[str, Meta(min_length=1, max_length=128, description="A newer message supersedes older ones.")] | None
    ) = None
    reference: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    metadata: dict[str, Any] = {}


class RetryFilter(_In, frozen=True):
    """Whom to try again: everybody who stands so, narrowed by what else is said."""

    state: Annotated[
        tuple[Literal["unreached", "suppressed", "told_only"], ...],
        Meta(min_length=1, max_length=3, description="How their message stands."),
    ] = ("unreached",)
    channel: Annotated[ChannelName, Meta(description="Tried on this channel.")] | None = None
    code: (
        Annotated[
            str, Meta(min_length=1, max_length=64, description="Of the verdict, or of a channel that was left out.")
        ]
        | None
    ) = None


class BroadcastRetryIn(_In, frozen=True):
    """Whom to write to once more."""

    filter: RetryFilter = RetryFilter()


class BroadcastsQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to list."""

    kind: (
        Annotated[str, Meta(min_length=1, max_length=32, description="`broadcast`, or the service it was made for.")]
        | None
    ) = None


class AudienceOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom it is for, as it was asked for; of a list only how many it names."""

    listed: int | None = None
    where: dict[str, Any] | None = None
    group: str | None = None
    broadcasts: tuple[str, ...] | None = None
    state: tuple[str, ...] | None = None


class BroadcastOut(msgspec.Struct, frozen=True, kw_only=True):
    """A broadcast as it stands. `counts` are people, and every one of them stands under exactly one of the five states."""

    id: str
    mode: Mode
    kind: str
    state: Annotated[
        State,
        Meta(
            description="`expanding`: not everybody has been written to; `sending`: they have, and some messages go on; "
            "`done`: no attempt begins any more."
        ),
    ]
    category: str
    priority: Lane
    template: TemplateOfMessage | None
    audience: AudienceOut
    reach: ReachOut
    thread: str | None
    reference: str | None
    metadata: dict[str, Any]
    counts: Counts
    by_channel: dict[str, ByChannel]
    progress: Progress
    rate: Annotated[float, Meta(description="Messages handed over per second, over the last minute.")]
    rate_limit: Annotated[float | None, Meta(description="Messages per second at most, as asked for.")]
    eta: dt.datetime | None
    retry_of: str | None
    created_at: dt.datetime
    send_at: dt.datetime | None
    started_at: dt.datetime | None
    paused_at: dt.datetime | None
    ended_at: dt.datetime | None


class BroadcastList(msgspec.Struct, frozen=True):
    """A page of broadcasts, newest first."""

    items: tuple[BroadcastOut, ...]
    next: str | None


class GroupIn(_In, frozen=True):
    """A list of customers, or a condition on their attributes: exactly one of the two."""

    customers: Annotated[tuple[CustomerId, ...], Meta(max_length=100_000)] | None = None
    where: Annotated[dict[str, Any], Meta(min_length=1, max_length=20)] | None = None


class GroupSaved(msgspec.Struct, frozen=True, kw_only=True):
    """The group as it stands now. `unknown`: ids that are nobody's, and were left out."""

    id: str
    listed: int | None
    where: dict[str, Any] | None
    unknown: int
    created_at: dt.datetime
    changed_at: dt.datetime


class GroupOut(GroupSaved, frozen=True, kw_only=True):
    """A group. `customers`: a page of its list, in order of their ids; null for a condition."""

    customers: tuple[str, ...] | None
    next: str | None


def audience_of(given: AudienceIn) -> Audience:
    """The audience as the service takes it."""
    return Audience(customers=given.customers, where=given.where, group=given.group)


def audience_out(found: Report) -> AudienceOut:
    """The audience as people are shown it: a list names nobody."""
    asked, standing = found.broadcast.audience, found.broadcast.audience.standing
    return AudienceOut(
        listed=found.broadcast.listed if asked.where is None else None,
        where=asked.where,
        group=asked.group,
        broadcasts=None if standing is None else standing.broadcasts,
        state=None if standing is None else standing.names,
    )


def broadcast_out(found: Report, now: int) -> BroadcastOut:
    """A broadcast as people are shown it at `now` (ms)."""
    one = found.broadcast
    reach = msgspec.structs.asdict(one.reach)
    begun = now >= one.begins and (one.cancelled_at is None or one.cancelled_at >= one.begins)
    return BroadcastOut(
        id=one.id,
        mode=one.mode,
        kind=one.kind,
        state=found.state,
        category=one.category,
        priority=one.lane,
        template=None if one.template is None else TemplateOfMessage(one.template, one.template_version or 0),
        audience=audience_out(found),
        reach=ReachOut(**reach),
        thread=one.thread,
        reference=one.reference,
        metadata=one.metadata,
        counts=found.counts,
        by_channel=found.by_channel,
        progress=found.progress,
        rate=found.rate,
        rate_limit=one.rate,
        eta=wire_time_or_none(found.eta),
        retry_of=one.retry_of,
        created_at=wire_time(one.created_at),
        send_at=wire_time_or_none(one.send_at),
        started_at=wire_time(one.begins) if begun else None,
        paused_at=wire_time_or_none(one.paused_at),
        ended_at=wire_time_or_none(one.ended_at or one.cancelled_at),
    )
