"""Tests that wait must end, whatever they wait for."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.waiting import eventually
from tests.support import core, running, waiting


async def test_a_look_that_hangs_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "GRACE_S", 0.05)
    for wait in (core.until, running.until, eventually):
        async with asyncio.timeout(5):
            with pytest.raises(AssertionError, match=r"hung.*what was seen"):
                await wait(asyncio.Event().wait, 0.01, lambda: "what was seen")


async def test_a_look_may_itself_fail_for_want_of_time() -> None:
    async def look() -> bool:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await core.until(look)
