"""The WeChat channel against a scripted WeChat and a real Redis: sending, and asking afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest
import structlog
from redis.asyncio import Redis

from gateway.channels.base import (
    Absent,
    Accepted,
    Channel,
    Refused,
    Rendered,
    Unknown,
    WeChatTemplate,
)
from gateway.message import Fault
from tests.support.wechat_bench import Bench, wechat_bench
from tests.support.wechat_carrier import HANG, OPENID, SECRET, attempt, outbound

pytestmark = pytest.mark.usefixtures("no_key_leaks")


@pytest.fixture
async def bench(redis_client: Redis) -> AsyncIterator[Bench]:
    async with wechat_bench(redis_client) as made:
        yield made


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


async def test_logs_hold_no_secret_no_address_no_content(bench: Bench, logs: list[Any]) -> None:
    channel = await bench.channel(timeout=0.5)
    bench.wechat.script.extend([{"errcode": 43004, "errmsg": OPENID}, HANG, {"errcode": 40001}])
    for _ in range(3):
        await channel.send(outbound())
    assert {entry["event"] for entry in logs} == {"wechat_token_renewed", "wechat_refused", "wechat_answer_lost"}
    for private in (SECRET, OPENID, "Διακοπή", "token-1", "forced"):
        assert private not in repr(logs)
