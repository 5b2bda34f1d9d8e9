"""Clocks that are wrong by an hour: Redis' own while everything runs, and a worker's."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.chaos.rig.carrier import Manner
from tests.chaos.scene import EVERYTHING, scene
from tests.chaos.servers import fake_clock
from tests.support.ports import free_ports
from tests.support.redis_nodes import Node, node
from tests.support.running import until

MANY = 12
HOUR = 3600


def off(redis: Node) -> float:
    """How far a server's clock is ahead of ours, seconds."""
    return redis.ask("TIME")[0] - time.time()


@pytest.mark.parametrize("wrong", [HOUR, -HOUR], ids=["ahead", "behind"])
async def test_the_servers_clock_jumps_and_comes_back(tmp_path: Path, wrong: int) -> None:
    clock = fake_clock(tmp_path / "clock")
    (tmp_path / "redis").mkdir()
    with node(tmp_path / "redis", binary=str(clock.program)) as redis:
        async with scene(tmp_path, redis.url, timeout=10.0) as here:
            here.carrier.manner = lambda _: Manner(delay=4.0)
            reach = {"step": 20, "within": 60}
            later = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
            await here.accepted(MANY, reach=reach, send_at=later)
            await here.accepted(MANY, reach=reach)
            await until(lambda: len(here.carrier.copies) == MANY, 10.0, here.state)
            clock.set(wrong)
            await until(lambda: abs(off(redis)) > HOUR / 2)
            # Every lease is over by that clock, or none ever will be.
            await until(lambda: here.carrier.statuses[201] == MANY, 10.0, here.state)
            assert len(here.carrier.copies) == MANY, "nothing is taken by a clock that can't be right"
            clock.set(0)
            await until(lambda: abs(off(redis)) < HOUR / 2)
            await here.ready()
            found = await here.reckon()
            assert (found.verdicts, found.repeats, found.unknowns) == ({"reached": 2 * MANY}, 0, 0)


async def test_workers_with_wrong_clocks_take_nothing(tmp_path: Path) -> None:
    clocks = [fake_clock(tmp_path / name) for name in ("ahead", "behind")]
    for clock, wrong in zip(clocks, (HOUR, -HOUR), strict=True):
        clock.set(wrong)
    # Whatever they took would be seen: their carrier isn't there.
    nowhere = {"GATEWAY_TWILIO_API_BASE": f"http://127.0.0.1:{free_ports(1)[0]}"}
    own = [{}, *({**clock.variables, **nowhere} for clock in clocks)]
    (tmp_path / "redis").mkdir()
    with node(tmp_path / "redis") as redis:
        async with scene(tmp_path, redis.url, EVERYTHING, "worker", "worker", own=own) as here:
            await here.accepted(3 * MANY)
            found = await here.reckon()
            assert (found.copies, found.mails, found.unknowns) == (3 * MANY, 0, 0)
            assert found.verdicts == {"reached": 3 * MANY}
