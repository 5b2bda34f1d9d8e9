"""What is measured, in which order, and how much of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Final

import msgspec

from benchmarks.http_load import Sample
from benchmarks.loader import text_of
from benchmarks.world import BATCH, Cpu, World, add_customers

CONNECTIONS: Final = 64
BATCH_CONNECTIONS: Final = 2
DELAY_S: Final = 0.1
STEADY_PER_SECOND: Final = 100.0
Report = Callable[[str], None]
"""Is told what is being done."""


class Scale(msgspec.Struct, frozen=True):
    """How much of each.

    `seconds`: of a closed loop; `drain`, `deep`: messages; `steady`: requests at a steady rate. `budget`: after so many
    seconds no further round begins, so that a busy machine gives fewer rounds and not a longer run.
    """

    rounds: int
    budget: float
    seconds: float
    customers: int
    drain: int
    deep: int
    steady: int


DEFAULT: Final = Scale(rounds=5, budget=240.0, seconds=2.0, customers=20_000, drain=2_000, deep=10_000, steady=300)
QUICK: Final = Scale(rounds=5, budget=45.0, seconds=0.5, customers=1_000, drain=500, deep=2_000, steady=50)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured figure: the median of its rounds, the least and the most, and all of them."""

    name: str
    unit: str
    median: float
    least: float
    most: float
    rounds: list[float]
    ratio: float | None = None
    """The median of each round's share of the limit that was measured in the same round."""
    limit: str = ""


class Rounds:
    """Collects what the rounds came to."""

    def __init__(self) -> None:
        self._units: dict[str, str] = {}
        self._found: dict[str, list[float]] = {}

    def add(self, name: str, unit: str, value: float) -> None:
        """One round's value of a figure."""
        self._units[name] = unit
        self._found.setdefault(name, []).append(value)

    def figures(self, limits: dict[str, str]) -> list[Figure]:
        """The figures; `limits` says beside which other figure one is seen."""
        return [self._figure(name, limits.get(name, "")) for name in self._found]

    def _figure(self, name: str, limit: str) -> Figure:
        values = self._found[name]
        beside = self._found.get(limit, [])
        shares = [value / other for value, other in zip(values, beside, strict=False)]
        return Figure(
            name=name,
            unit=self._units[name],
            median=statistics.median(values),
            least=min(values),
            most=max(values),
            rounds=values,
            ratio=statistics.median(shares) if shares else None,
            limit=limit,
        )


BARE_HANDLER: Final = "bare aiohttp handler, 64 connections"
BARE_CLIENT: Final = "bare aiohttp client, no delay"
BARE_CLIENT_SLOW: Final = "bare aiohttp client, 100 ms"
SINGLE: Final = "accept, single POST, 64 connections"
BATCHED: Final = "accept, batches of 1000"
DRAIN: Final = "drain, one worker, no delay"
DRAIN_SLOW: Final = "drain, one worker, 100 ms"
DRAIN_TWO: Final = "drain, two workers, no delay"
DEEP: Final = "drain of everything at once, one worker, no delay"
LIMITS: Final = {
    SINGLE: BARE_HANDLER,
    BATCHED: BARE_HANDLER,
    DRAIN: BARE_CLIENT,
    DRAIN_SLOW: BARE_CLIENT_SLOW,
    DRAIN_TWO: BARE_CLIENT,
    DEEP: BARE_CLIENT,
}
STEPS_OF_A_ROUND: Final = 9
STEPS_BESIDE: Final = 5
"""How often is reported, for a progress bar."""


