"""Processes that stop without dying: their connections stay open, their leases run out, and then they wake up again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from tests.chaos.rig import Manner, Step, World, sent_many, world
from tests.support.running import ask, until

COUNT = 12


async def test_a_worker_frozen_past_its_lease(tmp_path: Path) -> None:
    """It wakes with requests under way that others have long called unknown: it may finish them, and begin none."""
    async with world(tmp_path, workers=2) as w:
        sleeper, _other = w.fleet.workers
        w.carrier.manner = lambda _copy: Manner(delay=0.4, news_after=0.3)
        sending = asyncio.create_task(
            sent_many(w, "frozen", COUNT, reach={"step": 12, "within": 90, "unproven": "settle"})
        )
        await until(lambda: len(w.carrier.copies) > 0, 30)
        sleeper.freeze()
        await sending
        # What it had begun is called unknown and tried again by the other; the wait is for the record, not for time.
        await until(lambda: len(w.carrier.by_message) == COUNT, 40, lambda: len(w.carrier.by_message))
        sleeper.thaw()
        found = await w.reckon("frozen-")
        assert found.faults == []
        assert found.verdicts == {"reached": COUNT}
        assert w.fleet.bugs() == []


async def test_a_worker_frozen_between_begin_and_the_socket(tmp_path: Path) -> None:
    """Its lease has passed when it wakes: it must not send any more, since the other has sent already."""
    async with world(tmp_path, workers=2) as w:
        for link in (w.to_store[one.name] for one in w.fleet.workers):
            link.watches.clear()
        async with w.trap(Step.AFTER_BEGIN, "late", freeze=True) as trap:
            await sent_many(w, "late", 1, reach={"step": 20, "within": 90, "unproven": "settle"})
        assert trap.victim is not None
        await until(lambda: len(w.carrier.copies) == 1, 40)
        trap.victim.thaw()
        found = await w.reckon("late-")
        assert found.faults == []
        assert found.copies == 1, "the sleeper sent although its lease was over"


async def test_redis_frozen(tmp_path: Path) -> None:
    """Nothing is accepted meanwhile, callers hear 503, and afterwards all goes on by itself."""
    async with world(tmp_path) as w:
        await sent_many(w, "before", 3)
        w.store.freeze()
        try:
            assert await _status(w, "meanwhile") == 503
        finally:
            w.store.thaw()
        await sent_many(w, "after", 3)
        await until(lambda: _ready(w), 30)
        found = await w.reckon()
        assert found.faults == []
        assert found.verdicts == {"reached": 6}


async def test_the_carrier_frozen(tmp_path: Path) -> None:
    """A carrier that neither answers nor hangs up: the breaker opens, critical messages go another way."""
    async with world(tmp_path) as w:
        w.to_carrier.freeze()
        await sent_many(w, "silent", COUNT, reach={"step": 3, "within": 60, "unproven": "settle"})
        await until(lambda: w.mailbox.taken > 0, 40)
        w.to_carrier.thaw()
        found = await w.reckon("silent-")
        assert found.faults == []
        assert found.mails > 0


async def _status(w: World, reference: str) -> int:
    async with asyncio.timeout(20):
        answer = await ask(
            w.callers.http, w.front.url, w.callers.key, "POST", "/v1/messages", w.callers.body(reference)
        )
    assert int(answer.headers["Retry-After"]) >= 1
    return answer.status


async def _ready(w: World) -> bool:
    try:
        async with w.callers.http.get(w.front.url + "/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
