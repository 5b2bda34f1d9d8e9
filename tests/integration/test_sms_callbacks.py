from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.channels.base import Callback, Deps, Forged, Malformed
from gateway.channels.sms import Sms
from gateway.message import Cost, Fault, Receipt
from gateway.news import absorb
from tests.support import twilio_carrier as twilio
from tests.support.twilio_carrier import ACCOUNT, NOW, PERSON, SENDER, SMS_SID, Carrier

STATUS = "sms/status/msg-1/a1"


@pytest.fixture
async def carrier() -> AsyncIterator[Carrier]:
    async with twilio.carrier() as made:
        yield made


@pytest.fixture
async def deps() -> AsyncIterator[Deps]:
    async with twilio.deps() as made:
        yield made


@pytest.fixture
def sms(carrier: Carrier, deps: Deps, tmp_path: Path) -> Sms:
    return build(carrier.url, deps, tmp_path)


def build(api_base: str, deps: Deps, folder: Path, **more: Any) -> Sms:
    made = Sms.build(twilio.settings(api_base, folder, **more), deps)
    assert made is not None
    return made


# Status callbacks


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"MessageStatus": "queued"}, {"status": "accepted"}),
        ({"MessageStatus": "accepted"}, {"status": "accepted"}),
        ({"MessageStatus": "sending"}, {"status": "accepted"}),
        ({"MessageStatus": "sent", "RawDlrDoneDate": "2611220951"}, {"status": "sent"}),
        ({"MessageStatus": "delivered"}, {"status": "delivered"}),
        ({"MessageStatus": "read"}, {"status": "delivered", "engagement": "read"}),
        ({"SmsStatus": "delivered", "NumSegments": "2"}, {"status": "delivered", "units": 2}),
        ({"MessageStatus": "delivered", "Price": "-0.05", "PriceUnit": "usd"}, {"status": "delivered", "cost": Cost("0.05", "USD", "provider")}),
        ({"MessageStatus": "undelivered", "ErrorCode": "30003"}, {"status": "failed", "fault": Fault.UNREACHABLE, "provider_code": "30003"}),
        ({"MessageStatus": "undelivered", "ErrorCode": "30005"}, {"status": "failed", "fault": Fault.BAD_ADDRESS, "provider_code": "30005"}),
        ({"MessageStatus": "failed", "ErrorCode": "30007"}, {"status": "failed", "fault": Fault.FILTERED, "provider_code": "30007"}),
        ({"MessageStatus": "failed", "ErrorCode": "30099"}, {"status": "failed", "fault": Fault.UNEXPLAINED, "provider_code": "30099"}),
        ({"MessageStatus": "failed"}, {"status": "failed", "fault": Fault.UNEXPLAINED}),
        ({"MessageStatus": "canceled"}, {"status": "failed", "fault": Fault.CANCELED}),
    ],
)  # fmt: skip
def test_status(sms: Sms, fields: dict[str, str], expected: dict[str, Any]) -> None:
    reading = sms.read(twilio.callback(STATUS, MessageSid=SMS_SID, fields=fields))
    assert reading.receipts == (("msg-1", Receipt(attempt="a1", at=NOW, provider_id=SMS_SID, **expected)),)
    assert reading.respond(None).status == 200


def test_an_unknown_status_is_reported_and_proves_acceptance(sms: Sms) -> None:
    with capture_logs() as logs:
        reading = sms.read(twilio.callback(STATUS, MessageSid=SMS_SID, MessageStatus="teleported"))
    assert reading.receipts[0][1].status == "accepted"
    assert logs[0]["event"] == "new_provider_status"


NEWS = [
    {"MessageStatus": "sent"},
    {"MessageStatus": "delivered"},
    {"MessageStatus": "read"},
    {"MessageStatus": "undelivered", "ErrorCode": "30003"},
    {"MessageStatus": "delivered", "Price": "-0.05", "PriceUnit": "USD"},
]


def test_the_same_news_in_any_order(sms: Sms) -> None:
    calls = [
        twilio.callback(STATUS, MessageSid=SMS_SID, now=NOW + late * 1000, fields=fields)
        for late, fields in enumerate(NEWS)
    ]
    ends: set[bytes] = set()
    for order in itertools.permutations(calls):
        message = twilio.message()
        for call in (*order, order[0]):
            ((_, receipt),) = sms.read(call).receipts
            absorb(message, receipt)
        assert message.attempts[0].status == "delivered"
        assert message.attempts[0].engagement == "read"
        ends.add(msgspec.json.encode(message.attempts, order="deterministic"))
    assert len(ends) == 1


# Inbound


def test_words_go_back_with_the_answer_to_a_text(sms: Sms) -> None:
    reading = sms.read(twilio.callback("sms/inbound", MessageSid=SMS_SID, From=PERSON, To=SENDER, fields={"Body": "x"}))
    assert reading.say is not None
    said = reading.say("Done <now> & here.")
    assert said.content_type == "text/xml"
    assert "<Response><Message>Done &lt;now&gt; &amp; here.</Message></Response>" in said.body
    assert "<Response/>" in reading.respond(None).body


