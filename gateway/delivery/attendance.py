"""Which partitions are there.

After a server has failed to answer, each partition is left out until it has shown that its own server answers: on a
cluster, a node that hangs holds up the others' partitions once, and not in every round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
from redis.exceptions import RedisError

from gateway.store.keys import PARTITIONS
from gateway.store.pipe import StoreUnavailable

AGAIN_S: Final = 0.25

T = TypeVar("T")
log = structlog.get_logger()


class Attendance:
    """`look` asks a partition's server for anything; `back` is told of each partition that is there again."""

    def __init__(self, look: Callable[[int], Awaitable[object]], back: Callable[[int], None]) -> None:
        self._look = look
        self._back = back
        self.absent: set[int] = set()
        self._looking: set[asyncio.Task[None]] = set()

    async def there(self, asked: Awaitable[T]) -> T | None:
        """What Redis answers; None: a server is away."""
        try:
            return await asked
        except (StoreUnavailable, RedisError) as away:
            log.warning("redis_unavailable", error=str(away))
            for number in set(range(PARTITIONS)) - self.absent:
                self.absent.add(number)
                looking = asyncio.create_task(self._until_there(number))
                self._looking.add(looking)
                looking.add_done_callback(self._looking.discard)
            return None

    async def _until_there(self, number: int) -> None:
        while True:
            try:
                await self._look(number)
            except (StoreUnavailable, RedisError):
                await asyncio.sleep(AGAIN_S)
            else:
                break
        self.absent.discard(number)
        self._back(number)

    async def close(self) -> None:
        """Look no further."""
        for looking in self._looking:
            looking.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)
