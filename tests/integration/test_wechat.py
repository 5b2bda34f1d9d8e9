"""The WeChat channel against a scripted WeChat and a real Redis: sending, asking afterwards, tokens."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import structlog
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.channels.base import (
    Absent,
    Accepted,
    Channel,
    Refused,
    Rendered,
    Unknown,
    WeChatTemplate,
)
from gateway.channels.wechat import WeChatChannel
from gateway.message import Fault
from tests.support.wechat_carrier import HANG, OPENID, SECRET, Clock, WeChat, account, attempt, outbound

pytestmark = pytest.mark.usefixtures("no_key_leaks")


class Bench:
    def __init__(self, stack: AsyncExitStack, wechat: WeChat, base: str, redis: Redis) -> None:
        self.wechat = wechat
        self.clock = Clock()
        self.base = base
        self._stack = stack
        self._redis = redis

    async def channel(self, *, timeout: float = 5.0, redis: Redis | None = None) -> WeChatChannel:
        """A channel with a session of its own, as in another process."""
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        return WeChatChannel(
            account(self.base), session=session, redis=redis or self._redis, clock=self.clock, timeout=timeout
        )

    def key(self, name: str) -> str:
        """Where the account's token or lock stands."""
        digest = hashlib.blake2b(f"{self.base} wx-app".encode(), digest_size=10).hexdigest()
        return f"{{wechat:{digest}}}:{name}"


@pytest.fixture
async def bench(redis_client: Redis) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        wechat = WeChat()
        server = await stack.enter_async_context(TestServer(wechat.app))
        stack.callback(wechat.release.set)
        yield Bench(stack, wechat, str(server.make_url("")), redis_client)


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield cast("list[Any]", entries)


# Sending.


async def test_template(bench: Bench) -> None:
    channel: Channel = await bench.channel()
    result = await channel.send(outbound())
    assert result == Accepted(provider_id="200163837")
    (body,) = bench.wechat.sent
    name = body.pop("client_msg_id")
    assert body == {
        "kind": "template",
        "touser": OPENID,
        "template_id": "tpl-1",
        "url": "https://gw.example/m/x",
        "data": {"thing1": {"value": "Διακοπή"}, "time2": {"value": "18:00"}},
    }
    assert 0 < len(name) <= 32
    await channel.send(outbound(attempt="a2"))
    assert bench.wechat.sent[1]["client_msg_id"] == name
    await channel.send(outbound(token="other"))
    assert bench.wechat.sent[2]["client_msg_id"] != name
    await channel.close()


async def test_text_inside_the_window(bench: Bench) -> None:
    bench.wechat.script.append({"errcode": 0, "errmsg": "ok"})
    result = await (await bench.channel()).send(outbound(in_window=True))
    assert result == Accepted(provider_id=None)
    text = {"content": "Διακοπή ρεύματος έως τις 18:00"}
    assert bench.wechat.sent == [{"kind": "custom", "touser": OPENID, "msgtype": "text", "text": text}]


async def test_neither_window_nor_template(bench: Bench) -> None:
    result = await (await bench.channel()).send(outbound(words=Rendered(language="en", text="Hi")))
    assert isinstance(result, Refused)
    assert result.fault is Fault.NO_WINDOW
    assert bench.wechat.sent == []


async def test_field_that_would_be_cut_is_refused_here(bench: Bench) -> None:
    words = Rendered(language="en", wechat=WeChatTemplate("tpl-1", {"thing1": "private words " * 3}))
    result = await (await bench.channel()).send(outbound(words=words))
    assert isinstance(result, Refused)
    assert result.fault is Fault.CONTENT_REFUSED
    assert "thing1" in result.detail
    assert "private" not in result.detail
    assert bench.wechat.sent == []


@pytest.mark.parametrize(
    "errcode, fault",
    [
        (-1, Fault.UNAVAILABLE),
        (40003, Fault.BAD_ADDRESS),
        (40037, Fault.MISCONFIGURED),
        (43004, Fault.OPTED_OUT),
        (43101, Fault.DECLINED),
        (45009, Fault.QUOTA),
        (45011, Fault.THROTTLED),
        (45015, Fault.NO_WINDOW),
        (45047, Fault.NO_WINDOW),
        (46004, Fault.BAD_ADDRESS),
        (47003, Fault.CONTENT_REFUSED),
        (48001, Fault.ACCOUNT_SHUT),
        (99999, Fault.UNEXPLAINED),
    ],
)
async def test_refusals_come_with_status_200(bench: Bench, errcode: int, fault: Fault) -> None:
    told = {"errcode": errcode, "errmsg": f"no, {OPENID} rid: 5f"}
    bench.wechat.script.extend([told, told])
    result = await (await bench.channel()).send(outbound())
    assert isinstance(result, Refused)
    assert (result.fault, result.code) == (fault, str(errcode))
    assert OPENID not in result.detail


