"""The disk of the embedded server fills under load, and has room again (G7)."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.scene import scene
from tests.chaos.servers import small_disk
from tests.support.running import until


async def test_a_full_disk_under_load(tmp_path: Path) -> None:
    with small_disk(tmp_path / "var", 1_500) as disk:
        async with scene(tmp_path, None) as here:
            async with here.load():
                await until(lambda: here.callers.answers["503"] > 20, 30.0, here.state)
                assert here.callers.answers["202"] > 20, "some were accepted before"
                await here.refused()
                status, checks = await here.readiness()
                assert (status, checks["store"]) == (503, "Redis can't be reached.")
                assert any('"redis_gone"' in line and "its disk is full" in line for line in here.member.said)
                disk.resize(64_000)
                await here.answered(40)
            await here.ready()
            found = await here.reckon()
            assert found.accepted > 60
            assert here.member.starts == 1, "the gateway went on through all of it"
