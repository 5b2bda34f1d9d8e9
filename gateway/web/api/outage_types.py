"""What callers say of outages, and what they are shown."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.content.content import Content
from gateway.outages.nouns import State
from gateway.standing import Standing
from gateway.web.api.ids import END, CustomerId
from gateway.web.api.types import AudienceIn, ChannelName, PromptIn, ReachIn
from gateway.web.api.types_out import AttemptOut, WhyOut
from gateway.web.operations import Page

OutageId = Annotated[
    str, Meta(pattern=rf"^[A-Za-z0-9._:@-]{{1,128}}{END}", description="Chosen by you; else one is made.")
]
_TemplateId = Annotated[str, Meta(min_length=1, max_length=64)]
_Asked = Annotated[
    PromptIn | None, Meta(description="Absent: people are asked to acknowledge. `null`: they are asked nothing.")
]


class _In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request body: what it doesn't know, it refuses."""


class OutageIn(_In, frozen=True, kw_only=True):
    """An outage and its notice: a `template` with `data`, or `content`."""

    id: OutageId | None = None
    title: Annotated[
        str, Meta(min_length=1, max_length=200, description="For your own people: what is out, and where.")
    ]
    audience: AudienceIn
    template: _TemplateId | None = None
    content: Content | None = None
    data: dict[str, Any] = {}
    reach: ReachIn | None = None
    prompt: _Asked = None


class OutageUpdateIn(_In, frozen=True, kw_only=True):
    """News for the whole audience. `reach` and `prompt` are the notice's unless given."""

    template: _TemplateId | None = None
    content: Content | None = None
    data: dict[str, Any] = {}
    reach: ReachIn | None = None
    prompt: _Asked = None


class ResolveIn(_In, frozen=True, kw_only=True):
    """The all-clear. With neither `template` nor `content` it says in its own words that the outage is over."""

    template: _TemplateId | None = None
    content: Content | None = None
    data: dict[str, Any] = {}
    reach: ReachIn | None = None


class VisitIn(_In, frozen=True, kw_only=True):
    """Somebody was at the door."""

    by: Annotated[str, Meta(min_length=1, max_length=128, description="Who it was.")]
    note: Annotated[str, Meta(max_length=1024, description="What they found.")] | None = None


class OutageCounts(msgspec.Struct, frozen=True, kw_only=True):
    """People. `audience` = `waiting` + `told_only` + `reached` + `unreached` + `suppressed`; the others stand beside them."""

    audience: int
    waiting: Annotated[int, Meta(description="Nothing has been handed to a provider yet.")]
    told_only: Annotated[int, Meta(description="A provider took it; nothing proves that it arrived.")]
    reached: int
    unreached: int
    suppressed: Annotated[int, Meta(description="May not be written to, or can't: `why` of the recipient says it.")]
    told: Annotated[int, Meta(description="Told by the notice or by any update: they get the all-clear.")]
    acknowledged: Annotated[int, Meta(description="Among `reached`: they answered the newest that was sent to them.")]
    visited: Annotated[int, Meta(description="Somebody knocked at their door.")]


class OutageChannel(msgspec.Struct, frozen=True, kw_only=True):
    """What the newest notice or update did on one channel, in people."""

    told: int
    reached: int
    acknowledged: int
    failed: int


class OutagePart(msgspec.Struct, frozen=True, kw_only=True):
    """One broadcast of the outage."""

    broadcast: str
    kind: Literal["notice", "update", "retry", "all_clear"]
    at: dt.datetime


class OutageOut(msgspec.Struct, frozen=True, kw_only=True):
    """An outage as it stands now. `broadcast` is that of its newest notice or update: what a retry goes by."""

    id: str
    title: str
    state: State
    thread: str
    broadcast: str
    counts: OutageCounts
    by_channel: dict[str, OutageChannel]
    all_clear: OutageCounts | None
    broadcasts: tuple[OutagePart, ...]
    created_at: dt.datetime
    resolved_at: dt.datetime | None


class OutageList(msgspec.Struct, frozen=True):
    """Newest first. `next` is the cursor of the next page, null when there is none."""

    items: tuple[OutageOut, ...]
    next: str | None


class OutagesQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to list."""

    state: State | None = None


class RecipientsQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to list."""

    state: Standing | None = None
    priority: Annotated[bool, Meta(description="`true`: medical priority alone; `false`: everybody else.")] | None = (
        None
    )
    visited: bool | None = None
    channel: Annotated[ChannelName, Meta(description="Tried there.")] | None = None


class RecipientAddress(msgspec.Struct, frozen=True):
    """A way to reach them, masked for keys without the scope `customers`."""

    channel: str
    address: str


class VisitOut(msgspec.Struct, frozen=True, kw_only=True):
    """Who was at the door, when, and what they found."""

    by: str
    at: dt.datetime
    note: str | None


class RecipientOut(msgspec.Struct, frozen=True, kw_only=True):
    """A person of the outage, by the newest message to them. `name`, `area` and `attributes`: for the scope `customers`."""

    customer: CustomerId
    name: str | None
    state: Standing
    medical_priority: bool
    told: bool
    acknowledged: bool
    why: WhyOut | None
    area: str | None
    attributes: dict[str, Any]
    addresses: tuple[RecipientAddress, ...]
    attempts: tuple[AttemptOut, ...]
    visited: VisitOut | None
    message: str


class RecipientList(msgspec.Struct, frozen=True):
    """Medical priority first, those already visited last. `next` is the cursor of the next page."""

    items: tuple[RecipientOut, ...]
    next: str | None
