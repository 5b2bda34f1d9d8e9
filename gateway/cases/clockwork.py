"""What time makes of a case, what it owes the world, and when it is to be looked at next. Pure."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from gateway.cases.machine import stepped
from gateway.cases.nouns import SILENCE_MS, Case
from gateway.settings_types import CaseSettings

Task = Literal["flag", "notice", "offer", "choice", "ask", "question", "silence", "thank", "drop", "tell"]
"""Tell the customer's record; say that we know; put the offer; look whether it was answered before it lapses; begin to ask;
put the question; look whether it was answered before it is closed; thank; cancel messages; tell the timeline."""

GRACE_MS: Final = 2000
"""An answer in the last moment may be a moment under way."""
HOUR: Final = 3600


def owed(case: Case, now: int) -> list[Task]:
    """What is to be done for it now, in order."""
    found: list[Task] = []
    if case.customer is None:
        return found
    offer, asked = case.offered, case.follow_up if case.status == "resolved" else None
    if not case.flagged and case.mode == "live":
        found.append("flag")
    if case.notice == "":
        found.append("notice")
    if offer is not None:
        if offer.message is None:
            found.append("offer")
        elif now >= offer.closes_at + GRACE_MS:
            found.append("choice")
    if asked is not None:
        if asked.asked_at is None:
            if now >= asked.ask_at:
                found.append("ask")
        elif asked.message is None and asked.failed is None:
            found.append("question")
        elif now >= asked.asked_at + SILENCE_MS + GRACE_MS:
            found.append("silence")
    if case.thanks:
        found.append("thank")
    if case.drop:
        found.append("drop")
    if case.told < case.steps:
        found.append("tell")
    return found


def timed(case: Case, now: int, own: CaseSettings) -> Case:
    """Fallen due, and given to the next in the line of those it escalates to; once each."""
    if not case.under_way or case.customer is None:
        return case
    if case.overdue_at is None and now >= case.due_at:
        case = stepped(case, now, "gateway", "overdue", {"owner": case.owner}, overdue_at=now)
    while case.escalations < len(own.escalate_to) and now >= _escalates(case, own):
        owner = own.escalate_to[case.escalations]
        facts = {"owner": owner, "before": case.owner}
        case = stepped(case, now, "gateway", "escalated", facts, owner=owner, escalations=case.escalations + 1)
    return case


def next_at(case: Case, own: CaseSettings) -> int | None:
    """When (ms) it is to be looked at next, once nothing is owed; None: never."""
    if case.customer is None:
        return None
    times: list[int] = []
    if case.under_way:
        if case.overdue_at is None:
            times.append(case.due_at)
        if case.escalations < len(own.escalate_to):
            times.append(_escalates(case, own))
    if case.offered is not None:
        times.append(case.offered.closes_at + GRACE_MS)
    if case.status == "resolved" and (asked := case.follow_up) is not None:
        times.append(asked.ask_at if asked.asked_at is None else asked.asked_at + SILENCE_MS + GRACE_MS)
    return min(times, default=None)


def erased(case: Case, at: int) -> Case:
    """The case of a person who has been forgotten: its kind, root cause and dates, and nobody's words."""
    history = tuple(msgspec.structs.replace(step, facts={}) for step in case.history)
    bare = msgspec.structs.replace(
        case,
        customer=None,
        subject="",
        description="",
        notes=(),
        history=history,
        offer=None,
        chosen=None,
        action=None,
        follow_up=None,
        source=None,
        notice=None,
        drop=(),
        thanks=(),
    )
    return stepped(bare, at, "gateway", "erased", status="closed", closed_at=case.closed_at or at)


def _escalates(case: Case, own: CaseSettings) -> int:
    after = HOUR if own.escalate_after is None else own.escalate_after
    return case.due_at + (case.escalations + 1) * after * 1000
