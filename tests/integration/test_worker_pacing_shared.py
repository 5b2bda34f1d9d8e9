"""Several workers on one provider: one probe, one rate, and everybody gets a turn."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from gateway.channels.base import Accepted, Refused, Unknown
from gateway.delivery import follow
from gateway.delivery.worker import Worker
from gateway.message import Fault
from gateway.settings_types import ChannelSettings
from gateway.store.keys import rate
from tests.support.core import OTHER_PHONE, PHONE, Core, Hang, Scripted, core, until, where

SHUT = Refused(fault=Fault.ACCOUNT_SHUT)
TAKEN = Accepted(provider_id="p")
CROWD = 40
TURNS = 24
NEVER = 0.000_001
"""Messages a second: a test puts the tokens there itself."""


async def crowd(gw: Core, count: int, **addresses: str) -> list[str]:
    """Customers over many partitions."""
    names = [f"c-{n}" for n in range(count)]
    for n, name in enumerate(names):
        await gw.person(name, sms=f"+3069123450{n:02d}", **addresses)
    return names


async def shut(gw: Core) -> None:
    """Let the next answer open the breaker of `sms`, and stop."""
    gw.work()
    await gw.person("trigger", sms="+306912345699")
    await gw.ended(await gw.send("trigger"))
    await gw.stop()


def taken(sms: Scripted) -> int:
    return len(sms.handed)


# Probes


async def test_all_workers_together_send_one_probe_and_critical_ones_do_not_wait_for_it(
    redis_url: str, tmp_path: Path
) -> None:
    hang = Hang()
    sms, voice = Scripted("sms", SHUT, hang), Scripted("voice")
    async with core(redis_url, tmp_path, sms, voice) as one, core(redis_url, tmp_path, sms, voice) as two:
        await shut(one)
        names = await crowd(one, 10, voice=PHONE)
        await two.gateway.follower.once()
        one.rested("sms")
        two.rested("sms")
        sent = [await one.send(name) for name in names]
        one.work()
        two.work()
        await asyncio.wait_for(hang.reached.wait(), 5)
        await one.gateway.follower.once()
        await two.gateway.follower.once()
        await until(lambda: len(voice.handed) == len(sent) - 1)
        assert taken(sms) == 2, "the one that opened it, and the probe"
        hang.answer(TAKEN)
        breakers = [gw.gateway.boards["live"].posts["sms"].breaker for gw in (one, two)]
        await until(lambda: any(breaker.closed for breaker in breakers))
        # Either may have had the probe; the other reads what it found.
        await one.gateway.follower.once()
        await two.gateway.follower.once()
        assert all(breaker.closed for breaker in breakers)
        again = await two.send(names[0])
        assert (await two.when(again, lambda m: m.attempts)).attempts[0].channel == "sms"


async def test_what_is_never_repeated_is_not_the_probe_while_others_wait(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", SHUT, Unknown())
    async with core(redis_url, tmp_path, sms) as gw:
        await shut(gw)
        gw.rested("sms")
        names = await crowd(gw, 16)
        surveys = [await gw.send(name, "survey") for name in names[1:]]
        other = await gw.send(names[0], "follow_up")
        gw.work()
        await until(lambda: taken(sms) == 2)
        assert sms.handed[1].message == other.id
        post = gw.gateway.boards["live"].posts["sms"]
        await until(lambda: post.trials == 0 and post.breaker.shut(gw.gateway.clock.now()))
        await gw.age(other, 10)
        await gw.when(other, lambda m: m.attempts[0].status == "unknown")
        # And nobody's turn was lost: the channel recovers, and all of them go out.
        gw.rested("sms")
        for one in surveys:
            await gw.when(one, lambda m: m.attempts and m.attempts[0].status == "accepted")


async def test_a_survey_is_the_probe_when_nobody_else_is_there(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", SHUT)
    async with core(redis_url, tmp_path, sms) as gw:
        await shut(gw)
        gw.rested("sms")
        await gw.person("maria", sms=PHONE)
        survey = await gw.send("maria", "survey")
        gw.work()
        await gw.when(survey, lambda m: m.attempts and m.attempts[0].status == "accepted")


# Who stands in the line of a channel that is shut


@pytest.mark.parametrize("lane", ["critical", "normal", "bulk"])
async def test_whoever_may_go_elsewhere_is_roused_whatever_its_lane(redis_url: str, tmp_path: Path, lane: str) -> None:
    """A category's rule for a shut channel goes with the category, also where a message has lowered its priority."""
    hang = Hang()
    sms, voice = Scripted("sms", hang), Scripted("voice")
    async with core(redis_url, tmp_path, sms, voice, limits={"sms": ChannelSettings(concurrency=1)}) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        await gw.send("maria")
        await asyncio.wait_for(hang.reached.wait(), 5)
        waiting = await gw.send("maria", priority=lane)
        survey = await gw.send("maria", "survey")
        await until(lambda: gw.line(waiting, "sms", lane))
        hang.answer(SHUT)
        found = await gw.when(waiting, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert [a.channel for a in found.attempts] == ["voice"]
        held = await gw.when(survey, lambda m: m.held)
        assert held.turns.keys() == {"sms"}


async def test_none_of_a_long_line_is_missed(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who were roused leave the line while the rest is still being roused."""
    monkeypatch.setattr(follow, "ROUSE_CHUNK", 3)
    hang = Hang()
    sms, voice = Scripted("sms", hang), Scripted("voice")
    async with core(redis_url, tmp_path, sms, voice, limits={"sms": ChannelSettings(concurrency=1)}) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        await gw.send("maria")
        await asyncio.wait_for(hang.reached.wait(), 5)
        for _ in range(CROWD):
            await gw.send("maria")
        hang.answer(SHUT)
        await until(lambda: len(voice.handed) == CROWD + 1)


# Turns


async def round_of(worker: Worker) -> None:
    """One round through all partitions."""
    worker._swept = 0  # pyright: ignore[reportPrivateUsage] - a sweep that is due, without the wait
    await worker._once()  # pyright: ignore[reportPrivateUsage] - one round, so that the test can put tokens between two


async def token(gw: Core, count: int = 1) -> None:
    await gw.client.hset(rate("sms"), mapping={"n": count, "at": gw.gateway.clock.now()})


def one_at_a_time() -> dict[str, ChannelSettings]:
    return {"sms": ChannelSettings(messages_per_second=NEVER)}


async def test_a_critical_message_comes_before_a_long_line_wherever_it_stands(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms, limits=one_at_a_time()) as gw:
        await token(gw, 0)
        names = await crowd(gw, CROWD)
        crowded = await gw.send_many(names[1:], "follow_up")
        worker = gw.gateway.worker()
        await round_of(worker)
        for one in crowded:
            await gw.when(one, lambda m: m.turns)
        critical = [await gw.send(names[0]) for _ in range(3)]
        for turn in range(1, 5):
            await token(gw)
            gw.gateway.boards["live"].posts["sms"].counted_at = 0  # it is looked at ten times a second
            await round_of(worker)
            await until(lambda turn=turn: taken(sms) == turn)
        assert sms.to()[:3] == [one.id for one in critical]
        worker.stop()
        await worker.run()


async def test_tokens_that_come_slower_than_rounds_pass_over_no_partition_and_no_bulk(
    redis_url: str, tmp_path: Path
) -> None:
    """One message a second and four rounds a second: whatever turns with the rounds turns in step with the tokens."""
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms, limits=one_at_a_time()) as gw:
        await token(gw, 0)
        names = await crowd(gw, CROWD)
        sent = [
            *await gw.send_many([name for name in names for _ in range(2)], "follow_up"),
            *await gw.send_many(names, "survey"),
        ]
        worker = gw.gateway.worker()
        for _ in range(4):
            await round_of(worker)
        for one in sent:
            await gw.when(one, lambda m: m.turns)
        random.seed(1)
        for turn in range(1, TURNS + 1):
            await token(gw)
            await round_of(worker)
            await until(lambda turn=turn: taken(sms) == turn)
            for _ in range(3):
                await round_of(worker)
        assert len({where(one).number for one in sms.to()}) > 6
        bulk = {out.message for out in sms.handed} & {one.id for one in sent if one.category == "survey"}
        assert 0 < len(bulk) < TURNS // 2
        worker.stop()
        await worker.run()


async def test_every_token_is_used_once(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with (
        core(redis_url, tmp_path, sms, limits=one_at_a_time()) as one,
        core(redis_url, tmp_path, sms, limits=one_at_a_time()) as two,
    ):
        await one.client.hset(rate("sms"), mapping={"n": 1, "at": one.gateway.clock.now()})
        for n in range(5):
            await one.person(f"c-{n}", sms=OTHER_PHONE)
            await one.send(f"c-{n}", "follow_up")
        one.work()
        two.work()
        await until(lambda: taken(sms) == 1)
        await two.stop()
        await one.stop()
        assert taken(sms) == 1
        assert float(await one.client.hget(rate("sms"), "n")) < 1
