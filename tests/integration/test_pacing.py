"""Permits, and what all processes know of a channel, on a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.channels.base import Accepted, Refused
from gateway.delivery.pacing import Switchboard
from gateway.delivery.post import Pause, Post
from gateway.message import Fault
from gateway.settings_types import ChannelSettings
from gateway.store.clock import Clock
from gateway.store.keys import CHANNELS, THROTTLED, partition
from gateway.store.scripts import Scripts
from tests.support.core import Scripted

TAKEN = Accepted(provider_id="p")
SHUT = Refused(fault=Fault.ACCOUNT_SHUT)
THROTTLED_NOW = Refused(fault=Fault.THROTTLED)


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
    plain = [made.began(post, "bulk") for _ in range(others)]
    total, others = post.room(now)
    assert (total, others) == (concurrency - (1 if concurrency == 1 else concurrency - max(1, concurrency // 4)), 0)
    for _ in range(total):
        made.began(post, "critical")
    assert post.room(now) == (0, 0)
    assert post.full
    made.ended(plain[0])
    assert post.room(now) == (1, 1)


def test_critical_ones_may_use_every_permit(scripts: Scripts, clock: Clock) -> None:
    made = board(scripts, clock, concurrency=4)
    post = made.posts["x"]
    for _ in range(3):
        made.began(post, "critical")
    assert post.room(clock.now()) == (1, 1)


async def test_throttling_narrows_the_window_and_keeps_the_critical_share(scripts: Scripts, clock: Clock) -> None:
    made = board(scripts, clock, concurrency=16)
    post = made.posts["x"]
    permits = [made.began(post, "normal") for _ in range(12)]
    for permit in permits:
        await made.starts(permit, "m", "a1")
    for permit in permits:
        await made.heard(permit, THROTTLED_NOW)
    assert post.window.size == 8, "one round trip halves it once"
    assert post.room(clock.now()) == (0, 0), "and nothing goes out for as long as was asked"
    post.throttled_until = 0
    assert post.room(clock.now()) == (0, 0), "more is under way than may be"
    for permit in permits:
        made.ended(permit)
    assert post.room(clock.now()) == (8, 6)
    for _ in range(8):
        await made.heard(made.began(post, "critical"), TAKEN)
    assert post.window.size == 9


async def test_half_open_gives_one_permit(scripts: Scripts, clock: Clock) -> None:
    made = board(scripts, clock, concurrency=8)
    post = made.posts["x"]
    hanging = made.began(post, "normal")
    await made.heard(made.began(post, "normal"), SHUT)
    assert post.room(clock.now()) == (0, 0)
    rested(post)
    assert post.room(clock.now()) == (1, 1), "what still hangs keeps no probe from going out"
    tried = made.began(post, "normal")
    assert post.room(clock.now()) == (0, 0)
    made.ended(hanging)
    assert post.room(clock.now()) == (0, 0)
    made.ended(tried)
    assert post.room(clock.now()) == (1, 1)


async def test_what_may_not_start_any_more(scripts: Scripts, clock: Clock) -> None:
    """Between a permit and the call to the provider the channel may be paused, shut or throttled."""
    made = board(scripts, clock)
    post = made.posts["x"]
    permits = [made.began(post, "normal") for _ in range(5)]
    assert await made.starts(permits[0], "m", "a1")
    await made.pause("x", "maintenance", "ops")
    assert not await made.starts(permits[1], "m", "a1")
    await made.pause("x", None, "ops")
    assert await made.starts(permits[1], "m", "a1")
    await made.heard(permits[0], THROTTLED_NOW)
    assert not await made.starts(permits[2], "m", "a1")
    post.throttled_until = 0
    await made.heard(permits[1], SHUT)
    assert not await made.starts(permits[2], "m", "a1")
    await made.heard(permits[0], TAKEN)
    assert await made.starts(permits[2], "m", "a1")


# What all processes share


def rested(post: Post) -> None:
    post.breaker.facts = msgspec.structs.replace(post.breaker.facts, open_until=0)


async def test_one_probe_for_all_workers(scripts: Scripts, clock: Clock) -> None:
    boards = [board(scripts, clock) for _ in range(5)]
    await boards[0].heard(boards[0].began(boards[0].posts["x"], "normal"), SHUT)
    for made in boards:
        await made.refresh()
        rested(made.posts["x"])
        assert (await made.granted(made.posts["x"]))[0] == 1
    permits = [made.began(made.posts["x"], "normal") for made in boards]
    starts = await asyncio.gather(
        *(made.starts(permit, "m", "a1") for made, permit in zip(boards, permits, strict=True))
    )
    assert starts.count(True) == 1
    winner = starts.index(True)
    assert [permit.probe for permit in permits] == starts
    for made in boards:
        assert made.posts["x"].state(clock.now()).shut == "channel_down", "all wait for its answer"
    assert await boards[winner].heard(permits[winner], TAKEN)
    for made in boards:
        await made.refresh()
        assert made.posts["x"].breaker.closed


async def test_a_probe_whose_answer_is_lost_makes_room_for_another_workers(scripts: Scripts, clock: Clock) -> None:
    one, two = board(scripts, clock), board(scripts, clock)
    await one.heard(one.began(one.posts["x"], "normal"), SHUT)
    await two.refresh()
    rested(one.posts["x"])
    lost = one.began(one.posts["x"], "normal")
    assert await one.starts(lost, "m", "a1")
    one.ended(lost)  # and this worker dies
    rested(two.posts["x"])  # it does not know of the probe
    assert not await two.starts(two.began(two.posts["x"], "normal"), "m", "a2")
    assert two.posts["x"].breaker.facts.open_until > clock.now(), "now it does"
    rested(two.posts["x"])
    permit = two.began(two.posts["x"], "normal")
    assert await two.starts(permit, "m", "a3")
    assert permit.probe


async def test_state_is_shared_and_kept(scripts: Scripts, clock: Clock) -> None:
    one, two = board(scripts, clock), board(scripts, clock)
    assert await two.refresh() == []
    await one.pause("x", "maintenance", "ops")
    assert [p.name for p in await two.refresh()] == ["x"]
    assert two.posts["x"].pause == Pause("maintenance", "ops")
    assert await two.refresh() == [], "only what has just been shut is told"
    await one.heard(one.began(one.posts["x"], "normal"), SHUT)
    await two.refresh()
    await two.pause("x", None, None)
    await one.refresh()
    assert one.posts["x"].pause.paused is None
    assert one.posts["x"].state(clock.now()).shut == "channel_down", "a pause that ends opens no breaker"


async def test_a_pause_survives_a_breaker_that_turns_in_another_process(scripts: Scripts, clock: Clock) -> None:
    """Each process writes only what it has found out; nobody's pause is undone by it. And all of it outlives them."""
    one, two = board(scripts, clock), board(scripts, clock)
    await one.refresh()
    await two.pause("x", "maintenance", "ops")
    await one.heard(one.began(one.posts["x"], "normal"), SHUT)
    await two.refresh()
    assert two.posts["x"].pause.paused == "maintenance"
    third = board(scripts, clock)
    await third.refresh()
    assert third.posts["x"].pause == Pause("maintenance", "ops")
    assert not third.posts["x"].breaker.closed


