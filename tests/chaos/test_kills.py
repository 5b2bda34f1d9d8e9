"""`kill -9` at random under load: workers, API processes and Redis, one after the other, while callers go on."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.chaos.rig import Load, Manner, Member, Spread, Step, World, loaded, sent_many, world
from tests.support.running import until

SEED = 20_261_122
ON_TIME_S = 1.0
"""As promised (G6): longer than the lease of a decision."""
SLACK_S = 2.5
"""What a busy machine may add."""
KILLS = ("worker", "store", "api", "worker", "store")
REACH = {"step": 8, "within": 90, "unproven": "settle"}


async def test_random_kills_under_load(tmp_path: Path) -> None:
    roll = random.Random(SEED)
    async with world(tmp_path, workers=2, apis=2, seed=SEED) as w:
        # Slow answers, so that requests are under way whenever the end comes.
        w.carrier.manner = lambda _copy: Manner(delay=roll.uniform(0.0, 0.3), twice=roll.random() < 0.2)
        recovery: list[float] = []
        async with loaded(Load(w, "kills", categories=("outage", "service", "code"), reach=REACH, seed=SEED)):
            for victim in KILLS:
                await _flowing(w)
                recovery.append(await _kill(w, victim, roll))
        found = await w.reckon()
        assert found.faults == []
        assert found.accepted >= len(KILLS) * 5
        assert w.fleet.bugs() == []
        assert Spread.of(recovery).most < 30


async def test_a_fall_back_is_on_time_although_its_worker_is_killed(tmp_path: Path) -> None:
    """The worker dies with the wakes in its hands: the other has them as soon as the lease of a decision is over."""
    async with world(tmp_path, workers=2) as w:
        w.carrier.manner = lambda _copy: Manner(news=())
        await sent_many(w, "due", 6, reach={"step": 3, "within": 60, "unproven": "settle"})
        await until(lambda: len(w.carrier.by_message) == 6, 60)
        async with w.trap(Step.AFTER_TAKE, "due"):
            pass
        found = await w.reckon()
        assert found.faults == []
        assert (found.copies, found.mails, found.lateness.count) == (6, 6, 6)
        assert found.lateness.most < ON_TIME_S + SLACK_S


async def _flowing(w: World) -> None:
    """Wait until copies come in again."""
    before = len(w.carrier.copies)
    await until(lambda: len(w.carrier.copies) >= before + 5, 60, w.worker.last_words)


async def _kill(w: World, victim: str, roll: random.Random) -> float:
    """Kill one, and say how many seconds went by until the next copy reached the carrier."""
    at = time.monotonic()
    if victim == "store":
        await w.store.kill()
        await w.store.start()
    else:
        members: list[Member] = w.fleet.workers if victim == "worker" else w.fleet.apis
        roll.choice([one for one in members if one.pid]).kill()
    await until(lambda: w.carrier.last_at > at + 0.05, 60)
    return w.carrier.last_at - at
