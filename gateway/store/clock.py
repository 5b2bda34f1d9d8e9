"""The server's time, for every process that shares it.

`now()` follows Redis TIME between two readings by the monotonic clock, so a wall clock that jumps moves nothing.
"""

from __future__ import annotations

import time
from typing import Final

MOST_SKEW_MS: Final = 5_000


class Clock:
    """Milliseconds since the epoch, as the server counts them."""

    def __init__(self) -> None:
        self._offset = int(time.time() * 1000) - _monotonic()

    def now(self) -> int:
        """The server's present time, ms."""
        return _monotonic() + self._offset

    def read(self, server_now: int) -> None:
        """Take over a reading of the server's time."""
        self._offset = server_now - _monotonic()

    def skew(self) -> int:
        """How far (ms) this machine's wall clock is ahead of the server's."""
        return int(time.time() * 1000) - self.now()


def _monotonic() -> int:
    return time.monotonic_ns() // 1_000_000
