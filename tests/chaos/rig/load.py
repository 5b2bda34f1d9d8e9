"""Callers who keep coming until they are told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from tests.chaos.rig.world import World

CATEGORIES: Final = ("outage", "code", "service", "reply", "follow_up", "survey")
REPLAYS: Final = 0.1
BATCHES: Final = 0.05
BATCH: Final = 20


class Load:
    """`callers` at once, each waiting about `pause` seconds between two messages; every choice is drawn from `seed`.

    A tenth of the callers ask once more although they were answered; with `batches`, one request in twenty is a batch.
    """

    def __init__(
        self,
        world: World,
        group: str,
        *,
        callers: int = 4,
        pause: float = 0.1,
        categories: Sequence[str] = ("outage",),
        batches: bool = False,
        reach: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self._world = world
        self._group = group
        self._callers = callers
        self._pause = pause
        self._categories = categories
        self._batches = batches
        self._more = {} if reach is None else {"reach": reach}
        self._roll = random.Random(seed)
        self._numbers = itertools.count()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Go on until `stop`; then let what is under way finish."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._callers):
                group.create_task(self._caller())

    def stop(self) -> None:
        """Ask for nothing more."""
        self._stop.set()

    async def _caller(self) -> None:
        while not self._stop.is_set():
            category = self._roll.choice(self._categories)
            if self._batches and self._roll.random() < BATCHES:
                names = [self._name() for _ in range(BATCH)]
                await self._world.callers.batch(names, category, **self._more)
            else:
                again = self._roll.random() < REPLAYS
                await self._world.callers.send(self._name(), category, replay=again, **self._more)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._pause * (0.5 + self._roll.random()))

    def _name(self) -> str:
        return f"{self._group}-{next(self._numbers)}"


@contextlib.asynccontextmanager
async def loaded(load: Load) -> AsyncGenerator[Load]:
    """A load that runs during the block; at its end every caller has been answered, or has given up."""
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run())
        try:
            yield load
        finally:
            load.stop()
