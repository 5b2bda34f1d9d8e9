"""Time and background work of the look-alikes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


def wall_ms() -> int:
    """The wall clock, in milliseconds since the epoch: a carrier has a clock of its own."""
    return time.time_ns() // 1_000_000


class Clock:
    """Simulated waiting: every delay of a carrier or of an automatic person is multiplied by ``scale``.

    Waits for a real person (a phone that rings, a key to be pressed) are multiplied by ``patience`` instead, so that a
    demonstration can run fast and still give the visitor time to answer.
    """

    def __init__(self, *, scale: float = 1.0, patience: float = 1.0, now: Callable[[], int] = wall_ms) -> None:
        self.scale = scale
        self.patience = patience
        self.now = now

    async def sleep(self, seconds: float) -> None:
        """Lets ``seconds`` of simulated time pass."""
        await asyncio.sleep(max(0.0, seconds * self.scale))

    def patiently(self, seconds: float) -> float:
        """Real seconds to wait for a real person."""
        return seconds * self.patience


class Tasks:
    """Background tasks that end with their owner."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs ``work`` in the background; what it raises is logged, since nobody awaits it."""
        if self._closed:
            work.close()
            return
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("sandbox_task_failed", exc_info=error)

    async def idle(self) -> None:
        """Returns when nothing is running any more."""
        while self._running:
            await asyncio.wait(self._running)

    async def stop(self) -> None:
        """Cancels what is still running and waits for it."""
        self._closed = True
        for task in list(self._running):
            task.cancel()
        await self.idle()
