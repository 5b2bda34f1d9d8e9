"""How many messages one process works on at once.

All work of a process takes turns on one event loop: whatever is under way makes every step of all the rest later. So
what isn't critical waits for a place, and critical messages find few before them whatever else there is to do. More
places would make nothing faster: the loop has one processor.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Final

from gateway.message import Lane

PLACES: Final = 32
"""For all that isn't critical."""
BULK: Final = 16
"""How many of them bulk may take."""
PATIENCE_S: Final = 1.0
"""So much earlier than it did a normal message counts as come: bulk waits for normal ones, and not for ever."""


class Gate:
    """The places of one process. `now` gives seconds."""

    def __init__(
        self,
        places: int = PLACES,
        bulk: int = BULK,
        now: Callable[[], float] = lambda: asyncio.get_running_loop().time(),
    ) -> None:
        self._now = now
        self._most: dict[Lane, int] = {"normal": places, "bulk": bulk}
        self._inside: dict[Lane, int] = {"normal": 0, "bulk": 0}
        self._holders: dict[object, Lane] = {}
        self._waiting: dict[Lane, deque[tuple[float, asyncio.Future[None]]]] = {"normal": deque(), "bulk": deque()}

    @contextlib.asynccontextmanager
    async def turn(self, lane: Lane) -> AsyncGenerator[None]:
        """Wait for a place, and hold it. Critical messages need none."""
        if lane == "critical":
            yield
            return
        await self._enter(lane)
        me = asyncio.current_task()
        self._holders[me] = lane
        try:
            yield
        finally:
            del self._holders[me]
            self._leave(lane)

    @contextlib.contextmanager
    def away(self) -> Generator[None]:
        """While this task waits for somebody outside it needs no place, if it holds one; it comes back without waiting."""
        lane = self._holders.get(asyncio.current_task())
        if lane is None:
            yield
            return
        self._leave(lane)
        try:
            yield
        finally:
            self._inside[lane] += 1

    def _fits(self, lane: Lane) -> bool:
        return self._inside[lane] < self._most[lane] and sum(self._inside.values()) < self._most["normal"]

    async def _enter(self, lane: Lane) -> None:
        if self._fits(lane):  # then nobody waits who would fit, too
            self._inside[lane] += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[lane].append((self._now() - (PATIENCE_S if lane == "normal" else 0.0), place))
        try:
            await place
        except asyncio.CancelledError:
            # The place may have been given in the same moment: then it goes on to the next.
            if place.done() and not place.cancelled():
                self._leave(lane)
            raise

    def _leave(self, lane: Lane) -> None:
        self._inside[lane] -= 1
        while (first := self._first()) is not None:
            _, place = self._waiting[first].popleft()
            if not place.done():
                self._inside[first] += 1
                place.set_result(None)

    def _first(self) -> Lane | None:
        """The lane of who has waited longest of those for whom there is a place."""
        ready: list[tuple[float, Lane]] = [
            (waiting[0][0], lane) for lane, waiting in self._waiting.items() if waiting and self._fits(lane)
        ]
        return min(ready)[1] if ready else None
