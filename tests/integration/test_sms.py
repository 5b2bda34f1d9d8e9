from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.channels.base import Absent, Accepted, Deps, Refused, Unknown
from gateway.channels.sms import Sms
from gateway.message import Cost, Fault
from gateway.settings import Secret
from gateway.text import clean
from tests.support import twilio_carrier as twilio
from tests.support.twilio_carrier import ACCOUNT, PERSON, SENDER, SERVICE, SMS_SID, TOKEN, Answer, Carrier

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


# Sending


async def test_a_message_is_taken(sms: Sms, carrier: Carrier) -> None:
    carrier.script(Answer(body=twilio.sms_resource()))
    assert await sms.send(twilio.outbound()) == Accepted(provider_id=SMS_SID, units=1)
    (asked,) = carrier.asked
    assert (asked.method, asked.path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    assert dict(asked.form) == {
        "To": PERSON,
        "From": SENDER,
        "Body": "Power cut in Kypseli until 18:00.",
        "StatusCallback": "https://gateway.example.com/callbacks/sms/status/msg-1/a1#rc=3&rp=all",
        "ValidityPeriod": "3600",
    }
    assert asked.headers["Authorization"] == aiohttp.encode_basic_auth(ACCOUNT, TOKEN)


@pytest.mark.parametrize("valid_for, sent", [(0, "1"), (1, "1"), (36000, "36000"), (90000, "36000")])
async def test_validity_is_what_twilio_allows(sms: Sms, carrier: Carrier, valid_for: int, sent: str) -> None:
    carrier.script(Answer(body=twilio.sms_resource()))
    await sms.send(twilio.outbound(valid_for=valid_for))
    assert dict(carrier.asked[0].form)["ValidityPeriod"] == sent


async def test_a_messaging_service_chooses_the_sender(carrier: Carrier, deps: Deps, tmp_path: Path) -> None:
    sms = build(carrier.url, deps, tmp_path, TWILIO_SMS_FROM="", TWILIO_MESSAGING_SERVICE_SID=SERVICE)
    carrier.script(Answer(body=twilio.sms_resource(status="accepted", num_segments="0")))
    words = msgspec.structs.replace(twilio.outbound().words, text="β" * 71)
    assert await sms.send(twilio.outbound(words=words)) == Accepted(provider_id=SMS_SID, units=2)
    form = dict(carrier.asked[0].form)
    assert form["MessagingServiceSid"] == SERVICE
    assert "From" not in form


@pytest.mark.parametrize(
    "to, category, sender",
    [
        ("+306912345678", "outage", "GRPOWER"),
        ("+447911123456", "outage", "+15005550006"),
        ("+306912345678", "survey", SENDER),
        ("+306912345678", "marketing", SENDER),
    ],
)
async def test_senders_by_category_and_country(
    carrier: Carrier, deps: Deps, tmp_path: Path, to: str, category: str, sender: str
) -> None:
    senders = {"outage": {"GR": "GRPOWER", "*": "+15005550006"}, "marketing": {"*": "news@example.com"}}
    sms = Sms.build(msgspec.structs.replace(twilio.settings(carrier.url, tmp_path), senders=senders), deps)
    assert sms is not None
    carrier.script(Answer(body=twilio.sms_resource()))
    await sms.send(twilio.outbound(to=to, category=category))
    assert dict(carrier.asked[0].form)["From"] == sender


async def test_an_api_key_signs_in_for_the_account(carrier: Carrier, deps: Deps, tmp_path: Path) -> None:
    sms = build(carrier.url, deps, tmp_path, TWILIO_API_KEY="SK" + "0" * 32, TWILIO_API_SECRET="key-secret")
    carrier.script(Answer(body=twilio.sms_resource()))
    await sms.send(twilio.outbound())
    assert carrier.asked[0].path.startswith(f"/2010-04-01/Accounts/{ACCOUNT}/")
    assert carrier.asked[0].headers["Authorization"] == aiohttp.encode_basic_auth("SK" + "0" * 32, "key-secret")


async def test_control_characters_stay_behind(sms: Sms, carrier: Carrier) -> None:
    carrier.script(Answer(body=twilio.sms_resource()))
    words = msgspec.structs.replace(twilio.outbound().words, text="a\x00b\ud800\r\nc\t+&=é停")
    await sms.send(twilio.outbound(words=words))
    assert dict(carrier.asked[0].form)["Body"] == "ab\nc +&=é停"


@pytest.mark.parametrize(
    "answer, expected",
    [
        (
            twilio.refusal(429, 20429, **{"Retry-After": "7"}),
            Refused(fault=Fault.THROTTLED, detail="REST concurrency/rate limit; honour Retry-After; NOT accepted so safe to resend", retry_after=7, code="20429"),
        ),
        (Answer(429, "slow down", {"Retry-After": "Sun, 22 Nov 2026 08:51:32 GMT"}), Refused(fault=Fault.THROTTLED, detail="HTTP 429", retry_after=30)),
        (twilio.refusal(400, 21211, f"The 'To' number {PERSON} is not a valid phone number."), Refused(fault=Fault.BAD_ADDRESS, detail="To is not a valid number", code="21211")),
        (twilio.refusal(400, 21610), Refused(fault=Fault.OPTED_OUT, detail="recipient opted out of this sender/Messaging Service (STOP)", code="21610")),
        (twilio.refusal(400, 21617), Refused(fault=Fault.CONTENT_REFUSED, detail="body above 1600 characters", code="21617")),
        (twilio.refusal(401, 20003), Refused(fault=Fault.ACCOUNT_SHUT, detail="authentication or permission refused", code="20003")),
        (Answer(401, "<html>no</html>"), Refused(fault=Fault.ACCOUNT_SHUT, detail="HTTP 401")),
        (Answer(403, {"message": "no"}), Refused(fault=Fault.ACCOUNT_SHUT, detail="HTTP 403")),
        (Answer(302, "", {"Location": "https://elsewhere.example"}), Refused(fault=Fault.MISCONFIGURED, detail="HTTP 302")),
        (
            Answer(400, {"type": "https://www.twilio.com/docs/api/errors/21610", "title": "Bad", "status": 400, "code": 21610}),
            Refused(fault=Fault.OPTED_OUT, detail="recipient opted out of this sender/Messaging Service (STOP)", code="21610"),
        ),
        (
            Answer(429, {"type": "about:blank", "title": "Too many", "status": 429, "code": 20429}, {"Retry-After": "3"}),
            Refused(fault=Fault.THROTTLED, detail="REST concurrency/rate limit; honour Retry-After; NOT accepted so safe to resend", retry_after=3, code="20429"),
        ),
        (Answer(body=twilio.sms_resource(status="failed", error_code=30005)), Refused(fault=Fault.BAD_ADDRESS, detail="made failed", code="30005")),
        (twilio.refusal(500, 20500), Unknown(detail="HTTP 500, code 20500")),
        (Answer(503, "<html>unavailable</html>"), Unknown(detail="HTTP 503")),
        (Answer(408, ""), Unknown(detail="HTTP 408")),
        (Answer(201, "<html>created</html>"), Unknown(detail="Unreadable")),
        (Answer(201, ""), Unknown(detail="Unreadable")),
        (Answer(200, "[]"), Unknown(detail="Unreadable")),
        (Answer(201, "{}"), Unknown(detail="an answer without an id")),
        (Answer(body=twilio.sms_resource(date_created=5)), Unknown(detail="unreadable answer: AttributeError")),
        (Answer(drop=True), Unknown(detail="ServerDisconnectedError")),
    ],
)  # fmt: skip
async def test_every_other_answer(sms: Sms, carrier: Carrier, answer: Answer, expected: Refused | Unknown) -> None:
    carrier.script(answer)
    assert await sms.send(twilio.outbound()) == expected
    assert len(carrier.asked) == 1, "a request that creates is never repeated"


async def test_a_refused_connection_was_not_a_request(deps: Deps, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        sms = build(f"http://127.0.0.1:{unused.getsockname()[1]}", deps, tmp_path)
        result = await sms.send(twilio.outbound())
    assert result == Refused(fault=Fault.UNAVAILABLE, detail="no connection: ClientConnectorError")


async def test_an_unknown_host_was_not_asked(deps: Deps, tmp_path: Path) -> None:
    result = await build("http://nowhere.invalid", deps, tmp_path).send(twilio.outbound())
    assert result == Refused(fault=Fault.UNAVAILABLE, detail="no connection: ClientConnectorDNSError")


async def test_silence_after_the_request_is_unknown(carrier: Carrier, deps: Deps, tmp_path: Path) -> None:
    sms = build(carrier.url, deps, tmp_path, timeout=0.2)
    carrier.script(Answer(hang=True))
    assert await sms.send(twilio.outbound()) == Unknown(detail="TimeoutError")
    assert carrier.arrived.is_set()
    assert sms.traits.timeout == 0.2


async def test_a_new_code_is_reported(sms: Sms, carrier: Carrier) -> None:
    carrier.script(twilio.refusal(400, 21699))
    with capture_logs() as logs:
        result = await sms.send(twilio.outbound())
    assert result == Refused(
        fault=Fault.CONTENT_REFUSED, detail="refused message request, code not in this table", code="21699"
    )
    assert [(entry["event"], entry["code"]) for entry in logs if "code" in entry] == [("new_provider_code", 21699)]


async def test_no_channel_without_account_or_sender(deps: Deps, tmp_path: Path) -> None:
    bare = twilio.settings("http://127.0.0.1", tmp_path)
    assert bare.twilio is not None
    without = msgspec.structs.replace(bare.twilio, sms_from=None)
    assert Sms.build(msgspec.structs.replace(bare, twilio=None), deps) is None
    assert Sms.build(msgspec.structs.replace(bare, twilio=without), deps) is None


# Looking afterwards


async def test_a_lost_message_is_found_by_its_text(sms: Sms, carrier: Carrier) -> None:
    other = twilio.sms_resource(sid="SM" + "a" * 32, body="Something else")
    ours = twilio.sms_resource(status="delivered", price="-0.0500", num_segments="1")
    carrier.script(twilio.page("messages", other, ours))
    found = await sms.find(twilio.outbound(), twilio.attempt())
    assert found == Accepted(provider_id=SMS_SID, status="delivered", units=1, cost=Cost("0.0500", "USD", "provider"))
    assert (carrier.asked[0].method, dict(carrier.asked[0].query)["To"]) == ("GET", PERSON)


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [twilio.sms_resource(body="Something else")],
        [twilio.sms_resource(date_created="Sun, 22 Nov 2026 07:51:02 +0000")],
        [twilio.sms_resource(date_created="Sun, 22 Nov 2026 08:55:02 +0000")],
        [twilio.sms_resource(direction="inbound")],
    ],
)
async def test_a_message_that_was_never_made(sms: Sms, carrier: Carrier, listed: list[dict[str, Any]]) -> None:
    carrier.script(twilio.page("messages", *listed))
    assert await sms.find(twilio.outbound(), twilio.attempt()) == Absent()


