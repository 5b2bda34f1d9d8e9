"""How much room there is in the store's memory.

Memory that is full refuses what ends things as well as what begins them, so new things are refused before: bulk first,
then everything new, while receipts, answers, cancellations and withdrawals go on.
"""

from __future__ import annotations

import asyncio
from typing import Final, Literal

import structlog
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from gateway.delivery.metrics import Metrics
from gateway.message import Lane
from gateway.store.memory import Memory, fullest

EVERY_S: Final = 1.0
PATIENCE_S: Final = 5.0
RETRY_AFTER_S: Final = 30
"""Memory empties as records pass their retention: asking much sooner would find it as full."""
TIGHT, TIGHT_UNTIL = 0.70, 0.65
FULL, FULL_UNTIL = 0.85, 0.80
"""Shares of memory from which on, and down to which again: the gap keeps the door from swinging."""

Level = Literal["open", "tight", "full"]
log = structlog.get_logger()


class NoRoom(Exception):
    """A new thing is refused because memory is short. `full`: everything new is; else bulk alone."""

    def __init__(self, detail: str, *, full: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.full = full


class Room:
    """Watches the store's memory."""

    def __init__(self, client: Redis, metrics: Metrics) -> None:
        self._client = client
        self._metrics = metrics
        self._memory: Memory | None = None
        self.level: Level = "open"

    def check(self, lane: Lane) -> None:
        """Whether a new message of this lane may come in. Raises NoRoom."""
        self.check_new()
        if self.level == "tight" and lane == "bulk":
            detail = f"Redis' memory is at {self._memory}: bulk messages are refused from {TIGHT:.0%} on."
            raise NoRoom(f"{detail} Send them later, or give Redis more memory.", full=False)

    def check_new(self) -> None:
        """Whether anything new may be stored. Raises NoRoom."""
        if self.level == "full":
            detail = f"Redis' memory is at {self._memory}: nothing new is taken from {FULL:.0%} on."
            raise NoRoom(f"{detail} Give Redis more memory, or keep records for less long (RETENTION_…).", full=True)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self.once()
            await asyncio.sleep(EVERY_S)

    async def once(self) -> None:
        """Look once. A server that doesn't answer changes nothing, one that doesn't tell lets everything in."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                memory = await fullest(self._client)
        except ResponseError:
            memory = None
        except (RedisConnectionError, RedisError, OSError, TimeoutError):
            return
        self.take(memory)

    def take(self, memory: Memory | None) -> None:
        """Take over a reading."""
        self._memory = memory
        self._metrics.memory(memory.share if memory is not None else 0.0)
        before, self.level = self.level, _level(self.level, memory.share if memory is not None else 0.0)
        if self.level != before:
            log.warning("memory", level=self.level, share=round(memory.share, 3) if memory is not None else None)


def _level(before: Level, share: float) -> Level:
    if share >= (FULL_UNTIL if before == "full" else FULL):
        return "full"
    return "tight" if share >= (TIGHT if before == "open" else TIGHT_UNTIL) else "open"
