"""The network between the gateway and Redis breaks and loses packets, and nobody is told."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.scene import scene
from tests.chaos.servers import far_redis, network
from tests.support.running import until

API, WORKER = "api,callbacks", "worker"


async def test_a_worker_cut_off_and_the_api_cut_off(tmp_path: Path) -> None:
    with network(2) as (to_api, to_worker), far_redis(tmp_path, [to_api, to_worker]) as urls:
        async with scene(tmp_path, urls[0], API, WORKER, urls=urls) as here:
            async with here.load(at_once=3):
                await here.answered(10)
                to_worker.pull()
                # The API goes on, and what it accepts waits.
                await here.answered(20)
                sent = len(here.carrier.copies)
                to_worker.plug()
                await until(lambda: len(here.carrier.copies) > sent + 20, 30.0, here.state)
                to_api.pull()
                await here.refused()
                to_api.plug()
                await here.answered(10)
            await here.ready()
            await here.reckon()
            assert [one.starts for one in here.members] == [1, 1]


async def test_a_line_that_loses_packets(tmp_path: Path) -> None:
    with network(1) as (line,), far_redis(tmp_path, [line]) as (url,):
        async with scene(tmp_path, url) as here:
            with line.losing(0.05):
                async with here.load(at_once=3):
                    await here.answered(30, 60.0)
            await here.ready()
            await here.reckon()
