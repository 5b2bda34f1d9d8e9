"""Overload: what becomes of critical messages while bulk ones come at ten times what the gateway can do.

`python -m benchmarks.overload` prints figures; about two minutes. Critical probes at a steady rate, from the sending of
the POST to the arrival at the provider: alone, beside many connections that send bulk without a pause (closed loop),
beside bulk that comes at a fixed rate (open loop), and beside batches of a thousand.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.http_load import Sample
from benchmarks.loader import text_of
from benchmarks.plan import percentile
from benchmarks.process import LOOK_S, BenchError, fast, memory_of
from benchmarks.world import World, add_customers, world

CUSTOMERS: Final = 2_000
PROBES_PER_SECOND: Final = 20.0
CLOSED_CONNECTIONS: Final = 256
OPEN_CONNECTIONS: Final = 512
TIMES: Final = 10
DRAIN_S: Final = 300.0


class Phase(msgspec.Struct, kw_only=True):
    """One load and how the probes fared. Latencies in ms, memory in MiB, rates in requests a second."""

    name: str
    answered: dict[str, int] = {}
    offered: float = 0.0
    accept_p50: float = 0.0
    accept_p99: float = 0.0
    provider_p50: float = 0.0
    provider_p99: float = 0.0
    provider_most: float = 0.0
    api_most: float = 0.0
    redis_most: float = 0.0
    probes_refused: int = 0


class Watch:
    """The most memory that was seen."""

    def __init__(self, running: World) -> None:
        self._world = running
        self.api = 0.0
        self.redis = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.api = max(self.api, memory_of(self._world.api.pid))
            self.redis = max(self.redis, memory_of(self._world.redis_pid))
            await asyncio.sleep(5 * LOOK_S)


@contextlib.asynccontextmanager
async def watching(running: World) -> AsyncGenerator[Watch]:
    """Watch memory during the block."""
    watch = Watch(running)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()


async def phase(running: World, name: str, seconds: float, load: dict[str, Any] | None) -> Phase:
    """One load with probes beside it; returns once everything that was accepted has arrived at the provider."""
    await running.watch()
    accepted, found = 0, Phase(name=name)
    async with watching(running) as watch:
        with running.working(1):
            flood = None if load is None else asyncio.create_task(_flood(running, seconds, load))
            first = running.next_number + (0 if load is None else 10_000_000)
            await asyncio.sleep(0.5 if load is None else 1.0)
            probes = await running.load(
                "paced",
                f"{running.url}/v1/messages",
                refusals=True,
                category="outage",
                count=int(PROBES_PER_SECOND * seconds),
                per_second=PROBES_PER_SECOND,
            )
            if flood is not None:
                sample = await flood
                found.answered = {str(status): n for status, n in sorted(sample.statuses.items())}
                found.offered = sum(sample.statuses.values()) / sample.seconds
                accepted = _accepted(sample, load or {})
            taken = probes.statuses.get(202, 0)
            await running.arrived(accepted + taken, DRAIN_S)
    arrived = await running.arrivals()
    if len(arrived) != accepted + taken:
        raise BenchError(f"{name}: {accepted + taken} were accepted and {len(arrived)} arrived")
    reached = [
        arrived[text_of(first + n)] - began
        for n, began in zip(probes.numbers, probes.began, strict=True)
        if text_of(first + n) in arrived
    ]
    found.accept_p50, found.accept_p99 = percentile(probes.took, 0.5), percentile(probes.took, 0.99)
    found.provider_p50, found.provider_p99 = percentile(reached, 0.5), percentile(reached, 0.99)
    found.provider_most = max(reached) / 1e6
    found.api_most, found.redis_most = watch.api, watch.redis
    found.probes_refused = sum(probes.statuses.values()) - taken
    await running.clear()
    return found


async def _flood(running: World, seconds: float, load: dict[str, Any]) -> Sample:
    path = "/v1/messages/batch" if load["kind"] == "batch" else "/v1/messages"
    asked = {"seconds": seconds + 1.0, **load}
    return await running.load(asked.pop("kind"), running.url + path, refusals=True, priority="bulk", **asked)


def _accepted(sample: Sample, load: dict[str, Any]) -> int:
    return sample.statuses.get(202, 0) * (1000 if load["kind"] == "batch" else 1)


async def main(seconds: float) -> list[Phase]:
    """All phases."""
    with tempfile.TemporaryDirectory(prefix="gw-overload-") as folder:
        async with world(Path(folder), CUSTOMERS) as running:
            await add_customers(running.gateway, CUSTOMERS)
            await phase(running, "warm-up", 2.0, None)
            made = [await phase(running, "alone", seconds, None)]
            capacity = await phase(running, "capacity", 3.0, {"kind": "single", "connections": 16})
            rate = capacity.answered.get("202", 0) / 4.0
            made.append(capacity)
            closed = {"kind": "single", "connections": CLOSED_CONNECTIONS}
            made.append(await phase(running, f"closed loop, {CLOSED_CONNECTIONS} connections", seconds, closed))
            per_second = TIMES * rate
            opened = {
                "kind": "paced",
                "connections": OPEN_CONNECTIONS,
                "per_second": per_second,
                "count": int(per_second * (seconds + 1)),
            }
            made.append(await phase(running, f"open loop, {per_second:.0f}/s", seconds, opened))
            batches = {"kind": "batch", "connections": 8}
            made.append(await phase(running, "batches of 1000, 8 connections", seconds, batches))
            return made


if __name__ == "__main__":
    began = time.monotonic()
    for one in fast(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)):
        print(msgspec.json.encode(one).decode())
    print(f"{time.monotonic() - began:.0f} s")
