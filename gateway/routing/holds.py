"""What makes a message wait: hours, caps, an open complaint, a broadcast that is paused.

Hours come before caps, since they stop the message's clock and caps don't.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from gateway.customer import Address, Customer, QuietHours
from gateway.message import Message, Skipped, Why
from gateway.preferences.caps import Counted, room_at
from gateway.preferences.quiet_hours import hours_meet, legal_until, quiet_until
from gateway.routing.policy import Category
from gateway.routing.route import Candidate, Rules
from gateway.routing.view import View, zones_of

LOOK_AGAIN_MS: Final = 60_000
HALTED_LOOK_MS: Final = 600_000
"""Who resumes a broadcast wakes what it holds; this is for what was missed."""
_HORIZON_MS: Final = 10 * 86_400_000
"""Longer than any week with holidays on both of its ends."""
_TEXTS: Final = {
    "quiet_hours": "It is within the customer's quiet hours.",
    "legal_window": "The law allows such messages only at certain hours there.",
}


class Hold(msgspec.Struct, frozen=True):
    """Nothing may be sent to this address before `until` (ms), as things stand.

    `ends`: when this very reason ends and another may take its place; `awake`: when the hours are good again, to which
    the message's clock stands still. None: then, too.
    """

    code: str
    until: int
    text: str
    ends: int | None = None
    awake: int | None = None

    @property
    def over(self) -> int:
        """When to look again, ms."""
        return self.until if self.ends is None else self.ends

    @property
    def runs_on(self) -> int:
        """When a clock that this hold stops runs on, ms."""
        return self.until if self.awake is None else self.awake


def hold_for(view: View, candidate: Candidate, deadline: int, now: int) -> Hold | None:
    """Why nothing may be sent to an address just now; None: it may."""
    if view.halted:
        return Hold("paused", deadline, "Its broadcast is paused.", min(deadline, now + HALTED_LOOK_MS))
    if view.category.not_while_complaint and view.customer.complaint_open:
        text = "The customer has a complaint open; questions wait until it is settled."
        return Hold("complaint_open", min(now + LOOK_AGAIN_MS, deadline), text)
    hours = _Hours(view, candidate.address)
    caps = _Caps(view)
    shut = hours.closed(now)
    awake = now if shut is None else hours.opens(now) or shut[1]
    full = caps.full(awake)
    if full is not None and (shut is None or full[1] >= deadline + awake - now):
        capped, room = full
        return Hold("cap", hours.opens(room) or room, _capped_text(view.message, capped), room)
    if shut is not None:
        return Hold(shut[0], _first_open(hours, caps, awake), _TEXTS[shut[0]], shut[1], awake)
    return None


def never_open(view: View, candidates: Sequence[Candidate], now: int) -> list[Skipped]:
    """The addresses for which the customer's quiet hours leave none of the hours that the law allows."""
    quiet = quiet_hours_of(view.customer, view.rules)
    if not view.category.legal_window or quiet is None or passes_quiet_hours(view.category, view.message):
        return []
    text = "The customer's quiet hours leave none of the hours at which the law allows such messages there."
    found: list[Skipped] = []
    for place in (one.address for one in candidates):
        meet = hours_meet(quiet.start, quiet.end, place.channel, place.value)
        # In several zones hours that meet in each may still never do so in all: only then is it worked out.
        if not meet or (view.customer.time_zone is None and _Hours(view, place).opens(now) is None):
            found.append(Skipped(place.channel, Why("legal_window", text), place.value))
    return found


def passes(view: View, address: Address, at: int) -> str | None:
    """Why a message may go out at `at` (ms) although it is within the quiet hours; None: it isn't within them."""
    if not passes_quiet_hours(view.category, view.message):
        return None
    quiet = quiet_hours_of(view.customer, view.rules)
    found = zones_of(view.customer, address, view.rules.time_zone)
    if quiet is None or quiet_until(at, quiet.start, quiet.end, found) is None:
        return None
    kind = f"critical {view.message.category}" if view.category.quiet_hours != "pass" else view.message.category
    return f"It is within the customer's quiet hours, which {kind} messages pass."


def passes_quiet_hours(category: Category, message: Message) -> bool:
    """Whether this message may go out at any hour."""
    return category.quiet_hours == "pass" or (
        category.quiet_hours == "pass_while_critical" and message.lane == "critical"
    )


def quiet_hours_of(customer: Customer, rules: Rules) -> QuietHours | None:
    """The customer's own quiet hours, else the default; None: none."""
    own = customer.preferences.quiet_hours
    return rules.quiet_hours if own is msgspec.UNSET else own


class _Hours:
    """The hours at which a message may go to an address: outside of quiet hours, within the law's."""

    def __init__(self, view: View, address: Address) -> None:
        self._view = view
        self._address = address
        self._any = passes_quiet_hours(view.category, view.message)
        self._quiet = quiet_hours_of(view.customer, view.rules)
        self._zones = () if self._any else zones_of(view.customer, address, view.rules.time_zone)

    def closed(self, at: int) -> tuple[str, int] | None:
        """Which hours keep it from going out at `at` (ms), and until when; None: none do."""
        return next(self._closed(at), None)

    def opens(self, at: int) -> int | None:
        """The first moment from `at` on that suits all hours, ms; None: there is none within ten days."""
        last = at + _HORIZON_MS
        while at <= last:
            later = max((until for _, until in self._closed(at)), default=at)
            if later == at:
                return at
            at = later
        return None

    def _closed(self, at: int) -> Iterator[tuple[str, int]]:
        if self._any:
            return
        quiet = self._quiet
        until = None if quiet is None else quiet_until(at, quiet.start, quiet.end, self._zones)
        if until is not None:
            yield "quiet_hours", until
        if self._view.category.legal_window:
            place, kind = self._address, self._view.message.category
            until = legal_until(at, place.channel, place.value, kind, self._zones)
            if until is not None:
                yield "legal_window", until


class _Caps:
    """The caps a message counts against, as long as it hasn't: with its first attempt it does."""

    def __init__(self, view: View) -> None:
        self._uses = view.cap_uses
        counted = view.message.attempts or view.message.uncapped
        self._caps = () if counted else view.rules.caps_of(view.message.category)

    def full(self, at: int) -> tuple[Counted, int] | None:
        """The cap without room at `at` (ms) that is the last to have some, and when."""
        rooms = [(one, room_at(self._uses.get(one.key, ()), one.cap, at)) for one in self._caps]
        full = [(one, room) for one, room in rooms if room is not None]
        return max(full, key=lambda found: found[1], default=None)


def _first_open(hours: _Hours, caps: _Caps, at: int) -> int:
    """The first moment from `at` on that suits hours and caps, if nothing more is sent till then, ms."""
    full = caps.full(at)
    if full is not None:
        at = full[1]
    # Uses only lapse with time: room that has come stays.
    return hours.opens(at) or at


def _capped_text(message: Message, capped: Counted) -> str:
    if capped.name is None:
        return f"The customer has had as many {message.category} messages as allowed: {capped.cap}."
    return f"The customer has had as many messages as the cap {capped.name} allows: {capped.cap}."