@pytest.mark.parametrize(
    "fields, kind, text",
    [
        ({"Body": "1"}, "text", "1"),
        ({"Body": "STOP", "OptOutType": "STOP"}, "opt_out", "STOP"),
        ({"Body": "unstop", "OptOutType": "START"}, "opt_in", "unstop"),
        ({"Body": "HELP", "OptOutType": "HELP"}, "help", "HELP"),
        ({"Body": "HELP"}, "text", "HELP"),
        ({"Body": "ευχαριστώ\x00 & 停電"}, "text", "ευχαριστώ & 停電"),
        ({}, "text", ""),
    ],
)
def test_inbound(sms: Sms, fields: dict[str, str], kind: str, text: str) -> None:
    reading = sms.read(
        twilio.callback("sms/inbound", MessageSid=SMS_SID, From=PERSON, To=SENDER, FromCountry="GR", fields=fields)
    )
    (inbound,) = reading.inbound
    assert (inbound.id, inbound.channel, inbound.sender, inbound.to, inbound.at) == (
        SMS_SID,
        "sms",
        PERSON,
        SENDER,
        NOW,
    )
    assert (inbound.kind, inbound.text) == (kind, text)
    assert inbound.raw["FromCountry"] == "GR"
    assert "Body" not in inbound.raw
    reply = reading.respond(None)
    assert (reply.content_type, reply.body) == ("text/xml", '<?xml version="1.0" encoding="UTF-8"?><Response/>')


# Forged and malformed


def _changed(call: Callback, **changes: Any) -> Callback:
    return msgspec.structs.replace(call, **changes)


GENUINE = twilio.callback(STATUS, MessageSid=SMS_SID, MessageStatus="delivered")
PLAIN = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "call",
    [
        _changed(GENUINE, headers=PLAIN),
        _changed(GENUINE, headers={**PLAIN, "x-twilio-signature": ""}),
        _changed(GENUINE, headers={**PLAIN, "x-twilio-signature": "ключ"}),
        _changed(GENUINE, body=GENUINE.body + b"&ErrorCode=30003"),
        _changed(GENUINE, body=b""),
        _changed(GENUINE, url=GENUINE.url.replace("/a1", "/a2")),
        _changed(GENUINE, url=GENUINE.url + "?bodySHA256=" + "0" * 64),
        _changed(GENUINE, url="http" + GENUINE.url.removeprefix("https")),
        _changed(GENUINE, headers={"content-type": "application/json"}, body=b"{}"),
        twilio.callback(STATUS, account="AC" + "f" * 32, MessageStatus="delivered"),
        twilio.callback(STATUS, ("AccountSid", "AC" + "f" * 32), MessageStatus="delivered"),
    ],
)
def test_forged(sms: Sms, call: Callback) -> None:
    with pytest.raises(Forged):
        sms.read(call)


@pytest.mark.parametrize(
    "call",
    [
        _changed(GENUINE, headers={**GENUINE.headers, "content-type": "application/json"}, body=b'{"a": 1}'),
        _changed(GENUINE, headers={**GENUINE.headers, "content-type": ""}),
        _changed(GENUINE, body=b"\xff\xfe"),
        _changed(GENUINE, body=b"a=%ff"),
        _changed(GENUINE, body=b"&".join(b"a%d=1" % n for n in range(201))),
        _changed(GENUINE, url="https://[broken"),
        twilio.callback("sms/status/msg-1", MessageStatus="delivered"),
        twilio.callback("sms/status/msg%2F1/a1", MessageStatus="delivered"),
        twilio.callback("sms/elsewhere", MessageStatus="delivered"),
        twilio.callback("sms/inbound", Body="no id"),
    ],
)
def test_malformed(sms: Sms, call: Callback) -> None:
    with pytest.raises(Malformed):
        sms.read(call)


@pytest.mark.parametrize("tail", ["", "?x=%20a+b&y=é%2F", "?a=1&a=2", "?a"])
def test_a_signature_is_checked_over_the_raw_url(sms: Sms, tail: str) -> None:
    pairs = [("AccountSid", ACCOUNT), ("MessageStatus", "sent"), ("Odd", ""), ("Odd", "b"), ("Odd", "a"), ("Ω", "π")]
    url = GENUINE.url + tail
    body = "AccountSid=" + ACCOUNT + "&MessageStatus=sent&Odd=&Odd=b&Odd=a&%CE%A9=%CF%80"
    headers = {**PLAIN, "x-twilio-signature": twilio.signature(url, pairs)}
    assert sms.read(_changed(GENUINE, url=url, headers=headers, body=body.encode())).receipts
