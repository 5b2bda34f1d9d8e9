"""The processes of a simulated installation: started, killed at any moment, started again."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import random as dice
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Final, TypeVar, cast

import msgspec
import structlog

import gateway.app.stores
from gateway.app import Gateway, load_templates
from gateway.channels import registry
from gateway.channels.base import Callback, Channel
from gateway.content.content import Template
from gateway.delivery import follow, worker
from gateway.selfservice import autoreply
from gateway.settings import load
from gateway.settings_types import ChannelSettings, Settings
from gateway.store import addresses
from gateway.store.clock import Clock
from gateway.store.keys import partition_of
from gateway.store.pipe import StoreUnavailable
from tests.simulation.carriers import Carriers, Habits
from tests.simulation.network import Bells, Line, Network, Troubles, Wire
from tests.simulation.scale import Scale
from tests.simulation.watched import Watched
from tests.support.virtual import VirtualLoop

T = TypeVar("T")
SECRET: Final = "5" * 64
PEPPER: Final = b"pepper"
CATEGORIES: Final[dict[str, dict[str, Any]]] = {
    "code": {"step": 3, "within": 20, "cap": {"limit": 2, "window": 25}},
    "outage": {"step": 4, "within": 30},
    "reply": {"step": 4, "within": 30},
    "service": {"step": 5, "within": 35},
    "follow_up": {"step": 6, "within": 40},
    "survey": {"step": 6, "within": 40},
    "marketing": {"within": 40},
}
_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class Died(Exception):
    """The process one was talking to is gone."""


@functools.cache
def _templates(_folder: Path) -> Mapping[str, Template]:
    return load_templates(Path("/nonexistent"))


_plugins = functools.cache(registry.plugins)


@functools.cache
def _settings() -> Settings:
    given = {"REDIS_URL": "redis://127.0.0.1:9", "SECRET_KEY": SECRET, "DEFAULT_QUIET_HOURS": "none"}
    loaded = load({f"GATEWAY_{name}": value for name, value in given.items()}, Path("/nonexistent"), command="dev")
    rates = {"voice": ChannelSettings(messages_per_second=4.0, concurrency=4), "sms": ChannelSettings(concurrency=3)}
    return msgspec.structs.replace(loaded, channels=rates, categories=CATEGORIES)


class Process:
    """One process with a worker, a follower and its share of the callers."""

    def __init__(self, world: World, name: str, ahead: int) -> None:
        self.world = world
        self.name = name
        self.line = Line(world.network, name)
        self.tasks: list[asyncio.Task[Any]] = []
        loop = world.loop
        self.gateway = Gateway(
            settings=_settings(),
            client=cast("Any", Bells(self.line)),
            session=cast("Any", None),
            channels=cast("dict[str, Channel]", dict(world.carriers.channels)),
            test_channels={},
            scripts=Wire(self.line),
            clock=Clock(monotonic=loop.ms, wall=lambda: loop.server_ms() + ahead),
            pepper=PEPPER,
            test_callback_base="http://127.0.0.1:9",
        )
        self.gateway.name = self.gateway.roll.name = name
        self.spawn(self._run()).add_done_callback(self._ended)

    @property
    def alive(self) -> bool:
        """Whether it hasn't been killed."""
        return self.line.alive

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something inside this process, so that it dies with it."""
        context = contextvars.copy_context()
        context.run(_process.set, self)
        return self.world.loop.create_task(work, context=context)

    async def _run(self) -> None:
        while True:
            try:
                await self.gateway.follower.once()
                break
            except StoreUnavailable:
                await asyncio.sleep(0.2)
        await asyncio.gather(self.gateway.follower.run(), self.gateway.worker().run())

    def _ended(self, work: asyncio.Task[None]) -> None:
        """A process that ends by itself has a bug."""
        if not work.cancelled() and work.exception() is not None and self.alive:
            self.world.store.wrong(f"{self.name} died by itself: {work.exception()!r}")

    def kill(self) -> None:
        """kill -9: nothing it does arrives anywhere any more."""
        self.world.store.note_down(self.name, "killed")
        self.world.network.trouble()
        self.line.alive = False
        self.world.network.ears.pop(self.line, None)
        for task in self.tasks[::]:
            task.cancel()


class World:
    """The store, the network, the providers and the processes of one storm."""

    def __init__(self, loop: VirtualLoop, random: Random, troubles: Troubles, habits: Habits) -> None:
        self.loop = loop
        self.random = random
        self.store = Watched(loop.server_ms)
        self.network = Network(loop, random, self.store, troubles)
        self.carriers = Carriers(loop, random, habits, self.store, self._post)
        self.processes: list[Process] = []
        self._made = 0
        self.acked: list[bytes] = []
        self.under_way = 0
        self._outside = contextvars.copy_context()
        loop.set_task_factory(_factory)

    def start(self, ahead: int = 0) -> Process:
        """A new process; its wall clock is `ahead` ms of the server's."""
        self._made += 1
        made = Process(self, f"p{self._made}", ahead)
        self.processes.append(made)
        self.store.note_down(made.name, "started", detail=f"clock {ahead:+d} ms")
        return made

    def someone(self) -> Process | None:
        """Any live process."""
        alive = [process for process in self.processes if process.alive]
        return self.random.choice(alive) if alive else None

    async def ask(self, what: Callable[[Gateway], Awaitable[T]], tries: int = 12) -> T | None:
        """Ask some process, and another one when it dies or can't; None when nobody could for long."""
        for turn in range(tries):
            process = self.someone()
            if process is not None:
                try:
                    return await _inside(process, what)
                except (StoreUnavailable, Died):
                    pass
            await asyncio.sleep(0.3 + 0.4 * turn * self.random.random())
        return None

    def _post(self, channel: str, body: bytes) -> None:
        self.under_way += 1
        # Whoever made the provider speak may be dead by now; its callbacks come all the same.
        self.loop.create_task(self._deliver(channel, body), context=self._outside)

    async def _deliver(self, channel: str, body: bytes) -> None:
        """A callback comes to some process, and again while nobody answers it."""
        call = Callback(method="POST", path="", url="", headers={}, query={}, body=body, now=self.loop.server_ms())
        try:
            if await self.ask(lambda gateway: gateway.handle(channel, call), tries=4) is not None:
                self.acked.append(body)
        finally:
            self.under_way -= 1