def percentile(values: list[int], share: float) -> float:
    """A percentile in ms of times in ns."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6


async def measure(world: World, scale: Scale, report: Report) -> list[Figure]:
    """Everything. Raises BenchError when something is refused or lost."""
    rounds, end = Rounds(), time.monotonic() + scale.budget
    await _memory(world, scale, rounds, report)
    report("warm-up")
    await _round(world, msgspec.structs.replace(scale, seconds=scale.seconds / 2), Rounds(), _mute)
    for number in range(scale.rounds):
        if number and time.monotonic() > end:
            break
        await _round(world, scale, rounds, lambda what, n=number: report(f"round {n + 1} of {scale.rounds}: {what}"))
    return rounds.figures(LIMITS)


def _mute(_what: str) -> None:
    pass


async def _memory(world: World, scale: Scale, rounds: Rounds, report: Report) -> None:
    """Memory first: the server is still empty. The same messages are drained then, the deepest drain there is."""
    report("customers")
    before = await world.memory()
    await add_customers(world.gateway, scale.customers)
    rounds.add("Redis, per customer", "bytes", (await world.memory() - before) / scale.customers)
    report("messages")
    before = await world.memory()
    await world.pile_up(scale.deep)
    rounds.add("Redis, per waiting message", "bytes", (await world.memory() - before) / scale.deep)
    report("deep drain")
    rounds.add(DEEP, "messages/s", await world.drain(scale.deep, 1, 0.0, 300.0))
    await world.clear()


async def _round(world: World, scale: Scale, rounds: Rounds, report: Report) -> None:
    await _limits(world, scale, rounds, report)
    report("accept, single")
    url = f"{world.url}/v1/messages"
    before = world.cpu()
    sample = await world.load("single", url, connections=CONNECTIONS, seconds=scale.seconds)
    rounds.add(SINGLE, "messages/s", _rate(sample))
    _cost(rounds, SINGLE, before, world.cpu(), len(sample.took))
    rounds.add("accept, single POST, 64 connections, p50", "ms", percentile(sample.took, 0.50))
    rounds.add("accept, single POST, 64 connections, p99", "ms", percentile(sample.took, 0.99))
    await world.clear()
    report("accept, batches")
    before = world.cpu()
    sample = await world.load("batch", f"{url}/batch", connections=BATCH_CONNECTIONS, seconds=scale.seconds)
    rounds.add(BATCHED, "messages/s", BATCH * _rate(sample))
    _cost(rounds, BATCHED, before, world.cpu(), BATCH * len(sample.took))
    await world.clear()
    await _drains(world, scale, rounds, report)
    report("latency at 100/s")
    await _latency(world, scale, rounds)


async def _limits(world: World, scale: Scale, rounds: Rounds, report: Report) -> None:
    report("bare handler")
    sample = await world.load("bare_handler", f"{world.bare}/", connections=CONNECTIONS, seconds=scale.seconds)
    rounds.add(BARE_HANDLER, "requests/s", _rate(sample))
    for name, delay in ((BARE_CLIENT, 0.0), (BARE_CLIENT_SLOW, DELAY_S)):
        report("bare client")
        await world.answer_after(delay)
        sample = await world.load("bare_client", world.provider, connections=256, seconds=scale.seconds)
        rounds.add(name, "requests/s", _rate(sample))


async def _drains(world: World, scale: Scale, rounds: Rounds, report: Report) -> None:
    for name, workers, delay in ((DRAIN, 1, 0.0), (DRAIN_SLOW, 1, DELAY_S), (DRAIN_TWO, 2, 0.0)):
        report(name)
        await world.pile_up(scale.drain)
        before = world.cpu()
        rounds.add(name, "messages/s", await world.drain(scale.drain, workers, delay, 120.0))
        _cost(rounds, name, before, world.cpu(), scale.drain)
        await world.clear()


async def _latency(world: World, scale: Scale, rounds: Rounds) -> None:
    """From the sending of the POST to the arrival at the provider."""
    await world.watch()
    with world.working(1):
        first = world.next_number
        url = f"{world.url}/v1/messages"
        sample = await world.load("paced", url, count=scale.steady, per_second=STEADY_PER_SECOND)
        await world.arrived(scale.steady, 60.0)
        await world.settled()
    arrived = await world.arrivals()
    took = [arrived[text_of(first + n)] - began for n, began in zip(sample.numbers, sample.began, strict=True)]
    rounds.add("accept to provider at 100/s, p50", "ms", percentile(took, 0.50))
    rounds.add("accept to provider at 100/s, p99", "ms", percentile(took, 0.99))
    await world.clear()


def _cost(rounds: Rounds, name: str, before: Cpu, after: Cpu, messages: int) -> None:
    """Processor time for each message: unlike a rate, hardly moved by what else the machine does."""
    gateway = after.api + after.workers - before.api - before.workers
    rounds.add(f"{name}: CPU of the gateway", "us/message", 1e6 * gateway / messages)
    rounds.add(f"{name}: CPU of Redis", "us/message", 1e6 * (after.redis - before.redis) / messages)


def _rate(sample: Sample) -> float:
    return sum(sample.statuses.values()) / sample.seconds
