"""Retries of one broadcast at the same moment, of one whose words are out of date, and lists that wait for long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.broadcasts.claims import Claims
from gateway.broadcasts.nouns import ALL, Audience, Broadcast, Over, Passed, Retry
from gateway.broadcasts.records import Records, message_id
from gateway.channels.base import Refused
from gateway.message import Fault
from gateway.store.keys import of_customer
from tests.support.broadcasting import broadcast, copies, crowd, to, when
from tests.support.core import Core, core, until
from tests.support.outages import begin, counted, origin, people, resolve, said, standing, update
from tests.support.scripted import Scripted

ALL_OF_THEM = Retry(names=("unreached", "told_only"))


async def _unreached(gw: Core, count: int) -> tuple[Broadcast, list[str]]:
    names = await crowd(gw.gateway, count)
    made = await broadcast(gw, to(names, reach={"until": "accepted"}))
    return made, names


async def _retry(gw: Core, made: Broadcast, wanted: Retry = ALL_OF_THEM) -> Broadcast:
    return await gw.gateway.broadcasts.retry("live", made.id, wanted, origin(gw))


async def _expanded(gw: Core, made: Broadcast) -> None:
    async def done() -> bool:
        found = await gw.gateway.broadcasts.load("live", made.id)
        return found is not None and found.expanded_by == ALL

    await until(done)


async def test_of_several_retries_at_once_each_person_gets_one(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", usual=Refused(fault=Fault.UNREACHABLE), proves=1)
    async with core(redis_url, tmp_path, sms) as gw:
        made, _ = await _unreached(gw, 12)
        gw.work()
        await when(gw, made, lambda r: r.counts.unreached == 12)
        sms.usual = None
        again = await asyncio.gather(*(_retry(gw, made) for _ in range(3)))
        for one in again:
            await when(gw, one, lambda r: r.state == "done")
        assert set(copies(sms).values()) == {2}
        sums = [(await gw.gateway.broadcasts.report(one)).counts.audience for one in again]
        assert sum(sums) == 12


async def test_a_claim_is_kept_until_its_retry_has_ended_without_a_message(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        made, names = await _unreached(gw, 1)
        first, second, third = [await _retry(gw, made) for _ in range(3)]
        claims = Claims(gw.gateway.scripts, Records(gw.gateway.scripts, keep=1))
        at, wanted = of_customer(names[0]), {message_id(made, names[0]): names[0]}
        own = set(wanted)
        assert await claims.take(first, at, wanted) == own
        assert await claims.take(first, at, wanted) == own, "a step that is repeated finds its own"
        assert await claims.take(second, at, wanted) == set()
        await gw.gateway.broadcasts.cancel("live", first.id)
        assert await claims.take(second, at, wanted) == set(), "it may still be at it"
        for one in (second, third):
            await gw.gateway.broadcasts.pause("live", one.id)
        gw.work()
        await when(gw, first, lambda r: r.broadcast.ended_at is not None)
        assert await claims.take(second, at, wanted) == own
        assert await claims.take(third, at, wanted) == set()
        assert await claims.take(second, at, wanted) == own


async def test_after_the_all_clear_nobody_is_told_of_the_outage(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await people(gw, 3)
        gw.work()
        notice = await begin(gw)
        await counted(gw, told_only=3)
        news = await update(gw, said("Another hour."))
        await counted(gw, told_only=3, waiting=0)
        found = [await gw.gateway.broadcasts.load("live", part.broadcast) for part in news.parts]
        first, second = [one for one in found if one is not None]
        assert first.id == notice.newest.broadcast
        with pytest.raises(Passed, match=second.id):
            await _retry(gw, first)
        with pytest.raises(Passed, match=second.id):
            await gw.gateway.broadcasts.resume("live", first.id)
        again = await _retry(gw, second)
        await when(gw, again, lambda r: r.counts.told == 3)
        before = len(sms.handed)
        await resolve(gw, said("It is over.", prompt=None))
        for one in (first, second, again):
            with pytest.raises(Passed, match="resolved"):
                await _retry(gw, one)
            with pytest.raises(Passed, match="resolved"):
                await gw.gateway.broadcasts.resume("live", one.id)
        await until(lambda: _cleared(gw, 3))
        assert len(sms.handed) == before + 3
        outage = await gw.gateway.outages.load("live", "o1")
        assert outage.all_clear is not None
        clear = await gw.gateway.broadcasts.load("live", outage.all_clear.broadcast)
        assert clear is not None
        assert (await _retry(gw, clear)).retry_of == clear.id, "the all-clear itself may be tried again"


@pytest.mark.parametrize("order", ["retry", "resume"])
async def test_an_order_that_meets_other_news_is_taken_back(redis_url: str, tmp_path: Path, order: str) -> None:
    """The outage goes on after the order was looked at, and before it is written."""
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await people(gw, 3)
        gw.work()
        outage = await begin(gw)
        await counted(gw, told_only=3)
        service, name = gw.gateway.broadcasts, outage.newest.broadcast
        await service.pause("live", name)
        guard = service.guards["outage"]
        asked: list[str] = []

        async def slow(one: Broadcast) -> str | None:
            found = await guard(one)
            asked.append(one.id)
            if len(asked) == 1:
                await (resolve(gw, said("It is over.", prompt=None)) if order == "retry" else update(gw, said("More.")))
            return found

        service.guards["outage"] = slow
        before = len(sms.handed)
        given = _retry(gw, (await service.state("live", name)).broadcast) if order == "retry" else None
        with pytest.raises((Passed, Over)):
            await (given or service.resume("live", name))
        left = await service.load("live", asked[-1])
        assert left is not None
        assert left.paused_at is not None or left.cancelled_at is not None
        await until(lambda: len(sms.handed) == before + 3)
        if order == "retry":
            await until(lambda: _cleared(gw, 3))
        assert len(sms.handed) == before + 3


async def _cleared(gw: Core, count: int) -> bool:
    clear = (await standing(gw)).all_clear
    return clear is not None and clear.told == count


async def test_a_retry_that_is_out_of_date_writes_to_nobody(redis_url: str, tmp_path: Path) -> None:
    """Written down before the all-clear, and taken up after it."""
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await people(gw, 3)
        gw.work()
        outage = await begin(gw)
        await counted(gw, told_only=3)
        await resolve(gw, said("It is over.", prompt=None))
        gw.gateway.broadcasts.guards.clear()
        found = await gw.gateway.broadcasts.load("live", outage.newest.broadcast)
        assert found is not None
        late = await _retry(gw, found)
        await _expanded(gw, late)
        assert (await gw.gateway.broadcasts.report(late)).counts.audience == 0


async def test_a_group_that_is_replaced_or_removed_is_written_to_as_it_was(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", proves=1)
    async with core(redis_url, tmp_path, sms) as gw:
        names = await crowd(gw.gateway, 6)
        groups = gw.gateway.groups
        before, _ = await groups.put("north", tuple(names[:4]), None)
        later = await broadcast(gw, to(audience=Audience(group="north"), send_at=gw.gateway.clock.now() + 300))
        await groups.put("north", tuple(names[4:]), None)
        await groups.delete("north")
        assert before.roster is not None
        await gw.gateway.rosters.drop(before.roster)  # as after seven days
        gw.work()
        found = await when(gw, later, lambda r: r.state in {"sending", "done"})
        assert (found.counts.audience, found.broadcast.listed) == (4, 4)
        assert later.roster is not None
        assert await gw.gateway.rosters.count(later.roster) == 0