async def _inside(process: Process, what: Callable[[Gateway], Awaitable[T]]) -> T:
    async def work() -> T:
        return await what(process.gateway)

    try:
        return await asyncio.shield(process.spawn(work()))
    except asyncio.CancelledError:
        if process.alive:
            raise
        raise Died from None


def _factory(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
    """Every task belongs to the process that made it."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **more)
    context = more.get("context")
    process = context.get(_process) if context is not None else _process.get()
    if process is not None:
        process.tasks.append(task)
        if not process.alive:
            task.cancel()
    return task


@contextlib.contextmanager
def simulated(random: Random, scale: Scale, said: list[Any]) -> Generator[None]:
    """What is no part of any process for once follows the seed, is small, or is kept: randomness, partitions, the log."""
    changed: list[tuple[Any, str, Any]] = [
        (addresses, "secrets", SimpleNamespace(randbits=random.getrandbits)),
        (gateway.app.stores, "load_templates", _templates),
        (registry, "plugins", _plugins),
        (autoreply, "WITHIN_S", 30),
        (partition_of, "__defaults__", (scale.partitions,)),
        (follow, "EVERY_S", scale.follow_s),
        (worker, "SWEEP_MS", scale.sweep_ms),
    ]
    for name, module in sorted(sys.modules.items()):
        if name.startswith("gateway.delivery.") and hasattr(module, "PARTITIONS"):
            changed.append((module, "PARTITIONS", scale.partitions))
    before = [(place, name, getattr(place, name)) for place, name, _ in changed]
    known, state = structlog.get_config(), dice.getstate()
    dice.seed(random.random())
    structlog.configure(processors=[_kept(said)], cache_logger_on_first_use=False)
    try:
        for place, name, value in changed:
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)
        structlog.configure(**known)
        dice.setstate(state)


def _kept(said: list[Any]) -> Callable[[Any, str, Any], Any]:
    def keep(_logger: Any, _method: str, event: Any) -> Any:
        said.append(event)
        raise structlog.DropEvent

    return keep
