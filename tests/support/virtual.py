"""Time that jumps: an event loop that never waits, and clocks that follow it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Final

EPOCH_MS: Final = 1_795_423_160_000
"""What a virtual server's clock shows when its loop begins: a Monday in 2026, 10:39:20 in Greece."""


class Stuck(Exception):
    """Everybody waits and no timer is set: nothing would ever happen again."""


class _Call:
    """Something to be called, now or at a moment; what `call_soon` and `call_at` give."""

    __slots__ = ("_when", "args", "callback", "context")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None, when: float
    ) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self._when = when

    def when(self) -> float:
        """The moment it is for."""
        return self._when

    def cancel(self) -> None:
        """It isn't called any more."""
        self.callback, self.args = None, ()

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.callback is None


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose time stands still while code runs and jumps when all of it waits. Begins at 0.

    It knows no sockets and no threads, and does what remains with as little as possible: a storm is tens of thousands
    of calls.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._soon: deque[_Call] = deque()
        self._later: list[tuple[float, int, _Call]] = []
        self._order = itertools.count()

    def time(self) -> float:
        """Virtual seconds since the loop began."""
        return self._now

    def ms(self) -> int:
        """The same in ms."""
        # A float that stands a hair below a whole number means that number.
        return int(self._now * 1000 + 1e-6)

    def server_ms(self) -> int:
        """The time of a virtual server, ms since the epoch."""
        return EPOCH_MS + self.ms()

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        """As soon as what is running waits."""
        call = _Call(callback, args, context, 0.0)
        self._soon.append(call)
        return call

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        """In `delay` seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        """At a moment of `time`; of those for the same moment, in the order in which they were asked for."""
        call = _Call(callback, args, context, when)
        heapq.heappush(self._later, (when, next(self._order), call))
        return call

    def _run_once(self) -> None:
        """One turn, called by asyncio's `run_forever`: whatever is ready, else time jumps to the next timer."""
        soon, later = self._soon, self._later
        if not soon:
            while later and later[0][2].cancelled():
                heapq.heappop(later)
            if not later:
                raise Stuck
            self._now = max(self._now, later[0][0])
        while later and later[0][0] <= self._now:
            soon.append(heapq.heappop(later)[2])
        for _ in range(len(soon)):
            call = soon.popleft()
            callback = call.callback
            if callback is None:
                continue
            try:
                call.context.run(callback, *call.args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as wrong:  # noqa: BLE001 - whatever a callback raises is told to the loop, as with asyncio's own
                self.call_exception_handler({"message": f"exception in {callback!r}", "exception": wrong})

    def close(self) -> None:
        """Forget what was still to be called."""
        self._soon.clear()
        self._later.clear()
        super().close()
