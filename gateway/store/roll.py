"""The roll of workers: who is at work, and which form of records all of them can read.

While two releases run side by side, records are written in the older form: a worker leaves alone what is newer than it
can read, and one that wrote it back would lose what it doesn't know.
"""

from __future__ import annotations

from typing import Final

from gateway.message import SCHEMA
from gateway.store.clock import Clock
from gateway.store.keys import WORKERS
from gateway.store.pipe import scored
from gateway.store.scripts import Scripts

SILENT_MS: Final = 15_000
"""A worker that hasn't reported for so long is taken for gone."""


class Roll:
    """One process's view of the roll. `name`: this process; `reads`: the newest form it can read."""

    def __init__(self, scripts: Scripts, clock: Clock, name: str, reads: int = SCHEMA) -> None:
        self._send = scripts.urgent.send
        self._clock = clock
        self.name = name
        self.reads = reads
        self.writes = reads
        self.place, self.workers = 0, 1

    async def report(self) -> None:
        """Say that this process's worker has just gone through all partitions."""
        now = self._clock.now()
        await self._send("ZADD", WORKERS, now, f"{self.name}:{self.reads}")
        await self._send("ZREMRANGEBYSCORE", WORKERS, "-inf", now - 20 * SILENT_MS)

    async def leave(self) -> None:
        """Say that this process's worker has stopped. Raises StoreUnavailable, RedisError."""
        await self._send("ZREM", WORKERS, f"{self.name}:{self.reads}")

    async def read(self) -> None:
        """See which form of records every live worker can read (`writes`), and the place of this one among them."""
        live: list[bytes] = await self._send("ZRANGEBYSCORE", WORKERS, self._clock.now() - SILENT_MS, "+inf")
        # The first release wrote its name alone.
        known = [int(member.partition(b":")[2] or 1) for member in live]
        self.writes = min([self.reads, *known])
        names = sorted({member.decode().partition(":")[0] for member in live} | {self.name})
        self.place, self.workers = names.index(self.name), len(names)

    async def trouble(self) -> str | None:
        """Why messages are not being worked on, for people; None when a worker has reported lately."""
        newest = scored(await self._send("ZRANGE", WORKERS, 0, 0, "REV", "WITHSCORES"))
        if not newest:
            return "No worker has reported yet; is a process with the role `worker` running?"
        silent = self._clock.now() - int(newest[0][1])
        return None if silent < SILENT_MS else f"No worker has reported for {silent // 1000} seconds."
