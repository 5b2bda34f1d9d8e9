"""What we do: take what is ready, ask what to do, record the attempt, send, commit.

A bell says which partition has something; besides, all of them are swept every 250 ms, so a lost bell costs a quarter
of a second at most. Permits and rate tokens are taken before work is, so nothing is handed out that could not go.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from redis.asyncio import Redis

from gateway.delivery.attendance import Attendance
from gateway.delivery.bell import Bell
from gateway.delivery.pacing import Switchboard
from gateway.delivery.post import Permit, Post
from gateway.delivery.workbench import Workbench, lane_of
from gateway.message import Lane
from gateway.store.changes import Taken
from gateway.store.clock import MOST_SKEW_MS, Clock
from gateway.store.keys import PARTITIONS
from gateway.store.scripts import Scripts

LEASE_MS: Final = 750
"""How long a member that was taken is left alone. Deciding takes milliseconds, and every write compares versions."""
SWEEP_MS: Final = 250
DECIDING_MOST: Final = 128
CRITICAL_MORE: Final = 128
"""How many more may be critical: what isn't never fills the room they need."""
FINISH_S: Final = 30.0
REPORT_MS: Final = 2_000
COMPLAIN_S: Final = 60.0

log = structlog.get_logger()


class Worker:
    """One worker process's loop over all partitions. `report`: it has gone through them; `gone`: entries without a record."""

    def __init__(
        self,
        client: Redis,
        scripts: Scripts,
        clock: Clock,
        bench: Workbench,
        boards: Sequence[Switchboard],
        report: Callable[[], Awaitable[None]],
        gone: Callable[[int], None],
    ) -> None:
        self._scripts = scripts
        self._clock = clock
        self._bench = bench
        self._report = report
        self._gone = gone
        self._reported = 0
        self._posts: dict[str, tuple[Switchboard, Post]] = {p.line: (b, p) for b in boards for p in b.posts.values()}
        self._bell = Bell(client)
        self._attendance = Attendance(lambda number: scripts.take(number, LEASE_MS, {}, {}), self._rejoin)
        self._more: set[int] = set()
        self._hungry: set[str] = set()
        self._due: dict[int, int] = dict.fromkeys(range(PARTITIONS), 0)
        self._swept = 0
        self._complained = 0.0
        self._working: set[asyncio.Task[None]] = set()
        self._deciding = 0
        self._stopping = False

    async def run(self) -> None:
        """Work until `stop` is called; then finish what is under way, in 30 seconds at most.

        What isn't finished by then is left as it is on record: leases run out, and others go on with it.
        """
        listener = asyncio.create_task(self._bell.listen())
        try:
            while not self._stopping:
                await self._once()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._bell.wake.wait(), self._pause())
                self._bell.wake.clear()
        finally:
            listener.cancel()
            await asyncio.gather(listener, self._attendance.close(), return_exceptions=True)
            if self._working:
                _, late = await asyncio.wait(self._working, timeout=FINISH_S)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)

    def stop(self) -> None:
        """Take nothing more."""
        self._stopping = True
        self._bell.wake.set()

    def _pause(self) -> float:
        """Seconds until something falls due or the next sweep."""
        there = (due for number, due in self._due.items() if number not in self._attendance.absent)
        return max(0.001, (min([self._swept + SWEEP_MS, *there]) - self._clock.now()) / 1000)

    def _rejoin(self, number: int) -> None:
        self._due[number] = 0
        self._bell.wake.set()

    async def _once(self) -> None:
        now = self._clock.now()
        if self._swept > now:
            # The server's clock went back: what was to be looked at later is looked at now.
            self._swept, self._reported, self._due = 0, 0, dict.fromkeys(range(PARTITIONS), 0)
        sweep = now - self._swept >= SWEEP_MS
        if self._clocks_differ(now):
            return
        rung, hungry = self._bell.rung()
        rung |= set(range(PARTITIONS)) if sweep else {n for n, due in self._due.items() if due <= now}
        more, self._more = self._more, set()
        hungry, self._hungry = hungry | self._hungry, set()
        absent = self._attendance.absent
        await self._round(rung - absent, more - absent, hungry, sweep=sweep)
        if sweep:
            self._swept = now
            if not absent and now - self._reported >= REPORT_MS:
                self._reported = now
                await self._attendance.there(self._report())

    def _clocks_differ(self, now: int) -> bool:
        """Leases measured by clocks that differ mean nothing: nothing is taken, and it is said once a minute."""
        skew = self._clock.skew()
        if abs(skew) <= MOST_SKEW_MS:
            return False
        self._swept = now
        self._due = {number: max(due, now + SWEEP_MS) for number, due in self._due.items()}
        if time.monotonic() - self._complained > COMPLAIN_S:
            self._complained = time.monotonic()
            log.error("clocks_differ", skew_ms=skew, remedy="Set this machine's clock or the Redis server's by NTP.")
        return True

    async def _round(self, rung: set[int], more: set[int], hungry: set[str], *, sweep: bool) -> None:
        """Go through partitions: the `rung` ones whatever is open, since anything may have woken; `more` want permits."""
        granted: dict[str, list[int]] = {}
        for line, (board, post) in self._posts.items():
            wanted = sweep or post.rate is None or line in hungry
            granted[line] = list(await self._attendance.there(board.granted(post)) or (0, 0)) if wanted else [0, 0]
        open_lines = {line for line, (total, _) in granted.items() if total > 0}
        # By lot: where one permit comes at a time, any fixed turn would fall into step with it and pass some over for ever.
        for number in random.sample(sorted(rung | more), len(rung | more)):
            # Whoever rings for something critical meanwhile isn't kept waiting until all the others have had their turns.
            urgent = self._bell.urgent() - {number}
            for one in (*urgent, number):
                if one in self._attendance.absent:
                    continue
                if one in rung or one in urgent or any(total > 0 for total, _ in granted.values()):
                    await self._attendance.there(self._take(one, granted, open_lines))
                else:
                    self._more.add(one)
        for line, (board, post) in self._posts.items():
            await self._attendance.there(board.give_back(post, granted[line][0]))

    async def _take(self, number: int, granted: dict[str, list[int]], open_lines: set[str]) -> None:
        """Take what one partition has ready, and start working on it."""
        room = max(0, DECIDING_MOST - self._deciding)
        more = max(0, DECIDING_MOST + CRITICAL_MORE - self._deciding)
        due: dict[Lane, int] = {"critical": more, "normal": room // 2, "bulk": room // 4}
        permits = {line: self._permit(max(0, total), max(0, rest)) for line, (total, rest) in granted.items()}
        haul = await self._scripts.take(number, LEASE_MS, due, permits, wall=self._clock.wall())
        if haul.gone:
            log.warning("entries_without_record", partition=number, count=haul.gone)
            self._gone(haul.gone)
        self._clock.read(haul.now)
        self._due[number] = haul.next_due if haul.next_due is not None else haul.now + SWEEP_MS
        for taken in haul.items:
            lane = self._start(number, taken)
            if taken.channel is not None:
                granted[taken.channel][0] -= 1
                granted[taken.channel][1] -= lane != "critical"
        # What isn't critical may have used up its share while the rest of the permits is kept for critical messages.
        # Whoever waits in a partition that comes after that wants another round as well.
        used_up = {line for line in open_lines if min(granted[line]) <= 0}
        self._hungry |= used_up
        if used_up or any(post.full for _, post in self._posts.values()) or len(haul.items) >= room // 4:
            self._more.add(number)

    def _permit(self, total: int, rest: int) -> tuple[int, int, int]:
        """A quarter of what isn't critical is kept for bulk; where that is less than one, one falls to it by lot."""
        return total, rest, rest // 4 or int(rest > 0 and random.random() < 0.25)  # noqa: S311 - a fair share, no secret

    def _start(self, number: int, taken: Taken) -> Lane:
        lane = lane_of(taken)
        board, post = self._posts[taken.channel] if taken.channel is not None else (None, None)
        permit: Permit | None = None
        if board is not None and post is not None:
            permit = board.began(post, lane)
        # What holds a permit may hang for as long as its provider does; it must not use up the room for deciding.
        self._deciding += post is None
        task = asyncio.get_running_loop().create_task(self._bench.work(number, taken, permit))
        self._working.add(task)

        def over(done: asyncio.Task[None]) -> None:
            self._working.discard(done)
            self._deciding -= post is None
            if board is not None and permit is not None:
                board.ended(permit)
            if self._more:
                self._bell.wake.set()

        task.add_done_callback(over)
        return lane

    async def work_one(self, number: int, taken: Taken) -> None:
        """Work on one taken record and nothing else."""
        if taken.channel is None:
            await self._bench.work(number, taken, None)
            return
        board, post = self._posts[taken.channel]
        permit = board.began(post, lane_of(taken))
        try:
            await self._bench.work(number, taken, permit)
        finally:
            board.ended(permit)
