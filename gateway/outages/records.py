"""An outage as it is kept: on which lists it stands, and what is told of it. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.outages.counting import Counts
from gateway.outages.nouns import Outage
from gateway.store.things import Listed, Written

ALL: Final = "outages"
STATES: Final = "outages.state"
SOON_MS: Final = 3_000
"""Whoever asks for something sends it at once; this long after, a worker does it in their place."""
AT_ONCE_MS: Final = 250
"""The same where it is to wait for a moment."""
MOVING_MS: Final = 2_000
"""How often progress is told at most."""
RESTING_MS: Final = 30_000
"""How often an outage is looked at with which nothing happens."""
ASLEEP_MS: Final = 600_000
"""The same after a day without news."""
DAY_MS: Final = 86_400_000


def written(before: Outage | None, outage: Outage, now: int) -> Written[Outage]:
    """How it is written when somebody has asked for something; the worker looks at it soon."""
    soon = AT_ONCE_MS if outage.state == "resolving" else SOON_MS
    return Written(outage, wake=now + soon, lane="critical", lists=_moved(before, outage), known_as=known_as(outage))


def removed(outage: Outage) -> Written[Outage]:
    """How one goes that never came to be."""
    return Written(None, lane="critical", lists=[*_places(outage, on=False)])


def looked_at(outage: Outage, seen: Counts, now: int, *, over: bool, keep: int) -> Written[Outage]:
    """How it is written after a look. `over`: the all-clear has come to its end; it is kept for `keep` ms then."""
    news = seen != outage.shown
    changed = msgspec.structs.replace(
        outage,
        shown=seen,
        shown_at=now if news else outage.shown_at,
        state="resolved" if over else outage.state,
    )
    events = (*(("outage.progress",) if news else ()), *(("outage.done",) if over else ()))
    return Written(
        changed,
        wake=None if over else now + _rest(changed, seen, now, news=news),
        lane="critical",
        lists=_moved(outage, changed),
        events=events,
        known_as=known_as(outage),
        keep=keep if over else None,
    )


def known_as(outage: Outage) -> str:
    """What it is called in events."""
    return f"{outage.mode}:{outage.id}"


def _rest(outage: Outage, seen: Counts, now: int, *, news: bool) -> int:
    if news or seen.waiting or outage.state == "resolving":
        return MOVING_MS
    return ASLEEP_MS if now - outage.shown_at > DAY_MS else RESTING_MS


def _places(outage: Outage, *, on: bool) -> tuple[Listed, Listed]:
    return (
        Listed(outage.mode, ALL, outage.created_at, on=on),
        Listed(outage.mode, STATES, outage.created_at, outage.state, on=on),
    )


def _moved(before: Outage | None, outage: Outage) -> list[Listed]:
    if before is None:
        return [*_places(outage, on=True)]
    if before.state == outage.state:
        return []
    return [_places(before, on=False)[1], _places(outage, on=True)[1]]
