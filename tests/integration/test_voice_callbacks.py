from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.channels.base import Deps, Forged, Malformed, Reply
from gateway.channels.voice import Voice
from gateway.message import Fault, Receipt
from gateway.news import absorb, level_of
from gateway.prompts import Option, Prompt
from tests.support import twilio_carrier as twilio
from tests.support.spoken import said, spoken, verbs
from tests.support.twilio_carrier import ACCOUNT, CALL_SID, NOW, PERSON, PUBLIC, SENDER, Answer, Carrier

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


# Status callbacks


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"CallStatus": "queued"}, {"status": "accepted"}),
        ({"CallStatus": "initiated"}, {"status": "accepted"}),
        ({"CallStatus": "ringing", "SequenceNumber": "1"}, {"status": "sent"}),
        ({"CallStatus": "in-progress"}, {"status": "sent"}),
        ({"CallStatus": "completed", "CallDuration": "61", "SipResponseCode": "200"}, {"status": "sent", "ended": True, "units": 2}),
        ({"CallStatus": "completed", "AnsweredBy": "machine_end_beep"}, {"status": "sent", "ended": True, "answered_by": "machine"}),
        ({"CallStatus": "busy", "SipResponseCode": "486"}, {"status": "failed", "ended": True, "fault": Fault.BUSY, "provider_code": "486"}),
        ({"CallStatus": "no-answer", "CallDuration": "0"}, {"status": "failed", "ended": True, "fault": Fault.NO_ANSWER}),
        ({"CallStatus": "canceled"}, {"status": "failed", "ended": True, "fault": Fault.CANCELED}),
        ({"CallStatus": "failed", "SipResponseCode": "404"}, {"status": "failed", "ended": True, "fault": Fault.BAD_ADDRESS, "provider_code": "404"}),
        ({"CallStatus": "failed", "SipResponseCode": "484"}, {"status": "failed", "ended": True, "fault": Fault.BAD_ADDRESS, "provider_code": "484"}),
        ({"CallStatus": "failed", "SipResponseCode": "604"}, {"status": "failed", "ended": True, "fault": Fault.BAD_ADDRESS, "provider_code": "604"}),
        ({"CallStatus": "failed", "SipResponseCode": "403"}, {"status": "failed", "ended": True, "fault": Fault.BLOCKED, "provider_code": "403"}),
        ({"CallStatus": "failed", "SipResponseCode": "603"}, {"status": "failed", "ended": True, "fault": Fault.BLOCKED, "provider_code": "603"}),
        ({"CallStatus": "failed", "SipResponseCode": "503"}, {"status": "failed", "ended": True, "fault": Fault.UNREACHABLE, "provider_code": "503"}),
        ({"CallStatus": "failed"}, {"status": "failed", "ended": True, "fault": Fault.UNREACHABLE}),
        ({"CallStatus": "failed", "ErrorCode": "13225"}, {"status": "failed", "ended": True, "fault": Fault.BAD_ADDRESS, "provider_code": "13225"}),
    ],
)  # fmt: skip
async def test_status(voice: Voice, fields: dict[str, str], expected: dict[str, Any]) -> None:
    reading = voice.read(twilio.callback("voice/status/msg-1/a1", CallSid=CALL_SID, fields=fields))
    assert reading.receipts == (("msg-1", Receipt(attempt="a1", at=NOW, provider_id=CALL_SID, **expected)),)
    assert reading.respond(None) == Reply()


async def test_what_is_new_is_reported_and_proves_nothing(voice: Voice) -> None:
    with capture_logs() as logs:
        status = voice.read(twilio.callback("voice/status/msg-1/a1", CallSid=CALL_SID, CallStatus="hovering"))
        machine = voice.read(twilio.callback("voice/amd/msg-1/a1", CallSid=CALL_SID, AnsweredBy="parrot"))
    assert status.receipts[0][1].status == "accepted"
    assert machine.receipts[0][1].answered_by == "unknown"
    assert [entry["event"] for entry in logs] == ["new_provider_status"] * 2


# Who answered


@pytest.mark.parametrize(
    "told, kept",
    [
        ("human", "human"),
        ("machine_start", "machine"),
        ("machine_end_beep", "machine"),
        ("machine_end_silence", "machine"),
        ("machine_end_other", "machine"),
        ("fax", "fax"),
        ("unknown", "unknown"),
    ],
)
async def test_answered_by(voice: Voice, told: str, kept: str) -> None:
    reading = voice.read(twilio.callback("voice/amd/msg-1/a1", CallSid=CALL_SID, AnsweredBy=told))
    ((_, receipt),) = reading.receipts
    assert (receipt.answered_by, receipt.status, receipt.heard) == (kept, "sent", False)
    assert reading.speaks == (("msg-1", "a1") if kept == "machine" else None)
    assert reading.respond(None) == Reply()


