"""What is wrong with a rule, all of it at once, when it is uploaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from gateway.message import Mode
from gateway.rules import conditions
from gateway.rules.acts import Act
from gateway.rules.conditions import MOST
from gateway.rules.filling import Problem
from gateway.rules.rule import MOST_WAIT, Rule, Then

MOST_BYTES: Final = 65_536
_MOST_UNLESS: Final = 20
_MOST_MATCH: Final = 10
_MESSAGE: Final = ("category", "template", "content", "data", "prompt", "reach", "priority", "thread", "reference")
_NOTHING_GIVEN: Final = {"/then/category", "/then/template"}
"""What a message misses that isn't asked for."""
_WITH_SURVEY: Final = ("data", "reach")


async def problems(mode: Mode, rule: Rule, acts: Mapping[str, Act]) -> list[Problem]:
    """Every bad field as (JSON pointer, sentence). `acts`: who does what a rule may ask for, by its kind."""
    found = [*_conditions(rule), *_timing(rule), *_unless(rule), *_one_of(rule.then)]
    if len(msgspec.json.encode(rule)) > MOST_BYTES:
        found.append(("/", f"A rule may hold {MOST_BYTES} bytes of JSON."))
    act = acts.get(rule.then.kind)
    if act is None:
        found.append((f"/then/{rule.then.kind}", "is not possible in this installation."))
        return found
    known = {pointer for pointer, _ in found}
    if "/then" in known:
        known |= _NOTHING_GIVEN
    return found + [fault for fault in await act.problems(mode, rule.then) if fault[0] not in known]


def _conditions(rule: Rule) -> Iterator[Problem]:
    if sum(conditions.size(one) for _, one in rule.conditions) > MOST:
        yield "/when", f"may hold {MOST} conditions at most."
    for place, one in rule.conditions:
        yield from conditions.problems(one, place)


def _timing(rule: Rule) -> Iterator[Problem]:
    if isinstance(rule.wait, int) and not 0 <= rule.wait <= MOST_WAIT:
        yield "/wait", f"must be 0 to {MOST_WAIT} seconds."
    if rule.once_per == "customer" and rule.per is None:
        yield "/per", "is required with once_per customer: the seconds in which a customer gets it once at most."
    if rule.once_per == "event" and rule.per is not None:
        yield "/per", "goes with once_per customer."


def _unless(rule: Rule) -> Iterator[Problem]:
    if len(rule.unless) > _MOST_UNLESS:
        yield "/unless", f"may name {_MOST_UNLESS} contrary events at most."
    for n, unless in enumerate(rule.unless):
        pairs = unless.pairs()
        if len(pairs) > _MOST_MATCH:
            yield f"/unless/{n}/match", f"may name {_MOST_MATCH} values at most."
        bad = [path for pair in pairs.items() for path in pair if not conditions.is_path(path)]
        if bad:
            yield (
                f"/unless/{n}/match",
                f"{bad[0][:200]!r} is no name in the data: names, with single dots between them.",
            )


def _one_of(then: Then) -> Iterator[Problem]:
    """A message, a survey or a case, and nothing that belongs to another."""
    kinds = [
        name
        for name, one in (("survey", then.survey), ("case", then.case), ("category", then.category))
        if one is not None
    ]
    if not kinds:
        yield "/then", "needs a category with template or content, a survey, or a case."
    if len(kinds) > 1:
        yield f"/then/{kinds[1]}", f"can't stand beside {kinds[0]}: give one of category, survey, case."
    if then.kind != "message":
        allowed = _WITH_SURVEY if then.kind == "survey" else ()
        for name in _MESSAGE:
            if name not in allowed and name != "category" and getattr(then, name):
                yield f"/then/{name}", f"belongs to a message, not to a {then.kind}."
