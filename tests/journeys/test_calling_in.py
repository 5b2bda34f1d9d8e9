"""Story 2, by telephone: she calls our number and steers with keys alone, in her own language."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway.channels.base import Callback, Reply
from gateway.selfservice.ivr_words import words_in
from gateway.store.pipe import StoreUnavailable
from tests.support.calling import OnThePhone
from tests.support.running import Running, until

PHONE: Final = "+447400000311"
MAIL: Final = "maria@example.org"
ASKS: Final = {"until": "acknowledged", "step": 30, "within": 60}


async def test_she_hears_how_we_reach_her_and_changes_it(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, voice=PHONE, email=MAIL, preferences={"channels": ["sms", "email"]})
    phone = OnThePhone(gw, PHONE)
    await phone.hears("For all messages, we first send you a text, then send you an e-mail.", "press 1")

    await phone.presses("1")
    await phone.hears("For outages, press 2.")
    await phone.presses("2")
    await phone.hears("For a call, press 2.")
    await phone.presses("2", "1", "9")
    await phone.hears("For outages, we first call you, then send you a text.", "We will not use e-mail.", "press 1")
    assert await _preferences(gw) == {"channels": ["sms", "email"]}, "nothing is changed before she says so"
    await phone.presses("1")
    await phone.hears("That is saved.", "For outages, we first call you, then send you a text.")

    assert await _preferences(gw) == {
        "channels": ["sms", "email"],
        "categories": {"outage": {"channels": ["voice", "sms"]}},
    }
    await phone.hangs_up()
    assert await _route(gw, "outage") == ["voice", "sms"]
    assert await _route(gw, "service") == ["sms", "email"]


async def test_she_stops_calls_to_her_number_and_starts_them_again(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, voice=PHONE, preferences={"channels": ["voice", "sms"]})
    phone = OnThePhone(gw, PHONE)
    await phone.presses("2")
    await phone.hears("We will not call this number again.", "For all messages, we send you a text.")
    assert await _route(gw, "outage") == ["sms"]
    [entry] = await _ledger(gw)
    assert (entry["channel"], entry["category"], entry["state"], entry["way"]) == (
        "voice",
        "*",
        "withdrawn",
        "voice_ivr",
    )
    assert entry["wording"] == words_in("en").main.stop_calls
    assert entry["address"] == PHONE

    await phone.presses("2")
    assert len(await _ledger(gw)) == 1, "what is stopped isn't stopped twice"
    await phone.presses("9")
    await phone.hears("What you stopped from this number is open again.")
    await phone.hangs_up()
    assert await _route(gw, "outage") == ["voice", "sms"]
    assert [one["way"] for one in await _ledger(gw)] == ["lifted_by_voice_ivr", "voice_ivr"]


async def test_she_stops_everything_once_she_is_sure(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, voice=PHONE, email=MAIL)
    phone = OnThePhone(gw, PHONE)
    await phone.presses("3")
    await phone.hears("If you are sure, press 1.")
    assert await _route(gw, "outage") == ["sms", "email", "voice"]
    await phone.presses("1")
    await phone.hears("We will send you no more messages.", "At present we send you no messages.")
    await phone.hangs_up()
    assert await _route(gw, "outage") == []


async def test_she_chooses_cantonese_and_quiet_hours(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, voice=PHONE)
    phone = OnThePhone(gw, PHONE)
    await phone.presses("4")
    named = ("For English, press 1.", "普通话请按 2。", "廣東話請按 3。", "Για ελληνικά, πατήστε 4.")
    await phone.hears(*named)
    voices = [phone.voice_of(words) for words in named]
    assert voices == ["en-US", "cmn-CN", "yue-CN", "el-GR"], "each in its own voice"
    await phone.presses("3")
    await phone.hears(words_in("zh-Hant").language.done)
    assert phone.voice_of(words_in("zh-Hant").language.done) == "yue-CN"
    await phone.presses("5", "3", "2230", "0700")
    await phone.hears("免打擾時間是22點30分到7點。")
    await phone.presses("1")
    await phone.hears("已經儲存。")
    await phone.hangs_up()
    assert await _preferences(gw) == {"language": "zh-Hant", "quiet_hours": {"start": "22:30", "end": "07:00"}}


async def test_a_call_back_answers_the_message_that_waits(gw: Running) -> None:
    """Nobody took the call; she sees it missed, calls back, hears the notice and confirms it."""
    await gw.customer("maria", sms=PHONE, preferences={"channels": ["sms"]})
    sent = await gw.send("maria", content={"text": "The power is out in Kypseli."}, reach=ASKS)
    await gw.when(sent["id"], lambda found: found["attempts"])
    phone = OnThePhone(gw, PHONE)
    await phone.hears("We have a message for you.", "The power is out in Kypseli.", "To confirm, press 1.")
    await phone.presses("1")
    await phone.hears("Thank you.", "For all messages, we send you a text.")
    await phone.hangs_up()
    told = await gw.ended(sent["id"])
    assert (told["verdict"]["state"], told["verdict"]["level"]) == ("reached", "acknowledged"), told
    assert (told["answer"]["value"], told["answer"]["channel"]) == (True, "voice")
    later = OnThePhone(gw, PHONE)
    await later.hears("For all messages, we send you a text.")
    assert "We have a message for you." not in later.said, "what is answered isn't asked again"
    await later.hangs_up()


async def test_a_message_for_another_address_is_not_read_out(gw: Running) -> None:
    """Whoever holds the phone hears what was sent to the phone, never what went to her mailbox. Nor any code."""
    await gw.customer(
        "maria",
        email=MAIL,
        sms=PHONE,
        preferences={"channels": ["email"], "categories": {"code": {"channels": ["sms"]}}},
    )
    mail = await gw.send("maria", content={"subject": "Private", "text": "Your private matter."}, reach=ASKS)
    code = await gw.send("maria", "code", content={"text": "Your code is 123."}, prompt={"kind": "acknowledge"})
    for message in (mail, code):
        await gw.when(message["id"], lambda found: found["attempts"])
    phone = OnThePhone(gw, PHONE)
    await phone.hears("This is", "press 1")
    await phone.presses("0")
    await phone.hears("press 1")
    assert not any("private" in line.text or "code" in line.text for line in phone.call.lines) if phone.call else False
    await phone.hangs_up()


async def test_a_stranger_stops_the_number(gw: Running) -> None:
    phone = OnThePhone(gw, PHONE)
    await phone.hears("We do not know your number.", "For English, press 1.", "Για ελληνικά, πατήστε 4.")
    await phone.presses("4")
    await phone.hears(words_in("el").main.stop_number)
    await phone.presses("2")
    await phone.hears(words_in("el").main.number_stopped)
    await phone.hangs_up()
    await gw.customer("born-later", sms=PHONE, voice=PHONE)
    assert await _route(gw, "outage", "born-later") == [], "the withdrawal follows the number"


async def test_of_two_who_share_a_line_the_one_last_written_to_is_spoken_to(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, preferences={"language": "el"})
    await gw.customer("nikos", sms=PHONE, preferences={"language": "zh-Hans"})
    first = OnThePhone(gw, PHONE)
    await first.hears("We do not know your number.")
    await first.hangs_up()
    await gw.ended((await gw.send("nikos"))["id"])
    second = OnThePhone(gw, PHONE)
    await second.hears(words_in("zh-Hans").main.order)
    await second.hangs_up()


async def test_a_withheld_number_is_told_so_and_an_empty_line_is_left(gw: Running) -> None:
    hidden = OnThePhone(gw, "Anonymous")
    await hidden.hears(words_in("en").withheld)
    await hidden.is_hung_up_on()

    gw.sandbox.clock.patience = 0.02
    await gw.customer("maria", sms=PHONE, voice=PHONE)
    silent = OnThePhone(gw, PHONE)
    await silent.is_hung_up_on()
    lines = [line.text for line in silent.call.lines] if silent.call is not None else []
    assert lines.count(words_in("en").main.order) == 3
    assert lines[-1] == words_in("en").goodbye


async def test_without_redis_the_caller_is_asked_to_call_later(gw: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    await gw.customer("maria", sms=PHONE, voice=PHONE, preferences={"language": "el"})
    phone = OnThePhone(gw, PHONE)
    await phone.hears(words_in("el").main.order)
    monkeypatch.setattr(gw.service.gateway.customers, "owners", away)
    await phone.presses("1")
    await phone.hears(words_in("el").later)
    await phone.is_hung_up_on()
    assert gw.sandbox.world.problems == type(gw.sandbox.world.problems)(maxlen=50), "no request failed at the carrier"


async def test_test_callers_change_nothing(gw: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await gw.customer("maria", sms=PHONE, voice=PHONE)
    gateway = gw.service.gateway

    async def as_test(channel: str, call: Callback) -> Reply:
        return await gateway.test_callbacks.handle(channel, call)

    monkeypatch.setattr(gateway.callbacks, "handle", as_test)
    phone = OnThePhone(gw, PHONE)
    await phone.presses("2", "5", "1")
    await phone.hangs_up()
    assert await _ledger(gw) == []
    assert await _preferences(gw) == {}


async def test_the_call_itself_is_on_record(gw: Running) -> None:
    await gw.customer("maria", voice=PHONE)
    phone = OnThePhone(gw, PHONE)
    await phone.hears("press 1")
    await phone.hangs_up()

    async def called() -> bool:
        found = await gw.service.gateway.customers.load("maria")
        return found is not None and "voice" in found[0].wrote_at

    await until(called)


async def _preferences(gw: Running, customer: str = "maria") -> Any:
    answer = await gw.api("GET", f"/v1/customers/{customer}/preferences")
    return {name: value for name, value in answer.body.items() if value is not None}


async def _ledger(gw: Running, customer: str = "maria") -> list[dict[str, Any]]:
    return (await gw.api("GET", f"/v1/customers/{customer}/consents")).body["items"]


async def _route(gw: Running, category: str, customer: str = "maria") -> list[str]:
    body = {"customer": customer, "category": category, "content": {"subject": "News", "text": "The power is out."}}
    answer = await gw.api("POST", "/v1/messages?dry_run=true", body)
    assert answer.status == 200, answer
    return [step["channel"] for step in answer.body["route"]]
