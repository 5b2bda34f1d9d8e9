# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# Twilio's TwiML builder ships no types.
from __future__ import annotations

import asyncio
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.twiml.voice_response import Gather, VoiceResponse

from gateway.sandbox.app import Sandbox
from gateway.sandbox.behaviour import Carrier, Fate, Manner, State
from gateway.sandbox.twiml import TwimlError, parse
from tests.integration.test_sandbox_kit import FROM, Hook, sandbox
from tests.integration.test_sandbox_sms import call, client_of, refused

PHONE = "+447400000123"
EVENTS = ["initiated", "ringing", "answered", "completed"]


def notice(action: str, text: str = "The power will be off. Press 1 to confirm.") -> str:
    response = VoiceResponse()
    for _ in range(2):
        gather = Gather(num_digits=1, timeout=8, finish_on_key="", action=action)
        gather.say(text, voice="Polly.Joanna-Neural", language="en-US")
        response.append(gather)
    response.say("Goodbye.")
    response.hangup()
    return str(response)


async def ring(box: Sandbox, hook: Hook, **change: Any) -> str:
    client = client_of(box)
    asked: dict[str, Any] = {
        "to": PHONE,
        "from_": FROM,
        "twiml": notice(hook.base + "/gather?call=1"),
        "status_callback": hook.base + "/status#rc=3&rp=all",
        "status_callback_event": EVENTS,
        "machine_detection": "DetectMessageEnd",
        "async_amd": "true",
        "async_amd_status_callback": hook.base + "/amd",
        "timeout": 25,
    } | change
    made = await call(lambda: client.calls.create(**asked))
    assert made.status == "queued"
    return str(made.sid)


def statuses(hook: Hook) -> list[str]:
    return [heard.form["CallStatus"] for heard in hook.on("/status")]


async def test_a_person_answers_hears_it_all_and_presses_one() -> None:
    async with sandbox() as (box, hook):
        box.behaviour.manners[PHONE] = Manner(keys="1")
        hook.answers["/gather"] = lambda _: "<Response><Say>Thank you.</Say></Response>"
        sid = await ring(box, hook)
        await box.idle()
        assert statuses(hook) == ["initiated", "ringing", "in-progress", "completed"]
        assert [heard.form["SequenceNumber"] for heard in hook.on("/status")] == ["0", "1", "2", "3"]
        last = hook.on("/status")[-1].form
        assert (last["SipResponseCode"], int(last["CallDuration"]) >= 1, last["CallSid"]) == ("200", True, sid)
        [gathered] = hook.on("/gather")
        assert (gathered.form["Digits"], gathered.form["msg"], gathered.query) == ("1", "Gather End", {"call": "1"})
        [amd] = hook.on("/amd")
        assert (amd.form["AnsweredBy"], amd.form["CallSid"]) == ("human", sid)
        assert all(heard.signed for heard in hook.heard)
        [seen] = box.world.calls(PHONE)
        assert [(line.kind, line.text) for line in seen.lines] == [
            ("say", "The power will be off. Press 1 to confirm."),
            ("key", "1"),
            ("say", "Thank you."),
        ]
        assert (seen.lines[0].voice, seen.lines[0].language) == ("Polly.Joanna-Neural", "en-US")
        found = await call(lambda: client_of(box).calls(sid).fetch())
        assert (found.status, found.answered_by) == ("completed", "human")


async def test_nobody_presses_so_both_readings_and_the_farewell_are_heard() -> None:
    async with sandbox() as (box, hook):
        await ring(box, hook)
        await box.idle()
        assert hook.on("/gather") == []
        assert [line.text for line in box.world.calls(PHONE)[0].lines][-1] == "Goodbye."
        assert len(box.world.calls(PHONE)[0].lines) == 3


@pytest.mark.parametrize(
    "fate,ending,sip",
    [(Fate.RINGS_OUT, "no-answer", "480"), (Fate.UNDELIVERED, "failed", "404")],
)
async def test_calls_that_nobody_takes(fate: Fate, ending: str, sip: str) -> None:
    async with sandbox() as (box, hook):
        box.behaviour.fates[PHONE] = fate
        await ring(box, hook)
        await box.idle()
        assert statuses(hook) == ["initiated", "ringing", ending]
        assert hook.on("/status")[-1].form["SipResponseCode"] == sip
        assert hook.on("/status")[-1].form["CallDuration"] == "0"


