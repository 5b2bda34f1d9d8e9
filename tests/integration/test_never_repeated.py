"""What a channel repeats by itself: only what the provider has certainly not taken. All else is decided by the record.

Every repeat there is has its test here: a refused WeChat token, WeChat's "invalid template", the question for a token, a
mail connection that wasn't made or died before the text. Each also shows that the repeat stops where the request may
have been taken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis

from gateway.channels.base import Accepted, Refused, Unknown
from gateway.channels.sms import Sms
from gateway.channels.voice import Voice
from gateway.channels.wechat import WeChatChannel
from gateway.settings_types import Secret
from tests.support import email_bench
from tests.support import twilio_carrier as twilio
from tests.support import wechat_carrier as wechat_side
from tests.support.smtp_relay import DROP, HANG

LOST = [
    pytest.param(twilio.Answer(drop=True), id="connection lost"),
    pytest.param(twilio.Answer(hang=True), id="silence"),
    pytest.param(twilio.Answer(500, "oops"), id="500"),
    pytest.param(twilio.Answer(503, "later", {"Retry-After": "0"}), id="503 that invites a repeat"),
    pytest.param(twilio.Answer(307, "", {"Location": "/elsewhere"}), id="redirect"),
    pytest.param(twilio.Answer(201, "not json"), id="unreadable"),
]


@pytest.mark.parametrize("answer", LOST)
@pytest.mark.parametrize("channel", ["sms", "voice"])
async def test_twilio_is_asked_once_also_over_a_used_connection(
    tmp_path: Path, channel: str, answer: twilio.Answer
) -> None:
    """A client library may send again by itself what it sent over a connection that had been in use: not here."""
    async with twilio.carrier() as carrier, twilio.deps() as deps:
        settings = twilio.settings(carrier.url, tmp_path, timeout=0.4)
        made = Sms.build(settings, deps) if channel == "sms" else Voice.build(settings, deps)
        assert made is not None
        resource = twilio.sms_resource() if channel == "sms" else twilio.call_resource()
        carrier.script(twilio.Answer(body=resource), answer)
        assert isinstance(await made.send(twilio.outbound()), Accepted)
        result = await made.send(twilio.outbound())
        assert isinstance(result, Unknown) or answer.status == 307
        assert len(carrier.asked) == 2
        await made.close()


class WeChatBench:
    def __init__(self, channel: WeChatChannel, wechat: wechat_side.WeChat) -> None:
        self.channel = channel
        self.wechat = wechat


@pytest.fixture
async def chat(redis_client: Redis) -> AsyncIterator[WeChatBench]:
    async with AsyncExitStack() as stack:
        wechat = wechat_side.WeChat()
        server = await stack.enter_async_context(TestServer(wechat.app))
        stack.callback(wechat.release.set)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        made = WeChatChannel(
            wechat_side.account(str(server.make_url(""))),
            session=session,
            redis=redis_client,
            clock=wechat_side.Clock(),
            timeout=0.5,
        )
        yield WeChatBench(made, wechat)


MAY_BE_TAKEN: list[Any] = [wechat_side.HANG, (500, "oops"), (200, "<html>"), {"errcode": -1, "errmsg": "system busy"}]
NOT_TAKEN = [{"errcode": 40001, "errmsg": "invalid credential"}, {"errcode": 40037, "errmsg": "invalid template_id"}]


@pytest.mark.parametrize("in_window", [True, False], ids=["text", "template"])
@pytest.mark.parametrize("told", MAY_BE_TAKEN, ids=str)
async def test_wechat_is_asked_once(chat: WeChatBench, told: Any, in_window: bool) -> None:
    chat.wechat.script.append(told)
    result = await chat.channel.send(wechat_side.outbound(in_window=in_window))
    assert isinstance(result, Unknown | Refused)
    assert isinstance(result, Unknown) or told["errcode"] == -1
    assert len(chat.wechat.sent) == 1


@pytest.mark.parametrize("told", MAY_BE_TAKEN, ids=str)
@pytest.mark.parametrize("first", NOT_TAKEN, ids=lambda body: str(body["errcode"]))
async def test_wechats_own_repeats_follow_a_refusal_alone(chat: WeChatBench, first: Any, told: Any) -> None:
    """A refused token, an "invalid template": said before anything is taken. After the second answer there is no third."""
    chat.wechat.script.extend([first, told])
    result = await chat.channel.send(wechat_side.outbound())
    assert not isinstance(result, Accepted)
    assert len(chat.wechat.sent) == 2
    assert chat.wechat.sent[0] == chat.wechat.sent[1]


BUSY = {"errcode": -1, "errmsg": "system busy"}


async def test_the_question_for_a_token_is_asked_again(chat: WeChatBench) -> None:
    """Unforced it changes nothing at WeChat's."""
    chat.wechat.token_script.extend([BUSY, BUSY])
    assert isinstance(await chat.channel.send(wechat_side.outbound()), Accepted)
    assert [asked["force_refresh"] for asked in chat.wechat.token_asks] == [False, False, False]
    assert len(chat.wechat.sent) == 1