async def test_sent_before_is_accepted(bench: Bench) -> None:
    bench.wechat.script.append({"errcode": 45065, "errmsg": "clientmsgid exist"})
    assert isinstance(await (await bench.channel()).send(outbound()), Accepted)


async def test_invalid_template_id_is_asked_once_more(bench: Bench) -> None:
    bench.wechat.script.append({"errcode": 40037, "errmsg": "invalid template_id"})
    assert isinstance(await (await bench.channel()).send(outbound()), Accepted)
    assert len({body["client_msg_id"] for body in bench.wechat.sent}) == 1
    assert len(bench.wechat.sent) == 2


@pytest.mark.parametrize("told", [(500, "oops"), (502, "<html>"), (200, "<html>"), (200, "[]"), (200, ""), (302, "")])
async def test_unreadable_answers_are_unknown(bench: Bench, told: tuple[int, str]) -> None:
    bench.wechat.script.append(told)
    assert isinstance(await (await bench.channel()).send(outbound()), Unknown)


async def test_http_429_and_403(bench: Bench) -> None:
    bench.wechat.script.extend([(429, "slow"), (403, "no")])
    channel = await bench.channel()
    slow, no = await channel.send(outbound()), await channel.send(outbound())
    assert isinstance(slow, Refused)
    assert (slow.fault, slow.retry_after) == (Fault.THROTTLED, 7)
    assert isinstance(no, Refused)
    assert no.fault is Fault.MISCONFIGURED


async def test_silence_after_the_request_is_unknown(bench: Bench) -> None:
    channel = await bench.channel(timeout=0.5)
    bench.wechat.script.append(HANG)
    assert isinstance(await channel.send(outbound()), Unknown)


async def test_nobody_there(bench: Bench, redis_client: Redis, unused_tcp_port: int) -> None:
    await (await bench.channel()).send(outbound())
    bench.base = f"http://127.0.0.1:{unused_tcp_port}"
    fetching = await (await bench.channel()).send(outbound())
    assert isinstance(fetching, Refused)
    assert fetching.fault is Fault.UNAVAILABLE
    await redis_client.set(bench.key("token"), "token-1", ex=60)
    sending = await (await bench.channel()).send(outbound())
    assert isinstance(sending, Refused)
    assert sending.fault is Fault.UNAVAILABLE


# Asking afterwards.


async def test_find_repeats_the_same_request(bench: Bench) -> None:
    channel = await bench.channel()
    bench.wechat.script.append({"errcode": 0, "errmsg": "ok", "msgid": 77})
    assert await channel.find(outbound(), attempt()) == Accepted(provider_id="77")
    await channel.send(outbound())
    first, second = bench.wechat.sent
    assert first == second


async def test_find_gives_up_after_ten_minutes_and_for_texts(bench: Bench) -> None:
    channel = await bench.channel()
    assert isinstance(await channel.find(outbound(in_window=True), attempt()), Unknown)
    bench.clock.now += 600_000
    assert isinstance(await channel.find(outbound(), attempt()), Unknown)
    assert bench.wechat.sent == []
    await channel.recall(attempt())


async def test_find_refused(bench: Bench) -> None:
    channel = await bench.channel()
    bench.wechat.script.extend([{"errcode": 43004}, {"errcode": 45011}, (500, "")])
    assert isinstance(await channel.find(outbound(), attempt()), Absent)
    assert isinstance(await channel.find(outbound(), attempt()), Unknown)
    assert isinstance(await channel.find(outbound(), attempt()), Unknown)


# Tokens.


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


async def test_logs_hold_no_secret_no_address_no_content(bench: Bench, logs: list[Any]) -> None:
    channel = await bench.channel(timeout=0.5)
    bench.wechat.script.extend([{"errcode": 43004, "errmsg": OPENID}, HANG, {"errcode": 40001}])
    for _ in range(3):
        await channel.send(outbound())
    assert {entry["event"] for entry in logs} == {"wechat_token_renewed", "wechat_refused", "wechat_answer_lost"}
    for private in (SECRET, OPENID, "Διακοπή", "token-1", "forced"):
        assert private not in repr(logs)
