"""Whole conversations of both channels with Twilio's look-alike: send, its callbacks over HTTP, what the person got."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from redis.asyncio import Redis

from gateway.channels.base import Absent, Accepted, Callback, Deps, Inbound, Outbound, Unknown
from gateway.channels.sms import Sms
from gateway.channels.voice import Voice
from gateway.message import Attempt, Receipt
from gateway.news import absorb, level_of
from gateway.prompts import Option, Prompt, read_key
from gateway.sandbox.app import Sandbox, SandboxConfig
from gateway.sandbox.behaviour import Carrier, Fate, Manner
from tests.support import twilio_carrier as twilio
from tests.support.twilio_carrier import PERSON, SENDER

SCALE = 0.01
CONFIRM = Prompt(kind="acknowledge")
NPS = Prompt(kind="scale", min=0, max=10)
CHOICE = Prompt(kind="choice", options=(Option("a", "Refund"), Option("b", "Voucher")))


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Gateway:
    """The callback side: every request is read by its channel, absorbed, and answered from the attempt's words."""

    def __init__(self) -> None:
        self.channels: dict[str, Sms | Voice] = {}
        self.message = twilio.message()
        self.out = twilio.outbound()
        self.inbound: list[Inbound] = []
        self.url = ""
        self.rung = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        channel, _, path = request.path.removeprefix("/callbacks/").partition("/")
        call = Callback(
            method=request.method,
            path=path,
            url=self.url + request.raw_path,
            headers={name.lower(): value for name, value in request.headers.items()},
            query=dict(request.query),
            body=await request.read(),
            now=wall_ms(),
        )
        reading = self.channels[channel].read(call)
        for message, receipt in reading.receipts:
            assert message == self.message.id
            absorb(self.message, receipt)
        self.inbound += reading.inbound
        if self.attempt.status == "sent":
            self.rung.set()
        reply = reading.respond(self.out if reading.speaks else None)
        return web.Response(status=reply.status, text=reply.body, content_type=reply.content_type)

    @property
    def attempt(self) -> Attempt:
        return self.message.attempts[0]

    def begin(self, channel: str, **changes: Any) -> Outbound:
        self.message = twilio.message(channel)
        self.attempt.times = {"started": wall_ms()}
        self.out = twilio.outbound(callback_base=self.url, **changes)
        return self.out

    async def send(self, channel: str, **changes: Any) -> Accepted:
        result = await self.channels[channel].send(self.begin(channel, **changes))
        assert isinstance(result, Accepted), result
        absorb(self.message, Receipt(attempt="a1", at=wall_ms(), status=result.status, provider_id=result.provider_id))
        return result


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    made = Sandbox(
        SandboxConfig(account_sid=twilio.ACCOUNT, auth_token=twilio.TOKEN, time_scale=SCALE, phones_port=None)
    )
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def gateway(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Gateway]:
    made = Gateway()
    app = web.Application()
    app.router.add_post("/callbacks/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings = msgspec.structs.replace(twilio.settings(sandbox.twilio_base, tmp_path), public_url=made.url)
    async with aiohttp.ClientSession() as session:
        deps = Deps(session, Redis(), wall_ms)
        sms, voice = Sms.build(settings, deps), Voice.build(settings, deps)
        assert sms is not None
        assert voice is not None
        made.channels = {"sms": sms, "voice": voice}
        yield made
        await voice.close()
    await runner.cleanup()


async def test_a_text_is_delivered(gateway: Gateway, sandbox: Sandbox) -> None:
    taken = await gateway.send("sms")
    await sandbox.idle()
    assert [text.body for text in sandbox.world.texts(PERSON)] == [gateway.out.words.text]
    assert (gateway.attempt.status, gateway.attempt.provider_id) == ("delivered", taken.provider_id)


async def test_a_text_is_undelivered(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.behaviour.fates[PERSON] = Fate.UNDELIVERED
    await gateway.send("sms")
    await sandbox.idle()
    assert (gateway.attempt.status, gateway.attempt.fault, gateway.attempt.provider_code) == (
        "failed",
        "bad_address",
        "30005",
    )


@pytest.mark.parametrize("fate, found", [(Fate.UNKNOWN, True), (Fate.LOST, False)])
@pytest.mark.parametrize("channel", ["sms", "voice"])
async def test_a_lost_answer_is_cleared_up(
    gateway: Gateway, sandbox: Sandbox, channel: str, fate: Fate, found: bool
) -> None:
    sandbox.behaviour.fates[PERSON] = fate
    out = gateway.begin(channel)
    assert isinstance(await gateway.channels[channel].send(out), Unknown)
    result = await gateway.channels[channel].find(out, gateway.attempt)
    assert isinstance(result, Accepted if found else Absent)


async def test_a_reply_and_a_stop_come_in(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.twilio.inbound_sms_url = f"{gateway.url}/callbacks/sms/inbound"
    await sandbox.twilio.send_inbound_sms(PERSON, SENDER, "1")
    await sandbox.twilio.send_inbound_sms(PERSON, SENDER, "Stop")
    assert [(inbound.kind, inbound.text, inbound.sender) for inbound in gateway.inbound] == [
        ("text", "1", PERSON),
        ("opt_out", "Stop", PERSON),
    ]


def heard(sandbox: Sandbox) -> list[str]:
    (call,) = sandbox.world.calls(PERSON)
    return [line.text for line in call.lines if line.kind == "say"]


async def test_a_person_presses_the_key(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.behaviour.manners[PERSON] = Manner(keys="1")
    await gateway.send("voice", prompt=CONFIRM)
    await sandbox.idle()
    words = gateway.out.words
    assert heard(sandbox) == [words.speech, words.asks, words.thanks]
    assert [(inbound.kind, inbound.text, inbound.attempt) for inbound in gateway.inbound] == [("key", "1", "a1")]
    assert level_of(gateway.attempt) == "delivered"
    assert gateway.attempt.ended


async def test_a_wrong_key_is_asked_about_again(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.behaviour.manners[PERSON] = Manner(keys="7,1")
    await gateway.send("voice", prompt=CONFIRM)
    await sandbox.idle()
    words = gateway.out.words
    assert heard(sandbox) == [words.speech, words.asks, words.again, words.asks, words.thanks]
    assert [inbound.text for inbound in gateway.inbound] == ["7", "1"]


@pytest.mark.parametrize(
    "prompt, keys, pressed",
    [
        (NPS, "10", ["10"]),
        (NPS, "9#", ["9"]),
        (NPS, "9", ["9"]),
        (NPS, "0#", ["0"]),
        (NPS, "77,12,9#", ["77", "12", "9"]),
        (NPS, "*#,8#", ["*", "8"]),
        (CHOICE, "7,3,2", ["7", "3", "2"]),
    ],
)
async def test_keys_are_read_to_their_end_and_asked_for_again(
    gateway: Gateway, sandbox: Sandbox, prompt: Prompt, keys: str, pressed: list[str]
) -> None:
    sandbox.behaviour.manners[PERSON] = Manner(keys=keys)
    await gateway.send("voice", prompt=prompt)
    await sandbox.idle()
    assert [inbound.text for inbound in gateway.inbound] == pressed
    assert read_key(prompt, pressed[-1]) is not None
    words = gateway.out.words
    again = [words.again, words.asks] * (len(pressed) - 1)
    assert heard(sandbox) == [words.speech, words.asks, *again, words.thanks]


async def test_a_person_who_only_listens_has_heard_it(gateway: Gateway, sandbox: Sandbox) -> None:
    await gateway.send("voice", prompt=CONFIRM)
    await sandbox.idle()
    words = gateway.out.words
    assert heard(sandbox) == [words.speech, words.asks] * 2
    assert (gateway.attempt.answered_by, gateway.attempt.heard) == ("human", True)
    assert level_of(gateway.attempt) == "delivered"


async def test_a_machine_is_no_person(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.behaviour.fates[PERSON] = Fate.VOICEMAIL
    await gateway.send("voice", prompt=CONFIRM)
    await sandbox.idle()
    assert heard(sandbox)[-1] == gateway.out.words.speech
    assert (gateway.attempt.answered_by, gateway.attempt.status) == ("machine", "sent")
    assert level_of(gateway.attempt) == "accepted"
    assert gateway.attempt.ended


@pytest.mark.parametrize("answer, fault", [("nobody", "no_answer"), ("busy", "busy"), ("failed", "bad_address")])
async def test_nobody_answers(gateway: Gateway, sandbox: Sandbox, answer: Any, fault: str) -> None:
    sandbox.behaviour.manners[PERSON] = Manner(answer=answer)
    await gateway.send("voice")
    await sandbox.idle()
    assert gateway.attempt.status == "failed"
    assert gateway.attempt.ended
    assert gateway.attempt.fault == fault


async def test_a_ringing_call_is_called_off(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.behaviour.manners[PERSON] = Manner(ring=24.0)
    sandbox.clock.scale = 1.0
    await gateway.send("voice")
    await asyncio.wait_for(gateway.rung.wait(), 10)
    await gateway.channels["voice"].recall(gateway.attempt)
    await sandbox.idle()
    assert (gateway.attempt.status, gateway.attempt.fault, heard(sandbox)) == ("failed", "canceled", [])


async def test_repeated_and_swapped_news_change_nothing(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.behaviour.repeat = sandbox.behaviour.reorder = 1.0
    await gateway.send("sms")
    await sandbox.idle()
    assert gateway.attempt.status == "delivered"
    assert sandbox.world.copies(Carrier.SMS) == {f"{gateway.url}/callbacks/sms/status/msg-1/a1": 1}
