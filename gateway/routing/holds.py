"""What makes a message wait: hours, caps, an open complaint."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.customer import Customer, QuietHours
from gateway.message import Message
from gateway.preferences.caps import room_at
from gateway.preferences.quiet_hours import legal_until, quiet_until
from gateway.routing.policy import Category
from gateway.routing.route import Candidate, Rules
from gateway.routing.view import View, zones_of

LOOK_AGAIN_MS: Final = 60_000


class Hold(msgspec.Struct, frozen=True):
    """Nothing may be sent to this address before `until` (ms)."""

    code: str
    until: int
    text: str


def hold_for(view: View, candidate: Candidate, deadline: int, now: int) -> Hold | None:
    """Why nothing may be sent to an address just now; None: it may."""
    message, customer, category = view.message, view.customer, view.category
    if category.not_while_complaint and customer.complaint_open:
        text = "The customer has a complaint open; questions wait until it is settled."
        return Hold("complaint_open", min(now + LOOK_AGAIN_MS, deadline), text)
    if not message.attempts:
        room = room_at(view.cap_uses, category.cap, now) if category.cap else None
        if room is not None:
            return Hold("cap", room, "The customer has had as many messages of this kind as allowed.")
    if passes_quiet_hours(category, message):
        return None
    address = candidate.address
    found = zones_of(customer, address, view.rules.time_zone)
    quiet = quiet_hours_of(customer, view.rules)
    until = quiet_until(now, quiet.start, quiet.end, found) if quiet is not None else None
    if until is not None:
        return Hold("quiet_hours", until, "It is within the customer's quiet hours.")
    if not category.legal_window:
        return None
    legal = legal_until(now, address.channel, address.value, message.category, found)
    return Hold("legal_window", legal, "The law allows such messages only at certain hours there.") if legal else None


def passes_quiet_hours(category: Category, message: Message) -> bool:
    """Whether this message may go out at any hour."""
    return category.quiet_hours == "pass" or (
        category.quiet_hours == "pass_while_critical" and message.lane == "critical"
    )


def quiet_hours_of(customer: Customer, rules: Rules) -> QuietHours | None:
    """The customer's own quiet hours, else the default; None: none."""
    own = customer.preferences.quiet_hours
    return rules.quiet_hours if own is msgspec.UNSET else own
