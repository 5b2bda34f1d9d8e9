"""People who call the gateway's number: what they hear, what their keys change, and who may change what."""

from __future__ import annotations

import pytest

from tests.contract.self_service import Call, Centre, ledger, open_to, said
from tests.contract.wire import ACCOUNT, SENDER
from tests.contract.world import World, fresh

LONG = {"step": 600, "within": 900}


async def test_an_order_is_chosen_by_keys_and_nothing_changes_before_it_is_saved(w: World) -> None:
    person = await w.person("sms", "voice", "email")
    path = f"/v1/customers/{person.id}/preferences"
    call = await (await Call(w, person.number).ring()).press("1", "2", "2", "9")
    assert not (await w.api("GET", path)).body.get("categories")
    await call.press("1")
    assert (await w.api("GET", path)).body["categories"]["outage"]["channels"] == ["voice"]
    assert await open_to(w, person) == {"voice"}
    assert await open_to(w, person, "service") == {"sms", "voice", "email"}


async def test_no_more_calls_and_back_again(w: World) -> None:
    person = await w.person("sms", "voice")
    call = await (await Call(w, person.number).ring()).press("2")
    assert await open_to(w, person) == {"sms"}
    entry = (await ledger(w, person))[0]
    assert (entry["channel"], entry["state"], entry["way"]) == ("voice", "withdrawn", "voice_ivr")
    assert (entry["address"], "press 2" in entry["wording"]) == (person.number, True)
    await call.press("9")
    assert await open_to(w, person) == {"sms", "voice"}


async def test_everything_is_stopped_only_once_they_are_sure(w: World) -> None:
    person = await w.person("sms", "voice", "email")
    call = await (await Call(w, person.number).ring()).press("3")
    assert await open_to(w, person) == {"sms", "voice", "email"}
    await call.press("#", "3", "1")
    assert await open_to(w, person) == await open_to(w, person, "code") == set()
    await call.press("9")
    assert await open_to(w, person) == {"sms", "voice", "email"}


async def test_the_phone_takes_back_only_what_the_phone_has_stopped(w: World) -> None:
    person = await w.person("sms", "voice")
    page = await Centre.of(w, person)
    await page.switch("survey", "0")
    await (await Call(w, person.number).ring()).press("3", "1", "9")
    assert await open_to(w, person) == {"sms", "voice"}
    assert await open_to(w, person, "survey") == set()


async def test_quiet_hours_by_two_times_of_four_digits(w: World) -> None:
    person = await w.person("sms", "voice")
    call = await (await Call(w, person.number).ring()).press("5", "3", "2200", "0630")
    if (await w.api("GET", f"/v1/customers/{person.id}/preferences")).body.get("quiet_hours") is None:
        await call.press("1")
    kept = (await w.api("GET", f"/v1/customers/{person.id}/preferences")).body
    assert kept["quiet_hours"] == {"start": "22:00", "end": "06:30"}


@pytest.mark.parametrize("key, tongue", [("1", "en"), ("2", "cmn"), ("3", "yue"), ("4", "el")])
async def test_each_language_has_a_voice_of_its_own(w: World, key: str, tongue: str) -> None:
    person = await w.person("voice", locale="el" if key == "1" else "en")
    call = await (await Call(w, person.number).ring()).press("4", key)
    assert {language.partition("-")[0] for language, _ in call.heard} == {tongue}


async def test_who_says_nothing_hears_it_three_times_and_then_good_bye(w: World) -> None:
    person = await w.person("voice")
    call = await Call(w, person.number).ring()
    for _ in range(2):
        assert (await call.wait()).action
    assert not (await call.wait()).action
    assert await said(w, person) == []


@pytest.mark.parametrize("key", ["7", "8", "*", "x", "99999", ""])
async def test_keys_that_mean_nothing_change_nothing(w: World, key: str) -> None:
    person = await w.person("sms", "voice")
    assert (await (await Call(w, person.number).ring()).press(key)).heard
    assert await said(w, person) == []


@pytest.mark.parametrize("number", ["anonymous", "+266696687", "", "sip:bob@example.org", "<Say>"])
async def test_a_withheld_number_is_asked_to_show_itself(w: World, number: str) -> None:
    call = await Call(w, number).ring()
    assert call.heard
    assert not call.action


async def test_a_stranger_may_stop_calls_and_texts_to_the_number(w: World) -> None:
    number = fresh()
    call = await (await Call(w, number).ring()).press("1", "2")
    assert call.heard
    for channel in ("sms", "voice"):
        given = {"recipient": {"addresses": [{"channel": channel, "value": number}]}, "category": "outage"}
        body = (await w.api("POST", "/v1/messages", {**given, "content": {"text": "x"}}, dry_run="true")).body
        assert [one["why"]["code"] for one in body["skipped"] if one["channel"] == channel] == ["opted_out"]


async def test_a_missed_call_is_heard_and_answered_by_calling_back(w: World) -> None:
    person = await w.person("voice")
    message = await w.send(person, "Water cut in Kypseli.", reach=LONG, prompt={"kind": "acknowledge"})
    await w.twilio.report(await w.twilio.call(person.number), "no-answer")
    await w.when(message, lambda one: one["attempts"][0]["status"] == "failed")
    call = await Call(w, person.number).ring()
    assert "Water cut in Kypseli." in call.words
    await call.press("1")
    done = await w.done(message)
    assert (done["verdict"]["level"], done["answer"]["channel"]) == ("acknowledged", "voice")


async def test_neither_codes_nor_what_was_meant_for_elsewhere_are_read_out(w: World) -> None:
    person = await w.person("sms", "voice", name="Maria Unspoken")
    await w.send(person, "Your code is 123456.", category="code", reach={"step": 600, "within": 600})
    await w.twilio.text(person.number)
    call = await Call(w, person.number).ring()
    assert "123456" not in call.words
    assert "Unspoken" not in call.words


async def test_a_borrowed_number_is_a_strangers(w: World) -> None:
    person = await w.person("sms", "voice")
    call = await Call(w, person.number, StirVerstat="TN-Validation-Failed-A").ring()
    await call.press("1", "3", "1")
    assert ("*", "*", "withdrawn") not in await said(w, person)


async def test_forged_calls_are_refused(w: World) -> None:
    person = await w.person("voice")
    call = await Call(w, person.number).ring()
    fields = {**call.fields, "Digits": "2"}
    assert (await w.twilio.post(call.action, fields, signature="forged"))[0] == 403
    assert (await w.twilio.post(call.action, {**fields, "AccountSid": "AC" + "1" * 32}))[0] == 403
    elsewhere = {"AccountSid": ACCOUNT, "CallSid": call.fields["CallSid"], "From": person.number, "To": SENDER}
    assert (await w.twilio.post(w.twilio.public + "/callbacks/voice/inbound", elsewhere, signature=""))[0] == 403
    assert await said(w, person) == []