async def test_a_provider_that_asks_to_wait_is_heeded_by_all(scripts: Scripts, clock: Clock, redis_client: Any) -> None:
    one, two = board(scripts, clock), board(scripts, clock)
    await one.heard(one.began(one.posts["x"], "normal"), Refused(fault=Fault.THROTTLED, retry_after=60))
    await two.heard(two.began(two.posts["x"], "normal"), Refused(fault=Fault.THROTTLED, retry_after=1))
    third = board(scripts, clock)
    await third.refresh()
    post, now = third.posts["x"], clock.now()
    assert now + 55_000 < post.throttled_until <= now + 60_000, "the longest counts"
    assert post.room(now) == (0, 0)
    assert post.state(now).waits["critical"] > 55_000
    # A server's clock that was set back must not make it wait for ever.
    await redis_client.zadd(THROTTLED, {"x": now + 5 * 3_600_000})
    post.throttled_until = now + 5 * 3_600_000
    await third.refresh()
    assert post.room(clock.now()) != (0, 0)
    assert await redis_client.zscore(THROTTLED, "x") is None


async def test_whoever_resumes_a_channel_lifts_the_providers_request_to_wait(scripts: Scripts, clock: Clock) -> None:
    one, two, late = (board(scripts, clock) for _ in range(3))
    await one.heard(one.began(one.posts["x"], "normal"), Refused(fault=Fault.THROTTLED, retry_after=300))
    await two.refresh()
    assert two.posts["x"].room(clock.now()) == (0, 0)
    await two.pause("x", None, "ops")
    await one.refresh()
    await late.refresh()
    for made in (one, two, late):
        assert made.posts["x"].room(clock.now()) != (0, 0)
    await one.heard(one.began(one.posts["x"], "normal"), Refused(fault=Fault.THROTTLED, retry_after=60))
    await two.refresh()
    assert two.posts["x"].room(clock.now()) == (0, 0), "what the provider asks for afterwards counts"


