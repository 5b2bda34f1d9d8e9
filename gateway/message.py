"""One message's life, as data.

A message is accepted, routed, tried on one channel after another, and ends with a verdict. This module holds the nouns
(`Message`, `Reach`, `Attempt`, `Receipt`, `Verdict`, `Fault`) and the one function that takes in news, `absorb`. News is
absorbed by rank, never by order of arrival, so the same receipts in any order leave the same record.

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
_ANSWERED_RANK: Final[dict[str, int]] = {"unknown": 0, "fax": 1, "machine": 2, "human": 3}

_PROVES: Final[dict[str, frozenset[str]]] = {
    "accepted": frozenset(("accepted", "sent", "delivered", "read", "clicked", "acknowledged", "answered")),
    "delivered": frozenset(("delivered",)),
    "read": frozenset(("read", "clicked", "acknowledged", "answered")),
    "acknowledged": frozenset(("acknowledged", "answered")),
}

SCHEMA: Final = 1
"""Schema number of the stored state. Workers skip records of a newer schema."""


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
    """One hand-over of the message to a provider. `id` is unique within its message."""

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
    retry_after: int | None = None
    lease_until: int = 0
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
    """The record kept in Redis for one message; content lives beside it (`store.messages`)."""

    id: str
    mode: Mode
    customer: str
    category: str
    lane: Lane
    reach: Reach
    created_at: int
    due_at: int
    expires_at: int | None = None
    send_at: int | None = None
    send_at_local: str | None = None
    schema: int = SCHEMA
    template: str | None = None
    template_version: int | None = None
    thread: str | None = None
    reference: str | None = None
    metadata: dict[str, Any] = {}
    addresses: tuple[tuple[str, str], ...] | None = None
    prompt: Prompt | None = None
    status: Status = "queued"
    verdict: Verdict = PENDING
    closing: Verdict | None = None
    held: Held | None = None
    held_ms: int = 0
    turns: dict[str, int] = {}
    unfit: dict[str, str] = {}
    skipped: tuple[Skipped, ...] = ()
    attempts: list[Attempt] = []
    answer: Answer | None = None
    later_answers: list[Answer] = []
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None
    retry_of: str | None = None
    claimed: bool = False
    superseded_by: str | None = None
    cancelled_at: int | None = None

    @property
    def done(self) -> bool:
        """True once no attempt begins any more."""
        return self.closing is not None

    def attempt(self, attempt_id: str) -> Attempt | None:
        """The attempt of that id, or None."""
        return next((a for a in self.attempts if a.id == attempt_id), None)


def level_of(attempt: Attempt) -> Level | None:
    """The highest level this attempt has proved; None when not even acceptance is known."""
    if attempt.engagement in ("acknowledged", "answered"):
        return "acknowledged"
    if attempt.engagement in ("read", "clicked"):
        return "read"
    if attempt.status == "delivered":
        return "delivered"
    return "accepted" if attempt.status in ("accepted", "sent") else None


def absorb(message: Message, receipt: Receipt) -> bool:
    """Take in one piece of news; True if the record changed. Monotone and commutative: order and repeats don't matter."""
    attempt = message.attempt(receipt.attempt)
    if attempt is None:
        return False
    before = msgspec.structs.astuple(attempt), dict(attempt.times)
    _merge(attempt, receipt)
    changed = (msgspec.structs.astuple(attempt), dict(attempt.times)) != before
    if changed and message.closing is not None:
        message.verdict = final_verdict(message)
    return changed


def _merge(attempt: Attempt, news: Receipt) -> None:
    if news.status != "started":
        _stamp(attempt, news.status, news.at)
    _raise_status(attempt, news.status)
    if ENGAGEMENT_RANK[news.engagement] > ENGAGEMENT_RANK[attempt.engagement]:
        attempt.engagement = news.engagement
    if news.engagement != "none":
        _stamp(attempt, news.engagement, news.at)
        _stamp(attempt, "delivered", news.at)
    if news.answered_by and _ANSWERED_RANK[news.answered_by] > _ANSWERED_RANK.get(attempt.answered_by or "", -1):
        attempt.answered_by = news.answered_by
    for name, happened in (("human", news.answered_by == "human"), ("heard", news.heard), ("ended", news.ended)):
        if happened:
            _stamp(attempt, name, news.at)
    attempt.heard = attempt.heard or news.heard
    attempt.ended = attempt.ended or news.ended
    if attempt.heard and attempt.answered_by == "human":
        _stamp(attempt, "delivered", max(attempt.times["heard"], attempt.times["human"]))
    if "delivered" in attempt.times:
        attempt.status = "delivered"
    _merge_details(attempt, news)


