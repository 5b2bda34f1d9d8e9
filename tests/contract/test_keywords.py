"""Words people write to steer us: what is understood, what never is, and what is answered."""

from __future__ import annotations

import pytest

from tests.contract.self_service import ledger, open_to, outcome, said
from tests.contract.waiting import eventually
from tests.contract.world import World, fresh

LONG = {"step": 600, "within": 900}

STOPS = [
    "STOP!!!", "ＳＴＯＰ", "s t o p", "“Stop.”", "STOP 🛑", "STOP\u200b", "please stop texting me", "opt out", "Unsubscribe!",
    "退订。", "退訂", "取消订阅", "别再发短信给我", "στοπ", "μη μου στέλνετε", "ΔΙΑΓΡΑΦΗ",
]  # fmt: skip
NEVER = ["don't stop", "dont stop texting me", "stop by my house", "cancel my appointment", "I quit smoking", "the end"]


@pytest.mark.parametrize("words", STOPS)
async def test_a_stop_binds_before_it_is_answered(w: World, words: str) -> None:
    person = await w.person("sms", "email")
    status, text = await w.twilio.inbound(person.number, words)
    assert status == 200
    assert text.count("<Message>") == 1, "confirmed once, in the answer itself"
    entry = (await ledger(w, person))[0]
    assert (entry["channel"], entry["category"], entry["state"]) == ("sms", "*", "withdrawn")
    assert (entry["way"], entry["wording"], entry["address"]) == ("sms_keyword", words, person.number)
    assert await open_to(w, person) == {"email"}


@pytest.mark.parametrize("words", NEVER)
async def test_what_only_mentions_a_stop_word_is_for_a_person_to_read(w: World, words: str) -> None:
    person = await w.person("sms")
    _, text = await w.twilio.inbound(person.number, words)
    assert "<Message>" not in text
    assert await outcome(w, person.number, words) == "doubtful"
    assert await said(w, person) == []


@pytest.mark.parametrize("words", ["STOP ALL", "全部退订", "ΣΤΟΠ ΟΛΑ"])
async def test_stop_all_closes_everything(w: World, words: str) -> None:
    person = await w.person("sms", "email", "voice")
    await w.twilio.inbound(person.number, words)
    assert await said(w, person) == [("*", "*", "withdrawn")]
    for category in ("outage", "code"):
        assert await open_to(w, person, category) == set()


@pytest.mark.parametrize(
    "words, pair",
    [
        ("STOP survey", ("*", "survey")), ("退订调查", ("*", "survey")), ("ΣΤΟΠ έρευνες", ("*", "survey")),
        ("stop ads", ("*", "marketing")), ("stop calling me", ("voice", "*")), ("no more emails", ("email", "*")),
    ],
)  # fmt: skip
async def test_a_kind_or_a_channel_is_stopped_and_nothing_else(w: World, words: str, pair: tuple[str, str]) -> None:
    person = await w.person("sms", "email", "voice")
    await w.twilio.inbound(person.number, words)
    assert await outcome(w, person.number, words) == "consent"
    assert await said(w, person) == [(*pair, "withdrawn")]
    await w.twilio.text(person.number)


async def test_start_survey_lifts_what_stop_survey_closed(w: World) -> None:
    person = await w.person("sms")
    await w.twilio.inbound(person.number, "STOP survey")
    await eventually(lambda: said(w, person), 10)
    await w.twilio.inbound(person.number, "START survey")

    async def lifted() -> bool:
        return await open_to(w, person, "survey") == {"sms"}

    await eventually(lifted, 10)


async def test_what_the_provider_confirmed_is_not_confirmed_again(w: World) -> None:
    person = await w.person("sms")
    for words, kind in (("STOP", "STOP"), ("HELP", "HELP"), ("START", "START")):
        _, text = await w.twilio.inbound(person.number, words, OptOutType=kind)
        assert "<Message>" not in text
        await outcome(w, person.number, words)
    assert w.twilio.count(person.number) == 0
    assert [state for _, _, state in await said(w, person)] == ["granted", "withdrawn"]


async def test_nobody_who_has_stopped_is_answered(w: World) -> None:
    person = await w.person("sms")
    await w.twilio.inbound(person.number, "STOP")
    for words in ("HELP", "PREF", "QUIET 22-7"):
        await w.twilio.inbound(person.number, words)
        await outcome(w, person.number, words)
    assert w.twilio.count(person.number) == 0


@pytest.mark.parametrize("words", ["HELP", "PREF", "LANG el"])
async def test_an_open_question_doesnt_swallow_them(w: World, words: str) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach=LONG, prompt={"kind": "text", "question": "Tell us."})
    await w.twilio.text(person.number)
    await w.twilio.inbound(person.number, words)
    await w.twilio.text(person.number, 2)
    assert (await w.get(message))["answer"] is None


async def test_yes_is_an_answer_while_a_question_is_open(w: World) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach=LONG, prompt={"kind": "yes_no"})
    await w.twilio.text(person.number)
    await w.twilio.inbound(person.number, "YES")
    done = await w.done(message)
    assert done["answer"]["value"] is True
    assert await said(w, person) == []


async def test_order_quiet_hours_and_language_are_set(w: World) -> None:
    person = await w.person("sms", "email", "voice")
    path = f"/v1/customers/{person.id}/preferences"
    for words in ("ORDER sms voice", "QUIET 22-7", "LANG zh-Hant"):
        await w.twilio.inbound(person.number, words)
        await outcome(w, person.number, words)
    await w.twilio.text(person.number, 3)
    kept = (await w.api("GET", path)).body
    assert kept["channels"] == ["sms", "voice"]
    assert kept["quiet_hours"] == {"start": "22:00", "end": "07:00"}
    assert kept["language"] == "zh-Hant"


async def test_a_stranger_changes_nobody_and_gets_no_link(w: World) -> None:
    number = fresh()
    await w.twilio.inbound(number, "hello")
    assert await outcome(w, number, "hello") == "unlinked"
    await w.twilio.inbound(number, "PREF")
    assert "/p/" not in (await w.twilio.text(number)).form["Body"]


async def test_an_inbound_text_is_linked_and_unlinked(w: World) -> None:
    person = await w.person("email")
    number = fresh()
    await w.twilio.inbound(number, "hello")
    await outcome(w, number, "hello")
    items = (await w.api("GET", "/v1/inbound", unlinked="true", limit=100)).body["items"]
    item = next(one["id"] for one in items if one["from"] == number)
    assert (await w.api("POST", f"/v1/inbound/{item}/link", {"customer": "nobody-here"})).status == 422
    assert (await w.api("POST", f"/v1/inbound/{item}/link", {"customer": person.id})).body["customer"] == person.id
    await w.twilio.inbound(number, "it is me")
    assert await outcome(w, number, "it is me") == "linked"
    assert (await w.api("POST", f"/v1/inbound/{item}/unlink")).body["customer"] is None
    await w.twilio.inbound(number, "and now")
    assert await outcome(w, number, "and now") == "unlinked"


async def test_two_machines_dont_keep_each_other_busy(w: World) -> None:
    person = await w.person("sms")
    for hour in range(16):
        await w.twilio.inbound(person.number, f"QUIET {hour}-{hour + 2}")
        await outcome(w, person.number, f"QUIET {hour}-{hour + 2}")
    await w.send(person)
    await eventually(
        lambda: any(one.form["Body"].startswith("Power") for one in w.twilio.texts if one.to == person.number)
    )
    assert w.twilio.count(person.number) <= 13