async def test_a_pause_that_could_not_be_stored_is_none(scripts: Scripts, clock: Clock, redis_client: Any) -> None:
    """The operator is told that it failed; so it must not hold in this process alone."""
    made = board(scripts, clock)
    await redis_client.set(CHANNELS, "not a hash")
    with pytest.raises(RedisError):
        await made.pause("x", "maintenance", "ops")
    assert made.posts["x"].pause.paused is None


async def test_permits_are_kept_for_critical_ones_wherever_they_stand(
    scripts: Scripts, clock: Clock, redis_client: Any
) -> None:
    """With fewer permits than partitions, other messages in one must not take what a critical one in another needs."""
    made = board(scripts, clock, concurrency=4)
    post = made.posts["x"]
    assert await made.granted(post) == (4, 3)
    for number in (3, 9, 11):
        await redis_client.zadd(partition(number).line("x", "critical"), {"m:a": 1})
    post.counted_at = 0
    assert await made.granted(post) == (4, 1)
    await redis_client.zadd(partition(4).line("x", "critical"), {f"m:{n}": n for n in range(9)})
    post.counted_at = 0
    assert await made.granted(post) == (4, 0)


async def test_how_long_the_critical_line_is_expected_to_take(
    scripts: Scripts, clock: Clock, redis_client: Any
) -> None:
    paced = board(scripts, clock, messages_per_second=4.0)
    narrowed = board(scripts, clock, concurrency=16)
    free = board(scripts, clock)
    for number in range(10):
        await redis_client.zadd(partition(number).line("x", "critical"), {"m:a": 1, "m:b": 2})
    narrowed.posts["x"].took(800)
    narrowed.posts["x"].window.throttled(1, 1)
    for made, wait in ((paced, 5_000), (narrowed, 2_000), (free, None)):
        await made.refresh()
        assert made.posts["x"].state(clock.now()).waits.get("critical") == wait
    narrowed.posts["x"].window.throttled(2, 2)
    assert narrowed.posts["x"].state(clock.now()).waits["critical"] == 4_000, "half the window, twice the wait"


async def test_granting_and_giving_back_add_up(scripts: Scripts, clock: Clock, redis_client: Redis) -> None:
    made = board(scripts, clock, messages_per_second=0.001 * 8, concurrency=64)
    post = made.posts["x"]
    post.rate = 24.0
    total, others = await made.granted(post)
    assert (total, others) == (8, 6)
    await made.give_back(post, total)
    assert await made.granted(post) == (8, 6)
    await made.pause("x", "maintenance", None)
    assert await made.granted(post) == (0, 0), "a channel that is shut takes no tokens"
