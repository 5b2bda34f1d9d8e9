"""Time that jumps: an event loop that never waits, and clocks that follow it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any, Final

EPOCH_MS: Final = 1_795_423_160_000
"""What a virtual server's clock shows when its loop begins: a Monday in 2026, 10:39:20 in Greece."""


class Stuck(Exception):
    """Everybody waits and no timer is set: nothing would ever happen again."""


class _Jump(selectors.BaseSelector):
    """Instead of waiting for sockets, time jumps to the next timer."""

    def __init__(self) -> None:
        self.now = 0.0
        self._known: dict[Any, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck
        if timeout > 0:
            self.now += timeout
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, fileobj if isinstance(fileobj, int) else fileobj.fileno(), events, data)
        self._known[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._known.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._known

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._known[fileobj]

    def close(self) -> None:
        self._known.clear()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still while code runs and jumps when all of it waits. Begins at 0."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """Virtual seconds since the loop began."""
        return self._jump.now

    def ms(self) -> int:
        """The same in ms."""
        # A float that stands a hair below a whole number means that number.
        return int(self._jump.now * 1000 + 1e-6)

    def server_ms(self) -> int:
        """The time of a virtual server, ms since the epoch."""
        return EPOCH_MS + self.ms()
