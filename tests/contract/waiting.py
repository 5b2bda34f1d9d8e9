"""Waiting for something to become true, with a deadline."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from tests.support.waiting import looked

T = TypeVar("T")


async def eventually(look: Callable[[], T | Awaitable[T | None] | None], seconds: float = 30.0, seen: object = "") -> T:
    """What `look` gives, as soon as that is true."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        found = look()
        if inspect.isawaitable(found):
            value = await looked(cast("Awaitable[T | None]", found), end, seen if callable(seen) else lambda: seen)
        else:
            value = cast("T | None", found)
        if value:
            return value
        assert loop.time() < end, f"not within {seconds} s: {seen() if callable(seen) else seen}"
        await asyncio.sleep(0.05)
