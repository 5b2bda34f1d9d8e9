"""One message's life, as data.

A message is accepted, routed, tried on one channel after another, and ends with a verdict. This module holds the nouns
(`Message`, `Reach`, `Attempt`, `Receipt`, `Verdict`, `Fault`); how news changes them is in `gateway.news`.

All times are whole milliseconds since the epoch, all durations whole seconds as in the API, unless a name says `_ms`.
"""

from __future__ import annotations

import enum
from typing import Any, Final, Literal

import msgspec

from gateway.prompts import Answer, Prompt

Level = Literal["accepted", "delivered", "read", "acknowledged"]
Mode = Literal["live", "team", "test"]
Lane = Literal["critical", "normal", "bulk"]
Status = Literal["queued", "scheduled", "held", "sending", "waiting", "done"]
State = Literal["pending", "reached", "unreached", "suppressed", "superseded", "cancelled", "expired"]
AttemptStatus = Literal["started", "unknown", "accepted", "sent", "failed", "delivered"]
Engagement = Literal["none", "read", "clicked", "acknowledged", "answered"]
AnsweredBy = Literal["human", "machine", "fax", "unknown"]

LANES: Final[tuple[Lane, ...]] = ("critical", "normal", "bulk")
LEVEL_RANK: Final[dict[str, int]] = {"accepted": 1, "delivered": 2, "read": 3, "acknowledged": 4}
STATUS_RANK: Final[dict[str, int]] = {
    "started": 0,
    "unknown": 1,
    "accepted": 2,
    "sent": 3,
    "failed": 4,
    "delivered": 5,
}
ENGAGEMENT_RANK: Final[dict[str, int]] = {"none": 0, "read": 1, "clicked": 2, "acknowledged": 3, "answered": 4}


SCHEMA: Final = 1
"""Schema number of the stored state. Workers skip records of a newer schema."""


NOBODY: Final = "~erased."
"""What stands in the place of a customer's id begins with, once the person has been erased; no customer has such an id."""


class Fault(enum.StrEnum):
    """Why a provider did not deliver: a closed list; `routing.retry.REMEDIES` says what each one asks for."""

    THROTTLED = "throttled"
    QUOTA = "quota"
    UNAVAILABLE = "unavailable"
    NOT_TAKEN = "not_taken"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    BAD_ADDRESS = "bad_address"
    DOUBTFUL_ADDRESS = "doubtful_address"
    MAILBOX_FULL = "mailbox_full"
    OPTED_OUT = "opted_out"
    DECLINED = "declined"
    BLOCKED = "blocked"
    FILTERED = "filtered"
    CONTENT_REFUSED = "content_refused"
    TOO_LATE = "too_late"
    NO_WINDOW = "no_window"
    MISCONFIGURED = "misconfigured"
    ACCOUNT_SHUT = "account_shut"
    CANCELED = "canceled"
    UNEXPLAINED = "unexplained"


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """The reach contract: what counts as reached, how long a step and the whole may take (seconds)."""

    until: Level
    within: int
    step: int | None
    mode: Literal["in_turn", "all_at_once"] = "in_turn"
    rounds: int = 1
    channels: tuple[str, ...] | None = None
    unproven: Literal["settle", "go_on"] = "go_on"


class Cost(msgspec.Struct, frozen=True):
    """What a provider charged or will charge; `source` says whether it told us or a price list did."""

    amount: str
    currency: str
    source: str


