"""A worker may die after any command of a broadcast's work: whoever goes on misses nobody and writes to nobody twice."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.broadcasts import expanding
from gateway.broadcasts import jobs as jobs_at_work
from gateway.broadcasts.nouns import Audience, Broadcast, Job
from gateway.broadcasts.records import Records
from gateway.delivery import crowd as crowds
from gateway.store.changes import Taken
from gateway.store.keys import PARTITIONS, partition
from gateway.store.pipe import StoreUnavailable
from gateway.store.things import Place
from tests.support.broadcasting import broadcast, crowd, report, to
from tests.support.core import Core, core
from tests.support.scripted import Scripted

PEOPLE = 30
_names = itertools.count()


class Mortal:
    """A gateway's way to Redis that ends at the n-th command, before or after it has been carried out."""

    def __init__(self, gw: Core) -> None:
        self.left = -1
        self.after = False
        self.dead = False
        for pipe in (gw.gateway.scripts.pipe, gw.gateway.scripts.urgent):
            self._wrap(pipe, "send")
            self._wrap(pipe, "send_all")

    def _wrap(self, pipe: Any, name: str) -> None:
        whole = getattr(pipe, name)

        async def cut(*given: Any, **more: Any) -> Any:
            dies, self.left = self.left == 0, self.left - 1
            if self.dead or (dies and not self.after):
                self.dead = True
                raise StoreUnavailable("dead")
            answer = await whole(*given, **more)
            if dies:
                self.dead = True
                raise StoreUnavailable("dead")
            return answer

        setattr(pipe, name, cut)

    def lives(self, commands: int, *, after: bool) -> None:
        """Live for so many commands more."""
        self.left, self.after, self.dead = commands, after, False

    def cured(self) -> None:
        """Live on."""
        self.left, self.dead = -1, False


class Work:
    """Hands out a broadcast's work as workers do, one thing after the other."""

    def __init__(self, gw: Core, made: Broadcast) -> None:
        self.gw = gw
        self.made = made
        self.records = Records(gw.gateway.scripts, keep=1)
        self.kinds = gw.gateway.broadcasts.kinds

    async def taken(self, place: Place) -> Taken | None:
        """A thing as a worker is handed it; None: it isn't there."""
        version, state = await self.gw.client.hmget(place.at.member(place.member), "v", "s")
        return None if state is None else Taken(place.member, int(version), state, "", "", 0, None)

    async def job(self, number: int) -> Job | None:
        """A partition's job as it stands."""
        found = await self.taken(self.records.job_place("live", self.made.id, number))
        return None if found is None else self.records.jobs.taken(found)

    async def all(self) -> None:
        """Everything, until all that is left is to watch."""
        head = self.records.place("live", self.made.id)
        found = await self.taken(head)
        assert found is not None
        if self.records.broadcasts.taken(found).carried == 0:
            await self.kinds["broadcast"](head.at, found)
        for number in range(PARTITIONS):
            while (job := await self.job(number)) is not None and job.phase in ("first", "all", "cancel"):
                handed = await self.taken(self.records.job_place("live", self.made.id, number))
                assert handed is not None
                await self.kinds["job"](partition(number), handed)
                if job.phase == "all" and job.cursor == "" and self.made.priority_first:
                    break  # waits for the other partitions

    async def to_the_end(self) -> None:
        """As `all`, as often as needed."""
        jobs: list[Job | None] = []
        for _ in range(6):
            await self.all()
            jobs = [await self.job(number) for number in range(PARTITIONS)]
            if all(job is not None and job.phase in ("watch", "over") for job in jobs):
                return
        raise AssertionError(jobs)


@pytest.mark.parametrize("first", [False, True])
def test_everybody_has_one_whenever_a_worker_dies(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    monkeypatch.setattr(expanding, "PAGE", 2)
    monkeypatch.setattr(crowds, "SLICE", 1)
    monkeypatch.setattr(jobs_at_work, "HEAD_START_MS", 0)
    with asyncio.Runner() as runner:
        opened = core(redis_url, tmp_path, Scripted("sms"))
        gw = runner.run(opened.__aenter__())
        try:
            people = runner.run(crowd(gw.gateway, PEOPLE, area="x"))
            mortal = Mortal(gw)

            async def dies(deaths: list[tuple[int, bool]]) -> None:
                mortal.cured()
                name, audience = f"b-{next(_names)}", Audience(where={"area": "x"})
                work = Work(gw, await broadcast(gw, to(audience=audience, id=name, priority_first=first)))
                for commands, after in deaths:
                    mortal.lives(commands, after=after)
                    try:
                        await work.all()
                    except StoreUnavailable:
                        await asyncio.sleep(0)
                mortal.cured()
                await work.to_the_end()
                assert await owners(gw, name) == Counter(dict.fromkeys(people, 1))
                found = await report(gw, work.made)
                assert (found.counts.audience, found.counts.waiting, found.counts.unknown) == (PEOPLE, PEOPLE, 0)
                jobs = [await work.job(number) for number in range(PARTITIONS)]
                assert sum(job.seen for job in jobs if job is not None) == PEOPLE

            deaths = st.lists(st.tuples(st.integers(0, 300), st.booleans()), min_size=4, max_size=8)

            @settings(max_examples=8, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
            @given(deaths)
            def holds(found: list[tuple[int, bool]]) -> None:
                runner.run(dies(found))

            holds()
        finally:
            runner.run(opened.__aexit__(None, None, None))


async def owners(gw: Core, name: str) -> Counter[str]:
    """How many messages of a broadcast each customer has."""
    found: Counter[str] = Counter()
    for number in range(PARTITIONS):
        ids = await gw.gateway.standings.members(partition(number), "live", name, "waiting")
        found.update([(await gw.message(one)).customer for one in ids])
    return found
