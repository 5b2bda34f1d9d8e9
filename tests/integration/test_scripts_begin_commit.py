"""Begin and commit: compare, swap, and everything that follows from it; or nothing at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.store.changes import Outcome
from gateway.store.scripts import Scripts
from tests.support.changes import AT, CUSTOMER, MINUTE, accept, change, dump, line

PERSON = AT.customer(CUSTOMER)
CAP = AT.cap("live", CUSTOMER, "outage")
AWAITING = AT.awaiting("live", CUSTOMER)


async def begin(
    scripts: Scripts,
    name: str,
    versions: tuple[int, int] = (1, 0),
    *,
    cap: tuple[int, int] | None = None,
    open_until: int | None = None,
    **more: Any,
) -> tuple[Outcome, int]:
    return await scripts.begin(
        AT,
        name,
        versions,
        change(**more),
        keys=(PERSON, AWAITING),
        caps=[] if cap is None else [(CAP, *cap)],
        open_until=open_until,
        channel="sms",
        minute=MINUTE,
    )


async def now(client: Any) -> int:
    seconds, micros = await client.time()
    return seconds * 1000 + micros // 1000


# Begin


async def test_begin_writes_everything(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", places={line(): 1})
    await redis_client.hset(PERSON, mapping={"v": 4, "s": "x"})
    started = await now(redis_client)
    told = await begin(
        scripts,
        "m1",
        (1, 4),
        cap=(1, 60_000),
        open_until=started + 50_000,
        state=b"begun",
        places={line(): None},
        wake=99,
    )
    assert told == ("ok", 2)
    assert await redis_client.hmget(AT.message("m1"), "v", "s") == [b"2", b"begun"]
    assert await redis_client.zscore(line(), "m:m1") is None
    assert await redis_client.zscore(AT.agenda("critical"), "m:m1") == 99
    assert abs(int(await redis_client.hget(PERSON, "w:sms")) - started) < 5_000
    assert await redis_client.hget(PERSON, "v") == b"4", "a send changes no customer"
    assert await redis_client.zrange(CAP, 0, -1) == [b"m1"]
    assert 0 < await redis_client.pttl(CAP) <= 60_000
    assert await redis_client.zrange(AWAITING, 0, -1) == [b"m1"]
    assert await redis_client.pttl(AWAITING) > 0


@pytest.mark.parametrize(
    "versions, told", [((2, 0), "conflict"), ((0, 0), "conflict"), ((1, 1), "customer"), ((1, 7), "customer")]
)
async def test_begin_is_refused_when_anything_has_changed(
    redis_client: Any, scripts: Scripts, versions: tuple[int, int], told: str
) -> None:
    await accept(scripts, "m1", places={line(): 1})
    before = await dump(redis_client)
    assert await begin(scripts, "m1", versions, cap=(1, 60_000), open_until=10**14, places={line(): None}) == (
        told,
        versions[0],
    )
    assert await dump(redis_client) == before


async def test_begin_of_what_is_gone_makes_nothing(redis_client: Any, scripts: Scripts) -> None:
    assert (await begin(scripts, "m1", cap=(1, 60_000), open_until=10**14, places={line(): 5}))[0] == "gone"
    assert await dump(redis_client) == {}


async def test_begin_of_what_is_done_is_a_conflict(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", done=True, wake=None)
    before = await dump(redis_client)
    assert (await begin(scripts, "m1"))[0] == "conflict"
    assert await dump(redis_client) == before


async def test_a_person_who_is_gone_gets_no_record_back(redis_client: Any, scripts: Scripts) -> None:
    """What was erased stays erased: a send doesn't leave half a customer behind."""
    await accept(scripts, "m1")
    await begin(scripts, "m1", (1, 0))
    assert await redis_client.exists(PERSON) == 0


