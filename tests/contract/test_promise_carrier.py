"""A carrier that answers badly: what the customer gets, and what the record says of it, always agree (G4, G8).

Copies at the carrier per message, channel and round <= 1 + unknown outcomes on record for them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from tests.contract.rough import LONG, assert_honest, calm
from tests.contract.waiting import eventually
from tests.contract.wire import DROP, Handed, Told, cut
from tests.contract.world import Person, World

Hook = Callable[[web.Request, Handed], Awaitable[web.StreamResponse | None]]


def raw(data: bytes, *, close: bool) -> Hook:
    """These bytes instead of an answer."""

    async def answer(request: web.Request, _: Handed) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        transport.write(data)
        if close:
            transport.close()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    return answer


def http(body: bytes, status: str = "201 Created", kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


GARBAGE = {
    "not json": http(b"{broken"),
    "html": http(b"<html>Bad gateway</html>", kind="text/html"),
    "no sid": http(b"{}"),
    "a list": http(b"[]"),
    "null": http(b"null"),
    "empty": http(b""),
    "half a body": b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{",
    "half a status line": b"HTTP/1.1 20",
    "not http": b"\x00\xff\x13\x37" * 20,
    "a bad chunk": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
}


async def test_an_answer_nobody_understands_is_unknown(rough: World) -> None:
    """The carrier has read the request: whatever it wrote then, the message may be on its way."""
    sent: dict[str, tuple[Person, Any]] = {}
    for name, data in GARBAGE.items():
        person = await rough.person("sms")
        rough.twilio.before[person.number] = raw(data, close=True)
        sent[name] = (person, await rough.send(person, category="survey", reach={"step": 2, "within": 7}))
        await rough.twilio.text(person.number)
        await calm(rough, "sms", 3)
    for name, (person, message) in sent.items():
        done = await rough.done(message)
        assert [one["status"] for one in done["attempts"]] == ["unknown"], (name, done)
        assert (done["verdict"]["state"], done["verdict"]["code"]) == ("unreached", "outcome_unknown"), name
        assert rough.twilio.count(person.number) == 1, name


COPIES = {"code": 2, "outage": 2, "reply": 1, "service": 1, "follow_up": 1, "survey": 1}


async def test_what_follows_a_lost_answer_is_up_to_the_category(rough: World) -> None:
    """Try again, once; ask first (the carrier's list shows it); never again."""
    sent: dict[str, tuple[Person, Any]] = {}
    for category in COPIES:
        person = await rough.person("sms")
        rough.twilio.told[person.number].extend([Told(fate=DROP)] * 5)
        sent[category] = (person, await rough.send(person, category=category, reach={"step": 4, "within": 8}))
        await rough.twilio.text(person.number)
        await calm(rough, "sms", 6)
    for category, (person, message) in sent.items():
        done = await rough.done(message)
        assert_honest(rough, person, done)
        assert rough.twilio.count(person.number) == COPIES[category], (category, done)
        assert {one["channel"] for one in done["attempts"]} == {"sms"}


async def test_news_before_the_answer(rough: World) -> None:
    """The receipt comes while the carrier still holds the request."""
    person = await rough.person("sms")
    told: list[int] = []

    async def early(_: web.Request, handed: Handed) -> web.StreamResponse | None:
        told.extend([(await rough.twilio.report(handed, status))[0] for status in ("sent", "delivered")])
        return None

    rough.twilio.before[person.number] = early
    done = await rough.done(await rough.send(person, reach=LONG))
    assert told == [200, 200]
    assert (done["verdict"]["state"], rough.twilio.count(person.number)) == ("reached", 1)
    assert done["attempts"][0]["status"] == "delivered"


async def test_news_before_an_answer_that_is_lost(rough: World) -> None:
    person = await rough.person("sms", "voice", preferences={"channels": ["sms", "voice"]})

    async def early(request: web.Request, handed: Handed) -> web.StreamResponse | None:
        await rough.twilio.report(handed, "delivered")
        return cut(request)

    rough.twilio.before[person.number] = early
    done = await rough.done(await rough.send(person, reach=LONG))
    assert (done["verdict"]["state"], rough.twilio.count(person.number)) == ("reached", 1)


async def test_failed_news_before_the_answer_goes_on_at_once(rough: World) -> None:
    person = await rough.person("sms", "voice", preferences={"channels": ["sms", "voice"]})

    async def early(_: web.Request, handed: Handed) -> web.StreamResponse | None:
        await rough.twilio.report(handed, "undelivered", ErrorCode="30005")
        return None

    rough.twilio.before[person.number] = early
    message = await rough.send(person, reach=LONG)
    await eventually(lambda: rough.twilio.texts and [one for one in rough.twilio.texts if one.to == person.number])
    del rough.twilio.before[person.number]
    await rough.twilio.call(person.number)
    assert rough.twilio.count(person.number) == 2
    await rough.when(message, lambda one: [a["status"] for a in one["attempts"]][:1] == ["failed"])


async def test_two_answers_to_one_request_never_reach_the_next_message(rough: World) -> None:
    """A second answer on a connection that is kept must not be taken for the answer to what is sent next."""
    first, *others = [await rough.person("sms") for _ in range(5)]
    stolen = "SM" + "e" * 32
    body = msgspec.json.encode({"sid": "SM" + "d" * 32, "status": "queued", "error_code": None})
    second = msgspec.json.encode({"sid": stolen, "status": "queued", "error_code": None})

    async def twice(request: web.Request, _: Handed) -> web.StreamResponse | None:
        assert request.transport is not None
        request.transport.write(http(body) + http(second))
        await asyncio.get_running_loop().create_future()
        return None

    rough.twilio.before[first.number] = twice
    await rough.when(
        await rough.send(first, reach=LONG), lambda one: one["attempts"] and one["attempts"][0]["status"] != "started"
    )
    for other in others:
        message = await rough.send(other, reach=LONG)
        text = await rough.twilio.text(other.number)
        now = await rough.when(message, lambda one: one["attempts"] and one["attempts"][0]["provider_id"])
        assert now["attempts"][0]["provider_id"] == text.sid != stolen


async def test_a_carrier_that_hangs_holds_up_nobody_else(rough: World) -> None:
    stuck = [await rough.person("sms") for _ in range(12)]
    answer = asyncio.Event()

    async def hang(_: web.Request, __: Handed) -> None:
        await answer.wait()

    for one in stuck:
        rough.twilio.before[one.number] = hang
    hung = [await rough.send(one, category="service", reach=LONG) for one in stuck]
    await eventually(lambda: all(rough.twilio.count(one.number) for one in stuck))
    try:
        free = await rough.person("sms")
        await rough.send(free, reach=LONG)
        await rough.twilio.text(free.number, seconds=4)
        assert {(await rough.get(one))["verdict"]["state"] for one in hung} == {"pending"}
    finally:
        answer.set()
    for one, message in zip(stuck, hung, strict=True):
        now = await rough.when(message, lambda now: now["attempts"] and now["attempts"][0]["status"] == "accepted")
        assert rough.twilio.count(one.number) == 1, now


async def test_a_storm_of_news_in_disorder_ends_the_same(rough: World) -> None:
    """Ten times each, backwards, beside news of unknown ids and forgeries, all at once."""
    person = await rough.person("sms", "voice", preferences={"channels": ["sms", "voice"]})
    message = await rough.send(person, reach=LONG)
    text = await rough.twilio.text(person.number)
    foreign = Handed("SM" + "7" * 32, person.number, text.pairs, text.at)
    url = text.form["StatusCallback"]
    calls = [
        rough.twilio.report(text, status) for status in ("delivered", "undelivered", "failed", "sent", "queued") * 10
    ]
    calls += [rough.twilio.post(url, rough.twilio.news(text, "failed"), signature="AAAA") for _ in range(10)]
    calls += [rough.twilio.report(foreign, "failed", ErrorCode="30005") for _ in range(5)]
    answers = await asyncio.gather(*calls)
    assert all(status < 500 for status, _ in answers), Counter(status for status, _ in answers)
    assert all(status in {400, 401, 403} for status, _ in answers[50:60])
    done = await rough.done(message)
    assert (done["verdict"]["state"], done["attempts"][0]["status"]) == ("reached", "delivered")
    assert len(done["attempts"]) <= 2
    assert_honest(rough, person, done)
    await calm(rough, "sms")
