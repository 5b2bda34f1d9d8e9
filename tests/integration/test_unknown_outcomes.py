"""Answers that were lost, against carriers that speak the real protocols: what is done depends on the category (G4)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.message import Attempt, Message
from gateway.sandbox.behaviour import Fate, State
from tests.support import twilio_carrier as twilio
from tests.support.core import Core, until
from tests.support.running import Running, running

PHONE = "+306912345678"
MAIL = "maria@example.org"
OPENID = "oFan0000000000000000000000a1"
TEXT = "The power is out in Kypseli until 18:00."
TEMPLATE = {"template_id": "tpl-1", "data": {"thing1": {"value": "Power cut"}}}
UNKNOWN_S = 6
"""Longer than a lost answer waits for a callback."""


class World:
    """A whole gateway beside look-alike carriers, in which time can be made to pass for one message."""

    def __init__(self, gw: Running) -> None:
        self.gw = gw
        self.core = Core(gw.service.gateway, gw.service.gateway.client)

    async def lost(self, channel: str, address: str, fate: Fate, category: str = "service") -> str:
        """A message whose answer is lost on the way back; its id, while the callback is still awaited."""
        self.gw.fate(channel, address, fate)
        given: dict[str, Any] = {channel: address}
        await self.gw.customer("maria", **given)
        content = {"subject": "News", "text": TEXT, "wechat": TEMPLATE}
        sent = (await self.gw.send("maria", category, content=content))["id"]
        await self.core.when(sent, _awaits_callback)
        return sent

    async def unknown(self, channel: str, address: str, fate: Fate, category: str = "service") -> str:
        """The same, once no callback has come."""
        sent = await self.lost(channel, address, fate, category)
        await self.core.age(sent, UNKNOWN_S)
        return sent

    async def status_callback(self, channel: str, path: str, **fields: str) -> int:
        """Twilio's callback about an attempt; the HTTP status it is answered with."""
        given = self.gw.service.settings.twilio
        assert given is not None
        url = f"{self.gw.url}/callbacks/{channel}/{path}"
        pairs = [("AccountSid", given.account_sid), *fields.items()]
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": twilio.signature(url, pairs, str(given.auth_token)),
        }
        async with self.gw.http.post(url, data=urlencode(pairs), headers=headers) as answer:
            return answer.status


def _awaits_callback(message: Message) -> bool:
    return bool(message.attempts) and message.attempts[0].lease_until < message.attempts[0].started_at + 6000


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncGenerator[World]:
    async with running(redis_url, tmp_path) as gw:
        yield World(gw)


def copies(world: World, channel: str) -> int:
    """How many a carrier has taken."""
    return sum(world.gw.sandbox.world.copies(channel).values())


def asked(attempt: Attempt) -> tuple[str, int]:
    return attempt.status, attempt.asked


@pytest.mark.parametrize("channel, sid", [("sms", "SM"), ("voice", "CA")])
async def test_twilio_is_asked_and_has_it(world: World, channel: str, sid: str) -> None:
    sent = await world.unknown(channel, PHONE, Fate.UNKNOWN)
    found = await world.core.when(sent, lambda m: m.attempts[0].status != "unknown" and m.attempts[0].asked)
    assert (found.attempts[0].provider_id or "").startswith(sid)
    assert (len(found.attempts), copies(world, channel)) == (1, 1)
    assert "unknown" in found.attempts[0].times, "it stays on record that the answer was lost"


@pytest.mark.parametrize("channel", ["sms", "voice"])
async def test_twilio_is_asked_and_never_had_it(world: World, channel: str) -> None:
    sent = await world.unknown(channel, PHONE, Fate.LOST)
    early = await world.core.when(sent, lambda m: m.attempts[0].asked)
    assert [a.status for a in early.attempts] == ["unknown"], "it may still be filing it"
    world.gw.fate(channel, PHONE, Fate.NO_RECEIPT)
    await world.core.age(sent, 61)
    found = await world.core.when(sent, lambda m: len(m.attempts) == 2 and m.attempts[1].provider_id)
    assert (found.attempts[0].status, found.attempts[0].fault) == ("failed", "not_taken")
    assert copies(world, channel) == 1


async def test_another_message_with_the_same_words_proves_nothing(world: World) -> None:
    """Twilio's list shows number, time and words: the other one's copy must not be taken for ours."""
    world.gw.fate("sms", PHONE, Fate.NO_RECEIPT)
    await world.gw.customer("nikos", sms=PHONE)
    other = (await world.gw.send("nikos", "service", content={"text": TEXT}))["id"]
    known = await world.core.when(other, lambda m: m.attempts and m.attempts[0].provider_id)
    sent = await world.unknown("sms", PHONE, Fate.LOST)
    found = await world.core.when(sent, lambda m: m.attempts[0].asked)
    assert asked(found.attempts[0]) == ("unknown", 1)
    assert found.attempts[0].provider_id is None
    assert (await world.core.message(other)).attempts == known.attempts


