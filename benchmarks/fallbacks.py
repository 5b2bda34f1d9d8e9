"""How late fall-backs fire: `python -m benchmarks.fallbacks [MESSAGES [HOLDS]]`.

Messages whose first channel took them and stays silent; the second attempt should begin when the first one's step ends.
Due times come at half the rate at which two workers go through them when all are due. Then with `kill -9` of one of the
two in the middle; then critical ones alone in the second after very many holds end at one moment, with one worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.process import BenchError, Child, child, fast
from benchmarks.silence import begun, held, lateness, opened, people, silent
from gateway.app import Gateway
from gateway.customer import Customer
from gateway.message import Lane
from gateway.store.embedded import EmbeddedRedis

BOTH: Final[tuple[Lane, ...]] = ("critical", "normal")
RATE_SHARE: Final = 0.5
PROBES: Final = 200
LOOK_S: Final = 0.25


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """How late second attempts began, ms; `rate`: due times in a second."""

    name: str
    messages: int
    rate: float
    p50: float
    p99: float
    most: float


def _figures(name: str, rate: float, found: list[int]) -> Lateness:
    ordered = sorted(found)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return Lateness(
        name=name, messages=len(ordered), rate=round(rate, 1), p50=ordered[len(ordered) // 2], p99=p99, most=ordered[-1]
    )


class Bench:
    """A server, a gateway to store messages with, and workers."""

    def __init__(self, gateway: Gateway, redis_url: str, folder: Path, them: list[Customer]) -> None:
        self.gateway = gateway
        self.them = them
        self._redis_url = redis_url
        self._folder = folder
        self._workers = 0

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncGenerator[Child]:
        """A worker's process."""
        self._workers += 1
        arguments = ["-m", "benchmarks.silence", self._redis_url]
        async with child(f"worker-{self._workers}", arguments, self._folder) as made:
            await made.line()
            yield made

    async def now(self) -> int:
        """The server's time, ms."""
        await self.gateway.follower.once()
        return self.gateway.clock.now()

    async def rate(self, count: int) -> float:
        """Fall-backs a second of two workers when all are due at once."""
        async with self.worker(), self.worker():
            end = await self.now() + _time_to_store(count)
            ids = await silent(self.gateway, self.them, BOTH, [end] * count)
            await self.sleep_until(end)
            await begun(self.gateway, ids, _pause)
        last = max(await lateness(self.gateway, ids))
        return 1000 * count / last

    async def spread(self, name: str, count: int, rate: float, *, kill: bool = False) -> Lateness:
        """Due times at a steady rate."""
        async with self.worker() as one, self.worker():
            first = await self.now() + _time_to_store(count)
            ends = [first + int(1000 * n / rate) for n in range(count)]
            ids = await silent(self.gateway, self.them, BOTH, ends)
            if kill:
                await self.sleep_until(ends[count // 2])
                one.kill()
            await self.sleep_until(ends[-1])
            await begun(self.gateway, ids, _pause)
        return _figures(name, rate, await lateness(self.gateway, ids))

    async def sleep_until(self, at: int) -> None:
        """Sleep until a time of the server's (ms). Raises BenchError when it has passed: then too little time was left."""
        left = at - await self.now()
        if left < 0:
            raise BenchError(f"storing the messages took {-left} ms too long on this machine")
        await asyncio.sleep(left / 1000)

    async def storm(self, name: str, holds: int) -> Lateness:
        """Critical fall-backs in the second after many holds have ended."""
        async with self.worker():
            end = await self.now() + _time_to_store(holds // 4)
            await held(self.gateway, self.them, holds, end)
            ends = [end + 1_000 + int(1000 * n / PROBES) for n in range(PROBES)]
            ids = await silent(self.gateway, self.them, ("critical",), ends)
            await self.sleep_until(end)
            await self.sleep_until(ends[-1])
            await begun(self.gateway, ids, _pause)
        return _figures(name, PROBES, await lateness(self.gateway, ids))


def _time_to_store(count: int) -> int:
    """Enough time (ms) to store so many, on a slow machine."""
    return 4_000 + 5 * count


async def _pause() -> None:
    await asyncio.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def bench() -> AsyncGenerator[Bench]:
    """Start what is needed."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gw-fall-")))
        server = EmbeddedRedis(folder / "data")
        redis_url = await server.start()
        stack.push_async_callback(server.stop)
        gateway = await opened(redis_url)
        stack.push_async_callback(gateway.close)
        yield Bench(gateway, redis_url, folder, await people(gateway))


async def main(count: int, holds: int) -> None:
    """All three."""
    async with bench() as running:

        def tell(one: Any) -> None:
            print(msgspec.json.encode(one).decode(), flush=True)

        rate = await running.rate(min(count, 2_000))
        tell({"fall-backs a second, two workers": round(rate, 1)})
        due = RATE_SHARE * rate
        tell(await running.spread("spread", count, due))
        tell(await running.spread("one of two workers killed in the middle", count, due, kill=True))
        tell(await running.storm(f"{holds} holds end a second before", holds))


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    fast(main(*(numbers + [10_000, 200_000][len(numbers) :])))
