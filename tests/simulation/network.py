"""Between a process and the store: commands in order, and everything that can happen to them on the way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from random import Random
from typing import Any, Final, Self

import msgspec
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.message import LANES, Lane
from gateway.store.changes import Haul
from gateway.store.keys import partition
from gateway.store.lua_source import sha_of
from gateway.store.pipe import ANSWER_SECONDS, MOST, Pipe, StoreUnavailable
from gateway.store.scripts import Scripts
from tests.simulation.watched import Watched
from tests.support.virtual import VirtualLoop

PLAIN: Final = ("accept", "commit", "begin", "put_customer")
"""Scripts that go by the ordinary stream unless the message is critical; all others are urgent."""


class Troubles(msgspec.Struct, kw_only=True):
    """What may happen to a batch of commands, as probabilities; `slow`: the longest usual way, seconds."""

    lost: float = 0.0
    cut: float = 0.0
    unheard: float = 0.0
    stalls: float = 0.0
    bells_lost: float = 0.0
    slow: float = 0.002


class Network:
    """The ways of all processes to one store."""

    def __init__(self, loop: VirtualLoop, random: Random, store: Watched, troubles: Troubles) -> None:
        self.loop = loop
        self.random = random
        self.store = store
        self.troubles = troubles
        self.up = True
        self.ears: dict[Line, asyncio.Queue[str | None]] = {}
        self.moments: list[int] = []
        store.ring = self._ring

    def way(self) -> float:
        """Seconds one way."""
        return self.random.random() * self.troubles.slow

    def fate(self) -> str:
        """What becomes of a batch."""
        if not self.up:
            return "away"
        dice, t = self.random.random(), self.troubles
        for name, chance in (("lost", t.lost), ("cut", t.cut), ("unheard", t.unheard), ("stalls", t.stalls)):
            if dice < chance:
                self.trouble()
                return name
            dice -= chance
        return "ok"

    def trouble(self) -> None:
        """Something went wrong at this moment."""
        self.moments.append(self.loop.ms())

    def go(self, *, up: bool) -> None:
        """The store goes away, or is back."""
        self.up = up
        self.trouble()
        self.store.note_down("network", "up" if up else "down")
        if not up:
            for queue in self.ears.values():
                queue.put_nowait(None)

    def _ring(self, bell: str) -> None:
        for queue in self.ears.values():
            if self.up and self.random.random() >= self.troubles.bells_lost:
                self.loop.call_later(self.way(), queue.put_nowait, bell)


class Line:
    """One process's end. When it is cut, nothing leaves any more and no answer arrives."""

    def __init__(self, network: Network, process: str) -> None:
        self.network = network
        self.process = process
        self.alive = True


