"""What is known of a telephone call, and what it tells the account's webhooks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol

from msgspec import Struct, field

from .clock import Clock

SIP = {"completed": "200", "busy": "486", "no-answer": "480", "failed": "404", "canceled": "487"}

Params = list[tuple[str, str]]


class Plan(Struct, kw_only=True):
    """What the request for a call asked for; times in seconds."""

    url: str = ""
    method: str = "POST"
    twiml: str = ""
    callback: str = ""
    callback_method: str = "POST"
    events: frozenset[str] = frozenset({"completed"})
    ring_for: float = 60.0
    detection: str = ""
    detect_aside: bool = False
    detect_callback: str = ""
    time_limit: float = 14400.0


class Record(Struct, kw_only=True):
    """A call as the account sees it; times in milliseconds."""

    sid: str
    to: str
    sender: str
    direction: str
    status: str
    created: int
    updated: int
    started: int | None = None
    ended: int | None = None
    answered_by: str | None = None
    price: str | None = None
    sequence: int = 0
    plan: Plan = field(default_factory=Plan)


class Exchange(Protocol):
    """What a session needs of the exchange that runs it."""

    clock: Clock
    account_sid: str

    async def post(self, url: str, params: Params, method: str) -> str | None:
        """Calls a webhook; returns the body of a 2xx answer."""
        ...

    def seen(self, record: Record) -> None:
        """Shows the call's present state on the phone."""
        ...

    def problem(self, text: str) -> None:
        """Notes an error for the carrier's console."""
        ...

    def holds_back(self) -> bool:
        """Whether the next event is to arrive out of order."""
        ...

    def repeats(self) -> bool:
        """Whether the next event is to arrive twice."""
        ...


def duration(record: Record) -> int:
    """Seconds of talk, 0 when nobody answered."""
    if record.started is None or record.ended is None:
        return 0
    return max(1, round((record.ended - record.started) / 1000))


def params_of(record: Record, account_sid: str) -> Params:
    """The parameters every voice webhook carries."""
    pairs = [
        ("CallSid", record.sid),
        ("AccountSid", account_sid),
        ("From", record.sender),
        ("To", record.to),
        ("CallStatus", record.status),
        ("ApiVersion", "2010-04-01"),
        ("Direction", record.direction),
    ]
    if record.direction == "inbound":
        pairs += [("Caller", record.sender), ("Called", record.to), ("StirVerstat", "No-TN-Validation")]
    return [*pairs, ("AnsweredBy", record.answered_by)] if record.answered_by else pairs


class News:
    """Status events of one call: posted one after another, never delaying the call itself."""

    def __init__(self, exchange: Exchange, record: Record) -> None:
        self._exchange = exchange
        self._record = record
        self._held: Params | None = None
        self._posts: asyncio.Task[None] | None = None

    def tell(self, event: str) -> None:
        """Queues an event if the account asked for it; one may be held back until after the last."""
        record, plan = self._record, self._record.plan
        if event not in plan.events or not plan.callback:
            return
        moment = format_datetime(datetime.fromtimestamp(self._exchange.clock.now() // 1000, UTC))
        params = params_of(record, self._exchange.account_sid)
        if event == "initiated":
            # The resource still says queued; only the event has this word.
            params = [(name, "initiated" if name == "CallStatus" else value) for name, value in params]
        params += [("Timestamp", moment), ("CallbackSource", "call-progress-events")]
        params.append(("SequenceNumber", str(record.sequence)))
        record.sequence += 1
        if event == "completed":
            params += [("CallDuration", str(duration(record))), ("Duration", str(-(-duration(record) // 60)))]
            params.append(("SipResponseCode", SIP.get(record.status, "200")))
        elif self._held is None and self._exchange.holds_back():
            self._held = params
            return
        batch = [params]
        if event == "completed" and self._held is not None:
            batch.append(self._held)
        self._posts = asyncio.ensure_future(self._post_after(self._posts, batch))

    async def _post_after(self, previous: asyncio.Task[None] | None, batch: list[Params]) -> None:
        if previous is not None:
            await previous
        for params in batch:
            for _ in range(2 if self._exchange.repeats() else 1):
                await self._exchange.post(self._record.plan.callback, params, self._record.plan.callback_method)

    async def sent(self) -> None:
        """Returns when all that was queued has been posted."""
        if self._posts is not None:
            await self._posts
