"""Every request our Twilio channels make, checked against Twilio's own OpenAPI description.

`TWILIO_OPENAPI` names the file: twilio/twilio-oai `spec/json/twilio_api_v2010.json`, or an extract of it with the messages and
calls resources. The validator overlooks unknown parameters and the format of numbers, so these are checked here.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest

from gateway.channels.base import Deps
from gateway.channels.sms import Sms
from gateway.channels.voice import Voice
from gateway.prompts import Prompt
from tests.support import twilio_carrier as twilio
from tests.support.twilio_carrier import ACCOUNT, CALL_SID, SERVICE, Answer, Asked, Carrier

FILE = os.environ.get("TWILIO_OPENAPI", "")
pytestmark = pytest.mark.skipif(not FILE, reason="TWILIO_OPENAPI names no file with Twilio's OpenAPI description")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
ROOT = "/2010-04-01/Accounts/{AccountSid}"
FOLLOWING = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?PageSize=100&Page=1&PageToken=PT1"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return msgspec.json.decode(Path(FILE).read_bytes())


@pytest.fixture(scope="module")
def openapi(document: dict[str, Any]) -> OpenAPI:
    return OpenAPI.from_dict(document)


@pytest.fixture
async def carrier() -> AsyncIterator[Carrier]:
    async with twilio.carrier() as made:
        yield made


@pytest.fixture
async def deps() -> AsyncIterator[Deps]:
    async with twilio.deps() as made:
        yield made


def parameters(document: dict[str, Any], asked: Asked) -> tuple[set[str], set[str]]:
    """The names a request may carry in its form and in its query."""
    resource = asked.path.removeprefix(f"/2010-04-01/Accounts/{ACCOUNT}/")
    template = re.sub(r"/(SM|MM|CA)[0-9a-f]{32}\.json$", "/{Sid}.json", resource)
    operation = document["paths"][f"{ROOT}/{template}"][asked.method.lower()]
    form = operation.get("requestBody", {}).get("content", {}).get("application/x-www-form-urlencoded", {})
    query = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
    return set(form.get("schema", {}).get("properties", {})), query


def as_twilio_sees_it(asked: Asked) -> MockRequest:
    headers = {name: value for name, value in asked.headers.items() if name.lower() != "host"}
    return MockRequest(
        "https://api.twilio.com",
        asked.method.lower(),
        asked.path,
        args=dict(asked.query),
        headers=headers,
        data=asked.body or None,
        content_type=headers.get("Content-Type", "").partition(";")[0] or "application/json",
    )


SMS_MADE, CALL_MADE = Answer(body=twilio.sms_resource()), Answer(body=twilio.call_resource())
CHANGED = Answer(200, twilio.call_resource())
PAGES = [twilio.page("messages", twilio.sms_resource(body="Else"), following=FOLLOWING), twilio.page("messages")]
LONG = msgspec.structs.replace(twilio.outbound().words, speech="Power is out. " * 300)


def ringing() -> Any:
    attempt = twilio.attempt("voice")
    attempt.provider_id = CALL_SID
    return attempt


Work = Callable[[Sms, Voice], Awaitable[object]]
REQUESTS: dict[str, tuple[Work, list[Answer]]] = {
    "sms": (lambda sms, _: sms.send(twilio.outbound()), [SMS_MADE]),
    "sms, validity clamped": (lambda sms, _: sms.send(twilio.outbound(valid_for=10**6)), [SMS_MADE]),
    "sms looked for": (lambda sms, _: sms.find(twilio.outbound(), twilio.attempt()), PAGES),
    "call": (lambda _, voice: voice.send(twilio.outbound(prompt=Prompt(kind="acknowledge"))), [CALL_MADE]),
    "call with a scale": (
        lambda _, v: v.send(twilio.outbound(prompt=Prompt(kind="scale", min=0, max=10))),
        [CALL_MADE],
    ),
    "call with long words": (lambda _, voice: voice.send(twilio.outbound(words=LONG)), [CALL_MADE]),
    "call looked for": (lambda _, v: v.find(twilio.outbound(), twilio.attempt("voice")), [twilio.page("calls")]),
    "call called off": (lambda _, voice: voice.recall(ringing()), [CHANGED]),
    "voicemail": (lambda _, voice: voice.leave_voicemail(CALL_SID, twilio.outbound()), [CHANGED]),
    "code on a machine": (lambda _, v: v.leave_voicemail(CALL_SID, twilio.outbound(category="code")), [CHANGED]),
}


def check(asked: Asked, openapi: OpenAPI, document: dict[str, Any]) -> None:
    openapi.validate_request(as_twilio_sees_it(asked))
    form, query = parameters(document, asked)
    assert {name for name, _ in asked.form} <= form
    assert {name for name, _ in asked.query} <= query
    for name, value in [*asked.form, *asked.query]:
        if name in ("To", "From"):
            assert E164.fullmatch(value), f"{name} is not in E.164"


@pytest.mark.parametrize("what", REQUESTS)
@pytest.mark.parametrize("service", [False, True])
async def test_requests_fit_twilios_description(
    what: str, service: bool, openapi: OpenAPI, document: dict[str, Any], carrier: Carrier, deps: Deps, tmp_path: Path
) -> None:
    more: dict[str, Any] = {"TWILIO_SMS_FROM": "", "TWILIO_MESSAGING_SERVICE_SID": SERVICE} if service else {}
    settings = twilio.settings(carrier.url, tmp_path, **more)
    sms, voice = Sms.build(settings, deps), Voice.build(settings, deps)
    assert sms is not None
    assert voice is not None
    work, answers = REQUESTS[what]
    carrier.script(*answers)
    await work(sms, voice)
    assert len(carrier.asked) == len(answers)
    for asked in carrier.asked:
        check(asked, openapi, document)


@pytest.mark.parametrize(
    "changes",
    [
        {"form": [], "body": b"From=%2B302101234567&Body=x"},
        {"headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"body": b"To=%2B306912345678&From=%2B302101234567&ValidityPeriod=soon"},
        {"form": [("To", "+306912345678"), ("Receiver", "x")]},
        {"form": [("To", "6912345678")]},
    ],
    ids=["no To", "no sign-in", "wrong integer", "unknown parameter", "not E.164"],
)
async def test_the_check_itself_catches(
    changes: dict[str, Any], openapi: OpenAPI, document: dict[str, Any], carrier: Carrier, deps: Deps, tmp_path: Path
) -> None:
    sms = Sms.build(twilio.settings(carrier.url, tmp_path), deps)
    assert sms is not None
    carrier.script(SMS_MADE)
    await sms.send(twilio.outbound())
    with pytest.raises((OpenAPIError, AssertionError)):
        check(msgspec.structs.replace(carrier.asked[0], **changes), openapi, document)