class Attempt(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One hand-over of the message to a provider. `id` is unique within its message.

    `mark` tells it from one that another worker has begun under the same id, when only one of the two came to be.
    `bounce`: the id of the returned mail that told of its fate, as the log has it.
    """

    id: str
    channel: str
    address: str
    round: int = 1
    status: AttemptStatus = "started"
    engagement: Engagement = "none"
    answered_by: AnsweredBy | None = None
    heard: bool = False
    ended: bool = False
    fault: Fault | None = None
    provider_id: str | None = None
    provider_code: str | None = None
    bounce: str | None = None
    retry_after: int | None = None
    lease_until: int = 0
    mark: str = ""
    asked_at: int | None = None
    asked: int = 0
    units: int | None = None
    cost: Cost | None = None
    times: dict[str, int] = {}

    @property
    def started_at(self) -> int:
        """When the attempt began, ms."""
        return self.times["started"]


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """News about one attempt, in our words, wherever it came from: a send's answer, a callback, a look-up."""

    attempt: str
    at: int
    status: AttemptStatus = "started"
    engagement: Engagement = "none"
    answered_by: AnsweredBy | None = None
    heard: bool = False
    ended: bool = False
    fault: Fault | None = None
    provider_id: str | None = None
    provider_code: str | None = None
    bounce: str | None = None
    retry_after: int | None = None
    units: int | None = None
    cost: Cost | None = None


class Why(msgspec.Struct, frozen=True):
    """A stable code and a sentence for people."""

    code: str
    text: str


class Held(msgspec.Struct, frozen=True):
    """The message waits for something other than a provider. `since` and `until` in ms."""

    until: int
    code: str
    text: str
    since: int


class Limited(msgspec.Struct, frozen=True):
    """A limit on texts and calls that an address has met, as the settings name it, and when (ms) there is room again."""

    limit: str
    until: int


class Skipped(msgspec.Struct, frozen=True, omit_defaults=True):
    """A channel (or one address of it) that was not used, and why."""

    channel: str
    why: Why
    address: str | None = None


class RouteStep(msgspec.Struct, frozen=True):
    """A step still to come; `after` in seconds from now, if every step before it stays silent."""

    channel: str
    address: str
    after: int
    why: Why


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the message ended; `pending` exactly until it is done."""

    state: State = "pending"
    proven: bool = False
    late: bool = False
    channel: str | None = None
    attempt: str | None = None
    level: Level | None = None
    at: int | None = None
    code: str | None = None
    text: str | None = None


PENDING: Final = Verdict()


class Message(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The record kept in Redis for one message; content lives beside it (`store.messages`).

    `born`: when its customer was created (ms): of two who had the same id one after the other, it is for that one.
    `proves`: the person asked for it, to prove an address theirs: it goes even where the address is no longer used.
    `broadcast`: the broadcast it belongs to. `about`: what it serves, "<kind>:<what>"; `owed`: that has still to be told
    of news. `body_of`: whose body it shares, in the same partition, instead of having its own. `uncapped`: it reminds of one
    that has counted against the caps, and doesn't count again.
    """

    id: str
    mode: Mode
    customer: str
    category: str
    lane: Lane
    reach: Reach
    created_at: int
    due_at: int
    born: int = 0
    expires_at: int | None = None
    send_at: int | None = None
    send_at_local: str | None = None
    schema: int = SCHEMA
    template: str | None = None
    template_version: int | None = None
    thread: str | None = None
    order: int = 0
    reference: str | None = None
    metadata: dict[str, Any] = {}
    addresses: tuple[tuple[str, str], ...] | None = None
    locale: str | None = None
    time_zone: str | None = None
    prompt: Prompt | None = None
    status: Status = "queued"
    verdict: Verdict = PENDING
    closing: Verdict | None = None
    held: Held | None = None
    held_ms: int = 0
    turns: dict[str, int] = {}
    unfit: dict[str, str] = {}
    limited: dict[str, Limited] = {}
    skipped: tuple[Skipped, ...] = ()
    attempts: list[Attempt] = []
    answer: Answer | None = None
    later_answers: list[Answer] = []
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None
    retry_of: str | None = None
    proves: bool = False
    broadcast: str | None = None
    about: str | None = None
    owed: bool = False
    body_of: str | None = None
    uncapped: bool = False
    claimed: bool = False
    superseded_by: str | None = None
    cancelled_at: int | None = None

    @property
    def done(self) -> bool:
        """True once no attempt begins any more."""
        return self.closing is not None

    @property
    def erased(self) -> bool:
        """True once nothing in the record says whose message it was: no news is taken in any more."""
        return self.customer.startswith(NOBODY)

    def attempt(self, attempt_id: str) -> Attempt | None:
        """The attempt of that id, or None."""
        return next((a for a in self.attempts if a.id == attempt_id), None)
