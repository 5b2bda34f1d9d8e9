"""The server's time, for every process that shares it.

`now()` follows Redis TIME between two readings by the monotonic clock, so a wall clock that jumps moves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

MOST_SKEW_MS: Final = 5_000


def _monotonic() -> int:
    return time.monotonic_ns() // 1_000_000


def _wall() -> int:
    return time.time_ns() // 1_000_000


class Clock:
    """Milliseconds since the epoch, as the server counts them. `monotonic` and `wall`: this machine's clocks, ms."""

    def __init__(self, monotonic: Callable[[], int] = _monotonic, wall: Callable[[], int] = _wall) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._offset = wall() - monotonic()

    def now(self) -> int:
        """The server's present time, ms."""
        return self._monotonic() + self._offset

    def read(self, server_now: int) -> None:
        """Take over a reading of the server's time."""
        self._offset = server_now - self._monotonic()

    def wall(self) -> int:
        """This machine's own clock, ms."""
        return self._wall()

    def skew(self) -> int:
        """How far (ms) this machine's wall clock is ahead of the server's."""
        return self._wall() - self.now()
