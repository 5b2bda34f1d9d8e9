"""A request becomes a message: checked whole, pinned, decided for its route, stored.

A single message is decided as it is accepted, so the answer shows its route; in batches the worker decides first.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from gateway.content.content import Body, problems
from gateway.content.render import Unfit
from gateway.customer import Customer
from gateway.delivery.desk import Case, Desk, addressed
from gateway.delivery.gate import Gate
from gateway.delivery.request import (
    NewMessage,
    Problem,
    Rejected,
    check,
    given_addresses,
    lane_of,
    literal,
    prompt_for,
    reach_for,
    renewed,
)
from gateway.delivery.room import NoRoom, Room
from gateway.delivery.words import Words, in_window, pack
from gateway.message import Lane, Message, Mode, RouteStep
from gateway.routing.decide import apply
from gateway.routing.policy import Category
from gateway.routing.view import Next, due_at
from gateway.store.addresses import needs_proof
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.ids import new_id
from gateway.store.messages import BURIED, Before
from gateway.store.templates import Templates

AT_ONCE: Final = 64
"""How many messages of a batch are under way together, waiting for their turns included."""


class Origin(msgspec.Struct, frozen=True):
    """What a message's id is made from: the same origin gives the same id, so a request can run again. `at` in ms."""

    seed: bytes
    at: int
    n: int = 0


