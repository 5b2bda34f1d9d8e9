"""WeChat's access token: one for all processes, renewed in time, and nothing is sent without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.channels.base import Accepted, Refused
from gateway.message import Fault
from tests.support.wechat_bench import Bench, wechat_bench
from tests.support.wechat_carrier import HANG, SECRET, outbound

pytestmark = pytest.mark.usefixtures("no_key_leaks")


@pytest.fixture
async def bench(redis_client: Redis) -> AsyncIterator[Bench]:
    async with wechat_bench(redis_client) as made:
        yield made


async def test_many_processes_ask_for_one_token(bench: Bench) -> None:
    channels = [await bench.channel() for _ in range(4)]
    results = await asyncio.gather(*(channel.send(outbound()) for channel in channels * 10))
    assert all(isinstance(result, Accepted) for result in results)
    assert len(bench.wechat.token_asks) == 1
    asked = {"grant_type": "client_credential", "appid": "wx-app", "secret": SECRET, "force_refresh": False}
    assert bench.wechat.token_asks == [asked]


async def test_token_is_forgotten_five_minutes_early(bench: Bench, redis_client: Redis) -> None:
    await (await bench.channel()).send(outbound())
    assert 6890 < await redis_client.ttl(bench.key("token")) <= 6900


async def test_refused_token_is_renewed_once_for_all(bench: Bench) -> None:
    channels = [await bench.channel() for _ in range(3)]
    await channels[0].send(outbound())
    bench.wechat.current = "token-2"  # another system of the account made a new one
    results = await asyncio.gather(*(channel.send(outbound()) for channel in channels * 5))
    assert all(isinstance(result, Accepted) for result in results)
    assert [asked["force_refresh"] for asked in bench.wechat.token_asks] == [False, False]


async def test_refused_token_that_wechat_still_gives_out_is_forced(bench: Bench) -> None:
    channel = await bench.channel()
    bench.wechat.script.append({"errcode": 42001, "errmsg": "access_token expired"})
    assert isinstance(await channel.send(outbound()), Accepted)
    assert [asked["force_refresh"] for asked in bench.wechat.token_asks] == [False, False, True]
    assert bench.wechat.used == ["token-1", "token-3-forced"]


async def test_token_refused_for_good_is_tried_twice(bench: Bench) -> None:
    channel = await bench.channel()
    bench.wechat.script.extend([{"errcode": 40001}] * 5)
    result = await channel.send(outbound())
    assert isinstance(result, Refused)
    assert (result.fault, result.code) == (Fault.MISCONFIGURED, "40001")
    assert len(bench.wechat.sent) == 2


@pytest.mark.parametrize(
    "told, fault",
    [
        ({"errcode": 40001, "errmsg": "wrong secret"}, Fault.ACCOUNT_SHUT),
        ({"errcode": 40125, "errmsg": "invalid appsecret"}, Fault.ACCOUNT_SHUT),
        ({"errcode": 40164, "errmsg": "invalid ip"}, Fault.ACCOUNT_SHUT),
        ({"errcode": 40013, "errmsg": "invalid appid"}, Fault.MISCONFIGURED),
        ({"errcode": -1, "errmsg": "busy"}, Fault.UNAVAILABLE),
        ((500, "<html>"), Fault.UNAVAILABLE),
        (HANG, Fault.UNAVAILABLE),
    ],
)
async def test_no_token_means_nothing_sent(bench: Bench, told: Any, fault: Fault) -> None:
    bench.wechat.token_script.extend([told] * 3)
    result = await (await bench.channel(timeout=0.5)).send(outbound())
    assert isinstance(result, Refused)
    assert result.fault is fault
    assert bench.wechat.sent == []


async def test_lock_of_a_dead_process_is_waited_out(bench: Bench, redis_client: Redis) -> None:
    await redis_client.set(bench.key("lock"), "dead", px=200)
    assert isinstance(await (await bench.channel()).send(outbound()), Accepted)


async def test_redis_away(bench: Bench, tmp_path: Path) -> None:
    async with Redis(unix_socket_path=str(tmp_path / "none.sock"), retry=Retry(NoBackoff(), 0)) as gone:
        result = await (await bench.channel(redis=gone)).send(outbound())
    assert isinstance(result, Refused)
    assert result.fault is Fault.UNAVAILABLE
