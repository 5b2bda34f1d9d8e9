"""The other things that rules do: an invitation to a survey, a case for somebody to see to."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from gateway.broadcasts.nouns import Audience
from gateway.cases.nouns import NewCase
from gateway.cases.service import Cases
from gateway.customer import Customer
from gateway.delivery.drafts import Origin
from gateway.delivery.request import Problem, Rejected
from gateway.message import Mode
from gateway.routing.policy import Category
from gateway.rules import filling
from gateway.rules.acts import reach_problems
from gateway.rules.conditions import Facts
from gateway.rules.filling import Filler
from gateway.rules.rule import CaseOf, Then
from gateway.rules.run import Run
from gateway.store.customers import Customers
from gateway.surveys.forms import filled
from gateway.surveys.nouns import NewInvitation
from gateway.surveys.surveys import Surveys

_CATEGORY: Final = "survey"
_CASE_KIND: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_GONE: Final = ("/customer", "There is no such customer any more.")


class Asking:
    """Invites the customer to a survey, also one who was asked before: how often is for the category's cap to say."""

    def __init__(
        self,
        surveys: Surveys,
        customers: Customers,
        categories: Mapping[str, Category],
        channels: Collection[str],
        *,
        locale: str,
        time_zone: str,
    ) -> None:
        self._surveys = surveys
        self._customers = customers
        self._categories = categories
        self._channels = channels
        self._locale = locale
        self._zone = time_zone

    async def problems(self, mode: Mode, then: Then) -> list[Problem]:
        """Whether there is such a survey, and what its words miss in the data."""
        found = [*filling.data_problems(then.data, "/data")]
        found += reach_problems(self._categories.get(_CATEGORY), then.reach or {}, None, self._channels)
        try:
            survey = await self._surveys.get(mode, then.survey or "")
        except KeyError:
            found.append(("/survey", f"There is no survey {then.survey!r} here: PUT /v1/surveys/{{id}} first."))
        else:
            _, missing = filled(survey.form, then.data, self._locale, self._zone)
            found += filling.without_open(missing, then.data)
        return [(f"/then{pointer}", detail) for pointer, detail in found]

    async def show(self, mode: Mode, then: Then, facts: Facts, customer: Customer) -> dict[str, Any]:
        """The questions, with the words as the customer would be asked."""
        data = self._data(then, facts, customer)
        try:
            survey = await self._surveys.get(mode, then.survey or "")
        except KeyError:
            raise Rejected([("/survey", "There is no such survey any more.")]) from None
        form, missing = filled(survey.form, data, self._locale, self._zone)
        if missing:
            raise Rejected(missing)
        return {"id": survey.id, "version": survey.version, "questions": msgspec.to_builtins(form.questions)}

    async def do(self, run: Run, then: Then, facts: Facts) -> str:
        """Invite; the id of the invitation."""
        found = await self._customers.load(run.customer)
        if found is None:
            raise Rejected([_GONE])
        new = NewInvitation(
            audience=Audience(customers=(run.customer,)),
            reach={name: value for name, value in (then.reach or {}).items() if value is not None},
            data=self._data(then, facts, found[0]),
            again=True,
        )
        origin = Origin(run.seed, run.acted_at or run.due_at)
        try:
            return (await self._surveys.invite(run.mode, then.survey or "", new, origin)).broadcast
        except KeyError:
            raise Rejected([("/survey", "There is no such survey any more.")]) from None

    async def stop(self, run: Run, made: str | None) -> None:
        """Whoever was asked may answer."""

    def _data(self, then: Then, facts: Facts, customer: Customer) -> dict[str, Any]:
        return Filler(facts, customer, self._locale, self._zone).data(then.data)


class Opening:
    """Opens a case."""

    def __init__(self, cases: Cases, customers: Customers, *, locale: str, time_zone: str) -> None:
        self._cases = cases
        self._customers = customers
        self._locale = locale
        self._zone = time_zone

    async def problems(self, mode: Mode, then: Then) -> list[Problem]:  # noqa: ARG002 - cases are alike in all modes
        """What is wrong with the case."""
        asked = then.case or CaseOf(kind="", subject="")
        found: list[Problem] = []
        if not _CASE_KIND.fullmatch(asked.kind):
            found.append(("/kind", "must be lower-case letters, digits, _ and -, beginning with a letter."))
        found += filling.text_problems(asked.subject, "line", "/subject")
        found += filling.text_problems(asked.description, "text", "/description")
        return [(f"/then/case{pointer}", detail) for pointer, detail in found]

    async def show(self, mode: Mode, then: Then, facts: Facts, customer: Customer) -> dict[str, Any]:  # noqa: ARG002 - as above
        """The case as it would be opened."""
        return msgspec.structs.asdict(self._new(then, facts, customer))

    async def do(self, run: Run, then: Then, facts: Facts) -> str:
        """Open it; the id of the case."""
        found = await self._customers.load(run.customer)
        if found is None:
            raise Rejected([_GONE])
        new = msgspec.structs.replace(self._new(then, facts, found[0]), source=f"run:{run.id}")
        case = await self._cases.create(
            run.mode, new, f"case-{run.id}", by=f"rule {run.rule}", at=run.acted_at, token=run.id
        )
        return case.id

    async def stop(self, run: Run, made: str | None) -> None:
        """A case is for people to close."""

    def _new(self, then: Then, facts: Facts, customer: Customer) -> NewCase:
        asked = then.case or CaseOf(kind="", subject="")
        filler = Filler(facts, customer, self._locale, self._zone)
        return NewCase(
            customer=customer.id,
            kind=asked.kind,
            subject=filler.text(asked.subject, "line", "/case/subject")[:200],
            description=filler.text(asked.description, "text", "/case/description")[:4000],
            owner=asked.owner,
        )