async def test_looking_goes_on_to_the_next_page(sms: Sms, carrier: Carrier) -> None:
    following = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?PageSize=100&Page=1&PageToken=PT%2B1"
    later = twilio.sms_resource(body="Later", date_created="Sun, 22 Nov 2026 09:30:00 +0000")
    carrier.script(twilio.page("messages", later, following=following), twilio.page("messages", twilio.sms_resource()))
    assert await sms.find(twilio.outbound(), twilio.attempt()) == Accepted(provider_id=SMS_SID, units=1)
    assert dict(carrier.asked[1].query) == {"PageSize": "100", "Page": "1", "PageToken": "PT+1"}


async def test_looking_stops_at_older_messages(sms: Sms, carrier: Carrier) -> None:
    old = twilio.sms_resource(body="Old", date_created="Sat, 21 Nov 2026 09:30:00 +0000")
    carrier.script(twilio.page("messages", old, following="/2010-04-01/Accounts/x/Messages.json?Page=1"))
    assert await sms.find(twilio.outbound(), twilio.attempt()) == Absent()


@pytest.mark.parametrize(
    "answer", [Answer(503, ""), twilio.refusal(429, 20429), Answer(200, "{}"), Answer(200, "no"), Answer(drop=True)]
)
async def test_an_unanswered_question_stays_open(sms: Sms, carrier: Carrier, answer: Answer) -> None:
    # aiohttp repeats a GET once when a kept connection turns out to be dead; a new one is not repeated.
    carrier.script(answer)
    assert isinstance(await sms.find(twilio.outbound(), twilio.attempt()), Unknown)