async def test_a_machine_hears_one_reading_from_its_beep_on(voice: Voice, carrier: Carrier) -> None:
    carrier.script(Answer(200, twilio.call_resource(status="in-progress")))
    call = twilio.callback("voice/amd/msg-1/a1", CallSid=CALL_SID, AnsweredBy="machine_end_beep")
    for _ in range(3):
        assert voice.read(call).respond(twilio.outbound(prompt=CONFIRM)) == Reply()
    await voice.close()
    (asked,) = carrier.asked
    assert asked.path == f"{CALLS}/{CALL_SID}.json"
    assert verbs(dict(asked.form)["Twiml"]) == ["Say", "Hangup"]
    assert said(dict(asked.form)["Twiml"]) == [twilio.outbound().words.speech]


async def test_a_code_is_never_left_on_a_machine(voice: Voice, carrier: Carrier) -> None:
    carrier.script(Answer(200, twilio.call_resource(status="completed")))
    call = twilio.callback("voice/amd/msg-1/a1", CallSid=CALL_SID, AnsweredBy="machine_end_beep")
    voice.read(call).respond(twilio.outbound(category="code"))
    await voice.close()
    assert carrier.asked[0].form == [("Status", "completed")]


async def test_a_voicemail_that_fails_spoils_nothing(voice: Voice, carrier: Carrier) -> None:
    carrier.script(Answer(drop=True))
    call = twilio.callback("voice/amd/msg-1/a1", CallSid=CALL_SID, AnsweredBy="machine_end_beep")
    assert voice.read(call).respond(twilio.outbound()) == Reply()
    await voice.close()


# Readings and keys


async def test_the_end_of_the_first_reading_is_noted_and_the_second_begins(voice: Voice) -> None:
    reading = voice.read(twilio.callback("voice/reading/msg-1/a1/1", CallSid=CALL_SID, CallStatus="in-progress"))
    assert reading.receipts == (
        ("msg-1", Receipt(attempt="a1", at=NOW, status="sent", heard=True, provider_id=CALL_SID)),
    )
    assert reading.speaks == ("msg-1", "a1")
    reply = reading.respond(twilio.outbound(prompt=CONFIRM))
    assert verbs(reply) == ["Gather", "Say", "Pause", "Say", "Hangup"]
    assert spoken(reply)[0][1]["action"] == f"{PUBLIC}/callbacks/voice/gather/msg-1/a1/2#rc=3&rp=all"


def pressed(voice: Voice, keys: str, number: int = 1) -> Any:
    return voice.read(
        twilio.callback(f"voice/gather/msg-1/a1/{number}", CallSid=CALL_SID, To=PERSON, From=SENDER, Digits=keys)
    )


async def test_a_key_is_an_answer_and_proves_that_the_call_was_heard(voice: Voice) -> None:
    reading = pressed(voice, "1")
    ((message, receipt),) = reading.receipts
    assert (message, receipt.status, receipt.heard) == ("msg-1", "delivered", False)
    (inbound,) = reading.inbound
    assert (inbound.id, inbound.kind, inbound.text) == (f"{CALL_SID}:1:1", "key", "1")
    assert (inbound.sender, inbound.to, inbound.channel) == (PERSON, SENDER, "voice")
    assert (inbound.message, inbound.attempt, inbound.at) == ("msg-1", "a1", NOW)
    assert reading.speaks == ("msg-1", "a1")


CHOICE = Prompt(kind="choice", options=tuple(Option(f"o{n}", f"Option {n}") for n in range(1, 10)))


@pytest.mark.parametrize(
    "prompt, keys, understood",
    [
        (CONFIRM, "1", True),
        (CONFIRM, "9", True),
        (CONFIRM, "7", False),
        (Prompt(kind="yes_no"), "2", True),
        (Prompt(kind="yes_no"), "5", False),
        (Prompt(kind="scale", min=0, max=10), "10", True),
        (Prompt(kind="scale", min=0, max=10), "11", False),
        (Prompt(kind="scale", min=1, max=5), "9", False),
        (CHOICE, "9", True),
        (CHOICE, "0", False),
        (None, "4", True),
    ],
)
async def test_a_key_is_thanked_for_or_asked_again(
    voice: Voice, prompt: Prompt | None, keys: str, understood: bool
) -> None:
    reply = pressed(voice, keys).respond(twilio.outbound(prompt=prompt))
    if understood:
        assert (verbs(reply), said(reply)) == (["Say", "Hangup"], ["Thank you. Goodbye."])
    else:
        assert verbs(reply) == ["Gather", "Say", "Pause", "Say", "Hangup"]
        assert said(reply) == ["That key was not understood.", "Press 1 to confirm that you have heard this."]
        assert spoken(reply)[0][1]["action"].startswith(f"{PUBLIC}/callbacks/voice/gather/msg-1/a1/2#")


