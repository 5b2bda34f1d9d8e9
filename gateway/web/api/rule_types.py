"""What events, rules and runs look like on the wire."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.content.content import Content
from gateway.message import Lane
from gateway.rules.conditions import Condition
from gateway.rules.rule import END, MOST_WAIT, CaseOf, EventType, OncePer, Unless, Wait
from gateway.rules.run import State
from gateway.web.api.ids import CustomerId
from gateway.web.api.types import Category, PromptIn, ReachIn, Time
from gateway.web.api.types_out import MessageOut, WhyOut
from gateway.web.operations import Page
from gateway.web.problems import FieldError

EventId = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,255}" + END, description="Yours; each type has ids of its own.")
]
RuleId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:@-]{1,128}" + END)]
YEAR_S = 31_622_400


class _In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request body: what it doesn't know, it refuses."""


class EventIn(_In, frozen=True):
    """Something that happened to a customer."""

    type: EventType
    customer: CustomerId
    id: EventId
    at: Annotated[Time, Meta(description="When it happened; absent: now. At most five minutes ahead.")] | None = None
    data: Annotated[dict[str, Any], Meta(description="At most 64 KB, nested at most 16 deep.")] = {}


class BegunOut(msgspec.Struct, frozen=True):
    """A run that the event began: it acts at `due_at`, unless something speaks against it by then."""

    rule: str
    run: str
    due_at: dt.datetime


class EventOut(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it was taken in."""

    type: str
    id: str
    customer: str
    at: dt.datetime
    runs: tuple[BegunOut, ...]


class ThenIn(_In, frozen=True):
    """What to do: a message (`category`, and `template` with `data` or `content`), a `survey`, or a `case`."""

    category: Category | None = None
    template: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    content: (
        Annotated[Content, Meta(description="Its texts may hold `{{ event.order_id }}` and `{{ customer.name }}`.")]
        | None
    ) = None
    data: Annotated[
        dict[str, Any],
        Meta(
            description='For the template, or the survey. `{"event": "order_id"}` and `{"customer": "name"}` hand on a value '
            '(with a `"default"` where it may be missing); texts may hold `{{ event.order_id }}`.'
        ),
    ] = {}
    prompt: PromptIn | None = None
    reach: ReachIn | None = None
    priority: Lane | None = None
    thread: Annotated[str, Meta(min_length=1, max_length=500, description="May hold `{{ event… }}`.")] | None = None
    reference: Annotated[str, Meta(min_length=1, max_length=500, description="May hold `{{ event… }}`.")] | None = None
    metadata: dict[str, Any] = {}
    survey: Annotated[str, Meta(min_length=1, max_length=128, description="The id of a survey.")] | None = None
    case: CaseOf | None = None


class RuleIn(_In, frozen=True):
    """A rule: on an event, when something holds, after a wait, unless a contrary event comes, then do this."""

    on: EventType
    then: ThenIn
    when: (
        Annotated[
            Condition | tuple[Condition, ...],
            Meta(
                description="What must hold: of the event when it comes in, of the customer when the rule acts. Of a list, everything."
            ),
        ]
        | None
    ) = None
    wait: (
        Annotated[
            Annotated[int, Meta(ge=0, le=MOST_WAIT)] | Wait,
            Meta(
                description="Seconds from the event's `at`, or an object that also names an hour of the person's day."
            ),
        ]
        | None
    ) = None
    unless: Annotated[tuple[Unless, ...], Meta(max_length=20, description="What cancels it.")] = ()
    once_per: Annotated[OncePer, Meta(description="`customer`: not again within `per` seconds, whatever comes in.")] = (
        "event"
    )
    per: Annotated[int, Meta(ge=1, le=YEAR_S, description="Seconds.")] | None = None
    enabled: Annotated[bool, Meta(description="`false`: begins nothing; what is under way goes on.")] = True
    description: Annotated[str, Meta(max_length=1000)] | None = None


class RuleOut(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it is in force. `version` counts its changes; runs under way keep the version they began with."""

    id: str
    version: int
    created_at: dt.datetime
    changed_at: dt.datetime
    on: str
    then: ThenIn
    when: Condition | tuple[Condition, ...] | None = None
    wait: int | Wait | None = None
    unless: tuple[Unless, ...] = ()
    once_per: OncePer = "event"
    per: int | None = None
    enabled: bool = True
    description: str | None = None


class RuleList(msgspec.Struct, frozen=True):
    """A page of rules, newest first."""

    items: tuple[RuleOut, ...]
    next: str | None


class DryRunIn(_In, frozen=True):
    """An event to try a rule with. `type` absent: the one the rule waits for."""

    customer: CustomerId
    type: EventType | None = None
    id: EventId | None = None
    at: Time | None = None
    data: dict[str, Any] = {}


class CheckedOut(msgspec.Struct, frozen=True, kw_only=True):
    """One test of a condition. `found`: the value under `field`; `pointer`: where the test stands in the rule."""

    pointer: str
    field: str
    test: str
    wanted: Any
    found: Any
    holds: bool


class ContraryOut(msgspec.Struct, frozen=True):
    """An event that would cancel it: of that type, with these values in its data."""

    type: str
    values: dict[str, Any]


class DryRunOut(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of the event. `acts` false: `why` says what is against it. One of `message`, `survey`, `case` is what
    it would make; `problems`: why that can't be made.
    """

    acts: bool
    why: tuple[WhyOut, ...]
    conditions: tuple[CheckedOut, ...]
    due_at: dt.datetime
    message: MessageOut | None
    survey: dict[str, Any] | None
    case: dict[str, Any] | None
    problems: tuple[FieldError, ...]
    cancelled_by: tuple[ContraryOut, ...]


class RunEvent(msgspec.Struct, frozen=True):
    """The event that began a run."""

    type: str
    id: str
    at: dt.datetime


class RunOut(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `message`, `response` or `case`: what it made; `verdict`: how the message ended, null while it is under way."""

    id: str
    rule: str
    version: int
    customer: str
    event: RunEvent
    state: Annotated[
        State,
        Meta(
            description="`waiting`; `acting`: in this moment; `acted`; `cancelled`: by a contrary event, with its rule, or by "
            "request; `dropped`: when it was due its conditions didn't hold; `failed`: its message was refused."
        ),
    ]
    began_at: dt.datetime
    due_at: dt.datetime
    ended_at: dt.datetime | None
    why: WhyOut | None
    message: str | None
    survey: str | None
    case: str | None
    verdict: str | None


class RunList(msgspec.Struct, frozen=True):
    """A page of runs, newest first."""

    items: tuple[RunOut, ...]
    next: str | None


class RunsQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs to list."""

    customer: CustomerId | None = None
    rule: RuleId | None = None
    state: Literal["waiting", "acting", "acted", "cancelled", "dropped", "failed"] | None = None
