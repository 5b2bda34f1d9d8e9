"""A case as it is kept: on which lists it stands, what is told of it, and for how long it lives. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.cases.clockwork import next_at, owed
from gateway.cases.nouns import Case
from gateway.settings_types import CaseSettings
from gateway.store.things import Listed, Written

ALL: Final = "cases"
BY: Final = ("customer", "owner", "kind", "status")
"""The lists that are asked for by a value, the shortest first."""
OVERDUE: Final = "cases.overdue"
SOON_MS: Final = 3000
"""Whoever writes does at once what the case owes; this long after, a worker does it in their place."""


def cause_key(root_cause: str) -> str:
    """A root cause as a list's value: two that differ in blanks and capitals are one."""
    return " ".join(root_cause.split()).casefold()


def places(case: Case) -> set[tuple[str, str]]:
    """The lists a case stands on, with their values."""
    found = {(ALL, "")}
    found |= {(f"{ALL}.{name}", value) for name in BY if (value := getattr(case, name)) is not None}
    if case.root_cause is not None:
        found.add((f"{ALL}.cause", cause_key(case.root_cause)))
    if case.outage is not None:
        found.add((f"{ALL}.outage", case.outage))
    if case.under_way and case.overdue_at is not None:
        found.add((OVERDUE, ""))
    return found


def written(before: Case | None, case: Case, own: CaseSettings, now: int, keep_ms: int) -> Written[Case]:
    """How a case is written after a change. `keep_ms`: how long one lives that is closed."""
    old = set[tuple[str, str]]() if before is None else places(before)
    new, at = places(case), case.created_at
    lists = [Listed(case.mode, name, at, value, on=False) for name, value in sorted(old - new)]
    lists += [Listed(case.mode, name, at, value) for name, value in sorted(new - old)]
    if before is not None and case.steps > before.steps:
        case = msgspec.structs.replace(case, version=before.version + 1)
    return Written(
        case,
        wake=now + SOON_MS if owed(case, now) else next_at(case, own),
        lists=lists,
        events=_events(before, case),
        known_as=f"{case.mode}:{case.id}",
        keep=keep_ms if case.status == "closed" else None,
    )


def _events(before: Case | None, case: Case) -> tuple[str, ...]:
    if before is None:
        return ("case.created",)
    found = ["case.changed"] if case.steps > before.steps else []
    if case.overdue_at is not None and before.overdue_at is None:
        found.append("case.overdue")
    return tuple(found)
