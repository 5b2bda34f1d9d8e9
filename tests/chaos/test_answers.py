"""Answers that are lost, late or doubled, on every side: callers to the API, the API and the workers to Redis and to the carrier."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncGenerator, Callable

import pytest
import pytest_asyncio

from tests.chaos.rig import Act, Copy, Link, Manner, Odds, World, sent_many, world

COUNT = 30
REACH = {"step": 3, "within": 60, "unproven": "settle"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def w(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    """One world for all of these: every test mends what it broke."""
    async with world(tmp_path_factory.mktemp("answers")) as made:
        yield made


def lossy(link: Link, seed: int, **shares: float) -> None:
    """Let a link fail by lot: `cut=0.1` cuts every tenth piece of a request."""
    link.fault = Odds(random.Random(seed).random, {Act(name): share for name, share in shares.items()})


def by_turns(*manners: Manner) -> Callable[[Copy], Manner]:
    """The carrier treats the first copy the first way, and so on, round and round."""
    turns = itertools.cycle(manners)
    return lambda _copy: next(turns)


@pytest.mark.asyncio(loop_scope="module")
async def test_callers_lose_answers(w: World) -> None:
    """The same Idempotency-Key makes one message, however many answers are lost."""
    lossy(w.front, 1, swallow=0.3, cut=0.1, half=0.1)
    try:
        await sent_many(w, "callers", COUNT, replay=True, reach=REACH)
    finally:
        w.front.fault = None
    found = await w.reckon("callers-")
    assert found.faults == []
    assert found.verdicts.total() == COUNT
    assert w.callers.answers["lost"] > COUNT // 4
    assert w.callers.answers["replayed"] >= COUNT // 4


@pytest.mark.asyncio(loop_scope="module")
async def test_redis_answers_are_lost(w: World) -> None:
    """Every process loses one answer in twenty-five, and one command in twenty-five never arrives or only half of it."""
    for seed, link in enumerate(w.to_store.values()):
        lossy(link, seed, swallow=0.04, cut=0.02, half=0.02)
    try:
        await sent_many(w, "redis", COUNT, reach=REACH)
        found = await w.reckon("redis-")
    finally:
        for link in w.to_store.values():
            link.fault = None
    assert found.faults == []
    assert found.verdicts.total() == COUNT
    assert sum(link.cuts for link in w.to_store.values()) > 0


@pytest.mark.asyncio(loop_scope="module")
async def test_the_carrier_answers_badly(w: World) -> None:
    """Taken without an answer, twice called back, refused for now, failed after taking it, and slow: copies are explained."""
    w.carrier.manner = by_turns(
        Manner(answer="drop"),
        Manner(twice=True),
        Manner(taken=False, answer=429),
        Manner(answer=503),
        Manner(delay=0.5, twice=True),
        Manner(answer="hang", news=()),
    )
    try:
        await sent_many(w, "carrier", COUNT, reach=REACH)
        found = await w.reckon("carrier-")
    finally:
        w.carrier.manner = lambda _copy: Manner()
    assert found.faults == []
    assert found.unknowns > 0
    assert found.verdicts == {"reached": COUNT}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("category", ["service", "survey"])
async def test_a_lost_answer_is_asked_after_or_left_alone(w: World, category: str) -> None:
    """Reconcile asks the carrier, and finds it; never again means one copy, whatever came of it."""
    # A good answer first, since five bad ones in a row shut the channel.
    await sent_many(w, f"good-{category}", 1)
    await w.reckon(f"good-{category}-")
    w.carrier.manner = lambda _copy: Manner(answer="drop", news=())
    try:
        await sent_many(w, category, 4, category, reach={"step": 3, "within": 15, "unproven": "settle"})
        found = await w.reckon(f"{category}-")
    finally:
        w.carrier.manner = lambda _copy: Manner()
    assert found.faults == []
    assert found.unknowns == 4
    assert found.copies == 4


@pytest.mark.asyncio(loop_scope="module")
async def test_the_way_to_the_carrier_breaks(w: World) -> None:
    """Requests that never arrive, or only half; answers that never come back."""
    lossy(w.to_carrier, 5, cut=0.15, half=0.1, swallow=0.15, stall=0.05)
    try:
        await sent_many(w, "way", COUNT, reach=REACH)
        found = await w.reckon("way-")
    finally:
        w.to_carrier.fault = None
    assert found.faults == []
    assert w.fleet.bugs() == []
