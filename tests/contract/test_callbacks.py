"""Callbacks: each is verified, repeats and disorder change nothing, and news in new words breaks nothing."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urldefrag

import pytest

from tests.contract.waiting import eventually
from tests.contract.wire import ACCOUNT
from tests.contract.world import World

LONG = {"step": 600, "within": 900}


@pytest.mark.parametrize("signature", ["", "x", "é".encode().decode("latin-1"), "AAAAAAAAAAAAAAAAAAAAAAAAAAA="])
async def test_a_forged_receipt_changes_nothing(w: World, signature: str) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach=LONG)
    text = await w.twilio.text(person.number)
    status, _ = await w.twilio.post(text.form["StatusCallback"], w.twilio.news(text, "delivered"), signature=signature)
    assert status in {400, 401, 403}
    await w.twilio.report(text, "sent")
    now = await w.when(message, lambda one: one["attempts"] and one["attempts"][0]["status"] == "sent")
    assert now["verdict"]["state"] == "pending"


async def test_no_signature_at_all(w: World) -> None:
    person = await w.person("sms")
    await w.send(person, reach=LONG)
    text = await w.twilio.text(person.number)
    url = urldefrag(text.form["StatusCallback"]).url
    for kind, raw in (
        ("application/x-www-form-urlencoded", b"MessageStatus=delivered"),
        ("application/json", b"{}"),
        ("text/xml", b"<a/>"),
    ):
        answer = await w.api("POST", url.removeprefix(w.twilio.public), raw=raw, headers={"Content-Type": kind})
        assert answer.status in {400, 401, 403, 415}
    for path in ("/callbacks/sms/inbound", "/callbacks/voice/inbound", "/callbacks/wechat"):
        answer = await w.api("POST", path, raw=b"<xml></xml>", headers={"Content-Type": "text/xml"})
        assert answer.status in {400, 401, 403, 415}, path


async def test_a_receipt_signed_for_another_attempt_or_account(w: World) -> None:
    one, two = await w.person("sms"), await w.person("sms")
    first, second = await w.send(one, reach=LONG), await w.send(two, reach=LONG)
    mine, other = await w.twilio.text(one.number), await w.twilio.text(two.number)
    status, _ = await w.twilio.post(
        mine.form["StatusCallback"], {**w.twilio.news(mine, "delivered"), "AccountSid": "AC" + "f" * 32}
    )
    assert status in {400, 401, 403}
    url = other.form["StatusCallback"]
    await w.twilio.post(url, w.twilio.news(other, "sent"))
    await w.when(second, lambda message: message["attempts"][0]["status"] == "sent")
    assert (await w.get(first))["attempts"][0]["status"] in {"started", "accepted"}
    assert ACCOUNT


async def test_repeats_at_once_are_one(w: World) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach=LONG)
    text = await w.twilio.text(person.number)
    answers = await asyncio.gather(*(w.twilio.report(text, "delivered") for _ in range(8)))
    assert {status for status, _ in answers} == {200}
    done = await w.done(message)
    assert len(done["attempts"]) == 1
    assert done["verdict"]["late"] is False


@pytest.mark.parametrize(
    "fields",
    [{"MessageStatus": "teleported"}, {"ErrorCode": "x" * 400}, {"MessageSid": "SM" + "0" * 32}, {"Price": "a lot"}],
)
async def test_odd_news_is_taken_and_breaks_nothing(w: World, fields: dict[str, str]) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach=LONG)
    text = await w.twilio.text(person.number)
    status, _ = await w.twilio.post(text.form["StatusCallback"], {**w.twilio.news(text, "sent"), **fields})
    assert status < 500
    await w.twilio.report(text, "delivered")
    assert (await w.done(message))["verdict"]["state"] == "reached"


async def test_callbacks_for_messages_that_never_were(w: World) -> None:
    url = w.twilio.public + "/callbacks/sms/status/m1nope/a1"
    status, _ = await w.twilio.post(url, {"AccountSid": ACCOUNT, "MessageSid": "SM1", "MessageStatus": "delivered"})
    assert status < 500
    assert (await w.api("GET", "/healthz")).status == 200


async def test_wechat_echo(w: World) -> None:
    import hashlib
    import time

    from tests.contract.wire_other import WECHAT_TOKEN

    at, nonce = str(int(time.time())), "n1"
    good = hashlib.sha1("".join(sorted((WECHAT_TOKEN, at, nonce))).encode(), usedforsecurity=False).hexdigest()
    echo = await w.api(
        "GET",
        "/callbacks/wechat",
        headers={"Authorization": None},
        signature=good,
        timestamp=at,
        nonce=nonce,
        echostr="4711",
    )
    assert (echo.status, echo.text) == (200, "4711")
    bad = await w.api(
        "GET",
        "/callbacks/wechat",
        headers={"Authorization": None},
        signature="0" * 40,
        timestamp=at,
        nonce=nonce,
        echostr="4711",
    )
    assert bad.status in {400, 401, 403}


async def test_forged_wechat_events_change_nothing(w: World) -> None:
    person = await w.person("wechat")
    status, _ = await w.wechat.post(person.openid, "<MsgType>event</MsgType><Event>unsubscribe</Event>", token="other")
    assert status in {400, 401, 403}
    assert (await w.api("GET", f"/v1/customers/{person.id}/consents")).body["items"] == []


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<MsgType>event</MsgType>",
        "<MsgType>event</MsgType><Event>new_thing</Event>",
        "</xml><xml>",
        "<MsgType>image</MsgType>",
        '<!DOCTYPE a [<!ENTITY b "c">]>',
    ],
)
async def test_odd_wechat_bodies_are_no_server_error(w: World, inner: str) -> None:
    status, _ = await w.wechat.post("oSomebody", inner)
    assert status < 500


async def test_wechat_refuses_43101_and_the_next_step_comes_at_once(w: World) -> None:
    person = await w.person("wechat", "sms", preferences={"channels": ["wechat", "sms"]})
    w.wechat.told[person.openid].append({"errcode": 43101, "errmsg": "user refuse to accept the msg"})
    content = {"text": "Cut", "wechat": {"template_id": "t1", "data": {"thing1": {"value": "Cut"}}}}
    message = await w.send(person, content=content, reach=LONG)
    await w.twilio.text(person.number)
    first: Any = (await w.get(message))["attempts"][0]
    assert (first["channel"], first["status"], first["provider_code"]) == ("wechat", "failed", "43101")


@pytest.mark.parametrize(
    "status, expected", [("success", "delivered"), ("failed:user block", "failed"), ("failed: system failed", "failed")]
)
async def test_the_event_of_a_template_message_is_its_receipt(w: World, status: str, expected: str) -> None:
    person = await w.person("wechat")
    content = {"text": "Cut", "wechat": {"template_id": "t1", "data": {"thing1": {"value": "Cut"}}}}
    message = await w.send(person, content=content, reach={"step": 30, "within": 60})
    sent = await w.wechat.got(person.openid)
    await w.wechat.finished(person.openid, sent["msgid"], status)
    now = await w.when(message, lambda one: one["attempts"] and one["attempts"][0]["status"] == expected)
    done = await w.done(now)
    assert done["verdict"]["state"] == ("reached" if expected == "delivered" else "unreached")


async def test_a_text_by_wechat_is_never_delivered_but_an_answer_acknowledges(w: World) -> None:
    person = await w.person("wechat")
    await w.wechat.writes(person.openid, "hello")
    given = {"customer": person.id, "category": "outage", "content": {"text": "x"}}

    async def open_now() -> bool:
        return bool((await w.api("POST", "/v1/messages", given, dry_run="true")).body["route"])

    await eventually(open_now, 10)
    message = await w.send(person, reach={**LONG, "until": "acknowledged"})
    await w.wechat.got(person.openid)
    await w.when(message, lambda one: one["attempts"] and one["attempts"][0]["status"] in {"accepted", "sent"})
    await w.wechat.writes(person.openid, "1")
    done = await w.done(message)
    assert (done["verdict"]["level"], done["answer"]["channel"]) == ("acknowledged", "wechat")


async def test_a_mail_refused_for_good_goes_on_at_once_and_the_address_is_remembered(w: World) -> None:
    person = await w.person("email", "sms", preferences={"channels": ["email", "sms"]})
    w.mail.told[person.email].append("550 5.1.1 No such user")
    message = await w.send(person, reach=LONG)
    await w.twilio.text(person.number)
    assert (await w.get(message))["attempts"][0]["status"] == "failed"

    async def suppressed() -> bool:
        given = {"customer": person.id, "category": "service", "content": {"subject": "s", "text": "x"}}
        body = (await w.api("POST", "/v1/messages", given, dry_run="true")).body
        return "suppressed_address" in {one["why"]["code"] for one in body["skipped"]}

    await eventually(suppressed, 10)
    lifted = await w.api(
        "POST", "/v1/addresses/lift", {"channel": "email", "value": person.email, "reason": "It works again."}
    )
    assert lifted.status == 200
    assert not await suppressed()