@pytest.mark.parametrize("keys", ["", " ", "<"])
async def test_no_key_is_no_answer(voice: Voice, keys: str) -> None:
    reading = pressed(voice, keys)
    assert reading.inbound == ()
    assert reading.receipts[0][1].status == "sent"
    assert verbs(reading.respond(twilio.outbound(prompt=CONFIRM)))[0] == "Gather"


async def test_asking_again_ends(voice: Voice) -> None:
    assert verbs(pressed(voice, "7", 4).respond(twilio.outbound(prompt=CONFIRM)))[0] == "Gather"
    assert verbs(pressed(voice, "7", 5).respond(twilio.outbound(prompt=CONFIRM))) == ["Hangup"]


@pytest.mark.parametrize("path", ["gather/msg-1/a1/1", "reading/msg-1/a1/1", "reading/msg-1/a1/0"])
async def test_a_call_whose_words_are_gone_ends(voice: Voice, path: str) -> None:
    reading = voice.read(twilio.callback(f"voice/{path}", CallSid=CALL_SID, Digits="1"))
    assert reading.respond(None) == Reply(content_type="text/xml", body=HANGUP)


async def test_a_third_reading_does_not_exist(voice: Voice) -> None:
    reading = voice.read(twilio.callback("voice/reading/msg-1/a1/2", CallSid=CALL_SID))
    assert verbs(reading.respond(twilio.outbound())) == ["Hangup"]


# News in any order


HEARD = twilio.callback("voice/reading/msg-1/a1/1", CallSid=CALL_SID, now=NOW + 9000)
ENDED = twilio.callback("voice/status/msg-1/a1", CallSid=CALL_SID, CallStatus="completed", now=NOW + 20000)
RANG = twilio.callback("voice/status/msg-1/a1", CallSid=CALL_SID, CallStatus="ringing", now=NOW + 1000)


def amd(answered_by: str) -> Any:
    return twilio.callback("voice/amd/msg-1/a1", CallSid=CALL_SID, AnsweredBy=answered_by, now=NOW + 5000)


@pytest.mark.parametrize(
    "calls, level",
    [
        ([RANG, ENDED], "accepted"),
        ([RANG, amd("human"), ENDED], "accepted"),
        ([RANG, HEARD, ENDED], "accepted"),
        ([RANG, amd("human"), HEARD, ENDED], "delivered"),
        ([RANG, amd("machine_end_beep"), HEARD, ENDED], "accepted"),
        ([RANG, amd("unknown"), HEARD, ENDED], "accepted"),
        ([RANG, amd("fax"), HEARD, ENDED], "accepted"),
    ],
)
async def test_only_a_person_who_heard_it_proves_delivery(voice: Voice, calls: list[Any], level: str) -> None:
    ends: set[bytes] = set()
    for order in itertools.permutations(calls):
        message = twilio.message("voice")
        for call in (*order, order[0]):
            ((_, receipt),) = voice.read(call).receipts
            absorb(message, receipt)
        assert level_of(message.attempts[0]) == level
        assert message.attempts[0].ended
        ends.add(msgspec.json.encode(message.attempts, order="deterministic"))
    assert len(ends) == 1


# Forged and malformed


@pytest.mark.parametrize(
    "kind", ["status/msg-1/a1", "amd/msg-1/a1", "gather/msg-1/a1/1", "reading/msg-1/a1/1", "inbound"]
)
async def test_forged(voice: Voice, kind: str) -> None:
    genuine = twilio.callback(f"voice/{kind}", CallSid=CALL_SID, Digits="1", From=PERSON)
    for changed in (
        msgspec.structs.replace(genuine, headers={"content-type": genuine.headers["content-type"]}),
        msgspec.structs.replace(genuine, body=genuine.body.replace(b"Digits=1", b"Digits=2")),
        msgspec.structs.replace(genuine, url=genuine.url + "?x=1"),
        twilio.callback(f"voice/{kind}", CallSid=CALL_SID, account="AC" + "f" * 32),
    ):
        with pytest.raises(Forged):
            voice.read(changed)


@pytest.mark.parametrize(
    "path", ["gather/msg-1/a1", "reading/msg-1/a1", "status/msg-1/a1/1", "gather/msg-1/a1/one", "gather/msg-1/a1/123", "elsewhere", ""]
)  # fmt: skip
async def test_malformed(voice: Voice, path: str) -> None:
    with pytest.raises(Malformed):
        voice.read(twilio.callback(f"voice/{path}", CallSid=CALL_SID))
    with pytest.raises(Malformed):
        voice.read(twilio.callback("voice/status/msg-1/a1", CallStatus="completed"))
