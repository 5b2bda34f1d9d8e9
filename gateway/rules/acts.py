"""What a rule can do: send a message, invite to a survey, open a case. Each checks what is asked of it, shows it, does it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol

import msgspec

from gateway.content.content import Body
from gateway.content.content import problems as body_problems
from gateway.customer import Customer
from gateway.delivery import request
from gateway.delivery.drafts import Origin
from gateway.delivery.intake import Intake
from gateway.delivery.request import NewMessage
from gateway.message import Mode
from gateway.prompts import Prompt
from gateway.routing.policy import Category
from gateway.rules import filling
from gateway.rules.conditions import Facts
from gateway.rules.filling import Filler, Problem
from gateway.rules.rule import Then
from gateway.rules.run import Run
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.ids import new_id
from gateway.store.messages import Messages
from gateway.store.templates import Templates

_SOMEBODY: Final = "somebody"


class Act(Protocol):
    """One kind of thing that rules do."""

    async def problems(self, mode: Mode, then: Then) -> list[Problem]:
        """What is wrong with a rule's `then`; pointers begin with `/then`."""
        ...

    async def show(self, mode: Mode, then: Then, facts: Facts, customer: Customer) -> Any:
        """What would be done, with nothing done. Raises Rejected, Unfilled."""
        ...

    async def do(self, run: Run, then: Then, facts: Facts) -> str:
        """Do it, once however often it is called for the same run; the id of what it made.

        Raises Rejected, Unfilled, NoRoom, StoreUnavailable.
        """
        ...

    async def stop(self, run: Run, made: str | None) -> None:
        """What was made goes no further, as far as that is possible. `made` None: it isn't known whether there is any."""
        ...


class Sending:
    """Sends a message. `locale` and `time_zone` are those of people who say nothing."""

    def __init__(
        self,
        intake: Intake,
        messages: Messages,
        templates: Templates,
        customers: Customers,
        clock: Clock,
        categories: Mapping[str, Category],
        channels: Collection[str],
        *,
        locale: str,
        time_zone: str,
    ) -> None:
        self._intake = intake
        self._messages = messages
        self._templates = templates
        self._customers = customers
        self._clock = clock
        self._categories = categories
        self._channels = channels
        self._locale = locale
        self._zone = time_zone

    async def problems(self, mode: Mode, then: Then) -> list[Problem]:  # noqa: ARG002 - templates belong to all modes
        """What is wrong with the message, as far as it can be told without an event."""
        found = request.check(self._asked(then, then.data, then.content), self._categories, self._clock.now())
        category = self._categories.get(then.category or "")
        prompt = request.prompt_for(self._asked(then, {}, None), category)
        some = category or next(iter(self._categories.values()))
        found += reach_problems(some, then.reach or {}, prompt, self._channels)
        if then.template is not None:
            found += await self._template_problems(then.template, then.data)
        if then.content is not None:
            wrong = filling.content_problems(then.content, "")
            found += wrong
            if not wrong:
                request.literal(filling.sample(then.content), found)
        found += filling.data_problems(then.data, "/data")
        for name, text in (("thread", then.thread), ("reference", then.reference)):
            found += filling.text_problems(text or "", "line", f"/{name}")
        found += filling.prompt_problems(then.prompt)
        first: dict[str, str] = {}
        for pointer, detail in found:
            first.setdefault(f"/then{pointer}", detail)
        return list(first.items())

    async def show(self, mode: Mode, then: Then, facts: Facts, customer: Customer) -> Any:
        """The message as it would be, and its route."""
        return await self._intake.preview(mode, self._filled(then, facts, customer))

    async def do(self, run: Run, then: Then, facts: Facts) -> str:
        """Accept the message: its id follows from the run."""
        found = await self._customers.load(run.customer)
        if found is None:
            raise request.Rejected([("/customer", "There is no such customer any more.")])
        new = self._filled(then, facts, found[0], about=f"run:{run.id}")
        message, _ = await self._intake.accept(run.mode, new, Origin(run.seed, run.acted_at or run.due_at))
        return message.id

    async def stop(self, run: Run, made: str | None) -> None:
        """Cancel the message."""
        if made is None and run.acted_at is None:
            return
        await self._messages.cancel(made or new_id(run.mode, run.customer, run.acted_at or 0, run.seed))

    def _filled(self, then: Then, facts: Facts, customer: Customer, about: str | None = None) -> NewMessage:
        filler = Filler(facts, customer, self._locale, self._zone)
        data = filler.data(then.data)
        content = None if then.content is None else filler.content(then.content)
        new = self._asked(then, data, content)
        return msgspec.structs.replace(
            new,
            customer=customer.id,
            prompt=None if then.prompt is None else filler.prompt(then.prompt),
            thread=filler.line(then.thread, "/thread"),
            reference=filler.line(then.reference, "/reference"),
            about=about,
        )

    def _asked(self, then: Then, data: dict[str, Any], content: dict[str, Any] | None) -> NewMessage:
        return NewMessage(
            category=then.category or "",
            customer=_SOMEBODY,
            template=then.template,
            data=data,
            content=content,
            reach={name: value for name, value in (then.reach or {}).items() if value is not None},
            priority=then.priority,
            prompt=then.prompt,
            thread=then.thread,
            reference=then.reference,
            metadata=then.metadata,
        )

    async def _template_problems(self, name: str, data: dict[str, Any]) -> list[Problem]:
        """Whether the template is there, and what it misses in the data; what comes from the event is known only then."""
        template = await self._templates.get(name)
        if template is None:
            return [("/template", f"There is no template {name!r}; GET /v1/templates lists them.")]
        return filling.without_open(body_problems(Body(template=template, data=data)), data)


def reach_problems(
    category: Category | None, reach: Mapping[str, Any], prompt: Prompt | None, channels: Collection[str]
) -> list[Problem]:
    """What is wrong with a reach contract, each field by itself; pointers begin with `/reach`."""
    found: list[Problem] = []
    if category is not None:
        for name, value in reach.items():
            request.reach_for({name: value}, category, prompt, channels, found)
    return found
