from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import aiohttp
import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from gateway.sandbox.app import Sandbox
from gateway.sandbox.behaviour import Carrier, Fate, State
from tests.integration.test_sandbox_kit import ACCOUNT, FROM, TOKEN, browser, sandbox

PHONE = "+447400000123"
Result = TypeVar("Result")


def client_of(box: Sandbox, token: str = TOKEN) -> Client:
    client = Client(ACCOUNT, token, http_client=TwilioHttpClient(timeout=5, pool_connections=False))
    client.api.base_url = box.twilio_base
    return client


async def call(work: Callable[[], Result]) -> Result:
    """Twilio's own client blocks, so it works in a thread."""
    return await asyncio.to_thread(work)


async def refused(work: Callable[[], Any]) -> TwilioRestException:
    with pytest.raises(TwilioRestException) as caught:
        await call(work)
    return caught.value


async def test_a_text_is_taken_delivered_and_told_of_in_order() -> None:
    async with sandbox() as (box, hook):
        client = client_of(box)
        callback = hook.base + "/status?attempt=a%2F1&x=%20y#rc=3&rp=all"
        message = await call(
            lambda: client.messages.create(to=PHONE, from_=FROM, body="The power is back.", status_callback=callback)
        )
        assert (message.status, message.num_segments, message.direction) == ("queued", "1", "outbound-api")
        assert message.date_created is not None
        await box.idle()
        first, second = hook.on("/status")
        assert [first.form["MessageStatus"], second.form["MessageStatus"]] == ["sent", "delivered"]
        assert first.signed
        assert second.signed
        assert first.query == {"attempt": "a/1", "x": " y"}
        assert "#" not in first.url
        assert first.headers["I-Twilio-Idempotency-Token"] != second.headers["I-Twilio-Idempotency-Token"]
        [text] = box.world.texts(PHONE)
        assert (text.body, text.status, text.mine) == ("The power is back.", "delivered", False)
        found = await call(lambda: client.messages(str(message.sid)).fetch())
        assert (found.status, found.price_unit) == ("delivered", "USD")
        assert list(box.world.copies(Carrier.SMS).values()) == [1]


async def test_the_list_finds_what_was_taken_for_a_number_since_a_time() -> None:
    async with sandbox() as (box, _):
        client = client_of(box)
        for index in range(7):
            to = PHONE if index % 2 else "+447400000124"
            await call(lambda to=to, index=index: client.messages.create(to=to, from_=FROM, body=f"text {index}"))
        await box.idle()
        since = datetime.now(UTC) - timedelta(minutes=1)
        found = await call(lambda: client.messages.list(to=PHONE, date_sent_after=since))
        assert [message.body for message in found] == ["text 5", "text 3", "text 1"]
        paged = await call(lambda: client.messages.list(page_size=2))
        assert [message.body for message in paged] == [f"text {index}" for index in range(6, -1, -1)]
        future = datetime.now(UTC) + timedelta(days=2)
        assert await call(lambda: client.messages.list(to=PHONE, date_sent_after=future)) == []


async def test_cancel_redact_and_delete() -> None:
    async with sandbox(time_scale=1000.0, delays=_no_answer_delay()) as (box, _):
        client = client_of(box)
        message = await call(lambda: client.messages.create(to=PHONE, from_=FROM, body="later"))
        cancelled = await call(lambda: client.messages(str(message.sid)).update(status="canceled"))
        assert cancelled.status == "canceled"
        assert (await refused(lambda: client.messages(str(message.sid)).update(status="canceled"))).code == 30409
        emptied = await call(lambda: client.messages(str(message.sid)).update(body=""))
        assert emptied.body == ""
        assert await call(lambda: client.messages(str(message.sid)).delete())
        assert (await refused(lambda: client.messages(str(message.sid)).fetch())).code == 20404


def _no_answer_delay() -> Any:
    from gateway.sandbox.behaviour import Delays

    return Delays(answer=(0.0, 0.0), receipt=(100.0, 100.0))


