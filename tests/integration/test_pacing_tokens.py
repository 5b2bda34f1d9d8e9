"""The token bucket that all workers share, on a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.store.keys import rate
from gateway.store.scripts import Scripts

KEY = rate("x")


async def test_a_full_bucket_holds_one_burst_and_keeps_a_quarter(scripts: Scripts) -> None:
    assert (await scripts.tokens(KEY, 0.001, 8, 100, critical=False))[0] == 6
    assert (await scripts.tokens(KEY, 0.001, 8, 100, critical=False))[0] == 0
    assert (await scripts.tokens(KEY, 0.001, 8, 100, critical=True))[0] == 2
    granted, wait = await scripts.tokens(KEY, 0.001, 8, 1, critical=True)
    assert granted == 0
    assert 900_000 < wait <= 1_000_000


@pytest.mark.parametrize("burst", [1, 2, 3])
async def test_a_small_bucket_keeps_nothing_back(scripts: Scripts, burst: int) -> None:
    assert (await scripts.tokens(KEY, 0.001, burst, 9, critical=False))[0] == burst


async def test_what_nobody_used_comes_back_but_never_more_than_a_burst(scripts: Scripts) -> None:
    await scripts.tokens(KEY, 0.001, 8, 8, critical=True)
    await scripts.tokens(KEY, 0.001, 8, -3, critical=True)
    assert (await scripts.tokens(KEY, 0.001, 8, 8, critical=True))[0] == 3
    await scripts.tokens(KEY, 0.001, 8, -100, critical=True)
    assert (await scripts.tokens(KEY, 0.001, 8, 100, critical=True))[0] == 8


async def test_a_server_clock_that_was_set_back_gives_and_takes_nothing(scripts: Scripts, redis_client: Any) -> None:
    await scripts.tokens(KEY, 1, 8, 8, critical=True)
    seconds, _ = await redis_client.time()
    await redis_client.hset(KEY, "at", (seconds + 3600) * 1000)
    assert (await scripts.tokens(KEY, 1, 8, 1, critical=True))[0] == 0, "elapsed time is never negative"
    # And from then on it fills again, by the new clock.
    at = int(await redis_client.hget(KEY, "at"))
    assert abs(at - seconds * 1000) < 5_000
    await redis_client.hset(KEY, "at", at - 2_000)
    assert (await scripts.tokens(KEY, 1, 8, 8, critical=True))[0] == 2


async def test_a_clock_that_jumps_ahead_fills_one_burst_at_most(scripts: Scripts, redis_client: Any) -> None:
    await scripts.tokens(KEY, 10, 5, 5, critical=True)
    await redis_client.hset(KEY, "at", 1)
    assert (await scripts.tokens(KEY, 10, 5, 100, critical=True))[0] == 5


async def test_the_rate_over_time(scripts: Scripts, redis_client: Any) -> None:
    """Ten virtual seconds at 7 a second, asked every 100 ms for more than there is."""
    burst = granted = 7
    await scripts.tokens(KEY, 7, burst, burst, critical=True)
    for _ in range(100):
        await redis_client.hincrby(KEY, "at", -100)
        granted += (await scripts.tokens(KEY, 7, burst, 50, critical=True))[0]
    real = 5  # what the real time that passed meanwhile may have added
    assert burst + 69 <= granted <= burst + 70 + 7 * real


async def test_many_at_once_get_no_more_than_there_is(scripts: Scripts) -> None:
    told = await asyncio.gather(*(scripts.tokens(KEY, 0.001, 16, 3, critical=n % 2 == 0) for n in range(40)))
    assert sum(granted for granted, _ in told) == 16


async def test_the_bucket_goes_when_nobody_uses_it(scripts: Scripts, redis_client: Any) -> None:
    await scripts.tokens(KEY, 0.5, 4, 1, critical=True)
    assert 0 < await redis_client.pttl(KEY) <= 4 / 0.5 * 1000 + 60_000
