"""From a request to a message that is not stored yet: checked whole, its person found, what it stands on pinned."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from gateway.content.content import Body, problems
from gateway.customer import Customer
from gateway.delivery.desk import Case, Desk, addressed, meant_for
from gateway.delivery.request import (
    NewMessage,
    Problem,
    Rejected,
    check,
    given_addresses,
    literal,
    prompt_for,
    reach_for,
    renewed,
)
from gateway.message import Lane, Message, Mode, Reach
from gateway.prompts import Prompt
from gateway.routing.policy import Category
from gateway.routing.view import due_at
from gateway.store.addresses import needs_proof
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.ids import new_id
from gateway.store.messages import Before
from gateway.store.templates import Templates


class Origin(msgspec.Struct, frozen=True):
    """What a message's id is made from: the same origin gives the same id, so a request can run again. `at` in ms."""

    seed: bytes
    at: int
    n: int = 0


class Drafts:
    """Makes messages. `known_channels`: what a request may name."""

    def __init__(
        self,
        desk: Desk,
        customers: Customers,
        templates: Templates,
        clock: Clock,
        known_channels: Collection[str],
    ) -> None:
        self._desk = desk
        self._customers = customers
        self._templates = templates
        self._clock = clock
        self._known = known_channels

    async def made(
        self, mode: Mode, new: NewMessage, origin: Origin, *, store: bool = True
    ) -> tuple[Case, Body, Category]:
        """A message with its body and its category; its customer is pinned. `store`: a one-off recipient too.

        Raises Rejected with all problems, StoreUnavailable.
        """
        faults = check(new, self._desk.rules.categories, self._clock.now())
        category = self._desk.rules.categories.get(new.category)
        body = await self._body(new, faults)
        customer, version = await self._person(new, faults, store=store)
        prompt = prompt_for(new, category)
        reach = None if category is None else reach_for(new.reach, category, prompt, self._known, faults)
        if faults or category is None or reach is None or customer is None:
            raise Rejected(faults)
        message = _record(mode, new, origin, reach, new.priority or category.priority, prompt, body)
        message.id = new_id(mode, customer.id, origin.at, origin.seed, origin.n)
        message.customer, message.born = customer.id, customer.created_at
        customer = addressed(message, customer)
        message.due_at = due_at(message, customer, self._desk.rules)
        uses = await self._desk.messages.cap_uses(message, self._desk.rules.caps_of(message.category))
        return Case(message, 0, Before(), customer, version, uses), body, category

    async def pattern(self, mode: Mode, new: NewMessage, at: int) -> tuple[Message, Body]:
        """The message that many will get, to nobody yet, checked whole; `at`: its time (ms). `new` names no person.

        Raises Rejected with all problems, StoreUnavailable.
        """
        faults = check(msgspec.structs.replace(new, customer=""), self._desk.rules.categories, self._clock.now())
        category = self._desk.rules.categories.get(new.category)
        body = await self._body(new, faults)
        prompt = prompt_for(new, category)
        reach = None if category is None else reach_for(new.reach, category, prompt, self._known, faults)
        if faults or category is None or reach is None:
            raise Rejected(faults)
        return _record(mode, new, Origin(b"", at), reach, new.priority or category.priority, prompt, body), body

    async def again(
        self, mode: Mode, message_id: str, reach: Mapping[str, Any] | None, origin: Origin
    ) -> tuple[Case, bytes]:
        """A message like an old one, and its content as it is stored.

        Raises Rejected, StoreUnavailable, KeyError when there is no such message.
        """
        loaded = await self._desk.messages.load(message_id)
        if loaded is None or loaded.message.mode != mode:
            raise KeyError(message_id)
        old = loaded.message
        raw = await self._desk.messages.body(old)
        if raw is None:
            raise Rejected([("/id", "Its content has outlived its retention; send a new message.")])
        found = await self._customers.load(old.customer)
        if found is None or not meant_for(old, found[0]):
            raise Rejected([("/id", "The customer of this message is gone.")])
        faults: list[Problem] = []
        asked = {**msgspec.to_builtins(old.reach), **(reach or {})}
        contract = reach_for(asked, self._desk.category(old), old.prompt, self._known, faults)
        if faults or contract is None:
            raise Rejected(faults)
        made = new_id(mode, old.customer, origin.at, origin.seed, origin.n)
        return Case(renewed(old, made, contract, origin.at, origin.n), 0, Before(), *found), raw

    async def _body(self, new: NewMessage, faults: list[Problem]) -> Body:
        if new.content is not None:
            return literal(new.content, faults)
        template = await self._templates.get(new.template) if new.template is not None else None
        if template is None:
            if new.template is not None:
                faults.append(("/template", f"There is no template {new.template!r}; GET /v1/templates lists them."))
            return Body()
        body = Body(template=template, data=new.data)
        faults += problems(body)
        return body

    async def _person(self, new: NewMessage, faults: list[Problem], *, store: bool) -> tuple[Customer | None, int]:
        if new.customer is not None:
            found = await self._customers.load(new.customer)
            if found is None:
                detail = "There is no such customer: PUT /v1/customers/{id} first, or give a recipient instead."
                faults.append(("/customer", detail))
                return None, 0
            return found
        if new.recipient is None or faults:
            return None, 0
        them = new.recipient
        found = await self._customers.resolve(them.addresses, them.locale, them.time_zone, them.consent, store=store)
        if them.consent is not None and needs_proof(found[0].consents, them.consent):
            faults.append(
                ("/recipient/consent/proof", "This would lift a withdrawal, which needs proof that they agreed.")
            )
        return found


def _record(
    mode: Mode, new: NewMessage, origin: Origin, reach: Reach, lane: Lane, prompt: Prompt | None, body: Body
) -> Message:
    """The record of a message as asked for, without an id and a person."""
    return Message(
        id="",
        mode=mode,
        customer="",
        category=new.category,
        lane=lane,
        reach=reach,
        created_at=origin.at,
        due_at=origin.at,
        expires_at=new.expires_at,
        send_at=new.send_at,
        send_at_local=new.send_at_local,
        template=body.template.id if body.template is not None else None,
        template_version=body.template.version if body.template is not None else None,
        thread=new.thread,
        order=origin.at * 1000 + origin.n,
        reference=new.reference,
        metadata=new.metadata,
        addresses=given_addresses(new),
        locale=new.recipient.locale if new.recipient is not None else None,
        time_zone=new.recipient.time_zone if new.recipient is not None else None,
        prompt=prompt,
        retry_of=new.retry_of,
        proves=new.proves,
        broadcast=new.broadcast,
        about=new.about,
        body_of=new.body_of,
    )
