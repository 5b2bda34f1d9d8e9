"""What every process keeps an eye on: the server's time, and what the others found out about the channels."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from redis.exceptions import RedisError

from gateway.delivery.pacing import Post, Switchboard
from gateway.message import LANES
from gateway.store.clock import Clock
from gateway.store.keys import PARTITIONS, WORKERS, partition
from gateway.store.pipe import StoreUnavailable, scored
from gateway.store.scripts import Scripts

EVERY_S: Final = 0.5
ROUSE_CHUNK: Final = 500
WORKER_SILENT_MS: Final = 15_000

log = structlog.get_logger()


class Follower:
    """Follows the rest of the installation."""

    def __init__(self, scripts: Scripts, clock: Clock, boards: Sequence[Switchboard]) -> None:
        self._scripts = scripts
        self._clock = clock
        self._boards = boards
        self._rousing: set[asyncio.Task[None]] = set()

    async def once(self) -> None:
        """Read the server's time and the channels' state. Raises StoreUnavailable, RedisError."""
        seconds, micros = await self._scripts.urgent.send("TIME")
        self._clock.read(int(seconds) * 1000 + int(micros) // 1000)
        for board in self._boards:
            for post in await board.refresh():
                self.rouse(post)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self.once()
            except (StoreUnavailable, RedisError) as away:
                log.warning("redis_unavailable", error=str(away))
            await asyncio.sleep(EVERY_S)

    def rouse(self, post: Post) -> None:
        """A channel has just been shut: wake everybody in its line who may go elsewhere."""
        task = asyncio.get_running_loop().create_task(self._rouse(post))
        self._rousing.add(task)
        task.add_done_callback(self._rousing.discard)

    async def _rouse(self, post: Post) -> None:
        try:
            for number in range(PARTITIONS):
                at = partition(number)
                for lane in LANES[:2]:
                    first = 0
                    while await self._scripts.rouse(at, post.line, lane, first, first + ROUSE_CHUNK - 1) == ROUSE_CHUNK:
                        first += ROUSE_CHUNK
        except (StoreUnavailable, RedisError) as away:
            log.warning("redis_unavailable", error=str(away))

    async def worked(self, worker: str) -> None:
        """Report that a worker has just gone through all partitions."""
        now = self._clock.now()
        await self._scripts.urgent.send("ZADD", WORKERS, now, worker)
        await self._scripts.urgent.send("ZREMRANGEBYSCORE", WORKERS, "-inf", now - 20 * WORKER_SILENT_MS)

    async def trouble(self) -> str | None:
        """Why messages are not being worked on, for people; None when a worker has reported lately."""
        newest = scored(await self._scripts.urgent.send("ZRANGE", WORKERS, 0, 0, "REV", "WITHSCORES"))
        if not newest:
            return "No worker has reported yet; is a process with the role `worker` running?"
        silent = self._clock.now() - int(newest[0][1])
        return None if silent < WORKER_SILENT_MS else f"No worker has reported for {silent // 1000} seconds."
