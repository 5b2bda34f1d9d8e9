"""Story 8. The caller's network broke after POST: the same Idempotency-Key gives the same answer and one message."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp
import msgspec

from tests.support.running import Answer, Running

PHONE: Final = "+447400000304"
CALL: Final[dict[str, Any]] = {"customer": "c-1", "category": "outage", "content": {"text": "The power is out."}}
KEY: Final = {"Idempotency-Key": "order-4711"}


async def test_the_same_key_gives_the_same_answer_and_one_message(gw: Running) -> None:
    await gw.customer("c-1", sms=PHONE, preferences={"channels": ["sms"]})

    first = await _post(gw, CALL)
    second = await _post(gw, CALL)

    assert (first.status, second.status) == (202, 202)
    assert second.body == first.body
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (await gw.ended(first.body["id"]))["verdict"]["state"] == "reached"
    await gw.sandbox.idle()
    assert gw.taken() == {"sms": 1}
    assert len((await gw.api("GET", "/v1/messages?customer=c-1")).body["items"]) == 1


async def test_the_same_key_for_something_else_is_refused(gw: Running) -> None:
    await gw.customer("c-1", sms=PHONE)
    assert (await _post(gw, CALL)).status == 202
    other = await _post(gw, {**CALL, "content": {"text": "Something else."}})
    assert other.status == 409, other
    assert other.body["type"].endswith("idempotency-mismatch")


async def test_many_at_once_make_one_message(gw: Running) -> None:
    await gw.customer("c-1", sms=PHONE, preferences={"channels": ["sms"]})

    answers = await asyncio.gather(*(_post(gw, CALL) for _ in range(8)))

    assert {answer.status for answer in answers} == {202}
    [message_id] = {answer.body["id"] for answer in answers}
    await gw.ended(message_id)
    await gw.sandbox.idle()
    assert gw.taken() == {"sms": 1}


async def test_a_caller_who_hung_up_before_the_answer(gw: Running) -> None:
    """The connection is cut once the request is out; the repeat finds the same message, however far it got."""
    await gw.customer("c-1", sms=PHONE, preferences={"channels": ["sms"]})
    body = msgspec.json.encode(CALL)
    head = (
        f"POST /v1/messages HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {gw.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nIdempotency-Key: order-4711\r\n\r\n"
    )
    _, _, port = gw.url.rpartition(":")
    _, writer = await asyncio.open_connection("127.0.0.1", int(port))
    try:
        writer.write(head.encode() + body)
        await writer.drain()
    finally:
        writer.transport.abort()

    answer = await _post(gw, CALL)

    assert answer.status == 202, answer
    assert (await gw.ended(answer.body["id"]))["verdict"]["state"] == "reached"
    await gw.sandbox.idle()
    assert len((await gw.api("GET", "/v1/messages?customer=c-1")).body["items"]) == 1
    assert gw.taken() == {"sms": 1}


async def test_a_repeated_batch_makes_nothing_twice(gw: Running) -> None:
    await gw.customer("c-1", sms=PHONE, preferences={"channels": ["sms"]})
    batch = {"messages": [CALL, {**CALL, "content": {"text": "Another."}}]}
    first, second = [await gw.api("POST", "/v1/messages/batch", batch, headers=KEY) for _ in range(2)]
    assert first.body == second.body
    for one in first.body["results"]:
        await gw.ended(one["id"])
    await gw.sandbox.idle()
    assert gw.taken() == {"sms": 2}


async def _post(gw: Running, body: dict[str, Any]) -> Answer:
    try:
        return await gw.api("POST", "/v1/messages", body, headers=KEY)
    except aiohttp.ClientError as broken:
        raise AssertionError(f"the gateway broke the connection: {broken!r}") from broken