@pytest.mark.parametrize(
    "category, channel, path, fields",
    [
        ("service", "sms", "status/{}/a1", {"MessageSid": "SM1", "MessageStatus": "sent"}),
        ("survey", "sms", "status/{}/a1", {"MessageSid": "SM1", "MessageStatus": "sent"}),
        ("service", "voice", "status/{}/a1", {"CallSid": "CA1", "CallStatus": "in-progress"}),
        ("service", "voice", "amd/{}/a1", {"CallSid": "CA1", "AnsweredBy": "human"}),
    ],
)
async def test_a_callback_that_names_the_attempt_settles_it_at_once(
    world: World, category: str, channel: str, path: str, fields: dict[str, str]
) -> None:
    sent = await world.lost(channel, PHONE, Fate.UNKNOWN, category)
    world.gw.switch(channel, State.REFUSES)
    await world.core.age(sent, UNKNOWN_S)
    await world.core.when(sent, lambda m: m.attempts[0].status == "unknown")
    assert await world.status_callback(channel, path.format(sent), **fields) < 300
    found = await world.core.message(sent)
    assert (found.attempts[0].status, found.attempts[0].provider_id) == ("sent", fields[next(iter(fields))])
    assert found.held is None
    assert copies(world, channel) == 1


@pytest.mark.parametrize("early", [True, False], ids=["event first", "event later"])
async def test_wechat_recognises_the_repeat_and_its_event_finds_us(world: World, early: bool) -> None:
    sent = await world.lost("wechat", OPENID, Fate.UNKNOWN)
    chats = world.gw.sandbox.world.chats
    await until(lambda: chats(OPENID))
    number = chats(OPENID)[0].id
    event: dict[str, Any] = {"Event": "TEMPLATESENDJOBFINISH", "MsgID": int(number), "Status": "success"}
    push = world.gw.sandbox.wechat.pusher.push
    if early:
        await push(OPENID, "event", event)
    world.gw.fate("wechat", OPENID, Fate.NO_RECEIPT)
    await world.core.age(sent, UNKNOWN_S)
    found = await world.core.when(sent, lambda m: m.attempts[0].provider_id)
    assert found.attempts[0].provider_id == number
    if not early:
        await push(OPENID, "event", event)
    ended = await world.core.ended(sent)
    assert (ended.verdict.state, ended.verdict.channel, len(ended.attempts)) == ("reached", "wechat", 1)
    assert copies(world, "wechat") == 1


async def test_a_mail_is_repeated_once_under_the_same_message_id(world: World) -> None:
    """SMTP can't be asked; whoever sorts the mail can see that it is the same one."""
    sent = await world.unknown("email", MAIL, Fate.UNKNOWN)
    await world.core.when(sent, lambda m: len(m.attempts) == 2)
    await until(lambda: len(world.gw.sandbox.world.mails(MAIL)) == 2)
    mails = world.gw.sandbox.world.mails(MAIL)
    assert len({dict(mail.headers)["Message-ID"] for mail in mails}) == 1
    await world.core.when(sent, lambda m: m.attempts[1].lease_until < m.attempts[1].started_at + 6000)
    await world.core.age(sent, UNKNOWN_S)
    found = await world.core.when(sent, lambda m: m.attempts[1].status == "unknown")
    await world.core.age(sent, 100)
    await until(lambda: _rests(world, sent))
    assert len((await world.core.message(sent)).attempts) == 2, "once"
    assert copies(world, "email") == 2 <= 1 + sum("unknown" in a.times for a in found.attempts), "G4"


async def _rests(world: World, message: str) -> bool:
    """Nothing is under way, and nothing stands in line: it waits for its step to end."""
    wake = await world.core.wake(message)
    far = wake is not None and wake > world.core.gateway.clock.now() + 60_000
    return far and not await world.core.line(message, "email", "normal")


async def test_what_is_never_repeated_waits_for_news(world: World) -> None:
    sent = await world.unknown("sms", PHONE, Fate.UNKNOWN, "survey")
    held = await world.core.when(sent, lambda m: m.held)
    assert held.held is not None
    assert (held.held.code, asked(held.attempts[0])) == ("unknown_outcome", ("unknown", 0))
    assert await world.status_callback("sms", f"status/{sent}/a1", MessageSid="SM1", MessageStatus="delivered") < 300
    assert (await world.core.ended(sent)).verdict.state == "reached"
    assert copies(world, "sms") == 1
