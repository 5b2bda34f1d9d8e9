"""Idempotency-Key: one answer and one message, whatever happens to the caller."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from tests.contract.client import Answer, Api
from tests.contract.world import Person, World


def body(person: Person, **more: Any) -> dict[str, Any]:
    return {"customer": person.id, "category": "outage", "content": {"text": "Power cut."}, **more}


def key() -> dict[str, str | None]:
    return {"Idempotency-Key": str(uuid.uuid4())}


async def count(w: World, person: Person) -> int:
    return len((await w.api("GET", "/v1/messages", customer=person.id)).body["items"])


async def test_the_first_answer_again(w: World) -> None:
    person, again = await w.person("sms"), key()
    first = await w.api("POST", "/v1/messages", body(person), headers=again)
    await w.twilio.text(person.number)
    second = await w.api("POST", "/v1/messages", body(person), headers=again)
    assert (first.status, second.status) == (202, 202)
    assert second.body == first.body
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert await count(w, person) == 1


async def test_the_same_parsed_body_counts_not_its_bytes(w: World) -> None:
    person, again = await w.person("sms"), key()
    one = f'{{"customer":"{person.id}","category":"outage","content":{{"text":"\\u0041b"}}}}'
    two = f'{{ "content": {{"text": "Ab"}},\n"category": "outage", "customer": "{person.id}" }}'
    first = await w.api("POST", "/v1/messages", raw=one.encode(), headers=again)
    second = await w.api("POST", "/v1/messages", raw=two.encode(), headers=again)
    assert second.body == first.body
    assert await count(w, person) == 1


async def test_many_at_once_make_one(w: World) -> None:
    person, again = await w.person("sms"), key()
    answers = await asyncio.gather(*(w.api("POST", "/v1/messages", body(person), headers=again) for _ in range(8)))
    assert [one.status for one in answers] == [202] * 8
    assert len({one.body["id"] for one in answers}) == 1
    assert sum("Idempotency-Replayed" not in one.headers for one in answers) == 1
    assert await count(w, person) == 1


async def test_another_body_is_409(w: World) -> None:
    person, again = await w.person("sms"), key()
    await w.api("POST", "/v1/messages", body(person), headers=again)
    answer = await w.api("POST", "/v1/messages", body(person, reference="other"), headers=again)
    assert answer.status == 409
    assert await count(w, person) == 1


async def test_two_bodies_at_once_make_one(w: World) -> None:
    person, again = await w.person("sms"), key()
    answers = await asyncio.gather(
        *(w.api("POST", "/v1/messages", body(person, reference=str(n)), headers=again) for n in range(6))
    )
    assert sorted(one.status for one in answers) == [202] + [409] * 5
    assert await count(w, person) == 1


async def test_one_key_space_whatever_path_or_customer(w: World) -> None:
    one, two, again = await w.person("sms"), await w.person("sms"), key()
    assert (await w.api("POST", "/v1/messages", body(one), headers=again)).status == 202
    assert (await w.api("POST", "/v1/messages", body(two), headers=again)).status == 409
    assert (await w.api("POST", "/v1/messages/batch", {"messages": [body(one)]}, headers=again)).status == 409
    assert (await w.api("POST", "/v1/keys", {"name": "k", "scopes": ["read"]}, headers=again)).status == 409


async def test_the_key_space_is_one_per_mode(w: World, trial: Api) -> None:
    person, again = await w.person("sms"), key()
    live = await w.api("POST", "/v1/messages", body(person), headers=again)
    test = await trial("POST", "/v1/messages", body(person), headers=again)
    assert (live.status, test.status) == (202, 202)
    assert live.body["id"] != test.body["id"]
    assert "Idempotency-Replayed" not in test.headers


async def test_refusals_are_not_kept(w: World) -> None:
    person, again = await w.person("sms"), key()
    refused = await w.api("POST", "/v1/messages", body(person, zzz=1), headers=again)
    assert refused.status == 422
    assert (await w.api("POST", "/v1/messages", body(person), headers=again)).status == 202


@pytest.mark.parametrize("given", ["", "x" * 256, "caf\u00e9"])
async def test_bad_keys_are_refused(w: World, given: str) -> None:
    person = await w.person("sms")
    answer = await w.api("POST", "/v1/messages", body(person), headers={"Idempotency-Key": given})
    assert answer.status == 422, answer
    assert await count(w, person) == 0


@pytest.mark.parametrize("given", ["x", "~" * 255, "a b c:;{}"])
async def test_any_printable_ascii_is_a_key(w: World, given: str) -> None:
    person = await w.person("sms")
    mine = given if len(given) == 255 else given + uuid.uuid4().hex
    for _ in range(2):
        assert (await w.api("POST", "/v1/messages", body(person), headers={"Idempotency-Key": mine})).status == 202
    assert await count(w, person) == 1


async def test_a_dry_run_uses_no_key(w: World) -> None:
    person, again = await w.person("sms"), key()
    assert (await w.api("POST", "/v1/messages", body(person), headers=again, dry_run="true")).status == 200
    real = await w.api("POST", "/v1/messages", body(person), headers=again)
    assert real.status == 202, real
    assert await count(w, person) == 1


async def test_one_key_for_a_whole_batch(w: World) -> None:
    person, again = await w.person("sms"), key()
    given = {"messages": [body(person, reference="1"), {"bad": 1}, body(person, reference="2")]}
    first = await w.api("POST", "/v1/messages/batch", given, headers=again)
    second = await w.api("POST", "/v1/messages/batch", given, headers=again)
    assert second.body == first.body
    assert second.headers["Idempotency-Replayed"] == "true"
    assert await count(w, person) == 2
    other = {"messages": [*given["messages"], body(person)]}
    assert (await w.api("POST", "/v1/messages/batch", other, headers=again)).status == 409


async def test_a_batch_broken_off_is_made_whole_by_its_repeat(w: World) -> None:
    person, again = await w.person("sms"), key()
    given = {"messages": [body(person, reference=str(n)) for n in range(300)]}
    asked = asyncio.ensure_future(w.api("POST", "/v1/messages/batch", given, headers=again))
    await asyncio.wait([asked], timeout=0.15)
    asked.cancel()
    answer: Answer = await w.api("POST", "/v1/messages/batch", given, headers=again)
    assert answer.status == 202, answer
    ids = [one["id"] for one in answer.body["results"]]
    assert len(set(ids)) == 300
    listed = (await w.api("GET", "/v1/messages", customer=person.id, limit=500)).body["items"]
    assert {one["id"] for one in listed} == set(ids)


async def test_a_repeated_retry_makes_one(w: World) -> None:
    person, again = await w.person("sms"), key()
    message = await w.send(person)
    await w.api("POST", f"/v1/messages/{message['id']}/cancel")
    answers = [await w.api("POST", f"/v1/messages/{message['id']}/retry", headers=again) for _ in range(2)]
    assert [one.status for one in answers] == [202, 202]
    assert len({one.body["id"] for one in answers}) == 1
    assert await count(w, person) == 2
