"""Somebody calls our number: who it is, which keys they press, and what they hear, as Twilio writes and reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.channels.base import Deps, Dialled, Line, Speech
from gateway.channels.voice import Voice
from tests.support import twilio_carrier as twilio
from tests.support.spoken import spoken, verbs
from tests.support.twilio_carrier import CALL_SID, NOW, PERSON, PUBLIC, SENDER


@pytest.fixture
async def deps() -> AsyncIterator[Deps]:
    async with twilio.deps() as made:
        yield made


@pytest.fixture
async def voice(deps: Deps, tmp_path: Path) -> AsyncIterator[Voice]:
    made = Voice.build(twilio.settings("http://127.0.0.1:9", tmp_path), deps)
    assert made is not None
    yield made
    await made.close()


async def test_someone_calls_us(voice: Voice) -> None:
    reading = voice.read(
        twilio.callback("voice/inbound", CallSid=CALL_SID, From=PERSON, To=SENDER, CallStatus="ringing")
    )
    (inbound,) = reading.inbound
    assert (inbound.id, inbound.kind, inbound.sender, inbound.to) == (CALL_SID, "call", PERSON, SENDER)
    assert reading.dialled == Dialled(call=CALL_SID, caller=PERSON, at=NOW)


@pytest.mark.parametrize(
    "said", ["", "Anonymous", "anonymous", "+266696687", "266696687", "sip:ana@example.org", "client:ana", "+1"]
)
async def test_a_withheld_number_is_nobody(voice: Voice, said: str) -> None:
    reading = voice.read(twilio.callback("voice/inbound", CallSid=CALL_SID, From=said, To=SENDER))
    assert reading.inbound == ()
    assert reading.dialled is not None
    assert reading.dialled.caller is None


async def test_keys_come_back_with_the_place_they_were_asked_at(voice: Voice) -> None:
    reading = voice.read(
        twilio.callback("voice/menu/main.zh-Hant.3.0.all.sv...", CallSid=CALL_SID, From=PERSON, Digits="1w#")
    )
    assert reading.inbound == ()
    assert reading.dialled == Dialled(
        call=CALL_SID, caller=PERSON, at=NOW, state="main.zh-Hant.3.0.all.sv...", keys="1#"
    )


async def test_a_borrowed_number_is_not_trusted(voice: Voice) -> None:
    for verdict, trusted in (
        ("TN-Validation-Passed-A", True),
        ("TN-Validation-Failed-C", False),
        ("No-TN-Validation", True),
    ):
        reading = voice.read(twilio.callback("voice/inbound", CallSid=CALL_SID, From=PERSON, StirVerstat=verdict))
        assert reading.dialled is not None
        assert reading.dialled.trusted is trusted


async def test_each_line_is_spoken_in_its_own_voice(voice: Voice) -> None:
    reading = voice.read(twilio.callback("voice/inbound", CallSid=CALL_SID, From=PERSON))
    lines = tuple(Line(tag, f"Line <{tag}>") for tag in ("en-GB", "zh-Hans", "zh-TW", "zh-HK", "el-CY", "tlh"))
    document = spoken(reading.speak(Speech(lines=lines, keys=4, state="quiet_from.en.1.0.all....")))
    gather, redirect = (next(found for name, found, _ in document if name == kind) for kind in ("Gather", "Redirect"))
    says = [found for found in document if found[0] == "Say"]
    assert [attributes["language"] for _, attributes, _ in says] == [
        "en-US",
        "cmn-CN",
        "cmn-CN",
        "yue-CN",
        "el-GR",
        "en-US",
    ]
    assert gather["action"].startswith(f"{PUBLIC}/callbacks/voice/menu/quiet_from.en.1.0.all....#")
    assert (gather["numDigits"], gather["finishOnKey"], gather["method"]) == ("4", "", "POST")
    assert int(gather["timeout"]) >= 8
    assert redirect["method"] == "POST"
    assert [text for name, _, text in document if name == "Redirect"] == [gather["action"]], "silence comes back too"


async def test_the_last_words_end_the_call(voice: Voice) -> None:
    reading = voice.read(twilio.callback("voice/inbound", CallSid=CALL_SID, From=PERSON))
    assert verbs(reading.speak(Speech(lines=(Line("en", "Goodbye."),), keys=0))) == ["Say", "Hangup"]
