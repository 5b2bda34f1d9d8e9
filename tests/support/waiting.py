"""A look that doesn't come back must not outlast the wait it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")
GRACE_S: Final = 10.0
"""A single look may take so long, also when the wait is shorter or nearly over."""


async def looked(look: Awaitable[T], end: float, seen: Callable[[], object] = lambda: "") -> T:
    """What a look gives. Fails when it hangs beyond `end` (the loop's time), with what was `seen` last."""
    loop = asyncio.get_running_loop()
    limit = asyncio.timeout_at(max(end, loop.time() + GRACE_S))
    try:
        async with limit:
            return await look
    except TimeoutError:
        if not limit.expired():
            raise
        raise AssertionError(f"a look itself hung until the time was up: {look!r}: {seen()}") from None
