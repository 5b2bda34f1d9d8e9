"""A channel that rings: its capacity counts calls that have not ended, over all workers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from gateway.channels.base import Refused
from gateway.delivery.pacing import Switchboard
from gateway.delivery.post import Permit
from gateway.message import Fault, Receipt
from gateway.settings_types import ChannelSettings
from gateway.store.clock import Clock
from gateway.store.keys import calls
from gateway.store.scripts import Scripts
from tests.support.core import OTHER_PHONE, PHONE, Core, Scripted, core, until

KEY = calls("voice")
FREE = 10_000.0
LEASE_MS = 181_000


def limits(concurrency: int) -> dict[str, ChannelSettings]:
    return {"voice": ChannelSettings(concurrency=concurrency, messages_per_second=FREE)}


def board(scripts: Scripts, clock: Clock, *, concurrency: int) -> Switchboard:
    return Switchboard({"voice": Scripted("voice", rings=180)}, limits(concurrency), scripts, clock, "")


async def ring(made: Switchboard, *names: str) -> list[Permit]:
    """Calls that have been begun: the permits have come back, the calls go on."""
    permits: list[Permit] = []
    for name in names:
        permit = made.began(made.posts["voice"], "critical")
        assert await made.starts(permit, name, "a1")
        made.ended(permit)
        permits.append(permit)
    return permits


# Seats


async def test_running_calls_count_until_they_are_given_back(scripts: Scripts) -> None:
    async def take(*names: str, back: tuple[str, ...] = ()) -> tuple[int, int]:
        return await scripts.seats(KEY, (4, 1), names, len(names), lease=50_000, longest=LEASE_MS, back=back)

    assert await take("a", "b", "c", "d") == (4, 3), "a quarter is for critical messages alone"
    assert await take("e") == (0, 0)
    assert await take("e", "f", "g", back=("a", "c")) == (2, 1)
    assert await take(back=("b", "d", "e", "f")) == (0, 0)
    assert await take("h", "i", "j", "k", "l") == (4, 3)


async def test_a_seat_lapses_and_a_clock_set_back_keeps_none(scripts: Scripts, redis_client: Any) -> None:
    seconds, _ = await redis_client.time()
    await redis_client.zadd(KEY, {"over": seconds * 1000 - 1, "impossible": (seconds + 3600) * 1000, "runs": 9e15})
    await redis_client.zadd(KEY, {"runs": (seconds + 100) * 1000})
    assert await scripts.seats(KEY, (2, 0), ["new", "other"], 2, lease=1000, longest=LEASE_MS) == (1, 1)
    assert {name for name, _ in await redis_client.zrange(KEY, 0, -1, withscores=True)} == {b"runs", b"new"}
    assert 0 < await redis_client.pttl(KEY) <= LEASE_MS + 60_000


async def test_many_workers_at_once_take_no_more_than_there_are(scripts: Scripts, clock: Clock) -> None:
    boards = [board(scripts, clock, concurrency=8) for _ in range(6)]
    told = await asyncio.gather(*(made.granted(made.posts["voice"]) for made in boards))
    assert sum(total for total, _ in told) == 8
    await asyncio.gather(
        *(made.give_back(made.posts["voice"], total) for made, (total, _) in zip(boards, told, strict=True))
    )
    assert (await boards[0].granted(boards[0].posts["voice"])) == (8, 6)


async def test_a_call_keeps_its_seat_when_its_permit_comes_back(scripts: Scripts, clock: Clock) -> None:
    one, two = board(scripts, clock, concurrency=3), board(scripts, clock, concurrency=3)
    assert (await one.granted(one.posts["voice"]))[0] == 3
    await ring(one, "m1", "m2")
    await one.give_back(one.posts["voice"], 1)
    assert (await two.granted(two.posts["voice"]))[0] == 1
    assert not two.posts["voice"].full, "no request is under way"


async def test_what_is_decided_otherwise_gives_its_seat_back(scripts: Scripts, clock: Clock) -> None:
    made, other = board(scripts, clock, concurrency=1), board(scripts, clock, concurrency=1)
    post = made.posts["voice"]
    assert (await made.granted(post))[0] == 1
    made.ended(made.began(post, "critical"))
    assert (await other.granted(other.posts["voice"]))[0] == 0
    await made.give_back(post, 0)
    assert (await other.granted(other.posts["voice"]))[0] == 1


async def test_seats_of_a_round_that_broke_off_come_back(scripts: Scripts, clock: Clock, redis_client: Any) -> None:
    """Redis went away between the grant and the take, so nobody handed anything back."""
    made = board(scripts, clock, concurrency=4)
    assert await made.granted(made.posts["voice"]) == (4, 3)
    assert await made.granted(made.posts["voice"]) == (4, 3)
    assert await redis_client.zcard(KEY) == 4


async def test_a_call_that_outlived_its_seat_finds_the_house_full(
    scripts: Scripts, clock: Clock, redis_client: Any
) -> None:
    slow, quick = board(scripts, clock, concurrency=1), board(scripts, clock, concurrency=1)
    await slow.granted(slow.posts["voice"])
    late = slow.began(slow.posts["voice"], "critical")
    await redis_client.delete(KEY)  # it thought about it for longer than a seat is kept
    await quick.granted(quick.posts["voice"])
    await ring(quick, "m1")
    assert not await slow.starts(late, "m2", "a1")


# As messages live through it


async def crowd(gw: Core, *names: str) -> None:
    for n, name in enumerate(names):
        await gw.person(name, voice=f"+3069123456{n:02d}")


async def test_no_more_calls_run_than_there_is_room_for_whichever_worker_makes_them(
    redis_url: str, tmp_path: Path
) -> None:
    voice = Scripted("voice", rings=180)
    async with (
        core(redis_url, tmp_path, voice, limits=limits(2)) as one,
        core(redis_url, tmp_path, voice, limits=limits(2)) as two,
    ):
        await crowd(one, "a", "b", "c", "d", "e")
        sent = [await one.send(name) for name in ("a", "b", "c", "d", "e")]
        one.work()
        two.work()
        for ended in range(4):
            await until(lambda ended=ended: len(voice.handed) == 2 + min(ended, 3))
            assert await one.client.zcard(KEY) == 2
            out = voice.handed[ended]
            hung_up = Receipt(attempt=out.attempt, at=one.gateway.clock.now(), status="sent", ended=True)
            await two.gateway.receipts.absorb(out.message, [hung_up])
        assert {out.message for out in voice.handed} == {one.id for one in sent}


async def test_a_call_that_was_refused_takes_no_room(redis_url: str, tmp_path: Path) -> None:
    voice = Scripted("voice", *[Refused(fault=Fault.BAD_ADDRESS)] * 3, rings=180)
    async with core(redis_url, tmp_path, voice, limits=limits(1)) as gw:
        await crowd(gw, "a", "b", "c", "d")
        gw.work()
        for name in ("a", "b", "c"):
            await gw.ended(await gw.send(name))
        await gw.send("d")
        await until(lambda: len(voice.handed) == 4)


async def test_a_lost_callback_frees_the_room_when_the_call_must_be_over(redis_url: str, tmp_path: Path) -> None:
    voice = Scripted("voice", rings=180)
    async with core(redis_url, tmp_path, voice, limits=limits(1)) as gw:
        await gw.person("maria", voice=PHONE)
        await gw.person("nikos", voice=OTHER_PHONE)
        gw.work()
        first = await gw.send("maria")
        await gw.when(first, lambda m: m.attempts and m.attempts[0].status == "accepted")
        waiting = await gw.send("nikos")
        [(name, expires)] = await gw.client.zrange(KEY, 0, -1, withscores=True)
        assert name.decode() == f"{first.id}:a1"
        assert 170_000 < expires - gw.gateway.clock.now() <= LEASE_MS
        assert await gw.line(waiting, "voice")
        await gw.client.zadd(KEY, {name: 1})
        await gw.when(waiting, lambda m: m.attempts)
