"""The bell: scripts ring it when a partition has something new, so that nobody has to look all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.store.keys import BELL

AGAIN_S: Final = 0.25

log = structlog.get_logger()


class Bell:
    """What has rung since somebody last looked, and `wake`, which is set by every ring."""

    def __init__(self, client: Redis) -> None:
        self._client: Any = client  # redis-py's own types are partly unknown
        self.wake = asyncio.Event()
        self._rung: set[int] = set()
        self._urgent: set[int] = set()
        self._lines: set[str] = set()

    async def listen(self) -> None:
        """Hear it until cancelled. While the connection is broken nothing rings."""
        while True:
            try:
                async with self._client.pubsub() as bells:
                    await bells.subscribe(BELL)
                    async for note in bells.listen():
                        self._hear(note)
            except (RedisError, OSError) as away:
                log.warning("bell_lost", error=str(away))
                await asyncio.sleep(AGAIN_S)

    def rung(self) -> tuple[set[int], set[str]]:
        """Partitions and lines it has rung for."""
        (rung, self._rung), (lines, self._lines) = (self._rung, set()), (self._lines, set())
        return rung, lines

    def urgent(self) -> set[int]:
        """Partitions it has rung for because of something critical."""
        urgent, self._urgent = self._urgent, set()
        return urgent

    def _hear(self, note: Mapping[str, Any]) -> None:
        if note["type"] == "message":
            lane, number, lines = note["data"].decode().split(":")
            self._rung.add(int(number))
            if lane == "critical":
                self._urgent.add(int(number))
            self._lines.update(lines.split(","))
            self.wake.set()
