"""The breaker by a virtual clock, permits, and the token bucket on a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from gateway.channels.base import Accepted, Refused, Unknown
from gateway.delivery.breaker import FAULTS_IN_A_ROW, FIRST_REST_MS, LONGEST_REST_MS, Breaker
from gateway.delivery.pacing import Switchboard
from gateway.message import Fault
from gateway.settings_types import ChannelSettings
from gateway.store.clock import Clock
from gateway.store.keys import rate
from gateway.store.scripts import Scripts
from tests.support.core import Scripted

TAKEN = Accepted(provider_id="p")
DOWN = Refused(fault=Fault.UNAVAILABLE)
SHUT = Refused(fault=Fault.ACCOUNT_SHUT)
OTHERS_FAULT = Refused(fault=Fault.BAD_ADDRESS)
LOST = Unknown()
KEY = rate("x")
FAR = 10.0**9


# The breaker


def opened(now: int = 0) -> Breaker:
    breaker = Breaker()
    assert breaker.hear(SHUT, now)
    return breaker


def test_it_opens_after_a_run_of_faults_only() -> None:
    breaker = Breaker()
    for _ in range(3):
        for _ in range(FAULTS_IN_A_ROW - 1):
            assert not breaker.hear(DOWN, 0)
        breaker.hear(TAKEN, 0)
    for _ in range(FAULTS_IN_A_ROW - 1):
        assert not breaker.hear(LOST, 0)
    assert breaker.hear(LOST, 0)
    assert breaker.shut(0)


def test_a_persons_fault_proves_that_the_provider_works() -> None:
    breaker = Breaker()
    for _ in range(100):
        assert not breaker.hear(OTHERS_FAULT, 0)
    for _ in range(FAULTS_IN_A_ROW - 1):
        breaker.hear(DOWN, 0)
    breaker.hear(OTHERS_FAULT, 0)
    assert not breaker.hear(DOWN, 0)


def test_a_refused_account_shuts_at_once() -> None:
    assert opened().shut(FIRST_REST_MS - 1)
    assert not opened().shut(FIRST_REST_MS)


def test_one_probe_at_a_time_and_rests_that_double() -> None:
    breaker, now, rest = opened(), 0, FIRST_REST_MS
    for _ in range(12):
        now += rest
        assert not breaker.shut(now)
        breaker.probe(now)
        assert breaker.shut(now), "the others wait for the probe"
        assert breaker.hear(DOWN, now), "whoever joined the line meanwhile must hear of it"
        rest = min(rest * 2, LONGEST_REST_MS)
        assert breaker.shut(now + rest - 1)
        assert not breaker.shut(now + rest)


@pytest.mark.parametrize("good", [TAKEN, OTHERS_FAULT])
def test_a_good_probe_closes_it_and_forgets(good: Accepted | Refused) -> None:
    breaker = opened()
    breaker.probe(FIRST_REST_MS)
    assert breaker.hear(good, FIRST_REST_MS)
    assert breaker.closed
    assert not breaker.shut(FIRST_REST_MS)
    for _ in range(FAULTS_IN_A_ROW - 1):
        assert not breaker.hear(DOWN, 0)


def test_stragglers_of_before_say_nothing_about_now() -> None:
    breaker = opened()
    until = breaker.open_until
    assert not breaker.hear(DOWN, 5)
    assert not breaker.hear(LOST, 10)
    assert not breaker.hear(OTHERS_FAULT, 15)
    assert (breaker.closed, breaker.open_until) == (False, until)
    assert breaker.hear(TAKEN, 20), "but one that was taken does"


def test_another_process_closes_and_opens_it() -> None:
    breaker = opened()
    breaker.follow(None, 0)
    assert breaker.closed
    breaker.follow(7, 9_000)
    assert breaker.shut(8_999)
    breaker.follow(7, 5_000)
    assert breaker.shut(8_999), "older news changes nothing"
    breaker.probe(9_000)
    breaker.follow(None, 0)
    assert not breaker.closed, "the own probe decides"
    assert breaker.hear(TAKEN, 9_000)


_OUTCOMES = st.sampled_from([TAKEN, DOWN, SHUT, OTHERS_FAULT, LOST])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, 100_000), st.sampled_from(["probe", "lost probe", "hear"]), _OUTCOMES), max_size=40
    )
)
def test_whatever_happens_a_probe_is_let_through_in_the_end(story: list[tuple[int, str, Any]]) -> None:
    breaker, now = Breaker(), 0
    for passed, what, outcome in story:
        now += passed
        if what != "hear" and not breaker.closed and not breaker.shut(now):
            breaker.probe(now)
        if what == "lost probe":
            breaker.forget(now)
        else:
            breaker.hear(outcome, now)
    assert not breaker.shut(now + LONGEST_REST_MS)


# Permits


def board(scripts: Scripts, clock: Clock, **limits: Any) -> Switchboard:
    return Switchboard({"x": Scripted("x")}, {"x": ChannelSettings(**limits)}, scripts, clock, "")


@pytest.mark.parametrize("concurrency", [1, 2, 3, 4, 16, 64])
def test_a_quarter_is_for_critical_alone(scripts: Scripts, clock: Clock, concurrency: int) -> None:
    made = board(scripts, clock, concurrency=concurrency)
    post, now = made.posts["x"], clock.now()
    total, others = post.room(now)
    assert total == concurrency
    assert others == (1 if concurrency == 1 else concurrency - max(1, concurrency // 4))
    for _ in range(others):
        made.began(post, "bulk")
    total, others = post.room(now)
    assert (total, others) == (concurrency - (1 if concurrency == 1 else concurrency - max(1, concurrency // 4)), 0)
    for _ in range(total):
        made.began(post, "critical")
    assert post.room(now) == (0, 0)
    assert post.full
    made.ended(post, "bulk")
    total, others = post.room(now)
    assert (total, others) == (1, 1)


def test_critical_ones_may_use_every_permit(scripts: Scripts, clock: Clock) -> None:
    made = board(scripts, clock, concurrency=4)
    post = made.posts["x"]
    for _ in range(3):
        made.began(post, "critical")
    assert post.room(clock.now()) == (1, 1)


async def test_half_open_gives_one_permit(scripts: Scripts, clock: Clock) -> None:
    made = board(scripts, clock, concurrency=8)
    post = made.posts["x"]
    await made.heard(post, SHUT)
    assert post.room(clock.now()) == (0, 0)
    post.breaker.open_until = 0
    assert post.room(clock.now()) == (1, 1)
    made.began(post, "normal")
    assert post.room(clock.now()) == (0, 0)


async def test_state_is_shared_and_kept(scripts: Scripts, clock: Clock) -> None:
    one, two = board(scripts, clock), board(scripts, clock)
    assert await two.refresh() == []
    await one.pause("x", "maintenance", "ops")
    assert [p.name for p in await two.refresh()] == ["x"]
    assert two.posts["x"].shared.paused == "maintenance"
    assert await two.refresh() == [], "only what has just been shut is told"
    await one.heard(one.posts["x"], SHUT)
    await two.refresh()
    await two.pause("x", None, None)
    await one.refresh()
    assert one.posts["x"].shared.paused is None
    assert one.posts["x"].state(clock.now()).shut == "channel_down", "a pause that ends opens no breaker"


async def test_a_pause_survives_a_breaker_that_turns_in_another_process(scripts: Scripts, clock: Clock) -> None:
    """Each process writes only what it has found out; nobody's pause is undone by it."""
    one, two = board(scripts, clock), board(scripts, clock)
    await one.refresh()
    await two.pause("x", "maintenance", "ops")
    await one.heard(one.posts["x"], SHUT)
    await two.refresh()
    assert two.posts["x"].shared.paused == "maintenance"
    third = board(scripts, clock)
    await third.refresh()
    assert third.posts["x"].shared.paused == "maintenance"
    assert not third.posts["x"].breaker.closed


# Tokens


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


async def test_granting_and_giving_back_add_up(scripts: Scripts, clock: Clock, redis_client: Redis) -> None:
    made = board(scripts, clock, messages_per_second=0.001 * 8, concurrency=64)
    post = made.posts["x"]
    post.rate = 8.0
    total, others = await made.granted(post)
    assert (total, others) == (8, 6)
    await made.give_back(post, total)
    assert await made.granted(post) == (8, 6)
    await made.pause("x", "maintenance", None)
    assert await made.granted(post) == (0, 0), "a channel that is shut takes no tokens"
