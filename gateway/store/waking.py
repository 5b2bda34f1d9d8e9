"""Waking a person's messages that are held, when something changed that may set them free."""

from __future__ import annotations

import asyncio
from typing import Final, get_args

from gateway.message import Message, Mode
from gateway.store.clock import Clock
from gateway.store.keys import Partition, of_customer
from gateway.store.lua_source import ALLOW_OOM
from gateway.store.messages import Messages
from gateway.store.scripts import Scripts

THEIRS: Final = frozenset(("quiet_hours", "legal_window", "cap", "complaint_open"))
"""Holds that depend on the person; those of channels end by themselves."""
_NEWEST: Final = 200
_WAKE: Final = (
    ALLOW_OOM
    + """-- Look at a message now, if it is on the agenda still and would look later.
-- KEYS: 1 agenda   ARGV: 1 member 2 now 3 bell
if redis.call('ZADD', KEYS[1], 'XX', 'LT', 'CH', ARGV[2], ARGV[1]) == 1 then redis.call('PUBLISH', 'gw:bell', ARGV[3]) end
return 0
"""
)


class Waking:
    """Has held messages decided anew."""

    def __init__(self, scripts: Scripts, messages: Messages, clock: Clock) -> None:
        self._pipe = scripts.urgent
        self._messages = messages
        self._clock = clock
        self._sha = self._pipe.remember(_WAKE)

    async def rouse(self, customer: str) -> None:
        """Wake what is held for this customer's own sake, of their newest messages. Raises StoreUnavailable.

        A message that is being decided in this moment may miss it; no hold of a complaint looks later than a minute.
        """
        at = of_customer(customer)
        await asyncio.gather(*(self._rouse(at, mode, customer) for mode in get_args(Mode)))

    async def _rouse(self, at: Partition, mode: Mode, customer: str) -> None:
        index = at.index(mode, "customer", customer)
        ids = [name.decode() for name in await self._pipe.send("ZRANGE", index, 0, _NEWEST - 1, "REV")]
        held = [one.message for one in await self._messages.load_many(ids) if one is not None]
        await asyncio.gather(
            *(self._wake(at, message) for message in held if message.held and message.held.code in THEIRS)
        )

    async def _wake(self, at: Partition, message: Message) -> None:
        bell = f"{message.lane}:{at.number}:"
        args = (f"m:{message.id}", self._clock.now(), bell)
        await self._pipe.send("EVALSHA", self._sha, 1, at.agenda(message.lane), *args)
