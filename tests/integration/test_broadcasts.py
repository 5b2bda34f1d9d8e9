"""Broadcasts on a real core: everybody once, counted, in order of need, at a pace, in test mode as well."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.broadcasts import jobs as jobs_at_work
from gateway.broadcasts.nouns import Audience, Differs, Retry
from gateway.channels.base import Refused
from gateway.delivery.request import Rejected
from gateway.message import Fault
from gateway.settings_types import ChannelSettings
from gateway.store.keys import HALTED, PARTITIONS, partition
from tests.support.broadcasting import broadcast, copies, crowd, report, settled, to, when
from tests.support.core import core
from tests.support.keyleaks import leaks
from tests.support.scripted import Scripted


async def test_everybody_on_a_list_gets_one(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", proves=1)
    async with core(redis_url, tmp_path, sms) as gw:
        people = await crowd(gw.gateway, 60)
        made = await broadcast(gw, to([*people, *people[:5], "nobody"], reach={"until": "accepted"}))
        gw.work()
        found = await when(gw, made, lambda r: r.state == "done")
        assert (found.counts.audience, found.counts.reached, found.counts.told) == (60, 60, 60)
        assert found.counts.unknown == 1
        assert found.by_channel["sms"].told == 60
        assert (found.progress.percent, found.progress.of, found.progress.expanded) == (100, 60, 60)
        assert found.broadcast.ended_at is not None
        assert set(copies(sms).values()) == {1}
        assert len(copies(sms)) == 60


async def test_attributes_say_who(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", proves=1)
    async with core(redis_url, tmp_path, sms) as gw:
        await crowd(gw.gateway, 30, begins="k", area="Kypseli", floor=3)
        await crowd(gw.gateway, 20, begins="g", area="Galatsi", floor=True)
        await crowd(gw.gateway, 10, begins="m", area="Marousi", floor=3)
        both = Audience(where={"area": ["Kypseli", "Galatsi"], "floor": 3})
        gw.work()
        made = await broadcast(gw, to(audience=both, reach={"until": "accepted"}))
        found = await when(gw, made, lambda r: r.state == "done")
        assert (found.counts.audience, found.counts.reached, found.counts.unknown) == (30, 30, 0)
        assert found.progress.of == 30


async def test_those_it_did_not_reach_are_tried_again(redis_url: str, tmp_path: Path) -> None:
    refused = Refused(fault=Fault.BAD_ADDRESS, detail="gone")
    sms = Scripted("sms", refused, refused, refused, proves=1)
    async with core(redis_url, tmp_path, sms) as gw:
        people = await crowd(gw.gateway, 12)
        gw.work()
        made = await broadcast(gw, to(people, reach={"until": "accepted"}))
        found = await when(gw, made, lambda r: r.state == "done")
        assert (found.counts.reached, found.counts.unreached, found.counts.audience) == (9, 3, 12)
        missed = {out.to for out in sms.handed[:3]}
        for at in await gw.gateway.customers.load_many(people):
            if at is not None and at[0].addresses[0].value in missed:
                await gw.gateway.customers.lift("sms", at[0].addresses[0].value)
        origin = gw.gateway.intake.origin()
        again = await gw.gateway.broadcasts.retry("live", made.id, Retry(names=("unreached",)), origin)
        assert again.retry_of == made.id
        second = await when(gw, again, lambda r: r.state == "done")
        assert second.counts.audience == 3
        assert {out.to for out in sms.handed[12:]} <= missed
        assert (await gw.gateway.broadcasts.retry("live", made.id, Retry(names=("unreached",)), origin)).id == again.id


async def test_priority_goes_first_and_gets_more_rounds(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_at_work, "HEAD_START_MS", 60_000)  # however slow the machine is
    sms = Scripted("sms", proves=1)
    async with core(redis_url, tmp_path, sms, limits={"sms": ChannelSettings(concurrency=1)}) as gw:
        await crowd(gw.gateway, 40, begins="a", area="x")
        await crowd(gw.gateway, 3, begins="z", area="x", medical_priority=True)
        made = await broadcast(gw, to(audience=Audience(where={"area": "x"}), priority_first=True))
        gw.work()
        await settled(gw, made, 43)
        first = {(await gw.message(out.message)).customer[0] for out in sms.handed[:3]}
        assert first == {"z"}
        assert {(await gw.message(out.message)).reach.rounds for out in sms.handed[:3]} == {3}
        assert {(await gw.message(out.message)).reach.rounds for out in sms.handed[3:]} == {1}
        assert set(copies(sms).values()) == {1}


async def test_a_scheduled_one_waits_for_its_time(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", proves=1)
    async with core(redis_url, tmp_path, sms) as gw:
        people = await crowd(gw.gateway, 5)
        gw.work()
        late = await broadcast(gw, to(people, send_at=gw.gateway.clock.now() + 3_600_000))
        soon = await broadcast(gw, to(people, send_at=gw.gateway.clock.now() + 300))
        assert (await report(gw, late)).state == "expanding"
        await settled(gw, soon, 5)
        assert gw.gateway.clock.now() >= soon.begins
        assert (await report(gw, late)).counts.audience == 0
        await gw.gateway.broadcasts.cancel("live", late.id)
        found = await when(gw, late, lambda r: r.broadcast.ended_at is not None)
        assert (found.state, found.counts.audience, found.counts.suppressed) == ("cancelled", 5, 5)
        assert set(copies(sms).values()) == {1}


async def test_it_keeps_its_pace(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", proves=1)
    async with core(redis_url, tmp_path, sms) as gw:
        people = await crowd(gw.gateway, 40)
        gw.work()
        begun = gw.gateway.clock.now()
        made = await broadcast(gw, to(people, rate=40, reach={"until": "accepted"}))
        await when(gw, made, lambda r: r.counts.told == 40)
        # Half a second's worth may go at once.
        assert gw.gateway.clock.now() - begun >= 450
        assert set(copies(sms).values()) == {1}


async def test_the_same_words_are_the_same_broadcast(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        people = await crowd(gw.gateway, 2)
        first = await broadcast(gw, to(people, id="b-1"))
        assert (await broadcast(gw, to(people, id="b-1"))).created_at == first.created_at
        with pytest.raises(Differs):
            await broadcast(gw, to(people[:1], id="b-1"))
        again, both = await asyncio.gather(*(broadcast(gw, to(people, id="b-2")) for _ in range(2)))
        assert again.created_at == both.created_at or again.id == both.id == "b-2"


async def test_everything_wrong_is_named(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        wrong = to(
            audience=Audience(group="nobody"),
            category="nothing",
            content=None,
            template="no-such",
            id="a b",
            rate=0.0,
            reach={"rounds": 99},
            priority_rounds=0,
        )
        with pytest.raises(Rejected) as rejected:
            await broadcast(gw, wrong)
        named = {pointer for pointer, _ in rejected.value.problems}
        assert {"/id", "/audience/group", "/category", "/template", "/rate", "/priority_rounds"} <= named
        nobody = to(audience=Audience(where={"a": None, "b": {"c": 1}, "d": []}))
        with pytest.raises(Rejected) as rejected:
            await broadcast(gw, nobody)
        assert {pointer for pointer, _ in rejected.value.problems} == {
            "/audience/where/a",
            "/audience/where/b",
            "/audience/where/d",
        }


async def test_test_keys_have_broadcasts_of_their_own(redis_url: str, tmp_path: Path) -> None:
    sms, look_alike = Scripted("sms"), Scripted("sms", proves=1)
    async with core(redis_url, tmp_path, sms, test_channels=[look_alike]) as gw:
        people = await crowd(gw.gateway, 8)
        gw.work()
        made = await broadcast(gw, to(people, reach={"until": "accepted"}), "test")
        found = await when(gw, made, lambda r: r.state == "done")
        assert found.counts.reached == 8
        assert (len(look_alike.handed), sms.handed) == (8, [])
        assert await gw.gateway.broadcasts.load("live", made.id) is None


async def test_done_is_told_once(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms", proves=1)) as gw:
        people = await crowd(gw.gateway, 20)
        gw.work()
        gw.work()
        made = await broadcast(gw, to(people, reach={"until": "accepted"}))
        await when(gw, made, lambda r: r.state == "done")
        told = [
            entry
            for number in range(PARTITIONS)
            for _, entry in await gw.client.xrange(partition(number).events)
            if entry[b"t"] == b"broadcast.done"
        ]
        assert [entry[b"id"].decode() for entry in told] == [made.id]


async def test_what_is_left_behind_lapses(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms", proves=1)) as gw:
        people = await crowd(gw.gateway, 20)
        gw.work()
        made = await broadcast(gw, to(people, reach={"until": "accepted"}))
        await when(gw, made, lambda r: r.state == "done")
        assert not [key async for key in gw.client.scan_iter(match="*:roster:*")]
        assert not await gw.client.smembers(HALTED)
        await gw.stop()
        assert await leaks(gw.client, ended=True) == []
