"""Keeping house: what is live is never forgotten, and what is broken becomes visible."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.channels.base import Inbound
from gateway.delivery import housekeeping
from gateway.delivery.housekeeping import Housekeeper
from gateway.delivery.metrics import Metrics
from gateway.message import Message, Receipt
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.keys import KEEPER, partition
from gateway.store.morgue import Morgue
from gateway.store.pipe import StoreUnavailable
from gateway.store.scripts import Scripts
from gateway.store.upkeep import Upkeep
from tests.support.core import PHONE, Core, Scripted, core, until, where
from tests.support.keeping import done, keeper
from tests.support.redis_nodes import cluster
from tests.support.running import running

LANE = {"outage": "critical", "service": "normal", "survey": "bulk"}


async def forgotten(gw: Core, message: Message) -> None:
    """A message is on no agenda and in no line any more, though nothing has ended it."""
    for key in await gw.client.keys("*:agenda:*") + await gw.client.keys("*:line:*"):
        await gw.client.zrem(key, f"m:{message.id}")


@pytest.mark.parametrize("category", ["outage", "service", "survey"])
async def test_a_message_that_nothing_would_wake_still_ends(redis_url: str, tmp_path: Path, category: str) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", category)
        await forgotten(gw, sent)
        assert await keeper(gw).walk()
        assert await gw.wake(sent) is not None
        assert await gw.client.zscore(where(sent.id).agenda(LANE[category]), f"m:{sent.id}") is not None
        assert done(gw, "woken") == 1, "somebody must look why"
        gw.work()
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        await gw.gateway.receipts.absorb(sent.id, [Receipt(attempt="a1", at=1, status="delivered")])
        assert (await gw.ended(sent)).verdict.state == "reached"
        assert sms.to() == [sent.id]


async def test_what_somebody_wrote_is_not_forgotten_either(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        await gw.gateway.inbox.note("live", Inbound(id="1", channel="sms", sender=PHONE, text="STOP", at=1))
        [item] = await gw.items(PHONE)
        for key in await gw.client.keys("*:agenda:*"):
            await gw.client.delete(key)
        await keeper(gw).walk()
        gw.work()
        assert await gw.worked(item) == "consent"


async def test_what_is_as_it_should_be_is_left_alone(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        ended, buried, waiting = [await gw.send("maria") for _ in range(3)]
        await gw.gateway.messages.cancel(ended.id)
        gw.work()
        await gw.ended(ended)
        await gw.when(waiting, lambda m: m.attempts and m.attempts[0].status == "accepted")
        await gw.stop()
        await gw.gateway.scripts.bury(where(buried.id), f"m:{buried.id}", "because")
        wake = await gw.wake(waiting)
        await keeper(gw).walk()
        assert await gw.wake(waiting) == wake
        assert await gw.wake(ended) is None
        assert await gw.wake(buried) is None
        assert [done(gw, what) for what in ("woken", "buried", "agenda", "line", "index", "events")] == [0] * 6


@pytest.mark.parametrize("spoilt", ["not in the morgue", "no state"])
async def test_what_nobody_could_see_becomes_visible(redis_url: str, tmp_path: Path, spoilt: str) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        await forgotten(gw, sent)
        if spoilt == "no state":
            await gw.client.hdel(where(sent.id).message(sent.id), "s")
        else:
            await gw.client.hset(where(sent.id).message(sent.id), "why", "a bug")
        await keeper(gw).walk()
        [one] = await Morgue(gw.gateway.scripts).listed()
        assert one.member == f"m:{sent.id}"
        assert one.reason == ("a bug" if spoilt != "no state" else "The record has lost its state.")
        assert done(gw, "buried") == 1


async def test_entries_whose_record_is_gone_are_removed_and_counted(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent, kept = await gw.send("maria"), await gw.send("maria")
        await gw.gateway.scripts.bury(where(sent.id), f"m:{sent.id}", "because")
        await gw.client.zadd(where(sent.id).agenda("bulk"), {f"m:{sent.id}": 9e12, "i:never": 9e12})
        await gw.client.delete(where(sent.id).message(sent.id))
        await keeper(gw).walk()
        assert (done(gw, "agenda"), done(gw, "line")) == (2, 2), "of two agendas; of the morgue and the channel's line"
        assert await gw.client.zrange(where(kept.id).line("sms", "critical"), 0, -1) == [f"m:{kept.id}".encode()]
        assert await gw.wake(kept) is not None


async def test_one_walks_at_a_time(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path) as one, core(redis_url, tmp_path) as two:
        assert await keeper(one, name="one").walk()
        assert not await keeper(two, name="two").walk(), "it has just been done"
        assert 0 < await one.client.pttl(KEEPER) <= 60_000
        await one.client.delete(KEEPER)
        assert await keeper(two, name="two").walk()


async def test_a_key_of_a_wrong_kind_stops_nobody(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.client.mset({f"{partition(n).prefix}agenda:critical": "not an agenda" for n in range(15)})
        await gw.client.mset({f"{partition(n).prefix}m:x": "not a record" for n in range(15)})
        await gw.client.zadd(partition(15).agenda("critical"), {"m:gone": 1})
        assert await keeper(gw).walk()
        assert done(gw, "agenda") == 1


async def test_a_walk_that_breaks_off_is_begun_anew(
    redis_client: Redis, scripts: Scripts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "LOOK_S", 0.001)
    metrics = Metrics(registry := CollectorRegistry())
    breaks = [RedisConnectionError("away"), StoreUnavailable("away"), RuntimeError("a bug")]

    def now() -> int:
        if breaks:
            raise breaks.pop()
        return 1000

    monkeypatch.setattr(clock, "now", now)
    client: Any = redis_client
    await client.xadd(partition(0).events, {"t": "x"})
    customers = Customers(scripts, clock, b"pepper")
    walking = Housekeeper(Upkeep(redis_client, scripts), customers, clock, metrics, "k", keep_records=1, pause=0)
    running = asyncio.create_task(walking.run())
    await until(lambda: registry.get_sample_value("gateway_housekeeping_finished_timestamp_seconds") == 1)
    assert breaks == []
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_running_worker_keeps_house(redis_url: str, tmp_path: Path) -> None:
    async with running(redis_url, tmp_path) as gw:
        client: Any = gw.service.gateway.client
        await until(lambda: client.exists(KEEPER))


@pytest.mark.slow
async def test_the_nodes_of_a_cluster_are_walked_over_one_after_the_other(tmp_path: Path) -> None:
    with cluster(replicas=0) as nodes:
        async with core(nodes.url, tmp_path, Scripted("sms")) as gw:
            names = [f"c-{n}" for n in range(12)]
            for name in names:
                await gw.person(name, sms=PHONE)
            sent = [await gw.send(name) for name in names]
            for message in sent:
                await gw.client.delete(where(message.id).agenda("critical"), where(message.id).line("sms", "critical"))
            assert await keeper(gw).walk()
            assert done(gw, "woken") == len(sent)
            gw.work()
            for message in sent:
                await gw.when(message, lambda m: m.attempts and m.attempts[0].status == "accepted")