class Stream(Pipe):
    """An ordered stream of commands: what is asked for together leaves together."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._queue: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._busy = False

    @property
    def replicated(self) -> bool:
        """The simulated store has no replicas."""
        return False

    def remember(self, source: str) -> str:
        """The model needs no sources, only their names."""
        return sha_of(source)

    def send(self, *command: Any, **_how: Any) -> Any:
        """The answer to a plain command, as a future, which spares a task where several are asked for together."""
        store = self._line.network.store
        return self.call(lambda: store.command(*command))

    async def close(self) -> None:
        """Nothing is open."""

    def call(self, act: Callable[[], Any]) -> asyncio.Future[Any]:
        """Put something to be done by the store in the queue; its answer."""
        future: asyncio.Future[Any] = self._line.network.loop.create_future()
        if self._line.alive:
            self._queue.append((act, future))
            if not self._busy:
                self._busy = True
                self._line.network.loop.call_soon(self._leave)
        return future

    def _leave(self) -> None:
        network = self._line.network
        batch = [self._queue.popleft() for _ in range(min(MOST, len(self._queue)))]
        if not batch or not self._line.alive:
            self._busy = False
            return
        fate = network.fate()
        if fate in {"away", "lost"}:
            after = ANSWER_SECONDS if network.random.random() < 0.2 else network.way()
            network.loop.call_later(after, self._fail, batch)
        else:
            stall = network.random.random() * 4.0 if fate == "stalls" else 0.0
            network.loop.call_later(network.way() + stall, self._arrive, batch, fate)

    def _arrive(self, batch: list[tuple[Callable[[], Any], asyncio.Future[Any]]], fate: str) -> None:
        network = self._line.network
        if not network.up:
            self._fail(batch)
            return
        many = network.random.randrange(len(batch)) if fate == "cut" else len(batch)
        network.store.asking = self._line.process
        answers = [_done(act) for act, _ in batch[:many]]
        if fate in ("cut", "unheard"):
            after = ANSWER_SECONDS if network.random.random() < 0.3 else network.way()
            network.loop.call_later(after, self._fail, batch)
        else:
            network.loop.call_later(network.way(), self._answer, batch, answers)

    def _answer(self, batch: list[tuple[Callable[[], Any], asyncio.Future[Any]]], answers: list[Any]) -> None:
        if self._line.alive:
            for (_, future), answer in zip(batch, answers, strict=True):
                if isinstance(answer, Exception) and not future.done():
                    future.set_exception(answer)
                elif not future.done():
                    future.set_result(answer)
        self._leave()

    def _fail(self, batch: list[tuple[Callable[[], Any], asyncio.Future[Any]]]) -> None:
        if self._line.alive:
            for _, future in batch:
                if not future.done():
                    future.set_exception(StoreUnavailable("the simulated store does not answer"))
        self._leave()


def _done(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except NotImplementedError as gap:
        return gap


class Wire(Scripts):
    """The scripts as one process calls them. Each method of the model is called at the far end of a stream."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.pipe = Stream(line)
        self.urgent = Stream(line)

    async def take(
        self,
        number: int,
        lease: int,
        due: Mapping[Lane, int],
        permits: Mapping[str, tuple[int, int, int]],
        *,
        wall: int | None = None,
    ) -> Haul:
        """As the model does. Where nothing is ready the answer comes at once, which spares most of the work there is."""
        store, at = self.line.network.store, partition(number)
        if self.line.network.up:
            heads = [min(scores.values()) for lane in LANES if (scores := store.zsets.get(at.agenda(lane)))]
            waits = any(at.line(channel, lane) in store.zsets for channel in permits for lane in LANES)
            if not waits and (not heads or min(heads) > store.now()):
                return Haul(store.now(), int(min(heads)) if heads else None, ())
        return await self.urgent.call(lambda: store.take(number, lease, due, permits, wall=wall))


def _called(name: str) -> Callable[..., Any]:
    def method(self: Wire, *args: Any, **more: Any) -> Any:
        critical = name not in PLAIN or any(getattr(arg, "lane", None) == "critical" for arg in args)
        stream, act = (self.urgent if critical else self.pipe), getattr(self.line.network.store, name)
        return stream.call(lambda: act(*args, **more))

    return method


for _name in dir(Watched):
    if not _name.startswith(("_", "on_")) and hasattr(Scripts, _name) and _name != "take":
        setattr(Wire, _name, _called(_name))


class Bells:
    """A client as far as a worker needs one: it hears bells. The bells end when the store goes away."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def pubsub(self) -> Bells:
        """A subscription to be."""
        return self

    async def __aenter__(self) -> Self:
        if not self._line.network.up:
            raise RedisConnectionError("the simulated store is away")
        self._line.network.ears[self._line] = asyncio.Queue()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._line.network.ears.pop(self._line, None)

    async def subscribe(self, *_channels: str) -> None:
        """There is one channel."""

    async def listen(self) -> AsyncGenerator[dict[str, Any]]:
        """Bells as they ring. Raises redis' ConnectionError when the store goes away."""
        queue = self._line.network.ears[self._line]
        while True:
            bell = await queue.get()
            if bell is None:
                raise RedisConnectionError("the simulated store went away")
            yield {"type": "message", "data": bell.encode()}
