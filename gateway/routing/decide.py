"""The one decision: given everything known about a message, what now?

`decide` is pure and total. It is asked whenever something wakes the message, and asked ahead for the route shown to
people. It stores no plan: which steps are behind us is read from the attempts, which come next from the customer's
present wishes.
"""

from __future__ import annotations

from gateway.message import Message
from gateway.routing.ahead import ahead, foreseen
from gateway.routing.holds import never_open
from gateway.routing.plan import Plan
from gateway.routing.route import candidates
from gateway.routing.verdicts import ended
from gateway.routing.view import MOVING, Next, View, deadline_of


def decide(view: View, now: int) -> Next:
    """What to do with the message at `now` (ms). Pure; always either closes it or names the time to look again."""
    message = view.message
    deadline = deadline_of(message, now)
    closing = message.closing or ended(view, deadline, now)
    if closing is not None:
        # Nothing begins any more, but what has begun is looked at once more: its worker may have died.
        wake = min((a.lease_until for a in message.attempts if a.status == "started"), default=None)
        return Next(status="done", wake_at=wake, deadline=deadline, closing=closing, skipped=message.skipped)
    usable, skipped = candidates(message, view.customer, view.category, view.rules, view.channels, now)
    never = never_open(view, usable, now)
    if never:
        barred = {(one.channel, one.address) for one in never}
        usable, skipped = [one for one in usable if one.key not in barred], (*skipped, *never)
    if now < message.due_at:
        later, last = foreseen(view, usable, deadline)
        coming = tuple(ahead(view, usable, [], later, last, now))
        wake = message.due_at if message.expires_at is None else min(message.due_at, message.expires_at)
        return Next(status="scheduled", wake_at=wake, deadline=deadline, later=later, skipped=skipped, route=coming)
    return Plan(view, usable, skipped, deadline, now).next()


def apply(message: Message, following: Next, now: int) -> None:
    """Write a decision into the record. Time spent in a moving hold is added to the message's clock."""
    before = message.held
    if before is not None and before.code in MOVING and (following.held is None or following.held.code != before.code):
        message.held_ms += max(0, now - before.since)
    message.held = following.held
    message.status = following.status
    message.skipped = following.skipped
    message.turns = {t.channel: message.turns.get(t.channel, now) for t in following.turns}
    if following.closing is not None and message.closing is None:
        message.closing = following.closing
        message.verdict = following.closing
        message.held = None
