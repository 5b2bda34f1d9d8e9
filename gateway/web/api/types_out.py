"""What callers are shown of messages. The OpenAPI document is generated from these types."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import msgspec

from gateway.message import AnsweredBy, AttemptStatus, Engagement, Fault, Lane, Level, Mode, State, Status
from gateway.prompts import PromptKind
from gateway.web.api.types import Text
from gateway.web.problems import ProblemOut


class BatchResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one message of a batch: an `id` or a `problem`."""

    id: str | None = None
    problem: ProblemOut | None = None


class BatchOut(msgspec.Struct, frozen=True):
    """One result for each message, in their order."""

    results: tuple[BatchResult, ...]


class WhyOut(msgspec.Struct, frozen=True):
    """A stable code and a sentence for people."""

    code: str
    text: str


class TemplateOfMessage(msgspec.Struct, frozen=True):
    """The pinned template."""

    id: str
    version: int


class ReachOut(msgspec.Struct, frozen=True, kw_only=True):
    """The reach contract with every default filled in; seconds."""

    until: Level
    within: int
    step: int | None
    mode: Literal["in_turn", "all_at_once"]
    rounds: int
    channels: tuple[str, ...] | None
    unproven: Literal["settle", "go_on"]


class HeldOut(msgspec.Struct, frozen=True):
    """Why it waits, and until when."""

    until: dt.datetime
    code: str
    text: str


class VerdictOut(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended; `pending` exactly until it is done."""

    state: State
    proven: bool
    late: bool
    channel: str | None
    attempt: str | None
    level: Level | None
    at: dt.datetime | None
    code: str | None
    text: str | None


class StepOut(msgspec.Struct, frozen=True):
    """A step still to come, `after` seconds from now if every step before it stays silent."""

    channel: str
    address: str
    after: int
    why: WhyOut


class SkippedOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A channel, or one address of it, that isn't used, and why."""

    channel: str
    why: WhyOut
    address: str | None = None


class CostOut(msgspec.Struct, frozen=True):
    """What a provider charged; `source` says who told us."""

    amount: str
    currency: str
    source: str


class AttemptOut(msgspec.Struct, frozen=True, kw_only=True):
    """One hand-over to a provider."""

    id: str
    channel: str
    address: str
    round: int
    status: AttemptStatus
    engagement: Engagement
    answered_by: AnsweredBy | None
    fault: Fault | None
    provider_id: str | None
    provider_code: str | None
    units: int | None
    cost: CostOut | None
    times: dict[str, dt.datetime]


class OptionOut(msgspec.Struct, frozen=True):
    """One possible answer of a choice."""

    id: str
    label: str


class PromptOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The question that goes with the message."""

    kind: PromptKind
    closes_in: int
    question: Text | None = None
    min: int | None = None
    max: int | None = None
    options: tuple[OptionOut, ...] = ()


class AnswerOut(msgspec.Struct, frozen=True):
    """What the person answered first."""

    value: str | int | bool | None
    text: str
    channel: str
    at: dt.datetime
    late: bool


class MessageOut(msgspec.Struct, frozen=True, kw_only=True):
    """A message, from acceptance to verdict. Addresses are masked unless the key has the scope `customers`."""

    id: str
    mode: Mode
    customer: str
    category: str
    priority: Lane
    template: TemplateOfMessage | None
    thread: str | None
    reference: str | None
    metadata: dict[str, Any]
    reach: ReachOut
    status: Status
    held: HeldOut | None
    due_at: dt.datetime
    deadline: dt.datetime
    verdict: VerdictOut
    route: tuple[StepOut, ...]
    skipped: tuple[SkippedOut, ...]
    attempts: tuple[AttemptOut, ...]
    prompt: PromptOut | None
    answer: AnswerOut | None
    retry_of: str | None
    created_at: dt.datetime


class MessageList(msgspec.Struct, frozen=True):
    """Newest first. `next` is the cursor of the next page, null when there is none."""

    items: tuple[MessageOut, ...]
    next: str | None