async def test_a_machine_answers_and_is_found_out() -> None:
    async with sandbox() as (box, hook):
        await ring(box, hook, to="+447400000005")
        await box.idle()
        assert [heard.form["AnsweredBy"] for heard in hook.on("/amd")] == ["machine_end_beep"]
        assert hook.on("/gather") == []
        assert hook.on("/status")[-1].form["AnsweredBy"] == "machine_end_beep"


async def test_detection_that_is_not_aside_comes_before_the_document() -> None:
    async with sandbox() as (box, hook):
        hook.answers["/voice"] = lambda _: "<Response><Hangup/></Response>"
        change = {"async_amd": "false", "machine_detection": "Enable", "twiml": None, "url": hook.base + "/voice"}
        await ring(
            box,
            hook,
            to="+447400000005",
            **{name: value for name, value in change.items() if value is not None} | {"twiml": _unset()},
        )
        await box.idle()
        assert hook.on("/voice")[0].form["AnsweredBy"] == "machine_start"
        assert hook.on("/amd") == []


def _unset() -> Any:
    from twilio.base import values

    return values.unset


async def test_documents_are_fetched_and_redirects_followed() -> None:
    async with sandbox() as (box, hook):
        box.behaviour.manners[PHONE] = Manner(keys="10,2")
        hook.answers["/start"] = lambda _: (
            '<Response><Gather numDigits="2" action="second?n=2"><Say>How likely?</Say></Gather></Response>'
        )
        hook.answers["/second"] = lambda heard: (
            f"<Response><Redirect>/third?d={heard.form['Digits']}</Redirect></Response>"
        )
        hook.answers["/third"] = lambda _: (
            '<Response><Gather action="/end" actionOnEmptyResult="true"><Pause/></Gather></Response>'
        )
        hook.answers["/end"] = lambda _: "<Response/>"
        await ring(box, hook, twiml=_unset(), url=hook.base + "/start", machine_detection=_unset())
        await box.idle()
        assert [heard.path for heard in hook.heard if heard.path != "/status"] == [
            "/start",
            "/second",
            "/third",
            "/end",
        ]
        assert hook.on("/second")[0].form["Digits"] == "10"
        assert hook.on("/third")[0].query == {"d": "10"}
        assert hook.on("/end")[0].form["Digits"] == "2"
        assert all(heard.signed for heard in hook.heard)


async def test_a_broken_document_ends_the_call_with_an_apology() -> None:
    async with sandbox() as (box, hook):
        hook.answers["/start"] = lambda _: "<Response><Say>oops"
        await ring(box, hook, twiml=_unset(), url=hook.base + "/start")
        await box.idle()
        assert statuses(hook)[-1] == "completed"
        assert "application error" in box.world.calls(PHONE)[0].lines[0].text
        assert "not well-formed" in box.world.problems[0].text


async def test_a_visitor_answers_presses_and_hangs_up() -> None:
    async with sandbox() as (box, hook):
        box.world.device("phone", PHONE).hands_on = True
        hook.answers["/gather"] = lambda _: '<Response><Pause length="1"/><Gather timeout="60"/></Response>'
        sid = await ring(box, hook)
        await box.world.until(lambda: [one.status for one in box.world.calls(PHONE)] == ["ringing"])
        session = box.twilio.calls.sessions[sid]
        session.answer()
        await box.world.until(lambda: bool(box.world.calls(PHONE)[0].lines) and box.world.calls(PHONE)[0].wants_key)
        session.press("1")
        await hook.until(lambda: bool(hook.on("/gather")))
        assert hook.on("/gather")[0].form["Digits"] == "1"
        session.end()
        await box.idle()
        assert statuses(hook)[-1] == "completed"


