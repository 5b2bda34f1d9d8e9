"""News of a message, taken in by rank and never by order of arrival: the same news in any order leaves the same record."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.message import (
    ENGAGEMENT_RANK,
    LEVEL_RANK,
    PENDING,
    STATUS_RANK,
    Attempt,
    AttemptStatus,
    Fault,
    Level,
    Message,
    Receipt,
    Verdict,
)

_ANSWERED_RANK: Final[dict[str, int]] = {"unknown": 0, "fax": 1, "machine": 2, "human": 3}
_PROVES: Final[dict[str, frozenset[str]]] = {
    "accepted": frozenset(("accepted", "sent", "delivered", "read", "clicked", "acknowledged", "answered")),
    "delivered": frozenset(("delivered",)),
    "read": frozenset(("read", "clicked", "acknowledged", "answered")),
    "acknowledged": frozenset(("acknowledged", "answered")),
}


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
    attempt.bounce = min(filter(None, (attempt.bounce, news.bounce)), default=None)
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
    relied_on = message.attempt(closing.attempt or "")
    bounced = (
        closing.state == "reached" and not closing.proven and relied_on is not None and relied_on.status == "failed"
    )
    if closing.state == "reached" and relied_on is not None and not bounced:
        return msgspec.structs.replace(closing, level=level_of(relied_on) or closing.level)
    if closing.state != "unreached" and not bounced:
        return closing
    proved = proof(message)
    if proved is not None:
        return reached_by(message, proved, late=True)
    if message.acknowledged_at is not None:
        return acknowledged_verdict(message, late=True)
    if relied_on is None or not bounced:
        return closing
    return Verdict(
        state="unreached",
        channel=relied_on.channel,
        attempt=relied_on.id,
        at=relied_on.times["failed"],
        code="bounced",
        text=f"The provider had taken it, but the {relied_on.channel} bounced afterwards.",
    )


def reached_by(message: Message, proved: Attempt, *, late: bool) -> Verdict:
    """The verdict when an attempt has proved `reach.until`."""
    after = ", after the message had been given up" if late else ""
    return Verdict(
        state="reached",
        proven=True,
        late=late,
        channel=proved.channel,
        attempt=proved.id,
        level=level_of(proved),
        at=proved_at(proved, message.reach.until),
        text=f"Reached by {proved.channel}{after}.",
    )


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
