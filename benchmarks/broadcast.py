"""How fast a broadcast goes: `python -m benchmarks.broadcast [PEOPLE]`.

One critical broadcast to all of them by their attributes, with two workers: how fast it is expanded and drained, when the
first message arrives, and what it costs in memory. Then the same in bulk, while critical messages are sent one by one.
Everything is a process of its own, as in `benchmarks.world`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from benchmarks.loader import customer_id
from benchmarks.process import LOOK_S, ask, fast, memory_of
from benchmarks.world import WORKERS, World, world
from gateway.broadcasts.nouns import Audience, Broadcast, NewBroadcast
from gateway.customer import Address, Customer
from gateway.delivery.drafts import Origin

AREA: Final = "north"
PROBE_EVERY_S: Final = 0.25
PROBES_MOST: Final = 400
AT_ONCE: Final = 64
LONGEST_S: Final = 3600.0


class Run(msgspec.Struct, kw_only=True):
    """What one broadcast took. Rates in messages a second, times in s but for `probe_…_ms`, memory in MiB."""

    name: str
    people: int
    expanded: float = 0.0
    drained: float = 0.0
    first_message_s: float = 0.0
    seconds: float = 0.0
    worker_mib: float = 0.0
    redis_mib: float = 0.0
    redis_bytes_each: int = 0
    probes: int = 0
    probe_p50_ms: float = 0.0
    probe_p99_ms: float = 0.0
    probe_most_ms: float = 0.0


class Watch:
    """Looks at a running broadcast, and remembers the most that was needed."""

    def __init__(self, running: World, session: aiohttp.ClientSession) -> None:
        self.running = running
        self.session = session
        self.worker = 0.0
        self.redis = 0

    async def look(self) -> int:
        """How many messages have arrived."""
        self.worker = max(self.worker, *(memory_of(worker.pid) for worker in self.running.workers))
        self.redis = max(self.redis, await self.running.memory())
        counted: Mapping[str, int] = msgspec.json.decode(await ask(self.session, f"{self.running.provider}/count"))
        return counted["messages"]


async def people(running: World, count: int) -> None:
    """Store customers with one number each, all of one area."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            address = Address("sms", f"+3069{number:08d}")
            who = Customer(
                id=customer_id(number),
                locale="en",
                addresses=(address,),
                attributes={"area": AREA, "floor": number % 9},
            )
            await running.gateway.customers.write(who, None)

    for start in range(0, count, 10_000):
        await asyncio.gather(*(one(number) for number in range(start, min(count, start + 10_000))))


async def begun(running: World, **more: Any) -> Broadcast:
    """Accept a broadcast."""
    origin: Origin = running.gateway.intake.origin()
    asked: dict[str, Any] = {
        "audience": Audience(where={"area": AREA}),
        "category": "outage",
        "content": {"text": "The power is out."},
        "reach": {"until": "accepted", "within": 86_400},
    }
    return await running.gateway.broadcasts.create("live", NewBroadcast(**(asked | more)), origin)


async def probes(running: World, session: aiohttp.ClientSession, ended: asyncio.Event) -> dict[str, int]:
    """Send critical messages one by one until it has ended: when each left, ns, by its text."""
    left: dict[str, int] = {}
    headers = {"Authorization": f"Bearer {running.key}"}
    while not ended.is_set() and len(left) < PROBES_MOST:
        text = f"probe {len(left)}"
        body = {"customer": customer_id(0), "category": "outage", "content": {"text": text}}
        left[text] = time.monotonic_ns()
        async with session.post(f"{running.url}/v1/messages", json=body, headers=headers) as answer:
            answer.raise_for_status()
        await asyncio.sleep(PROBE_EVERY_S)
    return left


async def measured(name: str, running: World, count: int, *, probed: bool, **more: Any) -> Run:
    """One broadcast from its acceptance until everybody's message has arrived."""
    run = Run(name=name, people=count)
    before = await running.memory()
    async with aiohttp.ClientSession() as session:
        watch, ended = Watch(running, session), asyncio.Event()
        await (running.watch() if probed else running.answer_after(0.0))
        with running.working(WORKERS):
            start = time.monotonic()
            made = await begun(running, **more)
            sent = asyncio.create_task(probes(running, session, ended)) if probed else None
            while (arrived := await watch.look()) < count + (0 if sent is None else 1):
                seconds = time.monotonic() - start
                if arrived and not run.first_message_s:
                    run.first_message_s = round(seconds, 3)
                if not run.expanded and (await _expanded(running, made)):
                    run.expanded = round(count / (time.monotonic() - start), 1)
                if seconds > LONGEST_S:
                    raise TimeoutError(f"{arrived} of {count} messages after {seconds:.0f} s")
                await asyncio.sleep(5 * LOOK_S)
            run.seconds = round(time.monotonic() - start, 2)
            run.drained = round(count / run.seconds, 1)
            run.expanded = run.expanded or run.drained
            ended.set()
            if sent is not None:
                await _late(run, running, await sent)
        run.worker_mib, run.redis_mib = round(watch.worker, 1), round(watch.redis / 2**20, 1)
        run.redis_bytes_each = max(0, watch.redis - before) // count
    return run


async def _expanded(running: World, made: Broadcast) -> bool:
    report = await running.gateway.broadcasts.state(made.mode, made.id)
    return report.state in ("sending", "done")


async def _late(run: Run, running: World, left: Mapping[str, int]) -> None:
    """How long the probes took to arrive."""
    # The last of them are on their way; whoever needs longer counts as lost below.
    await asyncio.sleep(1.0)
    arrived = await running.arrivals()
    took = sorted((arrived[text] - at) / 1e6 for text, at in left.items() if text in arrived)
    run.probes = len(took)
    if took:
        run.probe_p50_ms = round(took[len(took) // 2], 1)
        run.probe_p99_ms = round(took[min(len(took) - 1, int(0.99 * len(took)))], 1)
        run.probe_most_ms = round(took[-1], 1)


async def main(count: int) -> None:
    """Both."""
    with tempfile.TemporaryDirectory(prefix="gw-broadcast-") as folder:
        async with world(Path(folder), count) as running:
            await people(running, count)
            for name, probed, more in (
                ("critical, all at once", False, {}),
                ("bulk, with critical messages beside it", True, {"category": "service", "priority": "bulk"}),
            ):
                run = await measured(name, running, count, probed=probed, **more)
                print(msgspec.json.encode(run).decode(), flush=True)


if __name__ == "__main__":
    fast(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))
