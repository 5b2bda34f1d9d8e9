"""What is measured and what it needs: embedded Redis, the gateway's API and workers, the provider, the bare handler.

Each is a process of its own and they speak over real sockets. Workers are frozen while messages are piled up, so that a
drain begins at full depth and with everything warm.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import aiohttp
import msgspec

from benchmarks.http_load import Sample
from benchmarks.loader import Job, customer_id
from benchmarks.process import HOST, LOOK_S, BenchError, Child, ask, child, cpu_of
from benchmarks.provider import Count
from gateway.app import Gateway
from gateway.customer import Address, Customer
from gateway.settings import load
from gateway.store.connect import server_facts
from gateway.store.embedded import EmbeddedRedis
from gateway.store.keys import PARTITIONS, partition

WORKERS: Final = 2
BATCH: Final = 1000
CONCURRENCY: Final = 256
"""Of the SMS channel in each worker: at 100 ms the built-in 64 would be what is measured."""
SENT_FOR_MS: Final = 60_000
"""A message that sleeps for longer than this has its attempt's outcome on record."""
GONE: Final = ("m:", "b:", "agenda:", "line:", "events", "idx:", "count:", "cap:", "awaiting:", "seen:", "thread:")
"""What belongs to messages in a partition; customers stay."""


class Cpu(msgspec.Struct, frozen=True):
    """Seconds of processor time of the processes under measure."""

    api: float
    workers: float
    redis: float


class World:
    """Everything that runs during a benchmark."""

    def __init__(
        self,
        gateway: Gateway,
        session: aiohttp.ClientSession,
        folder: Path,
        *,
        redis_pid: int,
        api: Child,
        url: str,
        key: str,
        provider: str,
        bare: str,
        workers: Sequence[Child],
        customers: int,
    ) -> None:
        self.gateway = gateway
        self.redis_pid = redis_pid
        self.api = api
        self.url = url
        self.key = key
        self.provider = provider
        self.bare = bare
        self.workers = workers
        self.customers = customers
        self._redis: Any = gateway.client  # redis-py's own types are partly unknown
        self._session = session
        self._folder = folder
        self._jobs = itertools.count()
        self.next_number = 0

    async def load(self, kind: Any, url: str, *, refusals: bool = False, **job: Any) -> Sample:
        """Have the load generator do a job. Raises BenchError when anything was refused, unless `refusals` may be."""
        asked = Job(kind=kind, url=url, key=self.key, customers=self.customers, first=self.next_number, **job)
        # Numbers are never used twice, whatever a job comes to.
        self.next_number += 10_000_000
        name = f"loader-{next(self._jobs)}"
        arguments = ["-m", "benchmarks.loader", msgspec.json.encode(asked).decode()]
        async with child(name, arguments, self._folder) as loader:
            sample = msgspec.json.decode(await loader.line(), type=Sample)
        if sample.refused and not refusals:
            raise BenchError(f"{url} refused something: {sample.refused}")
        return sample

    async def pile_up(self, count: int) -> None:
        """Have `count` messages accepted in batches; nobody works on them."""
        whole, rest = divmod(count, BATCH)
        for batches, size in ((whole, BATCH), (1, rest)):
            if batches and size:
                url = f"{self.url}/v1/messages/batch"
                await self.load("batch", url, connections=min(2, batches), count=batches, size=size)

    async def drain(self, count: int, workers: int, delay: float, seconds: float) -> float:
        """Let workers send what has piled up: messages a second, until the last one has arrived."""
        await self.answer_after(delay)
        start = time.monotonic_ns()
        with self.working(workers):
            arrived = await self.arrived(count, seconds)
            await self.settled(seconds)
        return count / ((arrived.last - start) / 1e9)

    async def arrived(self, count: int, seconds: float) -> Count:
        """Wait until so many messages have arrived at the provider. Raises BenchError."""
        end = time.monotonic() + seconds
        while True:
            arrived = msgspec.json.decode(await ask(self._session, f"{self.provider}/count"), type=Count)
            if arrived.messages >= count:
                return arrived
            if time.monotonic() > end:
                logs = "\n".join(worker.log.read_text(errors="replace")[-1000:] for worker in self.workers)
                raise BenchError(f"after {seconds:g} s {arrived.messages} of {count} messages had arrived\n{logs}")
            await asyncio.sleep(5 * LOOK_S)

    async def settled(self, seconds: float = 30.0) -> None:
        """Wait until every outcome is on record."""
        end = time.monotonic() + seconds
        now, micros = await self._redis.time()
        soon = now * 1000 + micros // 1000 + SENT_FOR_MS
        agendas = [partition(number).agenda("normal") for number in range(PARTITIONS)]
        while time.monotonic() < end:
            if sum([await self._redis.zcount(agenda, "-inf", soon) for agenda in agendas]) == 0:
                return
            await asyncio.sleep(LOOK_S)
        raise BenchError(f"after {seconds:g} s messages still wait for their outcome")

    def cpu(self) -> Cpu:
        """Processor time used so far."""
        return Cpu(self.api.cpu(), sum(worker.cpu() for worker in self.workers), cpu_of(self.redis_pid))

    @contextlib.contextmanager
    def working(self, workers: int) -> Any:
        """Workers run inside this block and are frozen outside of it."""
        chosen = self.workers[:workers]
        try:
            for worker in chosen:
                worker.thaw()
            yield
        finally:
            for worker in chosen:
                worker.freeze()

    async def arrivals(self) -> dict[str, int]:
        """When each text arrived at the provider, ns."""
        return msgspec.json.decode(await ask(self._session, f"{self.provider}/arrivals"), type=dict[str, int])

    async def answer_after(self, delay: float) -> None:
        """Have the provider answer after `delay` seconds."""
        await ask(self._session, f"{self.provider}/reset", {"delay": delay})

    async def watch(self) -> None:
        """Have the provider remember when each text arrives."""
        await ask(self._session, f"{self.provider}/reset", {"keeps": 1})

    async def clear(self) -> None:
        """Remove every message; customers and keys stay."""
        prefixes = tuple(partition(n).prefix.encode() + part.encode() for n in range(PARTITIONS) for part in GONE)
        cursor = 0
        while True:
            cursor, found = await self._redis.scan(cursor, count=5000)
            names = [name for name in found if name.startswith(prefixes)]
            if names:
                await self._redis.unlink(*names)
            if cursor == 0:
                return

    async def memory(self) -> int:
        """Bytes that Redis uses for data."""
        return (await server_facts(self.gateway.client, self.gateway.clock.now)).used_memory

    async def server(self) -> str:
        """Which Redis this is."""
        info = await self._redis.info("server")
        return f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info.get('redis_version')}"


