"""Opting out by SMS, mail and WeChat: at once, on the right scope, whoever owns the address."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest

from tests.contract.waiting import eventually
from tests.contract.wire import path_of
from tests.contract.world import Person, World

LONG = {"step": 600, "within": 900}
OPEN = {"Authorization": None}


async def reasons(w: World, person: Person, category: str = "service") -> dict[str, str]:
    given = {"customer": person.id, "category": category, "content": {"subject": "s", "text": "x"}}
    body = (await w.api("POST", "/v1/messages", given, dry_run="true")).body
    return {one["channel"]: one["why"]["code"] for one in body["skipped"]} | {
        one["channel"]: "" for one in body["route"]
    }


async def ledger(w: World, person: Person) -> list[tuple[str, str, str]]:
    items = (await w.api("GET", f"/v1/customers/{person.id}/consents")).body["items"]
    return [(one["channel"], one["category"], one["state"]) for one in items]


@pytest.mark.parametrize("word", ["STOP", "stop", " Stop. ", "UNSUBSCRIBE", "CANCEL", "QUIT", "END"])
async def test_stop_closes_all_sms_to_that_number_and_nothing_else(w: World, word: str) -> None:
    person = await w.person("sms", "email", "voice")
    await w.send(person, reach=LONG)
    await w.twilio.text(person.number)
    assert (await w.twilio.inbound(person.number, word))[0] == 200
    await eventually(lambda: ledger(w, person), 10)
    for category in ("service", "outage", "code"):
        why = await reasons(w, person, category)
        assert why["sms"] == "opted_out"
        assert (why["email"], why["voice"]) == ("", "")
    assert ("sms", "*", "withdrawn") in await ledger(w, person)


async def test_stop_all_closes_everything(w: World) -> None:
    person = await w.person("sms", "email", "voice")
    await w.send(person, reach=LONG)
    await w.twilio.text(person.number)
    await w.twilio.inbound(person.number, "STOP ALL")
    await eventually(lambda: ledger(w, person), 10)
    assert {one for name, one in (await reasons(w, person)).items() if name in {"sms", "email", "voice"}} == {
        "opted_out"
    }
    assert ("*", "*", "withdrawn") in await ledger(w, person)


async def test_start_lifts_what_stop_closed_and_no_more(w: World) -> None:
    person = await w.person("sms", "email")
    await w.send(person, reach=LONG)
    await w.twilio.text(person.number)
    withdrawn = {"channel": "sms", "category": "survey", "state": "withdrawn", "way": "phone", "wording": "No surveys."}
    await w.api("POST", f"/v1/customers/{person.id}/consents", withdrawn)
    await w.twilio.inbound(person.number, "STOP")
    await eventually(lambda: said(w, person, "service", "opted_out"), 10)
    await w.twilio.inbound(person.number, "START")
    await eventually(lambda: said(w, person, "service", ""), 10)
    assert (await reasons(w, person, "survey"))["sms"] == "opted_out"


async def said(w: World, person: Person, category: str, why: str, channel: str = "sms") -> bool:
    return (await reasons(w, person, category))[channel] == why


async def test_a_withdrawal_follows_the_address_whoever_owns_it(w: World) -> None:
    person = await w.person("sms")
    await w.send(person, reach=LONG)
    await w.twilio.text(person.number)
    await w.twilio.inbound(person.number, "STOP")
    await eventually(lambda: ledger(w, person), 10)
    heir = {"addresses": [{"channel": "sms", "value": person.number}]}
    assert (await w.api("PUT", f"/v1/customers/heir-{person.number[1:]}", heir)).status == 201
    for who in ({"customer": f"heir-{person.number[1:]}"}, {"recipient": heir}):
        given = {**who, "category": "outage", "content": {"text": "x"}}
        body = (await w.api("POST", "/v1/messages", given, dry_run="true")).body
        assert [one["why"]["code"] for one in body["skipped"] if one["channel"] == "sms"] == ["opted_out"]


async def test_a_stop_of_a_number_nobody_wrote_to_still_binds(w: World) -> None:
    person = await w.person("sms")
    await w.twilio.inbound(person.number, "STOP")
    await eventually(lambda: said(w, person, "outage", "opted_out"), 10, "STOP was ignored")


async def test_stop_ends_the_fall_back_by_sms_of_what_is_running(w: World) -> None:
    person = await w.person("voice", "sms", preferences={"channels": ["voice", "sms"]})
    message = await w.send(person, reach={"step": 3, "within": 5})
    await w.twilio.call(person.number)
    await w.twilio.inbound(person.number, "STOP")
    done = await w.done(message)
    assert not [one for one in w.twilio.texts if one.to == person.number]
    assert [one["channel"] for one in done["attempts"]] == ["voice"]


async def test_opt_out_words_win_over_a_text_prompt(w: World) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach=LONG, prompt={"kind": "text", "question": "Tell us."})
    await w.twilio.text(person.number)
    await w.twilio.inbound(person.number, "STOP")
    await eventually(lambda: said(w, person, "outage", "opted_out"), 10)
    assert (await w.get(message))["answer"] is None


async def test_an_opted_out_answer_of_the_provider_is_remembered(w: World) -> None:
    from tests.contract.wire import refused

    person = await w.person("sms", "voice", preferences={"channels": ["sms", "voice"]})
    w.twilio.told[person.number].append(refused(21610))
    message = await w.send(person, reach=LONG)
    await w.twilio.call(person.number)
    assert (await w.get(message))["attempts"][0]["status"] == "failed"
    await eventually(lambda: said(w, person, "service", "opted_out"), 10)


def one_click(mail: EmailMessage) -> str:
    return str(mail["List-Unsubscribe"]).strip("<> ").split(">")[0].removeprefix("<")


@pytest.mark.parametrize("category", ["service", "follow_up", "survey"])
async def test_mails_carry_one_click_and_a_post_withdraws(w: World, category: str) -> None:
    person = await w.person("email", "sms", preferences={"channels": ["email", "sms"]})
    await w.send(person, category=category, reach=LONG)
    raw = await w.mail.raw(person.email)
    line = next(one for one in raw.splitlines() if one.startswith("List-Unsubscribe:"))
    assert line.startswith("List-Unsubscribe: <http"), "RFC 2369: the URL in angle brackets, not an encoded word"
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in raw
    path = path_of(line.partition("<")[2].rstrip("> "))
    assert path.startswith("/u/")
    seen = await w.api("GET", path, headers=OPEN)
    assert seen.status == 200
    assert await ledger(w, person) == [], "GET only shows a page"
    form: dict[str, str | None] = {**OPEN, "Content-Type": "application/x-www-form-urlencoded"}
    for _ in range(2):
        posted = await w.api("POST", path, raw=b"List-Unsubscribe=One-Click", headers=form)
        assert posted.status in {200, 202, 204}
    await eventually(lambda: ledger(w, person), 10)
    assert ("email", category, "withdrawn") in await ledger(w, person)
    assert (await reasons(w, person, category))["email"] == "opted_out"
    assert (await reasons(w, person, "outage"))["email"] == ""


@pytest.mark.parametrize("category", ["code", "reply", "outage"])
async def test_other_mails_carry_none(w: World, category: str) -> None:
    person = await w.person("email")
    await w.send(person, category=category, reach={"until": "accepted"})
    assert (await w.mail.mail(person.email))["List-Unsubscribe"] is None


async def test_unfollowing_closes_wechat(w: World) -> None:
    person = await w.person("wechat", "sms")
    assert (await w.wechat.writes(person.openid, "hello"))[0] == 200
    await w.wechat.post(person.openid, "<MsgType>event</MsgType><Event>unsubscribe</Event>")
    await eventually(lambda: said(w, person, "outage", "opted_out", "wechat"), 10)
    assert (await reasons(w, person, "outage"))["sms"] == ""


async def test_the_ledger_keeps_the_words(w: World) -> None:
    person = await w.person("sms")
    await w.send(person, reach=LONG)
    await w.twilio.text(person.number)
    await w.twilio.inbound(person.number, "Stop")
    await eventually(lambda: ledger(w, person), 10)
    entry: Any = (await w.api("GET", f"/v1/customers/{person.id}/consents")).body["items"][0]
    assert "stop" in entry["wording"].lower()
