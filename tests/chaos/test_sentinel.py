"""A primary with two replicas and three sentinels: the primary is lost under load (G2)."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

from tests.chaos.scene import EVERYTHING, scene
from tests.support.redis_nodes import Node, replicated, sentinels
from tests.support.running import until


@contextlib.contextmanager
def watched() -> Generator[tuple[Node, list[Node], str]]:
    """The primary, its replicas, and the address by which a gateway finds whoever is primary."""
    with replicated(2) as (primary, replicas), sentinels(primary, 3, replicas=2) as guards:
        yield primary, replicas, f"redis+sentinel://{','.join(one.address for one in guards)}/main"


def promoted(replicas: list[Node]) -> bool:
    return any(one.info()["role"] == "master" for one in replicas)


async def test_a_killed_primary_under_load(tmp_path: Path) -> None:
    with watched() as (primary, replicas, url):
        async with scene(tmp_path, url, REDIS_REPLICAS=1) as here:
            before = await here.accepted(10)
            async with here.load():
                await here.answered(20)
                # What the primary writes now no replica has: it must not be answered for.
                for one in replicas:
                    one.freeze()
                await until(lambda: here.callers.answers["503"] > 5, 20.0, here.state)
                primary.kill()
                for one in replicas:
                    one.thaw()
                await until(lambda: promoted(replicas), 20.0)
                await here.answered(20)
            await here.ready()
            for one in before:
                assert await here.again(one) == one.id, "the same key gives the same message after the fail-over"
            found = await here.reckon()
            assert found.accepted >= 50


async def test_a_frozen_primary_never_acknowledges_again(tmp_path: Path) -> None:
    with watched() as (primary, replicas, url):
        pinned = [url, primary.url]
        async with scene(tmp_path, url, EVERYTHING, "api", urls=pinned, REDIS_REPLICAS=1) as here:
            left_behind = here.members[1]
            assert (await here.post(left_behind)).status == 202
            async with here.load():
                await here.answered(20)
                primary.freeze()
                await here.refused(left_behind)
                await until(lambda: promoted(replicas), 20.0)
                await here.answered(20)
                primary.thaw()
                # It takes itself for the primary until the sentinels tell it otherwise, and must not be believed.
                while primary.info()["role"] == "master":
                    await here.refused(left_behind)
                await here.refused(left_behind)
            await here.ready()
            await here.reckon()
