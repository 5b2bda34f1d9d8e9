from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.channels.base import Absent, Accepted, Deps, Outbound, Refused, Unknown
from gateway.channels.voice import Voice
from gateway.message import Cost, Fault
from gateway.prompts import Prompt
from gateway.settings import ChannelSettings
from gateway.settings import Voice as Speaker
from tests.support import twilio_carrier as twilio
from tests.support.spoken import said, spoken, verbs
from tests.support.twilio_carrier import ACCOUNT, CALL_SID, PERSON, PUBLIC, SENDER, TOKEN, Answer, Carrier

CONFIRM = Prompt(kind="acknowledge")
HANGUP = '<?xml version="1.0" encoding="UTF-8"?><Response><Hangup /></Response>'
CALLS = f"/2010-04-01/Accounts/{ACCOUNT}/Calls"


@pytest.fixture
async def carrier() -> AsyncIterator[Carrier]:
    async with twilio.carrier() as made:
        yield made


@pytest.fixture
async def deps() -> AsyncIterator[Deps]:
    async with twilio.deps() as made:
        yield made


@pytest.fixture
async def voice(carrier: Carrier, deps: Deps, tmp_path: Path) -> AsyncIterator[Voice]:
    made = build(carrier.url, deps, tmp_path)
    yield made
    await made.close()


def build(api_base: str, deps: Deps, folder: Path, **more: Any) -> Voice:
    made = Voice.build(twilio.settings(api_base, folder, **more), deps)
    assert made is not None
    return made


# Sending


async def test_a_call_is_taken(voice: Voice, carrier: Carrier) -> None:
    carrier.script(Answer(body=twilio.call_resource()))
    assert await voice.send(twilio.outbound(prompt=CONFIRM)) == Accepted(provider_id=CALL_SID)
    (asked,) = carrier.asked
    assert (asked.method, asked.path) == ("POST", f"{CALLS}.json")
    assert [value for name, value in asked.form if name == "StatusCallbackEvent"] == [
        "initiated",
        "ringing",
        "answered",
        "completed",
    ]
    form = {name: value for name, value in asked.form if name not in ("StatusCallbackEvent", "Twiml")}
    assert form == {
        "To": PERSON,
        "From": SENDER,
        "Timeout": "25",
        "TimeLimit": "150",
        "StatusCallback": f"{PUBLIC}/callbacks/voice/status/msg-1/a1#rc=3&rp=all",
        "MachineDetection": "DetectMessageEnd",
        "AsyncAmd": "true",
        "AsyncAmdStatusCallback": f"{PUBLIC}/callbacks/voice/amd/msg-1/a1#rc=3&rp=all",
    }


async def test_the_first_reading_asks_for_a_key_and_leads_to_the_second(voice: Voice, carrier: Carrier) -> None:
    carrier.script(Answer(body=twilio.call_resource()))
    await voice.send(twilio.outbound(prompt=CONFIRM))
    speaks = {"voice": "Polly.Joanna-Neural", "language": "en-US"}
    assert spoken(dict(carrier.asked[0].form)["Twiml"]) == [
        (
            "Gather",
            {
                "input": "dtmf",
                "numDigits": "1",
                "timeout": "8",
                "finishOnKey": "",
                "action": f"{PUBLIC}/callbacks/voice/gather/msg-1/a1/1#rc=3&rp=all",
                "method": "POST",
            },
            "",
        ),
        ("Say", speaks, "This is the electricity company. There is a power cut in Kypseli & around, until 18:00."),
        ("Pause", {"length": "1"}, ""),
        ("Say", speaks, "Press 1 to confirm that you have heard this."),
        ("Redirect", {"method": "POST"}, f"{PUBLIC}/callbacks/voice/reading/msg-1/a1/1#rc=3&rp=all"),
    ]


@pytest.mark.parametrize(
    "prompt, keys, ends_with",
    [
        (None, "1", ""),
        (Prompt(kind="scale", min=1, max=5), "1", ""),
        (Prompt(kind="scale", min=0, max=9), "1", ""),
        (Prompt(kind="scale", min=0, max=10), "2", "#"),
    ],
)
async def test_keys_by_prompt(voice: Voice, carrier: Carrier, prompt: Prompt | None, keys: str, ends_with: str) -> None:
    carrier.script(Answer(body=twilio.call_resource()))
    await voice.send(twilio.outbound(prompt=prompt))
    gather = spoken(dict(carrier.asked[0].form)["Twiml"])[0][1]
    assert (gather["numDigits"], gather["finishOnKey"]) == (keys, ends_with)


