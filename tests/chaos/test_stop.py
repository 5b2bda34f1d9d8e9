"""SIGTERM: what is in flight is finished or handed back, nothing is lost, and a rolling restart makes no copy of its own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.chaos.rig import Load, Manner, loaded, world
from tests.support.running import until

GRACE_S = 30.0
BUSY = 3
"""Requests under way when a worker is asked to stop: enough that it has some of them."""
REACH = {"step": 10, "within": 60, "unproven": "settle"}


async def test_a_rolling_restart_under_load(tmp_path: Path) -> None:
    """Each worker and each API process in turn is asked to stop, ends well, and is followed by a new one."""
    async with world(tmp_path, workers=2, apis=2, timeout=6.0) as w:
        # No callback explains what became of a request: only whoever made it hears its answer.
        w.carrier.manner = lambda _copy: Manner(delay=0.6, news=())
        async with loaded(Load(w, "roll", callers=8, pause=0.05, reach=REACH | {"until": "accepted"})):
            for member in w.fleet.members:
                await until(lambda: w.carrier.under_way >= BUSY, 60)
                member.terminate()
                await until(lambda who=member: who.exits, GRACE_S, member.last_words)
                assert member.exits == [0], member.last_words()
                await member.wait_ready()
        found = await w.reckon()
        assert found.faults == []
        assert found.unknowns == 0, "nothing went wrong, so nothing may be unknown"
        assert found.copies == found.accepted
        assert found.verdicts == {"reached": found.accepted}
        assert w.fleet.bugs() == []


async def test_a_stop_while_the_carrier_hangs(tmp_path: Path) -> None:
    """The worker waits for its requests as long as they may take, then goes: within the grace, with all on record."""
    async with world(tmp_path, timeout=3.0) as w:
        w.carrier.manner = lambda _copy: Manner(answer="hang", news=())
        await asyncio.gather(*(w.callers.send(f"hang-{n}", reach=REACH) for n in range(8)))
        await until(lambda: len(w.carrier.copies) >= 1, 30)
        w.carrier.manner = lambda _copy: Manner()
        asked = time.monotonic()
        assert await w.worker.end(GRACE_S) == 0
        assert time.monotonic() - asked < GRACE_S
        await w.worker.start()
        found = await w.reckon()
        assert found.faults == []
        assert found.verdicts == {"reached": 8}
