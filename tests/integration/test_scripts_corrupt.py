"""One number that can't be read concerns its own record alone."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.store.scripts import Scripts
from tests.support.changes import AT, MINUTE, accept

WORDS = ["", "abc", "1.5", "99999999999999999999"]


@pytest.mark.parametrize("number", WORDS[:2])
async def test_a_count_of_who_never_came_back(redis_client: Any, scripts: Scripts, number: str) -> None:
    for name in ("m1", "m2", "m3"):
        await accept(scripts, name, wake=5)
    await redis_client.hset(AT.message("m2"), mapping={"t": number, "by": "somebody"})
    haul = await scripts.take(AT.number, 1, {"critical": 100}, {})
    assert {one.member: one.abandoned for one in haul.items} == {"m:m1": 0, "m:m2": 1, "m:m3": 0}


@pytest.mark.parametrize("number", WORDS)
async def test_a_count_of_failures(redis_client: Any, scripts: Scripts, number: str) -> None:
    await accept(scripts, "m1", wake=5)
    await redis_client.hset(AT.message("m1"), "f", number)
    assert await scripts.failed(AT, "m:m1", 1) == 1


@pytest.mark.parametrize("number", WORDS)
async def test_a_version(redis_client: Any, scripts: Scripts, number: str) -> None:
    for name in ("m1", "m2"):
        await accept(scripts, name, wake=5, thread=AT.thread("live", "c-1", "t"), order=1, joins=name == "m1")
    await redis_client.hset(AT.message("m1"), "v", number)
    haul = await scripts.take(AT.number, 1, {"critical": 100}, {})
    versions = {one.member: one.version for one in haul.items}
    assert versions["m:m2"] == 1
    assert versions["m:m1"] == (int(number) if number.isdigit() else -1)


@pytest.mark.parametrize("number", WORDS)
async def test_the_version_of_an_older_one_of_the_thread(redis_client: Any, scripts: Scripts, number: str) -> None:
    thread = AT.thread("live", "c-1", "t")
    assert await accept(scripts, "m1", thread=thread, order=1) == "ok"
    await redis_client.hset(AT.message("m1"), "v", number)
    assert await accept(scripts, "m2", thread=thread, order=2) == "ok"
    assert await redis_client.hget(AT.message("m1"), "sup") == b"m2"


@pytest.mark.parametrize("number", WORDS)
async def test_a_counter(redis_client: Any, scripts: Scripts, number: str) -> None:
    await redis_client.hset(MINUTE, "accepted:outage", number)
    assert await accept(scripts, "m1", counters=["accepted:outage", "other"]) == "ok"
    assert await redis_client.hget(MINUTE, "other") == b"1"