@pytest.mark.parametrize(
    "change,code",
    [
        ({"to": ""}, 21604),
        ({"to": "12"}, 21211),
        ({"from_": ""}, 21603),
        ({"body": ""}, 21602),
        ({"body": "x" * 1601}, 21617),
        ({"to": "+15005550001"}, 21211),
        ({"to": "+15005550003"}, 21408),
        ({"to": "+15005550009"}, 21614),
        ({"from_": "+15005550008"}, 21611),
        ({"to": FROM}, 21266),
        ({"status_callback": "ftp://x"}, 21609),
        ({"status_callback": "http://a_b.example/x"}, 21609),
        ({"validity_period": 36001}, 21624),
        ({"to": "+447400000002"}, 21211),
        ({"to": "+447400000003"}, 20429),
        ({"to": "+447400000004"}, 21610),
    ],
)
async def test_what_twilio_refuses(change: dict[str, Any], code: int) -> None:
    async with sandbox() as (box, _):
        client = client_of(box)
        error = await refused(lambda: client.messages.create(**({"to": PHONE, "from_": FROM, "body": "x"} | change)))
        assert error.code == code
        assert box.world.accepted[Carrier.SMS] == 0


async def test_wrong_credentials_are_refused_and_an_api_key_is_not() -> None:
    async with sandbox(api_keys={"SKx": "secret"}) as (box, _):
        wrong = client_of(box, "wrong")
        error = await refused(lambda: wrong.messages.create(to=PHONE, from_=FROM, body="x"))
        assert (error.code, error.status) == (20003, 401)
        by_key = Client("SKx", "secret", ACCOUNT, http_client=TwilioHttpClient(pool_connections=False))
        by_key.api.base_url = box.twilio_base
        assert (await call(lambda: by_key.messages.create(to=PHONE, from_=FROM, body="x"))).sid


async def test_news_may_come_swapped_and_twice() -> None:
    async with sandbox() as (box, hook):
        box.behaviour.reorder = box.behaviour.repeat = 1.0
        client = client_of(box)
        await call(
            lambda: client.messages.create(to=PHONE, from_=FROM, body="x", status_callback=hook.base + "/status")
        )
        await box.idle()
        heard = hook.on("/status")
        assert [one.form["MessageStatus"] for one in heard] == ["delivered", "delivered", "sent", "sent"]
        assert len({one.headers["I-Twilio-Idempotency-Token"] for one in heard}) == 2


@pytest.mark.parametrize("fragment,tries", [("", 1), ("#rc=3&rp=all", 4), ("#rc=2&rp=5xx", 3), ("#rc=2&rp=4xx", 1)])
async def test_failed_callbacks_are_retried_as_the_fragment_asks(fragment: str, tries: int) -> None:
    async with sandbox() as (box, hook):
        hook.answers["/status"] = lambda _: (500, "")
        client, url = client_of(box), hook.base + "/status" + fragment
        await call(lambda: client.messages.create(to=PHONE, from_=FROM, body="x", status_callback=url))
        await box.idle()
        heard = hook.on("/status")
        assert len(heard) == 2 * tries
        assert len({one.headers["I-Twilio-Idempotency-Token"] for one in heard}) == 2
        assert len(box.world.problems) == 2


async def test_no_receipt_and_failure_fates() -> None:
    async with sandbox() as (box, hook):
        client, url = client_of(box), hook.base + "/status"
        box.behaviour.fates[PHONE] = Fate.UNDELIVERED
        await call(lambda: client.messages.create(to="+447400000001", from_=FROM, body="x", status_callback=url))
        await box.idle()
        assert hook.heard == []
        await call(lambda: client.messages.create(to=PHONE, from_=FROM, body="x", status_callback=url))
        await box.idle()
        assert [(one.form["MessageStatus"], one.form.get("ErrorCode")) for one in hook.heard] == [
            ("sent", None),
            ("undelivered", "30005"),
        ]
        assert box.world.texts(PHONE) == []


