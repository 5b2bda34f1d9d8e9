"""Redis is away for a while: killed, or frozen with its connections open (G1, G7)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.chaos.scene import scene
from tests.support.redis_nodes import node

ON_DISK = {"appendonly": "yes", "appendfsync": "always"}


@pytest.mark.parametrize("frozen", [False, True], ids=["killed", "frozen"])
async def test_redis_away_under_load(tmp_path: Path, frozen: bool) -> None:
    (tmp_path / "redis").mkdir()
    with node(tmp_path / "redis", options=ON_DISK) as redis:
        async with scene(tmp_path, redis.url) as here:
            async with here.load():
                await here.answered(20)
                if frozen:
                    redis.freeze()
                else:
                    redis.kill()
                began = time.monotonic()
                await here.refused()
                assert time.monotonic() - began < 8
                status, checks = await here.readiness()
                assert status == 503
                assert checks["store"] in ("Redis can't be reached.", "Redis has not answered within 2 s.")
                if frozen:
                    redis.thaw()
                else:
                    redis.start()
                await here.answered(20)
            await here.ready()
            await here.reckon()
            assert here.member.starts == 1