async def test_the_account_ends_a_ringing_call_and_turns_a_running_one() -> None:
    async with sandbox() as (box, hook):
        client = client_of(box)
        box.world.device("phone", PHONE).hands_on = True
        sid = await ring(box, hook)
        await box.world.until(lambda: [one.status for one in box.world.calls(PHONE)] == ["ringing"])
        with pytest.raises(TwilioRestException, match="not in-progress"):
            await call(lambda: client.calls(sid).update(twiml="<Response/>"))
        await call(lambda: client.calls(sid).update(status="canceled"))
        await box.idle()
        assert statuses(hook)[-1] == "canceled"
        hook.heard.clear()
        sid = await ring(box, hook)
        await box.world.until(lambda: box.world.calls(PHONE)[-1].status == "ringing")
        box.twilio.calls.sessions[sid].answer()
        await box.world.until(lambda: box.world.calls(PHONE)[-1].wants_key)
        await call(lambda: client.calls(sid).update(twiml="<Response><Say>Please call back.</Say></Response>"))
        await box.idle()
        assert box.world.calls(PHONE)[-1].lines[-1].text == "Please call back."
        assert (await call(lambda: client.calls(sid).update(status="completed"))).status == "completed"


async def test_a_person_rings_the_account() -> None:
    async with sandbox() as (box, hook):
        hook.answers["/callbacks/voice/inbound"] = lambda _: "<Response><Say>Welcome.</Say></Response>"
        box.twilio.inbound_call(PHONE, FROM, manner=Manner())
        await box.idle()
        [heard] = hook.heard
        assert heard.signed
        assert (heard.form["From"], heard.form["Direction"]) == (PHONE, "inbound")
        [seen] = box.world.calls(PHONE)
        assert (seen.mine, seen.status, seen.lines[0].text) == (True, "completed", "Welcome.")


async def test_events_may_come_swapped_and_only_those_asked_for() -> None:
    async with sandbox() as (box, hook):
        box.behaviour.reorder = 1.0
        await ring(box, hook, status_callback_event=["answered", "completed"])
        await box.idle()
        assert statuses(hook) == ["completed", "in-progress"]
        assert [heard.form["SequenceNumber"] for heard in hook.on("/status")] == ["1", "0"]


async def test_the_silent_network_and_the_refusing_one() -> None:
    async with sandbox() as (box, hook):
        box.behaviour.switch(Carrier.VOICE, State.SILENT)
        sid = await ring(box, hook)
        await box.idle()
        assert hook.heard == []
        assert (await call(lambda: client_of(box).calls(sid).fetch())).status == "no-answer"
        box.behaviour.switch(Carrier.VOICE, State.REFUSES)
        client = client_of(box)
        assert (await refused(lambda: client.calls(sid).fetch())).status == 503
        box.behaviour.switch(Carrier.VOICE, State.UP)
        assert [one.sid for one in await call(lambda: client.calls.list(to=PHONE))] == [sid]


@pytest.mark.parametrize(
    "change,code",
    [
        ({"to": "12"}, 21217),
        ({"to": "+15005550004"}, 21216),
        ({"to": "+447400000002"}, 21217),
        ({"to": "+447400000003"}, 20429),
        ({"from_": "+15005550001"}, 21212),
        ({"twiml": "<Response>" + " " * 4000}, 20422),
        ({"status_callback": "nonsense"}, 21205),
    ],
)
async def test_what_twilio_refuses(change: dict[str, Any], code: int) -> None:
    async with sandbox() as (box, hook):
        with pytest.raises(TwilioRestException) as caught:
            await ring(box, hook, **change)
        assert caught.value.code == code
        assert box.world.accepted[Carrier.VOICE] == 0


@pytest.mark.parametrize(
    "document", ["", "<Say/>", "<Response><Dial/></Response>", "<Response><Gather><Dial/></Gather></Response>"]
)
def test_documents_that_are_not_understood(document: str) -> None:
    with pytest.raises(TwimlError):
        parse(document)


async def test_a_stopped_sandbox_leaves_nothing_running() -> None:
    async with sandbox() as (box, hook):
        box.world.device("phone", PHONE).hands_on = True
        await ring(box, hook)
        await box.world.until(lambda: bool(box.world.calls(PHONE)))
    left = {task for task in asyncio.all_tasks() if task is not asyncio.current_task() and not task.done()}
    assert not {task for task in left if "sandbox" in repr(task.get_coro())}
