"""Who is let in while much is under way: every lane has places of its own, so a flood of one leaves the others theirs."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import Final

from gateway.delivery.metrics import Metrics
from gateway.delivery.room import RETRY_AFTER_S, NoRoom, Room
from gateway.message import Lane
from gateway.web.problems import Problem, unavailable

PLACES: Final[Mapping[Lane, int]] = {"critical": 1024, "normal": 512, "bulk": 128}
"""How many requests of a lane may be under way in one process; a batch counts as several."""
SMALL: Final = 64 * 1024
LARGE_MOST: Final = 64 * 2**20
"""Bodies above `SMALL` bytes may take so many together, from their reading to their answer."""
AGAIN_S: Final = 1


class Admission:
    """One process's door to the API."""

    def __init__(
        self, room: Room, metrics: Metrics, places: Mapping[Lane, int] = PLACES, large: int = LARGE_MOST
    ) -> None:
        self._room = room
        self._metrics = metrics
        self._free = dict(places)
        self._large = large

    def new(self) -> None:
        """Whether anything new may be stored now. Raises Problem 503."""
        try:
            self._room.check_new()
        except NoRoom as full:
            raise self.refused(full) from None

    def refused(self, no_room: NoRoom) -> Problem:
        """What is said to who is refused because memory is short: 503 when nothing new is taken, 429 for bulk alone."""
        self._metrics.refused("all" if no_room.full else "bulk", "memory")
        if no_room.full:
            return unavailable(no_room.detail, RETRY_AFTER_S)
        return _later(no_room.detail, RETRY_AFTER_S)

    @contextlib.contextmanager
    def body(self, size: int) -> Generator[None]:
        """Hold room for a body of `size` bytes at most. Raises Problem 503."""
        size = size if size > SMALL else 0
        if size > self._large:
            self._metrics.refused("all", "busy")
            raise unavailable("Too many large bodies are under way.", AGAIN_S)
        self._large -= size
        try:
            yield
        finally:
            self._large += size

    @contextlib.contextmanager
    def under_way(self, lane: Lane, places: int = 1) -> Generator[None]:
        """Hold places in a lane. Raises Problem 429."""
        if places > self._free[lane]:
            self._metrics.refused(lane, "busy")
            detail = f"More {lane} requests are under way than one process works on."
            raise _later(detail, AGAIN_S, slow=True)
        self._free[lane] -= places
        try:
            yield
        finally:
            self._free[lane] += places


def _later(detail: str, seconds: int, *, slow: bool = False) -> Problem:
    return Problem("too-many-requests", detail, headers={"Retry-After": str(seconds)}, slow=slow)
