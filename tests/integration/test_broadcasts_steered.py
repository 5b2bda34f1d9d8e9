"""Broadcasts that are paused, resumed and cancelled while they go out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from gateway.broadcasts.nouns import Broadcast, Over
from gateway.channels.base import Accepted
from gateway.settings_types import ChannelSettings
from gateway.store.keys import PARTITIONS, partition
from tests.support.broadcasting import broadcast, copies, crowd, report, to, when
from tests.support.core import Core, Hang, core, until
from tests.support.scripted import Scripted

PEOPLE = 40


class Jammed:
    """A provider with one line whose first message hangs: all others have been accepted, and none has begun."""

    def __init__(self, gw: Core, sms: Scripted, hang: Hang) -> None:
        self.gw = gw
        self.sms = sms
        self.hang = hang

    async def begun(self, **more: Any) -> Broadcast:
        """A broadcast that has been expanded and stands in line."""
        people = await crowd(self.gw.gateway, PEOPLE)
        made = await broadcast(self.gw, to(people, reach={"until": "accepted"}, **more))
        self.gw.work()
        await when(self.gw, made, lambda r: r.counts.audience == PEOPLE)
        await self.hang.reached.wait()
        return made

    def clear(self) -> None:
        """The provider answers at last."""
        self.hang.answer(Accepted(provider_id="late"))


@pytest.fixture
async def jammed(redis_url: str, tmp_path: Path) -> AsyncGenerator[Jammed]:
    hang = Hang()
    sms = Scripted("sms", hang, proves=1, timeout=20.0)
    limits = {"sms": ChannelSettings(concurrency=1)}
    async with core(redis_url, tmp_path, sms, limits=limits) as gw:
        made = Jammed(gw, sms, hang)
        yield made
        made.clear()


@pytest.mark.parametrize("category", ["outage", "service"])
async def test_a_paused_one_begins_nothing_and_goes_on_when_resumed(jammed: Jammed, category: str) -> None:
    gw, made = jammed.gw, await jammed.begun(category=category)
    service = gw.gateway.broadcasts
    await service.pause("live", made.id)
    await service.pause("live", made.id)
    jammed.clear()
    held = await when(gw, made, lambda r: r.counts.told == 1)
    assert (held.state, held.eta) == ("paused", None)
    await until(lambda: _all_held(gw, made))
    assert len(jammed.sms.handed) == 1
    await service.resume("live", made.id)
    await service.resume("live", made.id)
    found = await when(gw, made, lambda r: r.state == "done")
    assert found.counts.reached == PEOPLE
    assert set(copies(jammed.sms).values()) == {1}


async def _all_held(gw: Core, made: Broadcast) -> bool:
    """Whether everybody who waits is shown as held by the pause."""
    for number in range(PARTITIONS):
        ids = await gw.gateway.standings.members(partition(number), made.mode, made.id, "waiting")
        for one in ids:
            found = await gw.gateway.intake.look(one)
            if found is None or found[0].held is None or found[0].held.code != "paused":
                return False
    return True


async def test_a_pause_stops_the_expansion(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", proves=1)
    async with core(redis_url, tmp_path, sms) as gw:
        people = await crowd(gw.gateway, PEOPLE)
        made = await broadcast(gw, to(people, rate=20, reach={"until": "accepted"}))
        gw.work()
        await when(gw, made, lambda r: r.counts.told >= 5)
        await gw.gateway.broadcasts.pause("live", made.id)
        await until(lambda: _idle(gw, made))
        stopped = (await report(gw, made)).counts
        assert stopped.audience < PEOPLE
        await gw.gateway.broadcasts.resume("live", made.id)
        found = await when(gw, made, lambda r: r.state == "done")
        assert found.counts.reached == PEOPLE
        assert set(copies(sms).values()) == {1}


async def _idle(gw: Core, made: Broadcast) -> bool:
    """Whether no job of it stands on the agenda: they all know of the pause."""
    for number in range(PARTITIONS):
        members = await gw.client.zrange(partition(number).agenda(made.lane), 0, -1)
        if any(member.startswith((b"job:", b"broadcast:")) for member in members):
            return False
    return True


async def test_a_cancelled_one_cancels_what_has_not_begun(jammed: Jammed) -> None:
    gw, made = jammed.gw, await jammed.begun()
    service = gw.gateway.broadcasts
    await service.cancel("live", made.id)
    await service.cancel("live", made.id)
    jammed.clear()
    found = await when(gw, made, lambda r: r.broadcast.ended_at is not None)
    assert found.state == "cancelled"
    counts = found.counts
    assert counts.waiting == 0
    assert (counts.told, counts.suppressed) == (1, PEOPLE - 1)
    assert counts.reached + counts.told_only == 1
    assert len(jammed.sms.handed) == 1
    assert (await service.cancel("live", made.id)).cancelled_at is not None
    with pytest.raises(Over):
        await service.pause("live", made.id)
    with pytest.raises(Over):
        await service.resume("live", made.id)


async def test_what_is_done_takes_no_orders(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms", proves=1)) as gw:
        people = await crowd(gw.gateway, 2)
        made = await broadcast(gw, to(people, reach={"until": "accepted"}))
        gw.work()
        await when(gw, made, lambda r: r.state == "done")
        service = gw.gateway.broadcasts
        for order in (service.pause, service.resume, service.cancel):
            with pytest.raises(Over):
                await order("live", made.id)
            with pytest.raises(KeyError):
                await order("test", made.id)


async def test_another_process_hears_of_a_pause(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", proves=1)
    async with core(redis_url, tmp_path, sms) as gw, core(redis_url, tmp_path, sms) as other:
        people = await crowd(gw.gateway, 3)
        made = await broadcast(gw, to(people))
        await gw.gateway.broadcasts.pause("live", made.id)
        message = await gw.send(people[0])
        message.broadcast = made.id
        assert not other.gateway.halts.holds(message)
        await other.gateway.follower.once()
        assert other.gateway.halts.holds(message)
        await gw.gateway.broadcasts.resume("live", made.id)
        await other.gateway.follower.once()
        assert not other.gateway.halts.holds(message)