async def add_customers(gateway: Gateway, count: int) -> None:
    """Store customers with one number each."""
    gate = asyncio.Semaphore(64)

    async def one(number: int) -> None:
        async with gate:
            address = Address("sms", f"+3069{number:08d}")
            who = Customer(id=customer_id(number), name=f"Customer {number}", locale="en", addresses=(address,))
            await gateway.customers.write(who, None)

    await asyncio.gather(*(one(number) for number in range(count)))


@contextlib.asynccontextmanager
async def world(folder: Path, customers: int) -> AsyncGenerator[World]:
    """Start everything, end it afterwards. `folder` holds the data and the logs. Customers are added by the caller."""
    async with contextlib.AsyncExitStack() as stack:
        server = EmbeddedRedis(folder / "data")
        redis_url = await server.start()
        stack.push_async_callback(server.stop)
        provider = await (
            await stack.enter_async_context(child("provider", ["-m", "benchmarks.provider"], folder))
        ).line()
        bare = await (await stack.enter_async_context(child("bare", ["-m", "benchmarks.bare"], folder))).line()
        environment = _environment(folder, redis_url, provider)
        serve = ["-m", "gateway", "serve", "--roles"]
        api = await stack.enter_async_context(child("api", [*serve, "api"], folder, environment))
        workers = [
            await stack.enter_async_context(child(f"worker-{n}", [*serve, "worker"], folder, environment))
            for n in range(WORKERS)
        ]
        url = cast("str", (await api.logged("started"))["public"])
        for worker in workers:
            await worker.logged("started")
            worker.freeze()
        settings = load(environment, folder, command="bench")
        gateway = await Gateway.open(settings, redis_url)
        stack.push_async_callback(gateway.close)
        _, key = await gateway.api_keys.create("bench", "live", ["send", "read"])
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield World(
            gateway,
            session,
            folder,
            redis_pid=server.pid or 0,
            api=api,
            url=url,
            key=key,
            provider=provider,
            bare=bare,
            workers=workers,
            customers=customers,
        )


def _environment(folder: Path, redis_url: str, provider: str) -> dict[str, str]:
    config = folder / "gateway.toml"
    config.write_text(f"[channels.sms]\nconcurrency = {CONCURRENCY}\n", encoding="utf-8")
    given = {
        "CONFIG": str(config),
        "REDIS_URL": redis_url,
        "DATA_DIR": str(folder / "data"),
        "SECRET_KEY": secrets.token_hex(32),
        "HTTP_HOST": HOST,
        "HTTP_PORT": "0",
        "CONSOLE_PORT": "0",
        "BOUNCE_PORT": "0",
        "PUBLIC_URL": "https://gateway.example.com",
        "DEFAULT_QUIET_HOURS": "none",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": secrets.token_hex(16),
        "TWILIO_SMS_FROM": "+15005550006",
        "TWILIO_API_BASE": provider,
    }
    return {f"GATEWAY_{name}": value for name, value in given.items()}
