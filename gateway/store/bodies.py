"""Bodies that many messages share: one in each partition, beside those that messages have of their own."""

from __future__ import annotations

from gateway.store.keys import Partition
from gateway.store.scripts import Scripts


class Bodies:
    """Keeps them. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._pipe = scripts.pipe

    async def load(self, at: Partition, name: str) -> bytes | None:
        """A body; None when there is none of that name, or its time is over."""
        return await self._pipe.send("GET", at.body(name))

    async def store(self, at: Partition, name: str, body: bytes, lives: int) -> None:
        """Keep a body for `lives` ms."""
        await self._pipe.send("SET", at.body(name), body, "PX", lives, size=len(body) + 200, durable=True)

    async def extend(self, at: Partition, name: str, lives: int) -> bool:
        """A body that is there lives for `lives` ms from now on; False: there is none."""
        return bool(await self._pipe.send("PEXPIRE", at.body(name), lives))
