"""More is asked than one process can do: bulk is refused first, and what is critical gets through."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final, cast

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from gateway.delivery.intake import NewMessage
from gateway.delivery.metrics import Metrics
from gateway.delivery.request import Rejected, lane_of
from gateway.delivery.room import Room
from gateway.message import Lane
from gateway.routing.policy import CATEGORIES
from gateway.web.admission import LARGE_MOST, PLACES, SMALL, Admission
from gateway.web.api.lanes import BATCH_PLACES, lane_of_batch, lane_of_message
from gateway.web.context import Gateway
from gateway.web.middleware import HELD_LONGEST_S, HELD_MOST, HELD_PER_SECOND, HELD_S, Slow, limited
from gateway.web.problems import Problem
from tests.support.core import core, until
from tests.support.running import running
from tests.support.scripted import Scripted
from tests.support.web_gateway import gateway_on
from tests.support.web_parts import served

FLOOD: Final = 160
"""Connections that send bulk without a pause: more than there are places."""


@pytest.fixture
def door() -> Admission:
    metrics = Metrics(CollectorRegistry())
    return Admission(Room(cast("Any", None), metrics), metrics, {"critical": 3, "normal": 2, "bulk": 1}, 3 * SMALL)


def test_each_lane_has_places_of_its_own(door: Admission) -> None:
    with contextlib.ExitStack() as held:
        held.enter_context(door.under_way("bulk"))
        with pytest.raises(Problem) as refused:
            held.enter_context(door.under_way("bulk"))
        assert (refused.value.status, refused.value.headers["Retry-After"], refused.value.slow) == (429, "1", True)
        held.enter_context(door.under_way("normal", 2))
        with pytest.raises(Problem):
            held.enter_context(door.under_way("normal"))
        held.enter_context(door.under_way("critical", 3))
    with door.under_way("bulk"), door.under_way("normal", 2):
        pass


def test_large_bodies_share_a_budget_and_small_ones_need_none(door: Admission) -> None:
    with door.body(2 * SMALL):
        with pytest.raises(Problem) as refused, door.body(2 * SMALL):
            pass
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "1")
        with door.body(SMALL):
            pass
    with door.body(3 * SMALL):
        pass


def test_critical_requests_find_room_beside_all_others() -> None:
    assert PLACES["bulk"] < PLACES["normal"] < PLACES["critical"]
    assert all(places >= 2 * BATCH_PLACES for places in PLACES.values())
    assert LARGE_MOST >= 8 * 8 * 2**20


@pytest.mark.parametrize(
    "category, priority, lane",
    [
        ("outage", None, "critical"),
        ("outage", "bulk", "bulk"),
        ("service", "critical", "normal"),
        ("survey", "normal", "bulk"),
        ("nonsense", None, "normal"),
        ("service", ["critical"], "normal"),
    ],
)
def test_nobody_gets_ahead_by_asking_for_what_isnt_allowed(category: str, priority: object, lane: Lane) -> None:
    assert lane_of(category, priority, CATEGORIES) == lane


@pytest.mark.parametrize(
    "body, single, batch",
    [
        (b'{"category":"outage"}', "critical", "normal"),
        (b'{"category":"outage","priority":"bulk"}', "bulk", "normal"),
        (b'{"messages":[{"category":"survey"},{"category":"outage"}]}', "normal", "critical"),
        (b'{"messages":[{"category":"survey"},{"category":"marketing"}]}', "normal", "bulk"),
        (b'{"messages":[{"category":"survey"},7]}', "normal", "normal"),
        (b'{"category":{"a":1},"priority":[]}', "normal", "normal"),
        (b"\xff", "normal", "normal"),
        (b"", "normal", "normal"),
        (b"[]", "normal", "normal"),
    ],
)
async def test_the_lane_is_read_from_a_body_that_nobody_has_checked(
    redis_url: str, body: bytes, single: Lane, batch: Lane
) -> None:
    async with gateway_on(redis_url) as gateway:
        assert lane_of_message(gateway, body) == single
        assert lane_of_batch(gateway, body) == batch


async def test_the_more_are_refused_the_longer_each_of_them_waits() -> None:
    slept: list[float] = []
    go = asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await go.wait()

    async def no_lag() -> float:
        return 0.0

    slow = Slow(sleep, no_lag)
    waiting = [asyncio.create_task(slow.down()) for _ in range(HELD_MOST + 5)]
    await until(lambda: slow.held == HELD_MOST)
    assert slept[0] > HELD_S
    assert slept[HELD_PER_SECOND] - slept[0] == pytest.approx(1, abs=0.01)
    assert max(slept) <= HELD_LONGEST_S
    assert sum(task.done() for task in waiting) == 5
    go.set()
    await asyncio.gather(*waiting)
    assert slow.held == 0


async def test_a_loop_that_lags_keeps_them_waiting_longer() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    slow = Slow(sleep)
    await slow.down()
    waiting = asyncio.create_task(slow.down())
    asyncio.get_running_loop().call_soon(time.sleep, 0.05)
    await waiting
    assert slept[1] - slept[0] > 0.5


async def test_who_is_kept_waiting_takes_no_place_from_others() -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path.endswith("refused"):
            raise Problem("too-many-requests", slow=True)
        return web.Response()

    told: list[int] = []

    @web.middleware
    async def answered(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            told.append(problem.status)
            return problem.response()

    go = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        await go.wait()

    slow = Slow(sleep)
    app = web.Application(middlewares=[answered, limited(1, slow)])
    app.router.add_get("/v1/{name}", handler)
    async with served(app) as session:

        async def ask(name: str) -> int:
            async with session.get(f"/v1/{name}") as answer:
                return answer.status

        refused = asyncio.create_task(ask("refused"))
        await until(lambda: slow.held)
        assert [await ask("fine") for _ in range(3)] == [200, 200, 200]
        assert told == []
        go.set()
        assert await refused == 429


@pytest.fixture
async def gateway(redis_url: str) -> AsyncGenerator[Gateway]:
    async with gateway_on(redis_url) as made:
        yield cast("Gateway", made)


async def test_a_batch_is_read_as_places_come_free(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as made:
        await made.person("c", sms="+306912345601")
        drawn = itertools.count()
        most = 0

        def news() -> Any:
            for n in range(400):
                next(drawn)
                yield NewMessage(customer="c", category="service", content={"text": f"News {n}."})

        intake = made.gateway.intake
        accepted = asyncio.create_task(intake.accept_many("live", news(), intake.origin()))
        turns = 0
        while not accepted.done():
            before = next(drawn)
            await asyncio.sleep(0)
            most = max(most, next(drawn) - before - 1)
            turns += 1
        assert len({one.id for one in await accepted if not isinstance(one, Exception)}) == 400
        assert most <= 70, "the loop was held for more than a round of messages"
        assert turns > 6


async def test_a_thousand_refusals_dont_hold_the_loop(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as made:
        intake = made.gateway.intake
        refused = (Rejected([("/category", "unknown")]) for _ in range(1000))
        accepted = asyncio.create_task(intake.accept_many("live", refused, intake.origin()))
        turns = 0
        while not accepted.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 10


async def test_critical_messages_get_through_a_flood_of_bulk(redis_url: str, tmp_path: Path) -> None:
    async with running(redis_url, tmp_path) as gateway:
        numbers = [f"+3069123456{n:02d}" for n in range(10, 16)]
        for n, number in enumerate(numbers):
            await gateway.customer(f"c-{n}", sms=number)
        statuses: list[int] = []
        bodies: list[dict[str, str]] = []
        ended = asyncio.Event()

        async def floods() -> None:
            wanted = {"customer": "c-0", "category": "service", "priority": "bulk", "content": {"text": "Much."}}
            while not ended.is_set():
                answer = await gateway.api("POST", "/v1/messages", wanted)
                statuses.append(answer.status)
                if answer.status == 429:
                    bodies.append(dict(answer.headers))

        gateway.http.connector._limit = 0  # pyright: ignore[reportPrivateUsage, reportOptionalMemberAccess] - a crowd
        crowd = [asyncio.create_task(floods()) for _ in range(FLOOD)]
        await until(lambda: 429 in statuses)
        loop = asyncio.get_running_loop()
        taken: list[float] = []
        for n in range(1, len(numbers)):
            began = loop.time()
            sent = await gateway.send(f"c-{n}", "outage")
            await gateway.when(sent["id"], lambda found: found["attempts"], 10.0)
            taken.append(loop.time() - began)
        ended.set()
        await asyncio.gather(*crowd)
    assert sorted(taken)[len(taken) // 2] < 2.0, taken
    assert set(statuses) <= {202, 429, 503}
    assert all("Retry-After" in headers for headers in bodies)
