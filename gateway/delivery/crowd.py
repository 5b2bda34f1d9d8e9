"""One message to many people: what they share is checked and kept once, and each gets a record of their own.

Nothing is decided as they are accepted; the worker decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gateway.delivery.drafts import Drafts
from gateway.delivery.gate import Gate
from gateway.delivery.request import NewMessage
from gateway.delivery.room import Room
from gateway.delivery.words import pack
from gateway.message import Lane, Message, Mode
from gateway.routing.view import Next
from gateway.store.changes import Outcome
from gateway.store.clock import Clock
from gateway.store.messages import Messages

SLICE: Final = 24
"""How many records are made before others have their turn: a few milliseconds of the loop."""


class Crowd:
    """Accepts messages of one pattern."""

    def __init__(self, messages: Messages, drafts: Drafts, clock: Clock, room: Room, gate: Gate) -> None:
        self._messages = messages
        self._drafts = drafts
        self._clock = clock
        self._room = room
        self._gate = gate
        self._hand = asyncio.Lock()

    async def pattern(self, mode: Mode, new: NewMessage, at: int) -> tuple[Message, bytes]:
        """What everybody will get, and its body as it is stored. Raises Rejected, StoreUnavailable."""
        message, body = await self._drafts.pattern(mode, new, at)
        return message, pack(body)

    def room(self, lane: Lane) -> None:
        """Whether new messages of this lane may come in. Raises NoRoom."""
        self._room.check(lane)

    async def accept(self, pattern: Message, people: Sequence[Callable[[Message], Message]]) -> list[Outcome]:
        """Store a message for each: what becomes of the pattern is what `people` make of it. In their order.

        One process makes them one slice after the other, whoever asks, so that none of its other work waits for two.
        Raises StoreUnavailable.
        """
        found: list[Outcome] = []
        for start in range(0, len(people), SLICE):
            async with self._gate.turn(pattern.lane):
                async with self._hand:
                    made = self._made(pattern, people[start : start + SLICE])
                    await asyncio.sleep(0)
                found += await self._messages.accept_all(made, self._following(pattern, made[0].due_at))
        return found

    def _made(self, pattern: Message, people: Sequence[Callable[[Message], Message]]) -> list[Message]:
        common = msgspec.structs.replace(pattern, due_at=self._clock.now())
        return [one(common) for one in people]

    @staticmethod
    def _following(pattern: Message, now: int) -> Next:
        return Next(status="queued", wake_at=now, deadline=now + pattern.reach.within * 1000)
