"""Two releases of workers side by side (G12): records keep the older form for as long as the older one is at work."""

from __future__ import annotations

from pathlib import Path

import msgspec
from redis.asyncio import Redis

from gateway.message import SCHEMA
from gateway.store.clock import Clock
from gateway.store.keys import WORKERS
from gateway.store.roll import SILENT_MS, Roll
from gateway.store.scripts import Scripts
from tests.support.core import PHONE, Core, Scripted, core, until, where


async def test_the_oldest_live_worker_says_how_records_are_written(scripts: Scripts, clock: Clock) -> None:
    older, newer = Roll(scripts, clock, "older", 3), Roll(scripts, clock, "newer", 4)
    await newer.read()
    assert newer.writes == 4, "nobody else is there"
    await older.report()
    await newer.report()
    await newer.read()
    await older.read()
    assert (newer.writes, older.writes) == (3, 3)


async def test_a_worker_that_has_gone_no_longer_counts(redis_client: Redis, scripts: Scripts, clock: Clock) -> None:
    newer = Roll(scripts, clock, "newer", 4)
    await redis_client.zadd(WORKERS, {"older:3": clock.now() - SILENT_MS - 1, "the first release": clock.now()})
    await newer.read()
    assert newer.writes == 1
    await redis_client.zadd(WORKERS, {"the first release": clock.now() - SILENT_MS - 1})
    await newer.read()
    assert newer.writes == 4


async def test_who_is_silent(redis_client: Redis, scripts: Scripts, clock: Clock) -> None:
    roll = Roll(scripts, clock, "here")
    assert "No worker has reported yet" in (await roll.trouble() or "")
    await roll.report()
    assert await roll.trouble() is None
    await redis_client.zadd(WORKERS, {f"here:{SCHEMA}": clock.now() - SILENT_MS - 5_000})
    assert "for 20 seconds" in (await roll.trouble() or "")


async def _schema(gw: Core, message: str) -> int:
    return msgspec.msgpack.decode(await gw.client.hget(where(message).message(message), "s")).get("schema", 1)


async def test_both_work_on_the_same_messages(redis_url: str, tmp_path: Path) -> None:
    """The newer release can read one schema more; until the older has gone it writes what both can read."""
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as old:
        old.work()
        await until(lambda: old.client.zcard(WORKERS))
        await old.person("maria", sms=PHONE)
        async with core(redis_url, tmp_path, sms) as new:
            new.gateway.roll.reads = SCHEMA + 1
            await new.gateway.follower.once()
            sent = await new.send("maria")
            assert await _schema(new, sent.id) == SCHEMA
            done = await old.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
            assert done.schema == SCHEMA
            await old.stop()
            await old.client.delete(WORKERS)
            await new.gateway.follower.once()
            later = await new.send("maria")
            assert await _schema(new, later.id) == SCHEMA + 1
