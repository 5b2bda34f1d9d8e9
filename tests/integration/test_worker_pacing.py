"""Channels that are shut, paused, slow or crowded, as messages live through it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.channels.base import Accepted, Outbound, Refused
from gateway.message import Fault
from gateway.settings_types import ChannelSettings
from tests.support.core import MAIL, OTHER_PHONE, PHONE, Core, Hang, Scripted, core, until

SHUT = Refused(fault=Fault.ACCOUNT_SHUT)
TAKEN = Accepted(provider_id="p")


async def shut(gw: Core, channel: str = "sms") -> None:
    """Let the channel's next answer open its breaker."""
    await gw.person("trigger", sms="+306912345699")
    sent = await gw.send("trigger")
    await gw.ended(sent)
    assert not gw.gateway.boards["live"].posts[channel].breaker.closed


async def test_a_shut_channel_moves_critical_on_at_once_and_keeps_surveys(redis_url: str, tmp_path: Path) -> None:
    sms, voice, mail = Scripted("sms", SHUT), Scripted("voice"), Scripted("email")
    async with core(redis_url, tmp_path, sms, voice, mail) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        await gw.person("nikos", sms=OTHER_PHONE, email=MAIL)
        await shut(gw)
        critical, survey = await gw.send("maria"), await gw.send("nikos", "survey")
        found = await gw.when(critical, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert [a.channel for a in found.attempts] == ["voice"], "the shut channel is passed over, not used up"
        held = await gw.when(survey, lambda m: m.held)
        assert held.held is not None
        assert (held.status, held.held.code, mail.handed) == ("held", "channel_down", [])
        assert await gw.line(survey, "sms", "bulk")
        gw.rested("sms")
        await gw.nudge(survey)
        gone = await gw.when(survey, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert (gone.attempts[0].channel, gone.held) == ("sms", None)
        assert gw.gateway.boards["live"].posts["sms"].breaker.closed


async def test_a_shut_channel_opens_by_itself(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", SHUT)
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("nikos", sms=OTHER_PHONE)
        await shut(gw)
        survey = await gw.send("nikos", "survey")
        await gw.when(survey, lambda m: m.attempts and m.attempts[0].status == "accepted")


async def test_who_stands_in_line_when_a_channel_shuts_is_moved_on(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms, voice = Scripted("sms", hang), Scripted("voice")
    async with core(redis_url, tmp_path, sms, voice, limits={"sms": ChannelSettings(concurrency=1)}) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        await gw.person("nikos", sms=OTHER_PHONE, voice=OTHER_PHONE)
        await gw.send("maria")
        await asyncio.wait_for(hang.reached.wait(), 5)
        waiting = await gw.send("nikos")
        assert await gw.line(waiting, "sms")
        hang.answer(SHUT)
        found = await gw.when(waiting, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert [a.channel for a in found.attempts] == ["voice"]


@pytest.mark.parametrize("own", [True, False], ids=["own process", "another process"])
async def test_who_stands_in_line_when_a_channel_is_paused_is_moved_on(
    redis_url: str, tmp_path: Path, own: bool
) -> None:
    hang = Hang()
    sms, voice = Scripted("sms", hang), Scripted("voice")
    limits = {"sms": ChannelSettings(concurrency=1)}
    async with core(redis_url, tmp_path, sms, voice, limits=limits) as gw, core(redis_url, tmp_path, sms, voice) as two:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        await gw.send("maria")
        await asyncio.wait_for(hang.reached.wait(), 5)
        waiting = await gw.send("maria")
        assert await gw.line(waiting, "sms")
        await (gw if own else two).gateway.boards["live"].pause("sms", "maintenance", None)
        await gw.gateway.follower.once()
        found = await gw.when(waiting, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert [a.channel for a in found.attempts] == ["voice"]
        hang.answer(TAKEN)


async def test_a_failed_probe_moves_those_on_who_joined_the_line_before_it(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms, voice = Scripted("sms", SHUT, hang), Scripted("voice")
    async with core(redis_url, tmp_path, sms, voice) as gw:
        await gw.person("maria", sms=PHONE, voice=PHONE)
        gw.work()
        await shut(gw)
        await gw.stop()
        gw.rested("sms")
        crowd = [await gw.send("maria") for _ in range(5)]
        for one in crowd:
            assert await gw.line(one, "sms"), "half-open: nobody knows yet that the probe will fail"
        gw.work()
        await asyncio.wait_for(hang.reached.wait(), 5)
        assert len(sms.handed) == 2, "one probe at a time"
        hang.answer(SHUT)
        for one in crowd:
            found = await gw.when(one, lambda m: m.attempts and m.attempts[-1].status == "accepted")
            assert found.attempts[-1].channel == "voice"


async def test_other_processes_learn_that_a_channel_is_shut(redis_url: str, tmp_path: Path) -> None:
    sms, voice = Scripted("sms", SHUT), Scripted("voice")
    async with core(redis_url, tmp_path, sms) as one, core(redis_url, tmp_path, sms, voice) as two:
        await one.person("maria", sms=PHONE, voice=PHONE)
        standing = await two.send("maria")
        assert await two.line(standing, "sms")
        one.work()
        await one.person("trigger", sms="+306912345699")
        await until(lambda: not one.gateway.boards["live"].posts["sms"].breaker.closed)
        await one.stop()
        await two.gateway.follower.once()
        post = two.gateway.boards["live"].posts["sms"]
        assert post.state(two.gateway.clock.now()).shut == "channel_down"
        two.work()
        moved = await two.send("maria")
        found = await two.when(moved, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert found.attempts[0].channel == "voice"


async def test_five_faults_in_a_row_shut_a_channel_and_one_person_does_not(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", usual=Refused(fault=Fault.UNREACHABLE))
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        for n in range(8):
            await gw.person(f"c-{n}", sms=f"+3069123456{n:02d}")
        breaker = gw.gateway.boards["live"].posts["sms"].breaker
        for n in range(6):
            await gw.ended(await gw.send(f"c-{n}"))
        assert breaker.closed, "what people's phones do says nothing about the provider"
        sms.usual = Refused(fault=Fault.UNAVAILABLE)
        await gw.send("c-6")
        for n in range(7):
            await gw.send(f"c-{n}", "follow_up")
        await until(lambda: not breaker.closed)


async def test_pause_and_resume(redis_url: str, tmp_path: Path) -> None:
    sms, voice = Scripted("sms"), Scripted("voice")
    async with core(redis_url, tmp_path, sms, voice) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        await gw.person("nikos", sms=OTHER_PHONE)
        board = gw.gateway.boards["live"]
        await board.pause("sms", "maintenance", "ops")
        only = await gw.send("nikos")
        held = await gw.when(only, lambda m: m.held)
        assert held.held is not None
        assert (held.held.code, held.status) == ("paused", "held")
        both = await gw.send("maria")
        found = await gw.when(both, lambda m: m.attempts)
        assert [a.channel for a in found.attempts] == ["voice"]
        deadline = held.due_at + held.reach.within * 1000
        await board.pause("sms", None, "ops")
        gone = await gw.when(only, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert gone.held is None
        assert gone.due_at + gone.reach.within * 1000 + gone.held_ms == deadline, "a pause moves no deadline"
        assert sms.to() == [only.id]


async def test_everything_else_goes_on_while_every_channel_is_shut(redis_url: str, tmp_path: Path) -> None:
    """What is cancelled, superseded, or sent to us is worked off without a single permit."""
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.gateway.boards["live"].pause("sms", "maintenance", None)
        sent = [await gw.send("maria", thread=thread) for thread in ("t", "t", "other")]
        for one in sent[1:]:
            await gw.when(one, lambda m: m.held)
        assert (await gw.ended(sent[0])).verdict.state == "superseded"
        await gw.gateway.messages.cancel(sent[1].id)
        assert (await gw.ended(sent[1])).verdict.state == "cancelled"
        assert await gw.hears(PHONE, "STOP") == "consent"


async def test_a_message_that_waits_for_a_pause_still_expires(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.gateway.boards["live"].pause("sms", "maintenance", None)
        sent = await gw.send("maria")
        await gw.age(sent, 3600)
        ended = await gw.ended(sent)
        assert (ended.verdict.state, ended.verdict.code) == ("expired", "deadline")
        assert not await gw.line(sent, "sms")


def stamping(times: list[float]) -> Callable[[Outbound], Awaitable[Accepted]]:
    async def send(_out: Outbound) -> Accepted:
        times.append(asyncio.get_running_loop().time())
        return TAKEN

    return send


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_rate_holds_for_all_workers_together(redis_url: str, tmp_path: Path, workers: int) -> None:
    times: list[float] = []
    sms = Scripted("sms", usual=stamping(times))
    rate = 20
    limits = {"sms": ChannelSettings(messages_per_second=rate)}
    async with (
        core(redis_url, tmp_path, sms, limits=limits) as one,
        core(redis_url, tmp_path, sms, limits=limits) as two,
    ):
        for n in range(10):
            await one.person(f"c-{n}", sms=f"+3069123456{n:02d}")
        sent = [await one.send(f"c-{n % 10}") for n in range(rate + 15)]
        start = asyncio.get_running_loop().time()
        for gw in (one, two)[:workers]:
            gw.work()
        await until(lambda: len(times) == len(sent))
        # A full bucket is one second's worth; what comes on top takes its time.
        assert times[-1] - start >= (len(sent) - rate - 1) / rate


async def test_a_slow_channel_holds_up_no_other(redis_url: str, tmp_path: Path) -> None:
    sms, mail = Scripted("sms"), Scripted("email")
    async with core(redis_url, tmp_path, sms, mail, limits={"sms": ChannelSettings(messages_per_second=0.5)}) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", email=MAIL)
        slow = [await gw.send("maria") for _ in range(5)]
        quick = [await gw.send("nikos") for _ in range(20)]
        for one in quick:
            await gw.when(one, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert len(sms.handed) <= 2
        assert await gw.line(slow[-1], "sms")


async def test_critical_messages_get_through_a_crowd(redis_url: str, tmp_path: Path) -> None:
    """A quarter of every channel's concurrency is for critical alone."""
    hang = Hang()
    sms = Scripted("sms", *[hang] * 3)
    async with core(redis_url, tmp_path, sms, limits={"sms": ChannelSettings(concurrency=4)}) as gw:
        gw.work()
        for n in range(12):
            await gw.person(f"c-{n}", sms=f"+3069123456{n:02d}")
        crowd = [await gw.send(f"c-{n}", "follow_up") for n in range(8)]
        await until(lambda: len(sms.handed) == 3)
        critical = await gw.send("c-11")
        await gw.when(critical, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert len(sms.handed) == 4
        hang.answer(TAKEN)
        for one in crowd:
            await gw.when(one, lambda m: m.attempts and m.attempts[0].status == "accepted")


async def test_bulk_is_never_starved(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms, limits={"sms": ChannelSettings(concurrency=4)}) as gw:
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", sms=OTHER_PHONE)
        normal = [m.id for m in await gw.send_many(["maria"] * 100, "follow_up")]
        bulk = await gw.send("nikos", "survey")
        gw.work()
        await until(lambda: len(sms.handed) == len(normal) + 1)
        assert sms.to().index(bulk.id) < 60, "it came before a crowd that was there first"


async def test_throttled_channels_wait_as_long_as_they_were_asked_to(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", Refused(fault=Fault.THROTTLED, retry_after=1))
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", sms=OTHER_PHONE)
        first = await gw.send("maria")
        await gw.when(first, lambda m: m.attempts and m.attempts[0].status == "failed")
        other = await gw.send("nikos")
        found = await gw.when(other, lambda m: m.attempts)
        refused = (await gw.message(first)).attempts[0].times["failed"]
        assert found.attempts[0].started_at >= refused + 900
        again = await gw.when(first, lambda m: len(m.attempts) == 2)
        assert again.attempts[1].started_at >= refused + 900