async def test_too_many_messages_prove_nothing(sms: Sms, carrier: Carrier) -> None:
    following = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?Page=1"
    later = twilio.sms_resource(body="Later", date_created="Sun, 22 Nov 2026 09:30:00 +0000")
    carrier.script(*[twilio.page("messages", later, following=following)] * 5)
    assert await sms.find(twilio.outbound(), twilio.attempt()) == Unknown(detail="too many to that number")


# Secrets


async def test_nothing_secret_or_personal_is_logged(
    sms: Sms, carrier: Carrier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    answers = [
        Answer(body=twilio.sms_resource()),
        twilio.refusal(400, 21211, f"{PERSON} {TOKEN}"),
        twilio.refusal(400, 21998, f"{PERSON} {TOKEN}"),
        twilio.refusal(500, 20500, PERSON),
        Answer(201, PERSON),
        Answer(drop=True),
    ]
    carrier.script(*answers, Answer(503, PERSON))
    with capture_logs() as logs:
        results: list[object] = [await sms.send(twilio.outbound()) for _ in answers]
        results.append(await sms.find(twilio.outbound(), twilio.attempt()))
        sms.read(twilio.callback(STATUS, MessageStatus="odd\x1b[31m", To=PERSON))
    told = repr(logs) + caplog.text + repr(results)
    for secret in (PERSON, PERSON[1:], TOKEN, "Kypseli", "\x1b"):
        assert secret not in told
    assert clean(told) == told
    assert repr(Secret(TOKEN)) not in told
