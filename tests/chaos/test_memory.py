"""Redis has no memory left: nothing more is accepted, what was accepted goes on to its end (G7)."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.rig.carrier import Manner
from tests.chaos.scene import scene
from tests.support.redis_nodes import node
from tests.support.running import until

ROOM = 300_000
SLOW = Manner(delay=1.5)


async def test_full_memory_under_load(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with node(tmp_path / "redis") as redis:
        async with scene(tmp_path, redis.url, timeout=5.0) as here:
            here.carrier.manner = lambda _: SLOW
            async with here.load():
                await here.answered(8)
                redis.ask("CONFIG", "SET", "maxmemory", redis.info("memory")["used_memory"] + ROOM)
                await until(lambda: here.callers.answers["503"] > 20, 30.0, here.state)
                await here.refused()
                taken = [one for one in here.callers.sent if one.ids]
                # Now there is less than none. Commits, receipts and the last begins need room, and get it.
                redis.ask("CONFIG", "SET", "maxmemory", redis.info("memory")["used_memory"] - ROOM)
                await here.refused()
                found = await here.ledger.reckon(taken)
                assert found.verdicts == {"reached": len(taken)}
                assert found.faults == []
                redis.ask("CONFIG", "SET", "maxmemory", 0)
                await here.answered(40)
            await here.ready()
            found = await here.reckon()
            assert found.accepted > len(taken)
            assert found.repeats == 0
            assert here.member.starts == 1
