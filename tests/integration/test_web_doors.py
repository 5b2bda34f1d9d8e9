"""The door of the API: too many at once, and no Redis behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.store.clock import Clock
from gateway.store.scripts import Scripts
from gateway.web.operations import Answer, Call, NoQuery
from tests.support.web_echo import Sample, echo, operation, problem
from tests.support.web_parts import api, bearer, parts, served


async def test_a_flood_is_refused_before_it_costs_memory(scripts: Scripts, clock: Clock) -> None:
    gateway = parts(scripts, clock)
    release, running = asyncio.Event(), asyncio.Event()

    async def slow(_call: Call[None, NoQuery]) -> Answer:
        running.set()
        await release.wait()
        return Answer(body={})

    async with served(api(gateway, [operation("GET", "/v1/slow", slow)], most=1)) as session:
        session.headers.update(await bearer(gateway, "send"))
        first = asyncio.create_task(session.get("/v1/slow"))
        await running.wait()
        async with session.get("/v1/slow") as response:
            await problem(response, 503, "unavailable")
            assert response.headers["Retry-After"] == "1"
        async with session.get("/elsewhere") as response:
            assert response.status == 404
        release.set()
        async with await first as response:
            assert response.status == 200


async def test_without_redis_nothing_is_accepted(clock: Clock, tmp_path: Path) -> None:
    away = Redis(unix_socket_path=str(tmp_path / "nobody"), retry=Retry(NoBackoff(), 0))
    scripts = Scripts(away)
    async with served(api(parts(scripts, clock), [operation("POST", "/v1/echo", echo, body=Sample)])) as session:
        headers = {"Authorization": "Bearer gw_live_bbbbbbbb_" + "0" * 40}
        async with session.post("/v1/echo", json={"name": "a"}, headers=headers) as response:
            await problem(response, 503, "unavailable")
            assert response.headers["Retry-After"] == "5"
    await scripts.close()
    await away.aclose()
