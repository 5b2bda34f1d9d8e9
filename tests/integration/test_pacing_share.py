"""What the settings allow a channel holds for all workers together, however many there are."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.channels.base import Accepted, Outbound
from gateway.settings_types import ChannelSettings
from gateway.store.keys import WORKERS
from tests.support.core import Scripted, core, until

LIMIT = 5


class Slow:
    """A provider that answers when it is told to, and counts how many wait for it."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.waiting = 0
        self.most = 0

    async def __call__(self, out: Outbound) -> Accepted:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await self.go.wait()
        self.waiting -= 1
        return Accepted(provider_id=f"{out.message}-{out.attempt}")


@pytest.mark.parametrize("category", ["outage", "service"])
async def test_concurrency_is_shared_by_all_workers(redis_url: str, tmp_path: Path, category: str) -> None:
    slow = Slow()
    sms = Scripted("sms", usual=slow, timeout=60)
    limits = {"sms": ChannelSettings(concurrency=LIMIT)}
    async with (
        core(redis_url, tmp_path, sms, limits=limits) as one,
        core(redis_url, tmp_path, sms, limits=limits) as two,
    ):
        for gw in (one, two):
            await gw.gateway.roll.report()
        for gw in (one, two):
            await gw.gateway.follower.once()
        for number in range(20):
            await one.person(f"c{number}", sms=f"+3069123456{number:02d}")
        sent = [await one.send(f"c{number}", category) for number in range(20)]
        one.work()
        two.work()
        least = LIMIT if category == "outage" else LIMIT - 2  # each process keeps one permit for what is critical
        await until(lambda: slow.waiting == least)
        slow.go.set()
        for message in sent:
            await one.when(message, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert slow.most <= LIMIT


async def test_who_stops_leaves_their_share_to_the_others(redis_url: str, redis_client: Redis, tmp_path: Path) -> None:
    limits = {"sms": ChannelSettings(concurrency=LIMIT)}
    async with core(redis_url, tmp_path, Scripted("sms"), limits=limits) as gw:
        window = gw.gateway.boards["live"].posts["sms"].window
        now = gw.gateway.clock.now()
        await redis_client.zadd(WORKERS, {f"other-{n}:1": now for n in range(LIMIT + 3)})
        await gw.gateway.follower.once()
        assert window.limit in (0, 1), "more workers than permits: some have none"
        await redis_client.delete(WORKERS)
        await gw.gateway.roll.report()
        await gw.gateway.roll.leave()
        assert await redis_client.zcard(WORKERS) == 0
        await gw.gateway.follower.once()
        assert window.limit == LIMIT
