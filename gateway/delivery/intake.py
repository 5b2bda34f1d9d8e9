"""A request becomes a message: drafted, decided for its route, stored.

A single message is decided as it is accepted, so the answer shows its route; in batches the worker decides first.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from gateway.content.content import Body
from gateway.content.render import Unfit
from gateway.delivery.desk import Case, Desk
from gateway.delivery.drafts import Drafts, Origin
from gateway.delivery.gate import Gate
from gateway.delivery.request import NewMessage, Rejected, lane_of
from gateway.delivery.room import NoRoom, Room
from gateway.delivery.words import Words, in_window, pack
from gateway.message import Lane, Message, Mode, RouteStep
from gateway.routing.decide import apply
from gateway.routing.policy import Category
from gateway.routing.view import Next
from gateway.store.changes import Outcome
from gateway.store.clock import Clock
from gateway.store.messages import BURIED

AT_ONCE: Final = 64
"""How many messages of a batch are under way together, waiting for their turns included."""


class Intake:
    """Accepts messages."""

    def __init__(
        self,
        desk: Desk,
        drafts: Drafts,
        words: Words,
        clock: Clock,
        room: Room,
        gate: Gate,
    ) -> None:
        self._desk = desk
        self._drafts = drafts
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
        case, body, category = await self._drafts.made(mode, new, origin)
        following = self._decided(case, body, category)
        message = case.message
        claims = self._apply(case, following)
        if await self._stored(message, following, pack(body), claims=claims) == "exists":
            known = await self._desk.reopen(message.id)
            if known is not None:
                now = self._desk.decide(known)
                return _with_what_comes(known.message, now), self._desk.route(known, now)
        self._desk.metrics.accepted(mode, message.category)
        return _with_what_comes(message, following), self._desk.route(case, following)

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
        case, body, _ = await self._drafts.made(mode, new, origin)
        message = case.message
        deadline = message.due_at + message.reach.within * 1000
        following = Next(status="queued", wake_at=message.created_at, deadline=deadline)
        if message.due_at > message.created_at:
            following = Next(status="scheduled", wake_at=message.due_at, deadline=deadline)
        apply(message, following, self._clock.now())
        if await self._stored(message, following, pack(body), claims=False) == "ok":
            self._desk.metrics.accepted(mode, message.category)
        return message

    async def _stored(self, message: Message, following: Next, body: bytes, *, claims: bool) -> Outcome:
        outcome = await self._desk.messages.accept(message, following, body, claims=claims, anybody=False)
        if outcome == "customer":
            raise Rejected([("/customer", "was erased in this very moment: there is no such customer any more.")])
        return outcome

    async def preview(self, mode: Mode, new: NewMessage) -> tuple[Message, tuple[RouteStep, ...]]:
        """What would happen, with nothing stored. Raises Rejected."""
        case, body, category = await self._drafts.made(mode, new, self.origin(), store=False)
        following = self._decided(case, body, category)
        apply(case.message, following, self._clock.now())
        return _with_what_comes(case.message, following), self._desk.route(case, following)

    async def look(self, message_id: str) -> tuple[Message, tuple[RouteStep, ...]] | None:
        """A message and the route still ahead of it; None when there is none of that id."""
        case = await self._desk.reopen(message_id)
        if case is None:
            loaded = await self._desk.messages.load(message_id)
            return None if loaded is None else (loaded.message, ())
        held = case.message.held
        if case.message.done or (held is not None and held.code == BURIED):
            return case.message, ()
        following = self._desk.decide(case)
        # What keeps it may have come up since it last decided.
        seen = {"held": following.held, "status": "held"} if following.held is not None else {}
        shown = msgspec.structs.replace(_with_what_comes(case.message, following), **seen)
        return shown, self._desk.route(case, following)

    async def again(self, mode: Mode, message_id: str, reach: Mapping[str, Any] | None, origin: Origin) -> Message:
        """A new message with the content of an old one.

        Raises Rejected, NoRoom, StoreUnavailable, KeyError when there is no such message.
        """
        case, raw = await self._drafts.again(mode, message_id, reach, origin)
        lane = case.message.lane
        self._room.check(lane)
        async with self._gate.turn(lane):
            following = self._desk.decide(case)
            claims = self._apply(case, following)
            await self._stored(case.message, following, raw, claims=claims)
        return case.message

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


def _with_what_comes(message: Message, following: Next) -> Message:
    """A message as it is shown: one that isn't due yet with what will hold it then, which isn't stored."""
    return message if following.later is None else msgspec.structs.replace(message, held=following.later)


__all__ = ["Intake", "NewMessage", "NoRoom", "Origin", "Rejected"]
