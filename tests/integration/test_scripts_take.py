"""The take script: what is handed out, to whom, how much of it, and what is dropped on the way."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.message import LANES, Lane
from gateway.store.changes import Haul
from gateway.store.scripts import Scripts
from tests.support.changes import AT, MINUTE, accept, change, line

ALL: dict[Lane, int] = dict.fromkeys(LANES, 100)
LEASE = 10_000


async def take(scripts: Scripts, due: dict[Lane, int] | None = None, **permits: tuple[int, int, int]) -> Haul:
    return await scripts.take(AT.number, LEASE, ALL if due is None else due, permits)


def names(haul: Haul, channel: str | None = None) -> list[str]:
    return [t.member for t in haul.items if t.channel == channel]


async def crowd(scripts: Scripts, lane: Lane, count: int, channel: str = "sms") -> list[str]:
    made = [f"{channel}-{lane}-{n}" for n in range(count)]
    for n, name in enumerate(made):
        await accept(scripts, name, lane=lane, places={line(channel, lane): n})
    return [f"m:{name}" for name in made]


async def test_due_members_get_a_deciding_lease(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", wake=5)
    await accept(scripts, "m2")
    haul = await take(scripts)
    [one] = haul.items
    assert (one.member, one.version, one.state, one.abandoned, one.channel) == ("m:m1", 1, b"state", 0, None)
    assert await redis_client.zscore(AT.agenda("critical"), "m:m1") == haul.now + LEASE
    assert haul.next_due == haul.now + LEASE
    assert (await take(scripts)).items == (), "while the lease lasts nobody else gets it"
    assert int(await redis_client.hget(AT.message("m1"), "v")) == 1, "taking changes no version"


async def test_an_idle_partition_says_so(scripts: Scripts) -> None:
    haul = await take(scripts, sms=(5, 5, 1))
    assert (haul.items, haul.next_due) == ((), None)


async def again(redis_client: Any, scripts: Scripts, *, by: str) -> int:
    scripts.taker = by
    await redis_client.zadd(AT.agenda("critical"), {"m:m1": 1})
    [one] = (await take(scripts)).items
    return one.abandoned


async def test_who_never_came_back_is_counted_until_somebody_comes_to_a_result(
    redis_client: Any, scripts: Scripts
) -> None:
    await accept(scripts, "m1", wake=1)
    takers = ["one", "one", "two", "three", "three"]
    assert [await again(redis_client, scripts, by=name) for name in takers] == [0, 0, 1, 2, 2]
    assert await scripts.commit(AT, "m1", 1, change(wake=1), MINUTE) == ("ok", 2)
    assert await again(redis_client, scripts, by="four") == 0


async def test_who_hands_back_or_fails_and_lives_is_not_counted(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", wake=1)
    assert await again(redis_client, scripts, by="one") == 0
    await scripts.hand_back(AT, "m:m1")
    assert await again(redis_client, scripts, by="two") == 0
    for times in (1, 2, 3):
        assert await scripts.failed(AT, "m:m1", 10_000) == times
        rests = await redis_client.zscore(AT.agenda("critical"), "m:m1") - (await take(scripts)).now
        assert 9_000 < rests <= 10_000
        assert await again(redis_client, scripts, by=f"after {times}") == 0
    assert await scripts.commit(AT, "m1", 1, change(wake=1), MINUTE) == ("ok", 2)
    assert await scripts.failed(AT, "m:m1", 1) == 1
    assert await scripts.failed(AT, "m:gone", 1) == 0
    assert await redis_client.exists(AT.member("m:gone")) == 0


@pytest.mark.parametrize("ahead", [-3_600_000, -5_100, 5_100, 3_600_000])
async def test_nothing_is_handed_out_while_the_clocks_differ(redis_client: Any, scripts: Scripts, ahead: int) -> None:
    await accept(scripts, "m1", wake=1, places={line(): 1})
    now = (await take(scripts, {})).now
    haul = await scripts.take(AT.number, LEASE, ALL, {"sms": (1, 1, 0)}, wall=now + ahead)
    assert (haul.items, haul.next_due) == ((), None)
    assert await redis_client.zscore(line(), "m:m1") == 1
    haul = await scripts.take(AT.number, LEASE, ALL, {"sms": (1, 1, 0)}, wall=now + 1_000)
    assert names(haul) == ["m:m1"]


async def test_flags_that_others_set_come_along(scripts: Scripts) -> None:
    thread = AT.thread("live", "c-1", "t")
    await accept(scripts, "m1", thread=thread, order=1)
    await accept(scripts, "m2", thread=thread, order=2)
    await scripts.cancel(AT, "m1", 77)
    [one] = (await take(scripts)).items
    assert (one.member, one.superseded_by, one.cancelled_at) == ("m:m1", "m2", "77")


async def test_critical_comes_before_the_rest(scripts: Scripts) -> None:
    for lane in ("bulk", "normal", "critical"):
        await accept(scripts, f"due-{lane}", lane=lane, wake=1)
        await crowd(scripts, lane, 1)
    haul = await take(scripts, sms=(9, 9, 1))
    order = [t.member for t in haul.items]
    assert order[:2] == ["m:due-critical", "m:sms-critical-0"], "critical wakes, critical lines, then the rest"
    assert len(order) == 6


async def test_only_as_many_due_members_as_asked_for(scripts: Scripts) -> None:
    for n in range(5):
        await accept(scripts, f"m{n}", wake=n)
    haul = await take(scripts, {"critical": 2})
    assert names(haul) == ["m:m0", "m:m1"], "the longest overdue first"
    assert haul.next_due == 2
    assert (await take(scripts, {})).items == ()


async def test_a_member_taken_from_a_line_leaves_it(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", places={line("sms"): 1, line("voice"): 1})
    haul = await take(scripts, sms=(1, 1, 0))
    assert names(haul, "sms") == ["m:m1"]
    assert await redis_client.zscore(line("sms"), "m:m1") is None
    assert await redis_client.zscore(line("voice"), "m:m1") == 1
    assert await redis_client.zscore(AT.agenda("critical"), "m:m1") == haul.now + LEASE


async def test_lines_are_served_by_time_of_acceptance(scripts: Scripts) -> None:
    for n in (3, 1, 2):
        await accept(scripts, f"m{n}", places={line(): n})
    assert names(await take(scripts, sms=(2, 2, 0)), "sms") == ["m:m1", "m:m2"]


@pytest.mark.parametrize(
    "permits, waiting, out",
    [
        # total, others, kept for bulk; waiting and handed out: critical, normal, bulk
        ((0, 0, 0), (5, 5, 5), (0, 0, 0)),
        ((8, 6, 1), (20, 20, 20), (8, 0, 0)),
        ((8, 6, 1), (0, 20, 20), (0, 5, 1)),
        ((8, 6, 1), (4, 20, 20), (4, 3, 1)),
        ((8, 6, 1), (0, 20, 0), (0, 6, 0)),
        ((8, 6, 1), (0, 0, 20), (0, 0, 6)),
        ((8, 6, 1), (0, 2, 20), (0, 2, 4)),
        ((4, 0, 0), (0, 20, 20), (0, 0, 0)),
        ((4, 0, 0), (2, 20, 20), (2, 0, 0)),
        ((1, 1, 1), (0, 5, 5), (0, 0, 1)),
        ((1, 1, 1), (0, 5, 0), (0, 1, 0)),
        ((1, 1, 0), (0, 5, 5), (0, 1, 0)),
        ((64, 48, 12), (10, 100, 100), (10, 36, 12)),
    ],
)
async def test_permits(
    scripts: Scripts, permits: tuple[int, int, int], waiting: tuple[int, ...], out: tuple[int, ...]
) -> None:
    for lane, count in zip(LANES, waiting, strict=True):
        await crowd(scripts, lane, count)
    handed = names(await take(scripts, sms=permits), "sms")
    assert tuple(sum(lane in name for name in handed) for lane in LANES) == out
    assert len(set(handed)) == len(handed)


async def test_channels_have_permits_of_their_own(scripts: Scripts) -> None:
    for channel in ("sms", "voice", "email"):
        await crowd(scripts, "normal", 5, channel)
    haul = await take(scripts, sms=(2, 2, 0), voice=(0, 0, 0), email=(3, 3, 0))
    assert [len(names(haul, c)) for c in ("sms", "voice", "email")] == [2, 0, 3]


async def test_what_is_gone_is_dropped(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", wake=1, places={line(): 1})
    await redis_client.delete(AT.message("m1"))
    haul = await take(scripts, sms=(3, 3, 0))
    assert (haul.items, haul.gone) == ((), 2)
    assert await redis_client.zcard(AT.agenda("critical")) == 0
    assert await redis_client.zcard(line()) == 0
    assert await redis_client.exists(AT.message("m1")) == 0, "and taking it makes no new record"


async def test_an_entry_whose_record_is_something_else_holds_up_nobody(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", wake=1)
    await accept(scripts, "m2", wake=1)
    await redis_client.set(AT.message("m1"), "not a hash")
    haul = await take(scripts)
    assert (names(haul), haul.gone) == (["m:m2"], 1)


async def test_what_is_done_has_no_turn_any_more(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1")
    await scripts.commit(AT, "m1", 1, change(wake=None, done=True), MINUTE)
    await redis_client.zadd(line(), {"m:m1": 1})
    assert (await take(scripts, sms=(3, 3, 0))).items == ()
    assert await redis_client.zcard(line()) == 0
    assert await redis_client.hexists(AT.message("m1"), "by") == 0


async def test_what_is_done_is_woken_while_an_attempt_has_no_outcome(scripts: Scripts) -> None:
    await accept(scripts, "m1")
    await scripts.commit(AT, "m1", 1, change(wake=1, done=True), MINUTE)
    assert names(await take(scripts, sms=(3, 3, 0))) == ["m:m1"]


async def test_what_lies_in_the_morgue_is_dropped_until_somebody_takes_it_out(
    redis_client: Any, scripts: Scripts
) -> None:
    await accept(scripts, "m1", lane="bulk", wake=1, places={line("sms", "bulk"): 1})
    await scripts.bury(AT, "m:m1", "a reason")
    for lane in LANES:
        assert await redis_client.zscore(AT.agenda(lane), "m:m1") is None
    assert (await take(scripts, sms=(3, 3, 0))).items == ()
    await scripts.cancel(AT, "m1", 5)
    assert (await take(scripts)).items == (), "nothing else wakes it"
    assert await scripts.exhume(AT, "m:m1", retry=True) == "ok"
    [one] = (await take(scripts)).items
    assert (one.member, one.abandoned, one.cancelled_at) == ("m:m1", 0, "5")
    assert await scripts.exhume(AT, "m:m1", retry=True) == "gone"


async def test_discarding_from_the_morgue(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1")
    await scripts.bury(AT, "m:m1", "a reason")
    assert await scripts.exhume(AT, "m:m1", retry=False) == "ok"
    assert await redis_client.exists(AT.message("m1")) == 0
    assert await redis_client.zcard(AT.morgue) == 0
    await scripts.bury(AT, "m:never", "a reason")
    assert await redis_client.zcard(AT.morgue) == 0, "what isn't there can't be buried"


async def test_a_line_can_be_woken_piece_by_piece(redis_client: Any, scripts: Scripts) -> None:
    members = await crowd(scripts, "critical", 5)
    assert await scripts.rouse(AT, "sms", "critical", [*members[:3], "m:elsewhere"]) == 3
    assert names(await take(scripts)) == members[:3]
    assert await scripts.rouse(AT, "sms", "critical", members[3:]) == 2
    assert await redis_client.zcard(line()) == 5, "they keep their places"
