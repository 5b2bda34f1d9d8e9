"""What workers do of a broadcast: its orders are carried to the jobs, and each job gets on in its partition.

Everything here may be done again: a worker that dies leaves the record as it was before its last step.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog

from gateway.broadcasts.expanding import Expander
from gateway.broadcasts.nouns import ALL, Broadcast, Job, Rouse, Sample
from gateway.broadcasts.records import JOB_LIVES_MS, Records
from gateway.delivery.halts import Halts
from gateway.store.changes import Taken
from gateway.store.clock import Clock
from gateway.store.keys import Partition, partition
from gateway.store.rosters import Rosters
from gateway.store.scripts import Scripts
from gateway.store.standing import Standings
from gateway.store.things import Written

BUDGET_S: Final = 0.25
"""How long a job goes on before others have their turn."""
LEASE_MS: Final = 750
PAGE: Final = 200
ROUSE_ROUNDS: Final = 2
ROUSE_AGAIN_MS: Final = 3_000
"""By then no process takes the broadcast for paused any more."""
BARRIER_MS: Final = 100
HEAD_START_MS: Final = 2_000
"""How long all others wait at most until those who go first have been handed over."""
AGAIN_MS: Final = 500
SELDOM_MS: Final = 30_000
SAMPLE_MS: Final = 5_000
SAMPLES: Final = 14
GONE: Final = ("told_only", "reached", "unreached", "suppressed")

log = structlog.get_logger()


class Jobs:
    """Works on what is taken from the agenda. Raises StoreUnavailable, and msgspec.DecodeError for unreadable records."""

    def __init__(
        self,
        records: Records,
        expander: Expander,
        standings: Standings,
        rosters: Rosters,
        halts: Halts,
        scripts: Scripts,
        clock: Clock,
    ) -> None:
        self._records = records
        self._expander = expander
        self._standings = standings
        self._rosters = rosters
        self._halts = halts
        self._scripts = scripts
        self._clock = clock

    async def conduct(self, _at: Partition, taken: Taken) -> None:
        """Carry a broadcast's orders to its jobs."""
        told = self._records.broadcasts.taken(taken)
        await self.reconcile(told)
        await asyncio.gather(*(self._wake_job(told, number) for number in range(ALL.bit_length())))

        def carried(found: Broadcast) -> Broadcast:
            return msgspec.structs.replace(found, carried=max(found.carried, told.orders))

        await self._records.change(told.mode, told.id, carried, self._clock.now())

    async def _wake_job(self, told: Broadcast, number: int) -> None:
        first = Job(
            broadcast=told.id,
            mode=told.mode,
            number=number,
            phase="first" if told.priority_first else "all",
            heard=1,
        )

        def woken(found: Job | None) -> Written[Job] | None:
            if found is not None and found.phase == "over":
                return None
            now = self._clock.now()
            wake = now if found is not None or told.cancelled_at is not None else max(now, told.begins)
            return Written(found or first, wake, told.lane, keep=JOB_LIVES_MS)

        await self._records.jobs.change(self._records.job_place(told.mode, told.id, number), woken)

    async def reconcile(self, told: Broadcast) -> None:
        """See that every process knows whether anything of it may begin, as it stands now."""
        while True:
            await self._halts.put(told.mode, told.id, halted=told.halted)
            seen = await self._records.load(told.mode, told.id)
            if seen is None or seen.halted == told.halted:
                return
            told = seen

    async def work(self, _at: Partition, taken: Taken) -> None:
        """Get on with a job."""
        job, version = self._records.jobs.taken(taken), taken.version
        told = await self._records.load(job.mode, job.broadcast)
        place = self._records.job_place(job.mode, job.broadcast, job.number)
        if told is None:
            await self._records.jobs.put(place, Written(None), version)
            return
        loop = asyncio.get_running_loop()
        ends = loop.time() + BUDGET_S
        while True:
            after, wake = await self._turn(told, job)
            more = wake is not None and wake <= self._clock.now() and loop.time() < ends
            shown = self._clock.now() + LEASE_MS if more else wake
            if not await self._records.jobs.put(place, Written(after, shown, told.lane, keep=JOB_LIVES_MS), version):
                return  # somebody else was faster, or gave an order
            if not more:
                return
            job, version = after, version + 1
            told = await self._records.load(job.mode, job.broadcast)
            if told is None:
                return

    async def _turn(self, told: Broadcast, job: Job) -> tuple[Job, int | None]:
        """One step: the job after it, and when (ms) to take the next, None: when somebody says so."""
        now = self._clock.now()
        if job.phase == "over":
            return job, None
        if job.heard != told.orders:
            job = self._heard(told, job, now)
        if told.paused_at is not None and not told.over:
            return job, None
        job = await self._sampled(told, job, now)
        if job.rouse is not None and now >= job.rouse.at:
            return await self._rouse(told, job, job.rouse), now
        match job.phase:
            case "first" | "all":
                return await self._expand(told, job, now)
            case "cancel":
                return await self._cancel(told, job, now)
            case _:
                return await self._watch(told, job, now)

    def _heard(self, told: Broadcast, job: Job, now: int) -> Job:
        """What an order means to a job."""
        job = msgspec.structs.replace(job, heard=told.orders)
        if told.cancelled_at is not None:
            return msgspec.structs.replace(job, phase="cancel", cursor="", rouse=None)
        return job if told.paused_at is not None else msgspec.structs.replace(job, rouse=Rouse(ROUSE_ROUNDS, now))

    async def _expand(self, told: Broadcast, job: Job, now: int) -> tuple[Job, int]:
        if now < told.begins:
            return job, told.begins
        if job.phase == "all" and told.priority_first and told.first_by != ALL:
            return job, now + BARRIER_MS
        step = await self._expander.step(told, job)
        if not step.end:
            return step.job, step.wake
        if job.phase == "first":
            job = msgspec.structs.replace(step.job, expanded_at=job.expanded_at or now)
            if now - (job.expanded_at or now) < HEAD_START_MS and await self._still_wait(told, job):
                return job, now + BARRIER_MS
            await self._mark(told, job, "first_by")
            return msgspec.structs.replace(job, phase="all", cursor="", expanded_at=None), now
        return await self._expanded(told, step.job, now), now

    async def _still_wait(self, told: Broadcast, job: Job) -> int:
        return await self._standings.count_in(partition(job.number), told.mode, told.id, "waiting")

    async def _expanded(self, told: Broadcast, job: Job, now: int) -> Job:
        """Nobody is left to be written to: what names people goes."""
        await self._drop_roster(told, job)
        await self._mark(told, job, "expanded_by")
        return msgspec.structs.replace(job, phase="watch", cursor="", expanded_at=now)

    async def _drop_roster(self, told: Broadcast, job: Job) -> None:
        if told.roster is not None:
            await self._rosters.drop_in(partition(job.number), told.roster)

    async def _cancel(self, told: Broadcast, job: Job, now: int) -> tuple[Job, int]:
        """Cancel what has not begun. Nothing else begins either, for the broadcast stays halted."""
        at = partition(job.number)
        ids = await self._standings.members(at, told.mode, told.id, "waiting", job.cursor, PAGE)
        await asyncio.gather(*(self._scripts.cancel(at, one, now) for one in ids))
        if ids:
            return msgspec.structs.replace(job, cursor=ids[-1]), now
        if await self._still_wait(told, job):
            return msgspec.structs.replace(job, cursor=""), now + AGAIN_MS
        return await self._expanded(told, job, now), now

    async def _rouse(self, told: Broadcast, job: Job, rouse: Rouse) -> Job:
        """Wake what the pause held: those that wait, and those that have a step to come."""
        at = partition(job.number)
        name, _, after = rouse.after.partition(":")
        for one in ("waiting", "told_only")[name == "told_only" :]:
            ids = await self._standings.members(at, told.mode, told.id, one, after, PAGE)
            if ids:
                await self._standings.rouse(at, told.mode, told.lane, ids, self._clock.now())
                return msgspec.structs.replace(job, rouse=Rouse(rouse.left, rouse.at, f"{one}:{ids[-1]}"))
            after = ""
        later = Rouse(rouse.left - 1, self._clock.now() + ROUSE_AGAIN_MS) if rouse.left > 1 else None
        return msgspec.structs.replace(job, rouse=later)

    async def _watch(self, told: Broadcast, job: Job, now: int) -> tuple[Job, int | None]:
        """See whether all have ended. Who no longer waits never waits again, so the cursor passes each of them once."""
        at = partition(job.number)
        waiting = await self._still_wait(told, job)
        if waiting and told.cancelled_at is not None:
            return msgspec.structs.replace(job, phase="cancel", cursor=""), now
        if not waiting:
            ids = await self._standings.members(at, told.mode, told.id, "told_only", job.cursor, PAGE)
            if not ids:
                await self._end(told, job)
                return msgspec.structs.replace(job, phase="over", rouse=None), None
            going = await self._standings.open(at, ids)
            over = going.index(True) if True in going else len(ids)
            if over:
                job = msgspec.structs.replace(job, cursor=ids[over - 1])
            if over == len(ids):
                return job, now
        pause = min(SELDOM_MS, max(AGAIN_MS, (now - (job.expanded_at or now)) // 20))
        return job, now + pause if job.rouse is None else min(now + pause, job.rouse.at)

    async def _end(self, told: Broadcast, job: Job) -> None:
        after = await self._mark(told, job, "ended_by")
        if after.ended_at is not None:
            log.info("broadcast_done", mode=told.mode, cancelled=told.cancelled_at is not None)
            await self._expander.ended(after)
            await self.reconcile(after)

    async def _mark(self, told: Broadcast, job: Job, what: str) -> Broadcast:
        """Say that a partition has come so far; the last one that ends, ends the broadcast."""
        now = self._clock.now()

        def marked(found: Broadcast) -> Broadcast | None:
            bits = getattr(found, what) | 1 << job.number
            if bits == getattr(found, what):
                return None
            done = {"ended_at": now} if what == "ended_by" and bits == ALL else {}
            return msgspec.structs.replace(found, **{what: bits}, **done)

        return await self._records.change(told.mode, told.id, marked, now)

    async def _sampled(self, told: Broadcast, job: Job, now: int) -> Job:
        """Write down now and then how many no longer wait: from that follows how fast it goes."""
        if job.samples and now - job.samples[-1].at < SAMPLE_MS:
            return job
        at = partition(job.number)
        gone = sum([await self._standings.count_in(at, told.mode, told.id, name) for name in GONE])
        return msgspec.structs.replace(job, samples=(*job.samples, Sample(now, gone))[-SAMPLES:])