@pytest.mark.parametrize("told", [[BUSY] * 4, [{"errcode": 40125, "errmsg": "invalid appsecret"}]], ids=str)
async def test_the_question_for_a_token_has_an_end(chat: WeChatBench, told: list[Any]) -> None:
    chat.wechat.token_script.extend(told)
    assert isinstance(await chat.channel.send(wechat_side.outbound()), Refused)
    assert len(chat.wechat.token_asks) == min(3, len(told))
    assert not chat.wechat.sent


async def test_a_token_is_forced_once(chat: WeChatBench) -> None:
    """WeChat rations that: 20 a day."""
    stale = {"access_token": "token-0", "expires_in": 7200}
    chat.wechat.token_script.extend([stale, stale, BUSY])
    assert not isinstance(await chat.channel.send(wechat_side.outbound()), Accepted)
    assert [asked["force_refresh"] for asked in chat.wechat.token_asks] == [False, False, True]


@pytest.fixture
async def bench() -> AsyncIterator[email_bench.Bench]:
    async with AsyncExitStack() as stack:
        yield email_bench.Bench(stack)


async def test_a_connection_for_mail_is_tried_three_times(bench: email_bench.Bench) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port)
    relay.script["connect"].extend([DROP, DROP])
    assert isinstance(await channel.send(email_bench.outbound()), Accepted)
    assert (relay.connections, len(relay.mails)) == (3, 1)


async def test_a_relay_that_stays_away_is_left_to_the_record(bench: email_bench.Bench) -> None:
    relay = await bench.relay()
    relay.script["connect"].extend([DROP] * 4)
    assert isinstance(await bench.channel(relay.port).send(email_bench.outbound()), Refused)
    assert (relay.connections, relay.mails) == (3, [])


async def test_a_refused_login_is_not_tried_again(bench: email_bench.Bench) -> None:
    relay = await bench.relay(login=("gateway", "right"))
    channel = bench.channel(relay.port, user="gateway", password=Secret("wrong"))
    assert isinstance(await channel.send(email_bench.outbound()), Refused)
    assert (relay.connections, relay.mails) == (1, [])


@pytest.mark.parametrize("stage", ["mail", "rcpt"])
async def test_a_mail_goes_over_a_new_connection_when_an_old_one_died_before_the_text(
    bench: email_bench.Bench, stage: str
) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port, concurrency=1)
    assert isinstance(await channel.send(email_bench.outbound()), Accepted)
    relay.script[stage].append(DROP)
    assert isinstance(await channel.send(email_bench.outbound(token="second")), Accepted)
    ids = [email_bench.parsed(mail.data)["message-id"] for mail in relay.mails]
    assert ids == ["<tok-00m-1-email-1@acme.example>", "<second@acme.example>"]
    assert relay.connections == 2


@pytest.mark.parametrize("how", [DROP, HANG])
@pytest.mark.parametrize("used", [True, False], ids=["used connection", "new connection"])
async def test_a_mail_whose_text_was_sent_is_not_sent_again(bench: email_bench.Bench, used: bool, how: str) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port, concurrency=1, timeout=0.5)
    if used:
        assert isinstance(await channel.send(email_bench.outbound()), Accepted)
    relay.script["data"].append(how)
    assert isinstance(await channel.send(email_bench.outbound(token="second")), Unknown)
    ids = [email_bench.parsed(mail.data)["message-id"] for mail in relay.mails]
    assert ids.count("<second@acme.example>") == 1
