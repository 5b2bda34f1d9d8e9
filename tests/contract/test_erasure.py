"""Erasing a person: nothing is left of them, providers are asked, and what they withdrew still binds."""

from __future__ import annotations

from typing import Any

from tests.contract.self_service import open_to, outcome
from tests.contract.waiting import eventually
from tests.contract.world import Person, World, in_time

LONG = {"step": 600, "within": 900}


async def erased(w: World, who: Person) -> Any:
    """The certificate, once everything is done."""
    answer = await w.api("DELETE", f"/v1/customers/{who.id}")
    assert answer.status == 202
    path = f"/v1/erasures/{answer.body['erasure']}"
    assert answer.headers["Location"] == path

    async def look() -> Any:
        found = (await w.api("GET", path)).body
        return found if found["state"] != "running" else None

    return await eventually(look)


async def test_nothing_of_the_person_is_left(w: World) -> None:
    person = await w.person("sms", "email", name="Zebedee Unforgettable", attributes={"pet": "Rumpelstiltskin"})
    prompt = {"kind": "text", "question": "Tell us."}
    named: dict[str, Any] = {"reference": "ref-zebedee", "metadata": {"k": "meta-zebedee"}, "thread": "zebedee"}
    message = await w.send(person, "Secret-zebedee", reach=LONG, prompt=prompt, **named)
    text = await w.twilio.text(person.number)
    await w.twilio.report(text, "delivered")
    await w.twilio.inbound(person.number, "Answer-zebedee")
    await w.done(message)
    await w.twilio.inbound(person.number, "Chatter-zebedee")
    await outcome(w, person.number, "Chatter-zebedee")
    later = await w.send(person, "Later-zebedee", send_at=in_time(hours=2))
    certificate = await erased(w, person)
    assert certificate["state"] == "done"
    assert certificate["customer_hash"]
    words = (person.id, person.number, person.email, "ebedee", "Rumpelstiltskin")
    assert not [one for one in words if one in str(certificate)]
    for path in (f"/v1/messages/{message['id']}", f"/v1/messages/{later['id']}", "/v1/inbound?limit=500"):
        answer = await w.api("GET", path)
        assert answer.status == 200
        assert not [one for one in words if one in answer.text]
    assert (await w.get(later))["verdict"]["state"] == "cancelled"
    for path in ("", "/export", "/consents", "/preferences"):
        assert (await w.api("GET", f"/v1/customers/{person.id}{path}")).status == 404
    assert (await w.api("GET", "/v1/messages", customer=person.id)).body["items"] == []
    assert not [one for one in words if one in w.gateway.log()]


async def test_the_provider_is_asked_to_delete_its_copies(w: World) -> None:
    person = await w.person("sms", "voice", "email")
    for channel in ("sms", "voice", "email"):
        message = await w.send(person, reach={**LONG, "channels": [channel]})
        await w.when(message, lambda one: one["attempts"] and one["attempts"][0]["status"] in {"accepted", "sent"})
    sids = {(await w.twilio.text(person.number)).sid, (await w.twilio.call(person.number)).sid}
    certificate = await erased(w, person)
    assert sids <= set(w.twilio.deleted)
    assert {one["channel"]: one["outcome"] for one in certificate["providers"]} == {
        "sms": "erased",
        "voice": "erased",
        "email": "not_possible",
    }


async def test_withdrawals_bind_whoever_is_created_again(w: World) -> None:
    person = await w.person("sms", "email")
    await w.twilio.inbound(person.number, "STOP")
    words = "Words-of-zebedee"
    no = {"channel": "email", "category": "survey", "state": "withdrawn", "way": "phone", "wording": words}
    await w.api("POST", f"/v1/customers/{person.id}/consents", no)
    await erased(w, person)
    addresses = [{"channel": "sms", "value": person.number}, {"channel": "email", "value": person.email}]
    assert (await w.api("PUT", f"/v1/customers/{person.id}", {"addresses": addresses})).status == 201
    assert await open_to(w, person) == {"email"}
    assert await open_to(w, person, "survey") == set()
    assert words not in (await w.api("GET", f"/v1/customers/{person.id}/consents")).text


async def test_what_others_have_stays(w: World) -> None:
    one = await w.person("sms")
    two = await w.person("sms", number=one.number)
    await erased(w, one)
    assert await open_to(w, two) == {"sms"}


async def test_a_repeated_request_sends_nothing_twice(w: World) -> None:
    person = await w.person("sms")
    given = {"customer": person.id, "category": "outage", "content": {"text": "Cut"}, "reach": LONG}
    key: dict[str, str | None] = {"Idempotency-Key": f"erased-{person.id}"}
    assert (await w.api("POST", "/v1/messages", given, headers=key)).status == 202
    await w.twilio.text(person.number)
    await erased(w, person)
    again = await w.api("POST", "/v1/messages", given, headers=key)
    assert person.id not in again.text
    assert w.twilio.count(person.number) == 1


async def test_erasing_twice_is_the_same_erasure(w: World) -> None:
    person = await w.person("sms")
    certificate = await erased(w, person)
    assert (await w.api("DELETE", f"/v1/customers/{person.id}")).body["erasure"] == certificate["id"]
    assert (await w.api("DELETE", "/v1/customers/nobody-ever")).status == 404
    assert (await w.api("GET", "/v1/erasures/nothing")).status == 404
    assert (await (await w.key("read", "send"))("GET", f"/v1/erasures/{certificate['id']}")).status == 403
