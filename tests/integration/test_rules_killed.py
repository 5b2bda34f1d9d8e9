"""Whoever dies over an event or a run: what was begun is finished, and nothing is said twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from gateway.rules.acts import Act
from gateway.rules.event import Event
from gateway.rules.events import KIND
from gateway.rules.rule import Then
from gateway.rules.run import Run
from gateway.store.changes import Taken
from gateway.store.things import Shelf
from tests.support.core import PHONE, Core, core, until
from tests.support.ruling import hurry, rule, run_of, runs, sent, tell, when
from tests.support.scripted import Scripted


class Dying:
    """An act whose process dies over it: before it has done anything, or after."""

    def __init__(self, act: Act, *, after: bool) -> None:
        self._act = act
        self._after = after
        self.reached = asyncio.Event()

    async def do(self, run: Run, then: Then, facts: Any) -> str:
        if self._after:
            await self._act.do(run, then, facts)
        self.reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def stop(self, run: Run, made: str | None) -> None:
        await self._act.stop(run, made)


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Core]:
    async with core(redis_url, tmp_path, Scripted("sms")) as made:
        await made.person("ana", sms=PHONE)
        yield made


@pytest.mark.parametrize("after", [False, True])
async def test_a_worker_dies_over_a_run(gw: Core, *, after: bool) -> None:
    parts = gw.gateway
    real = parts.acts["message"]
    dying = Dying(real, after=after)
    parts.acts["message"] = cast("Act", dying)
    await rule(gw, wait=0)
    run = await run_of(gw, await tell(gw, "order.placed", "1", order="1"))
    gw.work()
    await dying.reached.wait()
    await gw.kill()
    assert len(await sent(gw)) == int(after)
    parts.acts["message"] = real
    gw.work()
    await hurry(gw, run)
    await when(gw, run, "acted")
    assert len(await sent(gw)) == 1


async def test_what_was_sent_by_one_who_died_goes_no_further_when_a_contrary_event_came(gw: Core) -> None:
    parts = gw.gateway
    real = parts.acts["message"]
    dying = Dying(real, after=True)
    parts.acts["message"] = cast("Act", dying)
    await rule(gw, wait=0, then={"category": "service", "content": {"text": "x"}, "reach": {"step": 600}})
    run = await run_of(gw, await tell(gw, "order.placed", "1", order="1"))
    gw.work()
    await dying.reached.wait()
    await gw.kill()
    await tell(gw, "order.paid", "p", order="1")
    parts.acts["message"] = real
    gw.work()
    await hurry(gw, run)
    await when(gw, run, "cancelled")
    [message] = await sent(gw)
    assert (await gw.ended(message)).verdict.state == "cancelled"


async def test_a_contrary_event_in_the_very_moment_of_acting(gw: Core) -> None:
    parts = gw.gateway
    real = parts.acts["message"]

    class Overtaken(Dying):
        async def do(self, run: Run, then: Then, facts: Any) -> str:
            made = await real.do(run, then, facts)
            await tell(gw, "order.paid", "p", order="1")
            return made

    parts.acts["message"] = cast("Act", Overtaken(real, after=True))
    await rule(gw, wait=0, then={"category": "service", "content": {"text": "x"}, "reach": {"step": 600}})
    await tell(gw, "order.placed", "1", order="1")
    gw.work()
    await until(lambda: sent(gw))
    [message] = await sent(gw)
    assert (await gw.ended(message)).verdict.state == "cancelled"


@pytest.mark.parametrize("where", ["begin", "_journalled"])
async def test_a_process_dies_over_an_event(gw: Core, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """It was kept, but what follows from it was not: the worker sees to that, and a repeat finds it done."""
    parts, reached = gw.gateway, asyncio.Event()

    async def dies(*_args: object) -> Any:
        reached.set()
        await asyncio.Event().wait()

    await rule(gw)
    with monkeypatch.context() as patch:
        patch.setattr(parts.runs if where == "begin" else parts.events, where, dies)
        telling = asyncio.create_task(tell(gw, "order.placed", "1", order="1"))
        await reached.wait()
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    assert await runs(gw) == []
    await rush(gw)
    gw.work()
    await until(lambda: runs(gw))
    again = await tell(gw, "order.placed", "1", order="1")
    assert [begun.run for begun in again.runs] == [run.id for run in await runs(gw)]


async def rush(gw: Core) -> None:
    """The agenda looks at every event now that it has."""
    async for key in gw.client.scan_iter(match="*:event:*"):
        prefix, _, member = key.decode().partition(":")
        await gw.client.zadd(f"{prefix}:agenda:normal", {member: 1}, xx=True)


async def test_two_who_work_on_one_event_come_to_the_same(gw: Core) -> None:
    shelf = Shelf(gw.gateway.scripts, KIND, Event)
    await rule(gw, wait=0)
    gw.work()
    event = await tell(gw, "order.placed", "1", order="1")
    acted = await when(gw, await run_of(gw, event), "acted")
    place = shelf.place("live", "order.placed\0" + "1")
    unhandled = Event(
        type=event.type,
        id=event.id,
        mode="live",
        customer="ana",
        at=event.at,
        received_at=event.received_at,
        digest=event.digest,
        data={"order": "1"},
    )
    taken = Taken(place.member, 1, msgspec.msgpack.encode(unhandled), "", "", 0, None)
    await asyncio.gather(*(gw.gateway.events.work(place.at, taken) for _ in range(3)))
    assert await runs(gw) == [acted]
    assert len(await sent(gw)) == 1
