"""Voice: a human or a key is proof, a machine never is."""

from __future__ import annotations

import html
import re

import pytest

from tests.contract.waiting import eventually
from tests.contract.wire import Handed
from tests.contract.world import World

REACH = {"step": 600, "within": 900}


async def reading_heard(w: World, call: Handed) -> None:
    """The person listened to the end of the first reading."""
    found = re.search(r"<Redirect[^>]*>([^<]*)</Redirect>", call.form["Twiml"])
    assert found, call.form
    await w.twilio.post(html.unescape(found[1]), w.twilio.news(call, "in-progress"))


async def test_a_human_who_heard_one_full_reading_is_delivered(w: World) -> None:
    person = await w.person("voice")
    message = await w.send(person, reach=REACH)
    call = await w.twilio.call(person.number)
    await w.twilio.picked_up(call, "human")
    await reading_heard(w, call)
    done = await w.done(message)
    assert (done["verdict"]["state"], done["verdict"]["level"]) == ("reached", "delivered")
    assert done["attempts"][0]["answered_by"] == "human"


async def test_a_human_who_hung_up_before_the_reading_ended_is_not(w: World) -> None:
    person = await w.person("voice", "sms", preferences={"channels": ["voice", "sms"]})
    message = await w.send(person, reach={"step": 3, "within": 60})
    call = await w.twilio.call(person.number)
    await w.twilio.picked_up(call, "human")
    await w.twilio.report(call, "completed", CallDuration="2")
    await w.twilio.text(person.number)
    now = await w.get(message)
    assert now["verdict"]["state"] == "pending"
    assert now["attempts"][0]["status"] != "delivered"


@pytest.mark.parametrize("by", ["machine_end_beep", "machine_end_silence", "machine_end_other", "fax", "unknown"])
async def test_machine_fax_and_unknown_are_never_delivered(w: World, by: str) -> None:
    person = await w.person("voice")
    message = await w.send(person, reach={"step": 1, "within": 5})
    call = await w.twilio.call(person.number)
    await w.twilio.picked_up(call, by)
    await reading_heard(w, call)
    await w.twilio.report(call, "completed", CallDuration="30")
    done = await w.done(message)
    assert done["verdict"]["state"] == "unreached"
    assert done["attempts"][0]["answered_by"] == by.partition("_")[0]
    assert done["attempts"][0]["status"] == "sent"


@pytest.mark.parametrize("by", ["machine_end_beep", "unknown"])
async def test_any_key_is_delivered_whoever_answered(w: World, by: str) -> None:
    person = await w.person("voice")
    message = await w.send(person, reach=REACH)
    call = await w.twilio.call(person.number)
    await w.twilio.picked_up(call, by)
    status, _ = await w.twilio.press(call, "7")
    assert status == 200
    assert (await w.done(message))["verdict"]["state"] == "reached"


async def test_the_right_key_acknowledges(w: World) -> None:
    person = await w.person("voice")
    message = await w.send(person, reach={**REACH, "until": "acknowledged"})
    assert message["prompt"]["kind"] == "acknowledge"
    call = await w.twilio.call(person.number)
    await w.twilio.picked_up(call, "human")
    status, twiml = await w.twilio.press(call, "1")
    assert status == 200
    assert "<Response>" in twiml
    done = await w.done(message)
    assert done["verdict"]["level"] == "acknowledged"
    assert done["answer"]["channel"] == "voice"
    assert done["attempts"][0]["engagement"] in {"acknowledged", "answered"}


async def test_a_wrong_key_is_delivered_but_no_acknowledgement(w: World) -> None:
    person = await w.person("voice")
    message = await w.send(person, reach={**REACH, "until": "acknowledged"})
    call = await w.twilio.call(person.number)
    await w.twilio.picked_up(call, "human")
    _, twiml = await w.twilio.press(call, "8")
    assert "<Gather" in twiml
    now = await w.when(message, lambda one: one["attempts"][0]["status"] == "delivered")
    assert now["verdict"]["state"] == "pending"
    assert now["answer"] is None


async def test_two_digits_where_max_is_over_nine(w: World) -> None:
    person = await w.person("voice")
    message = await w.send(
        person, reach=REACH, prompt={"kind": "scale", "min": 0, "max": 10, "question": "How likely?"}
    )
    call = await w.twilio.call(person.number)
    assert call.attribute("Gather", "numDigits") == "2"
    await w.twilio.picked_up(call, "human")
    await w.twilio.press(call, "10")
    done = await w.when(message, lambda one: one["answer"])
    assert done["answer"]["value"] == 10


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
async def test_nobody_answered_is_a_failure_and_goes_on_at_once(w: World, status: str) -> None:
    person = await w.person("voice", "sms", preferences={"channels": ["voice", "sms"]})
    message = await w.send(person, reach=REACH)
    call = await w.twilio.call(person.number)
    await w.twilio.report(call, "ringing")
    await w.twilio.report(call, status)
    await w.twilio.text(person.number)
    assert (await w.get(message))["attempts"][0]["status"] == "failed"


async def test_cancel_ends_an_unanswered_call(w: World) -> None:
    person = await w.person("voice", "sms", preferences={"channels": ["voice", "sms"]})
    message = await w.send(person, reach=REACH)
    call = await w.twilio.call(person.number)
    await w.when(message, lambda one: one["attempts"] and one["attempts"][0]["status"] == "accepted")
    await w.twilio.report(call, "ringing")
    cancelled = await w.api("POST", f"/v1/messages/{message['id']}/cancel")
    assert cancelled.status in {200, 202}
    ended = await eventually(lambda: [form for sid, form in w.twilio.updates if sid == call.sid], 20, "call goes on")
    assert ended[0]["Status"] in {"canceled", "completed"}
    assert (await w.done(message))["verdict"]["state"] == "cancelled"


async def test_the_key_on_the_phone_says_it_in_the_language_of_the_text(w: World) -> None:
    person = await w.person("voice", locale="el")
    text = {"en": "Power cut.", "el": "Διακοπή ρεύματος."}
    await w.send(person, content={"text": text}, reach={**REACH, "until": "acknowledged"})
    call = await w.twilio.call(person.number)
    assert call.attribute("Say", "language") == "el-GR"
    assert "Διακοπή" in call.form["Twiml"]


async def test_no_voice_for_a_language_skips_voice(w: World) -> None:
    person = await w.person("voice", "sms", locale="cy")
    message = await w.send(person, content={"text": {"cy": "Toriad pŵer."}, "language": "cy"})
    why = {one["channel"]: one["why"]["code"] for one in message["skipped"]}
    assert why["voice"] == "no_voice"
    assert [one["channel"] for one in message["route"]] == ["sms"]


async def test_speech_is_the_part_made_for_voice(w: World) -> None:
    person = await w.person("voice")
    await w.send(person, content={"text": "Written & read", "speech": "Spoken <here> & now"}, reach=REACH)
    call = await w.twilio.call(person.number)
    assert "Spoken &lt;here&gt; &amp; now" in call.form["Twiml"]
    assert "Written" not in call.form["Twiml"]