async def test_the_cap_counts_a_message_once_even_over_a_fall_back(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1")
    assert await begin(scripts, "m1", (1, 0), cap=(1, 60_000)) == ("ok", 2)
    first = await redis_client.zscore(CAP, "m1")
    assert await begin(scripts, "m1", (2, 0), cap=(1, 60_000)) == ("ok", 3)
    assert await redis_client.zscore(CAP, "m1") == first, "counted when it first began"
    await accept(scripts, "m2")
    before = await dump(redis_client)
    assert await begin(scripts, "m2", cap=(1, 60_000)) == ("cap", 1)
    assert await dump(redis_client) == before


async def test_a_use_of_the_cap_lapses_after_its_window(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1")
    await accept(scripts, "m2")
    at = await now(redis_client)
    await redis_client.zadd(CAP, {"old": at - 60_000, "recent": at - 30_000})
    assert (await begin(scripts, "m1", cap=(2, 60_000)))[0] == "ok"
    assert (await begin(scripts, "m2", cap=(2, 60_000)))[0] == "cap"


async def test_many_begins_at_once_never_pass_the_cap(scripts: Scripts) -> None:
    for n in range(12):
        await accept(scripts, f"m{n}")
    told = await asyncio.gather(*(begin(scripts, f"m{n}", cap=(3, 60_000)) for n in range(12)))
    assert sorted(outcome for outcome, _ in told) == ["cap"] * 9 + ["ok"] * 3


async def test_of_many_begins_of_one_message_one_wins(scripts: Scripts) -> None:
    await accept(scripts, "m1")
    told = await asyncio.gather(*(begin(scripts, "m1") for _ in range(8)))
    assert sorted(outcome for outcome, _ in told) == ["conflict"] * 7 + ["ok"]


async def test_open_prompts_live_as_long_as_the_last_of_them(redis_client: Any, scripts: Scripts) -> None:
    at = await now(redis_client)
    for n, seconds in enumerate((100, 500, 50)):
        await accept(scripts, f"m{n}")
        await begin(scripts, f"m{n}", open_until=at + seconds * 1000)
    assert await redis_client.zcard(AWAITING) == 3
    assert await redis_client.pttl(AWAITING) > 490_000


async def test_a_prompt_that_has_closed_before_its_message_began_leaves_nothing_for_ever(
    redis_client: Any, scripts: Scripts
) -> None:
    """Held for the night, a question may close before it is put."""
    await accept(scripts, "m1")
    assert (await begin(scripts, "m1", open_until=await now(redis_client) - 3_600_000))[0] == "ok"
    assert await redis_client.pttl(AWAITING) != -1


# Commit


async def test_commit_swaps_once(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1")
    assert await scripts.commit(AT, "m1", 1, change(state=b"two"), MINUTE) == ("ok", 2)
    before = await dump(redis_client)
    late = change(
        state=b"late", wake=1, places={line(): 1}, event="message.done", counters=["x"], index=["+x"], done=True
    )
    assert await scripts.commit(AT, "m1", 1, late, MINUTE) == ("conflict", 1)
    assert await dump(redis_client) == before


async def test_only_accept_creates(redis_client: Any, scripts: Scripts) -> None:
    await redis_client.zadd(AT.agenda("critical"), {"m:m1": 1})
    full = change(places={line(): 1}, event="message.done", counters=["x"], index=[f"+{AT.index('live', 'held')}"])
    assert (await scripts.commit(AT, "m1", 1, full, MINUTE))[0] == "gone"
    assert await dump(redis_client) == {}, "and its entry in the agenda went"


async def test_the_closing_commit_sets_the_lifetimes_once(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", keep_body=900_000)
    closing = change(wake=None, done=True, keep_record=500_000, keep_body=400_000)
    await scripts.commit(AT, "m1", 1, closing, MINUTE)
    assert 0 < await redis_client.pttl(AT.message("m1")) <= 500_000
    assert 0 < await redis_client.pttl(AT.body("m1")) <= 400_000
    assert await redis_client.zscore(AT.agenda("critical"), "m:m1") is None
    # News after the end: it lives on, and no longer than before.
    await redis_client.pexpire(AT.message("m1"), 1_000)
    assert await scripts.commit(AT, "m1", 2, closing, MINUTE) == ("ok", 3)
    assert 0 < await redis_client.pttl(AT.message("m1")) <= 1_000


async def test_an_end_never_lengthens_the_contents_life(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", keep_body=10_000)
    await scripts.commit(AT, "m1", 1, change(wake=None, done=True, keep_body=400_000), MINUTE)
    assert 0 < await redis_client.pttl(AT.body("m1")) <= 10_000


async def test_the_index_follows_the_difference(redis_client: Any, scripts: Scripts) -> None:
    held, unreached = AT.index("live", "held"), AT.index("live", "unreached")
    await accept(scripts, "m1", places={line("sms"): 1}, index=[f"+{held}"])
    moved = change(places={line("sms"): None, line("voice"): 1}, index=[f"-{held}", f"+{unreached}"], wake=77)
    await scripts.commit(AT, "m1", 1, moved, MINUTE)
    assert await redis_client.zrange(line("voice"), 0, -1) == [b"m:m1"]
    for key in (line("sms"), held):
        assert await redis_client.exists(key) == 0
    assert await redis_client.zrange(unreached, 0, -1) == [b"m1"]
    assert await redis_client.zscore(AT.agenda("critical"), "m:m1") == 77


async def test_an_older_message_that_falls_due_late_is_superseded_by_its_own_commit(
    redis_client: Any, scripts: Scripts
) -> None:
    thread = AT.thread("live", CUSTOMER, "t")
    await accept(scripts, "m1")
    await accept(scripts, "m2", thread=thread, order=2)
    await scripts.commit(AT, "m1", 1, change(thread=thread, order=1), MINUTE)
    assert await redis_client.hget(AT.message("m1"), "sup") == b"m2"
    assert abs(await redis_client.zscore(AT.agenda("critical"), "m:m1") - await now(redis_client)) < 5_000


# Cancel, note, settle


async def test_cancel_marks_once_wakes_and_breaks_what_is_under_way(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", lane="bulk")
    assert await scripts.cancel(AT, "m1", 5) == "ok"
    assert await scripts.cancel(AT, "m1", 9) == "ok"
    assert await redis_client.hget(AT.message("m1"), "can") == b"5"
    assert await redis_client.zscore(AT.agenda("bulk"), "m:m1") <= await now(redis_client)
    assert (await begin(scripts, "m1"))[0] == "conflict"
    assert await scripts.cancel(AT, "m2", 5) == "gone"
    assert await redis_client.exists(AT.message("m2")) == 0


async def test_cancel_comes_too_late(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", wake=None, done=True)
    before = await dump(redis_client)
    assert await scripts.cancel(AT, "m1", 5) == "done"
    assert await dump(redis_client) == before


async def test_an_item_is_noted_once_and_settled_for_a_while(redis_client: Any, scripts: Scripts) -> None:
    told = await asyncio.gather(*(scripts.note(AT, "i1", b"state", 60_000) for _ in range(5)))
    assert sorted(told) == ["ok"] + ["seen"] * 4
    assert await redis_client.pttl(AT.member("i:i1")) == -1, "until it has been worked off"
    assert 0 < await redis_client.pttl(AT.seen("i1")) <= 60_000
    await scripts.settle(AT, "i:i1", b"worked", 70_000)
    assert await redis_client.zcard(AT.agenda("critical")) == 0
    assert 60_000 < await redis_client.pttl(AT.member("i:i1")) <= 70_000
    assert await scripts.note(AT, "i1", b"state", 60_000) == "seen"
    await scripts.settle(AT, "i:never", b"worked", 70_000)
    assert await redis_client.exists(AT.member("i:never")) == 0