@pytest.mark.parametrize("fate,copies", [(Fate.UNKNOWN, 1), (Fate.LOST, 0)])
async def test_the_connection_dies_without_an_answer(fate: Fate, copies: int) -> None:
    async with sandbox() as (box, hook):
        box.behaviour.fates[PHONE] = fate
        client = client_of(box)
        with pytest.raises(requests.exceptions.ConnectionError):
            await call(
                lambda: client.messages.create(to=PHONE, from_=FROM, body="x", status_callback=hook.base + "/s?a=1")
            )
        await box.idle()
        assert sum(box.world.copies(Carrier.SMS, "/s?a=1").values()) == copies
        assert len(await call(lambda: client.messages.list(to=PHONE))) == copies
        assert hook.heard == []


async def test_a_carrier_that_refuses_throttles_or_is_silent() -> None:
    async with sandbox() as (box, hook):
        client = client_of(box)

        def send() -> Any:
            return client.messages.create(to=PHONE, from_=FROM, body="x", status_callback=hook.base + "/s")

        box.behaviour.switch(Carrier.SMS, State.REFUSES)
        assert (await refused(send)).status == 503
        box.behaviour.switch(Carrier.SMS, State.THROTTLES)
        async with browser() as session:
            path = f"{box.twilio_base}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
            async with session.post(path, data={}, headers={"Authorization": _basic()}) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
                assert (await answer.json())["code"] == 20429
        box.behaviour.switch(Carrier.SMS, State.SILENT)
        await call(send)
        await box.idle()
        assert hook.heard == []
        assert len(box.world.texts(PHONE)) == 1


def _basic() -> str:
    return aiohttp.encode_basic_auth(ACCOUNT, TOKEN)


async def test_a_carrier_that_hangs_lets_go_when_switched_and_has_taken_nothing() -> None:
    async with sandbox() as (box, _), browser() as session:
        box.behaviour.switch(Carrier.SMS, State.HANGS)
        path = f"{box.twilio_base}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        request = asyncio.ensure_future(session.post(path, data={}, headers={"Authorization": _basic()}))
        done, _ = await asyncio.wait({request}, timeout=0.05)
        assert not done
        box.behaviour.switch(Carrier.SMS, State.UP)
        with pytest.raises(aiohttp.ClientError):
            await request
        assert box.world.accepted[Carrier.SMS] == 0


async def test_a_person_texts_back_and_the_answer_is_shown() -> None:
    async with sandbox() as (box, hook):
        hook.answers["/callbacks/sms/inbound"] = lambda _: "<Response><Message>Thank you</Message></Response>"
        await box.twilio.send_inbound_sms(PHONE, FROM, "1 & ευχαριστώ")
        [heard] = hook.on("/callbacks/sms/inbound")
        assert heard.signed
        assert (heard.form["From"], heard.form["To"], heard.form["Body"]) == (PHONE, FROM, "1 & ευχαριστώ")
        assert heard.form["AccountSid"] == ACCOUNT
        assert [text.body for text in box.world.texts(PHONE)] == ["1 & ευχαριστώ", "Thank you"]


async def test_stop_is_obeyed_by_the_carrier_itself_until_start() -> None:
    async with sandbox() as (box, hook):
        client = client_of(box)
        await box.twilio.send_inbound_sms(PHONE, FROM, " stop ")
        assert hook.heard[0].form["OptOutType"] == "STOP"
        assert (await refused(lambda: client.messages.create(to=PHONE, from_=FROM, body="x"))).code == 21610
        assert "unsubscribed" in box.world.texts(PHONE)[-1].body
        await box.twilio.send_inbound_sms(PHONE, FROM, "START")
        assert (await call(lambda: client.messages.create(to=PHONE, from_=FROM, body="x"))).status == "queued"


async def test_a_messaging_service_picks_the_sender() -> None:
    async with sandbox() as (box, _):
        client = client_of(box)
        message = await call(lambda: client.messages.create(to=PHONE, messaging_service_sid="MG" + "1" * 32, body="x"))
        assert (message.status, message.num_segments, message.from_) == ("accepted", "0", None)
        await box.idle()
        found = await call(lambda: client.messages(str(message.sid)).fetch())
        assert (found.status, found.from_) == ("delivered", FROM)
