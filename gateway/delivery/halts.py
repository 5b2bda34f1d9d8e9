"""Broadcasts of which nothing may begin just now: every process knows them within a second."""

from __future__ import annotations

from gateway.message import Message, Mode
from gateway.store.keys import HALTED
from gateway.store.scripts import Scripts


class Halts:
    """One process's view of them. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._send = scripts.urgent.send
        self._names: frozenset[str] = frozenset()

    def holds(self, message: Message) -> bool:
        """Whether nothing of this message may begin."""
        return message.broadcast is not None and f"{message.mode}:{message.broadcast}" in self._names

    async def refresh(self) -> None:
        """See which there are."""
        self._names = frozenset(name.decode() for name in await self._send("SMEMBERS", HALTED))

    async def put(self, mode: Mode, broadcast: str, *, halted: bool) -> None:
        """Halt a broadcast, or let it go on."""
        await self._send("SADD" if halted else "SREM", HALTED, f"{mode}:{broadcast}", durable=True)
        await self.refresh()