async def test_words_too_long_for_the_request_are_fetched(voice: Voice, carrier: Carrier) -> None:
    words = msgspec.structs.replace(twilio.outbound().words, speech="Power is out. " * 300)
    out = twilio.outbound(words=words)
    carrier.script(Answer(body=twilio.call_resource()))
    await voice.send(out)
    form = dict(carrier.asked[0].form)
    assert "Twiml" not in form
    assert form["Url"] == f"{PUBLIC}/callbacks/voice/reading/msg-1/a1/0#rc=3&rp=all"
    reading = voice.read(twilio.callback("voice/reading/msg-1/a1/0", CallSid=CALL_SID, CallStatus="in-progress"))
    assert reading.receipts[0][1].heard is False
    assert verbs(reading.respond(out)) == ["Gather", "Say", "Pause", "Say", "Redirect"]


async def test_control_characters_never_reach_the_xml(voice: Voice, carrier: Carrier) -> None:
    words = msgspec.structs.replace(twilio.outbound().words, speech="a\x00b\x0b<Hangup/>\ufffe\ud800&", asks="\x1b")
    carrier.script(Answer(body=twilio.call_resource()))
    await voice.send(twilio.outbound(words=words))
    assert said(dict(carrier.asked[0].form)["Twiml"])[0] == "ab<Hangup/>&"


async def test_text_is_read_where_no_speech_was_written(voice: Voice, carrier: Carrier) -> None:
    words = msgspec.structs.replace(twilio.outbound().words, speech="", asks="")
    carrier.script(Answer(body=twilio.call_resource()))
    await voice.send(twilio.outbound(words=words))
    assert said(dict(carrier.asked[0].form)["Twiml"]) == ["Power cut in Kypseli until 18:00."]


async def test_no_voice_no_call(voice: Voice, carrier: Carrier) -> None:
    words = msgspec.structs.replace(twilio.outbound().words, language="sw")
    result = await voice.send(twilio.outbound(words=words))
    assert isinstance(result, Refused)
    assert result.fault is Fault.MISCONFIGURED
    assert carrier.asked == []


@pytest.mark.parametrize(
    "answer, expected",
    [
        (twilio.refusal(429, 20429, **{"Retry-After": "7"}), (Fault.THROTTLED, 7)),
        (twilio.refusal(400, 10004), (Fault.THROTTLED, None)),
        (twilio.refusal(400, 21217), (Fault.BAD_ADDRESS, None)),
        (twilio.refusal(400, 21215), (Fault.MISCONFIGURED, None)),
        (Answer(403, ""), (Fault.ACCOUNT_SHUT, None)),
        (Answer(503, ""), None),
        (Answer(201, "<Response/>"), None),
        (Answer(201, "{}"), None),
        (Answer(drop=True), None),
    ],
)
async def test_every_other_answer(
    voice: Voice, carrier: Carrier, answer: Answer, expected: tuple[Fault, int | None] | None
) -> None:
    carrier.script(answer)
    result = await voice.send(twilio.outbound())
    got = (result.fault, result.retry_after) if isinstance(result, Refused) else result
    assert got == expected if expected else isinstance(result, Unknown)
    assert len(carrier.asked) == 1


