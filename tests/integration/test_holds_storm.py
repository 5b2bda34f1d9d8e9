"""Very many holds end at one moment, and a critical fall-back falls due among them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from benchmarks.silence import FIRST, SECOND, begun, held, lateness, people, silent
from tests.support.core import core, until
from tests.support.scripted import Scripted

HOLDS: Final = 2_000
FALL_BACKS: Final = 8
SOON_MS: Final = 4_000
"""Time to store all of them."""


async def test_a_critical_fall_back_passes_the_holds_that_ended_before_it(redis_url: str, tmp_path: Path) -> None:
    first, second = Scripted(FIRST), Scripted(SECOND)
    async with core(redis_url, tmp_path, first, second) as made:
        gateway = made.gateway
        them = await people(gateway)
        end = gateway.clock.now() + SOON_MS
        await held(gateway, them, HOLDS, end)
        ids = await silent(gateway, them, ("critical",), [end + 200] * FALL_BACKS)
        assert gateway.clock.now() < end, "storing them took too long"
        made.work()
        follow = asyncio.create_task(gateway.follower.run())
        overtaken: list[int] = []

        async def look() -> None:
            await asyncio.sleep(0.01)

        await until(lambda: len(first.handed) > 0, 30.0)
        await begun(gateway, ids, look)
        overtaken.append(len(first.handed))
        follow.cancel()
        late = await lateness(gateway, ids)
        assert second.to()
        assert overtaken[0] < HOLDS // 2, f"{overtaken[0]} of {HOLDS} holds went out before, {late} ms late"