class Intake:
    """Accepts messages."""

    def __init__(
        self,
        desk: Desk,
        customers: Customers,
        templates: Templates,
        words: Words,
        clock: Clock,
        known_channels: Collection[str],
        room: Room,
        gate: Gate,
    ) -> None:
        self._desk = desk
        self._known = known_channels
        self._customers = customers
        self._templates = templates
        self._words = words
        self._clock = clock
        self._room = room
        self._gate = gate

    def lane(self, category: str, priority: object) -> Lane:
        """The lane a message would be accepted in."""
        return lane_of(category, priority, self._desk.rules.categories)

    def origin(self) -> Origin:
        """An origin for a request that came without an idempotency key."""
        return Origin(os.urandom(16), self._clock.now())

    async def accept(self, mode: Mode, new: NewMessage, origin: Origin) -> tuple[Message, tuple[RouteStep, ...]]:
        """Store one message, decided; the record and the route ahead. Raises Rejected, NoRoom, StoreUnavailable.

        Run again with the same origin it returns the message as it stands by then.
        """
        lane = self.lane(new.category, new.priority)
        self._room.check(lane)
        async with self._gate.turn(lane):
            return await self._accept_decided(mode, new, origin)

    async def _accept_decided(
        self, mode: Mode, new: NewMessage, origin: Origin
    ) -> tuple[Message, tuple[RouteStep, ...]]:
        case, body, category = await self._made(mode, new, origin)
        following = self._decided(case, body, category)
        message = case.message
        claims = self._apply(case, following)
        if await self._desk.messages.accept(message, following, pack(body), claims=claims) == "exists":
            known = await self._desk.reopen(message.id)
            if known is not None:
                return known.message, self._desk.decide(known).route
        self._desk.metrics.accepted(mode, message.category)
        return message, following.route

    async def accept_many(
        self, mode: Mode, news: Iterable[NewMessage | Rejected], origin: Origin
    ) -> list[Message | Rejected | NoRoom]:
        """Store many messages, each on its own merits and only checked: the worker decides. In their order.

        `news` is drawn from as places come free, so that nobody else waits while a thousand are read.
        """
        numbered = enumerate(news)
        made: dict[int, Message | Rejected | NoRoom] = {}

        async def some() -> None:
            for n, new in numbered:
                made[n] = new if isinstance(new, Rejected) else await self._one_of_many(mode, new, origin, n)
                if not isinstance(made[n], Message):
                    await asyncio.sleep(0)  # a refusal waits for nothing, and a thousand of them would hold the loop

        workers = [asyncio.ensure_future(some()) for _ in range(AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            # One that fails ends the others: what they have stored is found again by the same origin.
            for worker in workers:
                worker.cancel()
        return [made[n] for n in range(len(made))]

    async def _one_of_many(self, mode: Mode, new: NewMessage, origin: Origin, n: int) -> Message | Rejected | NoRoom:
        lane = self.lane(new.category, new.priority)
        try:
            self._room.check(lane)
            async with self._gate.turn(lane):
                return await self._accept_undecided(mode, new, msgspec.structs.replace(origin, n=n))
        except (Rejected, NoRoom) as refused:
            return refused

    async def _accept_undecided(self, mode: Mode, new: NewMessage, origin: Origin) -> Message:
        case, body, _ = await self._made(mode, new, origin)
        message = case.message
        deadline = message.due_at + message.reach.within * 1000
        following = Next(status="queued", wake_at=message.created_at, deadline=deadline)
        if message.due_at > message.created_at:
            following = Next(status="scheduled", wake_at=message.due_at, deadline=deadline)
        apply(message, following, self._clock.now())
        if await self._desk.messages.accept(message, following, pack(body), claims=False) == "ok":
            self._desk.metrics.accepted(mode, message.category)
        return message

    async def preview(self, mode: Mode, new: NewMessage) -> tuple[Message, tuple[RouteStep, ...]]:
        """What would happen, with nothing stored. Raises Rejected."""
        case, body, category = await self._made(mode, new, self.origin(), store=False)
        following = self._decided(case, body, category)
        apply(case.message, following, self._clock.now())
        return case.message, following.route

    async def look(self, message_id: str) -> tuple[Message, tuple[RouteStep, ...]] | None:
        """A message and the route still ahead of it; None when there is none of that id."""
        case = await self._desk.reopen(message_id)
        if case is None:
            return None
        held = case.message.held
        if case.message.done or (held is not None and held.code == BURIED):
            return case.message, ()
        following = self._desk.decide(case)
        # What keeps it may have come up since it last decided.
        seen = {"held": following.held, "status": "held"} if following.held is not None else {}
        return msgspec.structs.replace(case.message, **seen), following.route

    async def again(self, mode: Mode, message_id: str, reach: Mapping[str, Any] | None, origin: Origin) -> Message:
        """A new message with the content of an old one.

        Raises Rejected, NoRoom, StoreUnavailable, KeyError when there is no such message.
        """
        loaded = await self._desk.messages.load(message_id)
        if loaded is None or loaded.message.mode != mode:
            raise KeyError(message_id)
        old = loaded.message
        self._room.check(old.lane)
        raw = await self._desk.messages.body(old)
        if raw is None:
            raise Rejected([("/id", "Its content has outlived its retention; send a new message.")])
        found = await self._customers.load(old.customer)
        if found is None:
            raise Rejected([("/id", "The customer of this message is gone.")])
        faults: list[Problem] = []
        asked = {**msgspec.to_builtins(old.reach), **(reach or {})}
        contract = reach_for(asked, self._desk.category(old), old.prompt, self._known, faults)
        if faults or contract is None:
            raise Rejected(faults)
        made = new_id(mode, old.customer, origin.at, origin.seed, origin.n)
        message = renewed(old, made, contract, origin.at, origin.n)
        case = Case(message, 0, Before(), *found)
        async with self._gate.turn(message.lane):
            following = self._desk.decide(case)
            claims = self._apply(case, following)
            await self._desk.messages.accept(message, following, raw, claims=claims)
        return message

    async def _made(
        self, mode: Mode, new: NewMessage, origin: Origin, *, store: bool = True
    ) -> tuple[Case, Body, Category]:
        faults = check(new, self._desk.rules.categories, self._clock.now())
        category = self._desk.rules.categories.get(new.category)
        body = await self._body(new, faults)
        customer, version = await self._person(new, faults, store=store)
        prompt = prompt_for(new, category)
        reach = None if category is None else reach_for(new.reach, category, prompt, self._known, faults)
        if faults or category is None or reach is None or customer is None:
            raise Rejected(faults)
        message = Message(
            id=new_id(mode, customer.id, origin.at, origin.seed, origin.n),
            mode=mode,
            customer=customer.id,
            category=new.category,
            lane=new.priority or category.priority,
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
        )
        customer = addressed(message, customer)
        message.due_at = due_at(message, customer, self._desk.rules)
        uses = await self._desk.messages.cap_uses(message, category)
        return Case(message, 0, Before(), customer, version, uses), body, category

    def _decided(self, case: Case, body: Body, category: Category) -> Next:
        """Decide, leaving out channels that can't carry the content; each is tried on for size once."""
        tried: set[str] = set()
        while True:
            following = self._desk.decide(case)
            coming = {t.channel for t in following.turns} | {s.channel for s in following.route}
            if not self._mark_unfit(case, body, category, coming - tried):
                return following
            tried |= coming

    def _mark_unfit(self, case: Case, body: Body, category: Category, channels: set[str]) -> bool:
        """Whether one of them can't carry the content."""
        message, now = case.message, self._clock.now()
        posts = self._desk.boards[message.mode].posts
        for channel in channels:
            window = in_window(case.customer, channel, posts[channel].channel.traits.window, now)
            words = self._words.render(message, body, case.customer, category, channel, in_window=window)
            if isinstance(words, Unfit):
                message.unfit[channel] = words.code
        return any(channel in message.unfit for channel in channels)

    def _apply(self, case: Case, following: Next) -> bool:
        message, now = case.message, self._clock.now()
        claims = self._desk.claims(message, following, now)
        apply(message, following, now)
        message.claimed = claims
        return claims

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


__all__ = ["Intake", "NewMessage", "NoRoom", "Origin", "Rejected"]
