"""A rule tried out: what an event would start, step by step, with nothing kept or sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.delivery.request import Rejected
from gateway.message import Mode
from gateway.rules.acts import Act
from gateway.rules.conditions import Checked, Facts, explain, facts_of
from gateway.rules.events import Events
from gateway.rules.filling import Problem, Unfilled
from gateway.rules.journal import Against, against
from gateway.rules.rule import Rule
from gateway.store.clock import Clock
from gateway.store.customers import Customers


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of an event. Times in ms.

    `acts`: whether the rule would act; else `why`, as codes: "disabled", "another_event", "conditions", "refused". `shown`:
    what would be done, as the act shows it; `problems`: why it could not be. `cancelled_by`: types and values.
    """

    acts: bool
    why: tuple[str, ...]
    conditions: tuple[Checked, ...]
    due_at: int
    shown: Any
    problems: tuple[Problem, ...]
    cancelled_by: tuple[Against, ...]


class Trial:
    """Tries rules out."""

    def __init__(self, clock: Clock, customers: Customers, events: Events, acts: Mapping[str, Act]) -> None:
        self._clock = clock
        self._customers = customers
        self._events = events
        self._acts = acts

    async def of(
        self, mode: Mode, rule: Rule, type_: str, customer: str, at: int | None, data: Mapping[str, Any]
    ) -> Tried:
        """Try a rule with an event of `at` (ms; None: now), as if its conditions were asked at once. Raises Rejected."""
        found = await self._customers.load(customer)
        if found is None:
            raise Rejected([("/customer", "There is no such customer: PUT /v1/customers/{id} first.")])
        now, facts = self._clock.now(), Facts(data, facts_of(found[0]))
        checked = tuple(one for place, condition in rule.conditions for one in explain(condition, facts, place))
        problems, shown = list[Problem](), None
        try:
            shown = await self._acts[rule.then.kind].show(mode, rule.then, facts, found[0])
        except Rejected as refused:
            problems += refused.problems
        except Unfilled as lacking:
            problems.append((lacking.pointer, lacking.detail))
        why = [
            code
            for code, so in (
                ("disabled", not rule.enabled),
                ("another_event", type_ != rule.on),
                ("conditions", rule.allows(facts) is not True),
                ("refused", bool(problems)),
            )
            if so
        ]
        return Tried(
            acts=not why,
            why=tuple(why),
            conditions=checked,
            due_at=self._events.due_at(rule, found[0], now if at is None else at, now),
            shown=shown,
            problems=tuple((f"/then{pointer}", detail) for pointer, detail in problems),
            cancelled_by=against([(unless.type, unless.pairs()) for unless in rule.unless], data),
        )
