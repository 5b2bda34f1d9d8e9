from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from gateway.delivery.gate import Gate
from gateway.message import Lane


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


class Crowd:
    """Tasks that hold places until they are let go."""

    def __init__(self, normal: int = 2, bulk: int = 1) -> None:
        self.clock = Clock()
        self.gate = Gate(normal, bulk, self.clock)
        self.inside: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._go: dict[str, asyncio.Event] = {}

    async def comes(self, name: str, lane: Lane) -> None:
        self._go[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name, lane))
        await settled()

    async def goes(self, name: str) -> None:
        self._go[name].set()
        await self.tasks[name]
        await settled()

    async def _stay(self, name: str, lane: Lane) -> None:
        async with self.gate.turn(lane):
            self.inside.append(name)
            await self._go[name].wait()
            self.inside.remove(name)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_isnt_critical_waits_for_a_place_and_bulk_for_one_of_few() -> None:
    crowd = Crowd(normal=3, bulk=1)
    for name in ("b1", "b2", "n1"):
        await crowd.comes(name, "bulk" if name[0] == "b" else "normal")
    assert crowd.inside == ["b1", "n1"], "places that bulk may not take are there for normal ones"
    await crowd.comes("n2", "normal")
    await crowd.comes("n3", "normal")
    await crowd.comes("c1", "critical")
    assert crowd.inside == ["b1", "n1", "n2", "c1"]
    await crowd.goes("b1")
    assert crowd.inside == ["n1", "n2", "c1", "n3"]
    await crowd.goes("n1")
    assert crowd.inside == ["n2", "c1", "n3", "b2"]
    for name in list(crowd.inside):
        await crowd.goes(name)


async def test_bulk_is_put_back_a_while_and_not_for_ever() -> None:
    crowd = Crowd(normal=1)
    await crowd.comes("n1", "normal")
    await crowd.comes("b1", "bulk")
    crowd.clock.time = 0.5
    await crowd.comes("n2", "normal")
    crowd.clock.time = 2.0
    await crowd.comes("n3", "normal")
    entered: list[list[str]] = []
    for name in ("n1", "n2", "b1", "n3"):
        entered.append(list(crowd.inside))
        await crowd.goes(name)
    assert entered == [["n1"], ["n2"], ["b1"], ["n3"]]


async def test_who_stops_waiting_takes_no_place() -> None:
    crowd = Crowd(normal=1)
    for name in ("n1", "n2", "n3"):
        await crowd.comes(name, "normal")
    crowd.tasks["n2"].cancel()
    await settled()
    await crowd.goes("n1")
    assert crowd.inside == ["n3"]
    await crowd.goes("n3")


async def test_a_place_given_in_the_moment_of_a_cancellation_goes_on() -> None:
    crowd = Crowd(normal=1)
    go = asyncio.Event()

    async def leaves() -> None:
        async with crowd.gate.turn("normal"):
            await go.wait()
        crowd.tasks["n2"].cancel()  # it has been given the place, and does not know it yet

    leaving = asyncio.create_task(leaves())
    await settled()
    for name in ("n2", "n3"):
        await crowd.comes(name, "normal")
    go.set()
    await leaving
    await settled()
    assert crowd.inside == ["n3"]
    await crowd.goes("n3")
    await crowd.comes("n4", "normal")
    assert crowd.inside == ["n4"]
    await crowd.goes("n4")


async def test_nobody_holds_a_place_while_they_wait_for_a_provider_and_they_come_back_at_once() -> None:
    crowd = Crowd(normal=1)
    answer, back = asyncio.Event(), asyncio.Event()

    async def sends() -> None:
        async with crowd.gate.turn("normal"):
            with crowd.gate.away():
                await answer.wait()
            back.set()

    sending = asyncio.create_task(sends())
    await settled()
    await crowd.comes("n1", "normal")
    assert crowd.inside == ["n1"]
    answer.set()
    await settled()
    assert back.is_set()
    await sending
    await crowd.comes("n2", "normal")
    assert crowd.inside == ["n1"]
    for name in ("n1", "n2"):
        await crowd.goes(name)


async def test_who_holds_no_place_gives_none_back() -> None:
    crowd = Crowd(normal=1)
    await crowd.comes("n1", "normal")
    await crowd.comes("n2", "normal")
    with crowd.gate.away():
        await settled()
        assert crowd.inside == ["n1"]
    for name in ("n1", "n2"):
        await crowd.goes(name)


async def test_a_cancelled_sender_leaves_the_count_right() -> None:
    crowd = Crowd(normal=1)
    never = asyncio.Event()

    async def sends() -> None:
        async with crowd.gate.turn("normal"):
            with crowd.gate.away():
                await never.wait()

    sending: Any = asyncio.create_task(sends())
    await settled()
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending
    await crowd.comes("n1", "normal")
    await crowd.comes("n2", "normal")
    assert crowd.inside == ["n1"]
    for name in ("n1", "n2"):
        await crowd.goes(name)
