"""What every process keeps an eye on: the server's time, and what the others found out about the channels."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from redis.exceptions import RedisError

from gateway.delivery.halts import Halts
from gateway.delivery.pacing import Switchboard
from gateway.delivery.post import Post
from gateway.message import LANES, Lane
from gateway.routing.lines import SELDOM_MS
from gateway.store.clock import Clock
from gateway.store.keys import PARTITIONS, Partition, partition
from gateway.store.pipe import StoreUnavailable
from gateway.store.roll import Roll
from gateway.store.scripts import Scripts

EVERY_S: Final = 0.5
ROUSE_CHUNK: Final = 500

log = structlog.get_logger()


class Follower:
    """Follows the rest of the installation."""

    def __init__(self, scripts: Scripts, clock: Clock, boards: Sequence[Switchboard], roll: Roll, halts: Halts) -> None:
        self._scripts = scripts
        self._clock = clock
        self._boards = boards
        self._roll = roll
        self._halts = halts
        self._rousing: set[asyncio.Task[None]] = set()

    async def once(self) -> None:
        """Read the server's time, the roll of workers, halted broadcasts and the channels' state.

        Raises StoreUnavailable, RedisError.
        """
        seconds, micros = await self._scripts.urgent.send("TIME")
        self._clock.read(int(seconds) * 1000 + int(micros) // 1000)
        await self._roll.read()
        await self._halts.refresh()
        for board in self._boards:
            for post in board.posts.values():
                post.share(self._roll.place, self._roll.workers)
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
        """A channel has just been shut: wake everybody in its line who may go elsewhere.

        All who are critical; when a breaker opens, of the others those who don't know it yet. When it opens once more,
        after a probe, those who know look again by themselves, in ten minutes at most.
        """
        task = asyncio.get_running_loop().create_task(self._rouse(post))
        self._rousing.add(task)
        task.add_done_callback(self._rousing.discard)

    async def _rouse(self, post: Post) -> None:
        facts = post.breaker.facts
        once_more, post.roused_for = facts.opened_at is not None and facts.opened_at == post.roused_for, facts.opened_at
        until = 0 if post.pause.paused is not None else facts.open_until + SELDOM_MS * once_more
        try:
            for lane in LANES:
                for number in range(PARTITIONS):
                    await self._rouse_line(partition(number), post, lane, 0 if lane == "critical" else until)
        except (StoreUnavailable, RedisError) as away:
            log.warning("redis_unavailable", error=str(away))

    async def _rouse_line(self, at: Partition, post: Post, lane: Lane, beyond: int) -> None:
        """A scan misses nobody who stays in line meanwhile, however many leave it."""
        cursor = -1
        while cursor != 0:
            key = at.line(post.line, lane)
            cursor, found = await self._scripts.urgent.send("ZSCAN", key, max(cursor, 0), "COUNT", ROUSE_CHUNK)
            cursor = int(cursor)
            members = [member.decode() for member, _ in found]
            for start in range(0, len(members), ROUSE_CHUNK):
                await self._scripts.rouse(at, post.line, lane, members[start : start + ROUSE_CHUNK], beyond)