def _merge_details(attempt: Attempt, news: Receipt) -> None:
    """Of two different words on the same thing the smaller is kept: any rule will do that needs no order."""
    if news.fault is not None:
        known = (attempt.fault or "~", attempt.provider_code or "~")
        fault, code = (
            min(known, (news.fault, news.provider_code or "~")) if attempt.fault else (news.fault, news.provider_code)
        )
        attempt.fault, attempt.provider_code = Fault(fault), None if code == "~" else code
        if news.retry_after is not None:
            attempt.retry_after = max(attempt.retry_after or 0, news.retry_after)
    attempt.provider_id = min(filter(None, (attempt.provider_id, news.provider_id)), default=None)
    attempt.units = max(filter(None, (attempt.units, news.units)), default=None)
    if news.cost is not None and (attempt.cost is None or news.cost.amount > attempt.cost.amount):
        attempt.cost = news.cost


def _stamp(attempt: Attempt, name: str, at: int) -> None:
    attempt.times[name] = min(at, attempt.times.get(name, at))


def _raise_status(attempt: Attempt, status: AttemptStatus) -> None:
    if STATUS_RANK[status] > STATUS_RANK[attempt.status]:
        attempt.status = status


def proof(message: Message) -> Attempt | None:
    """The first attempt that has proved `reach.until`, or None."""
    wanted = LEVEL_RANK[message.reach.until]
    proved = [a for a in message.attempts if LEVEL_RANK.get(level_of(a) or "", 0) >= wanted]
    return min(proved, key=lambda a: (proved_at(a, message.reach.until), a.id), default=None)


def proved_at(attempt: Attempt, level: Level) -> int:
    """When an attempt that has proved a level did so, ms."""
    names = _PROVES[level]
    return min((at for name, at in attempt.times.items() if name in names), default=attempt.started_at)


def final_verdict(message: Message) -> Verdict:
    """The verdict of a message that is done: how it closed, corrected by what became known since.

    Two corrections only: proof turns `unreached` into `reached` (late), and an unproven `reached` whose attempt failed
    becomes `unreached` (bounced).
    """
    closing = message.closing
    if closing is None:
        return PENDING
    if closing.state not in ("reached", "unreached") or closing.proven:
        return closing
    proved = proof(message)
    if proved is not None:
        return Verdict(
            state="reached",
            proven=True,
            late=closing.state == "unreached",
            channel=proved.channel,
            attempt=proved.id,
            level=level_of(proved),
            at=proved_at(proved, message.reach.until),
            text=f"Reached by {proved.channel}"
            + (", after the message had been given up." if closing.state == "unreached" else "."),
        )
    if message.acknowledged_at is not None and closing.state == "unreached":
        return acknowledged_verdict(message, late=True)
    relied_on = message.attempt(closing.attempt or "")
    if closing.state == "reached" and relied_on is not None and relied_on.status == "failed":
        return Verdict(
            state="unreached",
            channel=relied_on.channel,
            attempt=relied_on.id,
            at=relied_on.times["failed"],
            code="bounced",
            text=f"The provider had taken it, but the {relied_on.channel} bounced afterwards.",
        )
    return closing


def acknowledged_verdict(message: Message, *, late: bool) -> Verdict:
    """The verdict when a person acknowledged through the API or a page that belongs to no single attempt."""
    by = f" by {message.acknowledged_by}" if message.acknowledged_by else ""
    return Verdict(
        state="reached",
        proven=True,
        late=late,
        level="acknowledged",
        at=message.acknowledged_at,
        text=f"Acknowledged{by}.",
    )