async def test_a_refused_connection_was_not_a_request(deps: Deps, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        voice = build(f"http://127.0.0.1:{unused.getsockname()[1]}", deps, tmp_path)
        result = await voice.send(twilio.outbound())
    assert isinstance(result, Refused)
    assert result.fault is Fault.UNAVAILABLE


async def test_silence_after_the_request_is_unknown(carrier: Carrier, deps: Deps, tmp_path: Path) -> None:
    carrier.script(Answer(hang=True))
    voice = build(carrier.url, deps, tmp_path, timeout=0.2)
    assert await voice.send(twilio.outbound()) == Unknown(detail="TimeoutError")


async def test_no_channel_without_a_number(deps: Deps, tmp_path: Path) -> None:
    bare = twilio.settings("http://127.0.0.1", tmp_path)
    assert bare.twilio is not None
    without = msgspec.structs.replace(bare.twilio, voice_from=None)
    assert Voice.build(msgspec.structs.replace(bare, twilio=None), deps) is None
    assert Voice.build(msgspec.structs.replace(bare, twilio=without), deps) is None


# Looking afterwards, and calling off


@pytest.mark.parametrize(
    "listed, expected",
    [
        ([], Absent()),
        ([twilio.call_resource(status="ringing")], Accepted(provider_id=CALL_SID, status="sent")),
        (
            [twilio.call_resource(status="completed", price="-0.02")],
            Accepted(provider_id=CALL_SID, status="sent", cost=Cost("0.02", "USD", "provider")),
        ),
        ([twilio.call_resource(direction="inbound")], Absent()),
        ([twilio.call_resource(**{"from": "+15005550006"})], Absent()),
        ([twilio.call_resource(date_created="Sun, 22 Nov 2026 07:00:00 +0000")], Absent()),
        ([twilio.call_resource(), twilio.call_resource(sid="CA" + "1" * 32)], Unknown(detail="several calls to that number at that time")),
    ],
)  # fmt: skip
async def test_a_lost_call_is_looked_for(
    voice: Voice, carrier: Carrier, listed: list[dict[str, Any]], expected: object
) -> None:
    carrier.script(twilio.page("calls", *listed))
    assert await voice.find(twilio.outbound(), twilio.attempt("voice")) == expected
    assert dict(carrier.asked[0].query)["To"] == PERSON


async def test_an_unanswered_question_stays_open(voice: Voice, carrier: Carrier) -> None:
    carrier.script(Answer(500, ""))
    assert isinstance(await voice.find(twilio.outbound(), twilio.attempt("voice")), Unknown)


@pytest.mark.parametrize("answer", [Answer(200, twilio.call_resource(status="canceled")), twilio.refusal(400, 21220)])
async def test_an_unanswered_call_is_called_off(voice: Voice, carrier: Carrier, answer: Answer) -> None:
    carrier.script(answer)
    ringing = twilio.attempt("voice")
    ringing.provider_id = CALL_SID
    await voice.recall(ringing)
    (asked,) = carrier.asked
    assert (asked.method, asked.path, asked.form) == ("POST", f"{CALLS}/{CALL_SID}.json", [("Status", "canceled")])


async def test_a_call_without_an_id_cannot_be_called_off(voice: Voice, carrier: Carrier) -> None:
    await voice.recall(twilio.attempt("voice"))
    assert carrier.asked == []


# Voices


async def test_the_operators_voice_is_heard(carrier: Carrier, deps: Deps, tmp_path: Path) -> None:
    settings = twilio.settings(carrier.url, tmp_path)
    channels = {"voice": ChannelSettings(voices={"en": Speaker("Polly.Amy-Neural", "en-GB")})}
    voice = Voice.build(msgspec.structs.replace(settings, channels=channels), deps)
    assert voice is not None
    carrier.script(Answer(body=twilio.call_resource()))
    await voice.send(twilio.outbound())
    assert spoken(dict(carrier.asked[0].form)["Twiml"])[1][1] == {"voice": "Polly.Amy-Neural", "language": "en-GB"}


# Secrets


async def test_nothing_secret_or_personal_is_logged(
    voice: Voice, carrier: Carrier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    carrier.script(
        Answer(body=twilio.call_resource()),
        twilio.refusal(400, 21217, f"{PERSON} {TOKEN}"),
        Answer(drop=True),
        Answer(503, PERSON),
        twilio.refusal(404, 20404, PERSON),
    )
    out: Outbound = twilio.outbound(prompt=CONFIRM)
    with capture_logs() as logs:
        results: list[object] = [await voice.send(out) for _ in range(3)]
        results.append(await voice.find(out, twilio.attempt("voice")))
        await asyncio.wait_for(voice.leave_voicemail(CALL_SID, out), 10)
    told = repr(logs) + caplog.text + repr(results)
    for secret in (PERSON, PERSON[1:], TOKEN, "Kypseli"):
        assert secret not in told
