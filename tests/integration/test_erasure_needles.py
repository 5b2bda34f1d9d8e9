"""Nothing of a person is left in any key of Redis, whichever way it came in."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from gateway.customer import Address
from gateway.selfservice.verification import Challenge
from gateway.store.keys import digest
from tests.support.needles import left
from tests.support.running import Running, running, until

NEXT_MONTH = (dt.datetime.now(dt.UTC) + dt.timedelta(days=30)).isoformat()
NAME, ID = "Xanthippe Needleworth", "needle-id-77312"
PHONE, MAIL, OPENID = "+306977331200", "xanthippe.needleworth@example.org", "oNeedle77312abcdefghijklmnopq"
WORDS = "needle words of the business"
SAID = "needle words of the person"
NEEDLES = (
    NAME,
    ID,
    PHONE,
    PHONE[1:],
    MAIL,
    "xanthippe",
    OPENID,
    WORDS,
    SAID,
    "needle-reference",
    "needle-thread",
    "needle-metadata",
    "needle-data",
    "needle-attachment",
    "needle-question",
    "needle-note",
    "needle-wording",
    "needle-proof",
    "needle-attribute",
    "needle-label",
    # As parts of keys: whoever guesses an id must not find what there was.
    digest(ID),
    digest("needle-reference"),
)


COMMON = {
    "content": {
        "subject": WORDS,
        "text": f"{WORDS} for {NAME}",
        "attachments": [
            {"name": "n.txt", "type": "text/plain", "data": base64.b64encode(b"needle-attachment").decode()}
        ],
    },
    "reference": "needle-reference",
    "metadata": {"what": "needle-metadata"},
    "category": "service",
}


def body(customer: str, channel: str) -> dict[str, Any]:
    """A message on one channel."""
    return {**COMMON, "customer": customer, "reach": {"channels": [channel]}, "thread": f"needle-thread-{channel}"}


async def a_life(world: Running) -> list[str]:
    """A person known by every channel, written to in every way, who has answered; ids of their messages."""
    made = await world.api(
        "PUT",
        f"/v1/customers/{ID}",
        {
            "name": NAME,
            "locale": "en",
            "addresses": [
                {"channel": "sms", "value": PHONE, "label": "needle-label"},
                {"channel": "voice", "value": PHONE},
                {"channel": "email", "value": MAIL},
                {"channel": "wechat", "value": OPENID},
            ],
            "attributes": {"note": "needle-attribute"},
        },
    )
    assert made.status == 201, made
    consent = {"channel": "*", "category": "marketing", "state": "withdrawn", "way": "form"}
    granted = {"channel": "email", "category": "survey", "state": "granted", "way": "form"}
    key = {"Idempotency-Key": "k-consent"}
    for entry in (consent, granted):
        said = {**entry, "wording": "needle-wording", "proof": "needle-proof"}
        assert (await world.api("POST", f"/v1/customers/{ID}/consents", said)).status == 201
    again = {**granted, "wording": "needle-wording again"}
    assert (await world.api("POST", f"/v1/customers/{ID}/consents", again, headers=key)).status == 201
    template = {"locales": {"en": {"subject": "News", "text": "News of {{ area }}."}}}
    assert (await world.api("PUT", "/v1/templates/news-of-area", template)).status == 201
    link = await world.api("POST", f"/v1/customers/{ID}/preference-link", {}, headers={"Idempotency-Key": "k-link"})
    assert link.status == 201, link
    sent: list[str] = []
    _, test_key = await world.service.gateway.api_keys.create("t", "test", ("send", "read"))
    for channel in ("sms", "email", "wechat", "voice"):
        for key_of_mode in (None, test_key):
            once = {"Idempotency-Key": f"k-{channel}"}
            answer = await world.api("POST", "/v1/messages", body(ID, channel), key=key_of_mode, headers=once)
            assert answer.status == 202, answer
            sent.append(answer.body["id"])
    asked = await world.send(
        ID,
        "service",
        content={"text": WORDS},
        reach={"channels": ["sms"]},
        prompt={"kind": "text", "question": "needle-question"},
    )
    sent.append(asked["id"])
    templated = await world.send(ID, "outage", template="news-of-area", data={"area": "needle-data"})
    sent.append(templated["id"])
    batch = {
        "messages": [
            {**COMMON, "customer": ID, "send_at": NEXT_MONTH},
            {**COMMON, "customer": ID, "category": "no-such-category"},
            {**COMMON, "recipient": {"addresses": [{"channel": "sms", "value": PHONE}]}},
        ]
    }
    answer = await world.api("POST", "/v1/messages/batch", batch, headers={"Idempotency-Key": "k-batch"})
    sent += [one["id"] for one in answer.body["results"] if "id" in one]
    gateway = world.service.gateway
    challenge = Challenge(customer=ID, purpose="add", address=Address("sms", PHONE))
    await gateway.verification.begin(challenge, language="en", time_zone=None)
    await gateway.wechat_links.begin(ID)
    await world.when(asked["id"], lambda m: m["attempts"] and m["attempts"][0]["status"] == "delivered")
    await world.texts_us(PHONE, SAID)
    await world.when(asked["id"], lambda m: m["answer"])
    await world.texts_us(PHONE, f"hello, {SAID}")
    done = await world.api("POST", f"/v1/messages/{sent[0]}/acknowledge", {"by": NAME, "note": "needle-note"})
    assert done.status == 200, done
    return sent


async def erased(world: Running, customer: str = ID) -> dict[str, Any]:
    """Forget a person; the certificate."""
    answer = await world.api("DELETE", f"/v1/customers/{customer}")
    assert answer.status == 202, answer
    last: list[Any] = []

    async def ended() -> bool:
        last[:] = [(await world.api("GET", answer.headers["Location"])).body]
        return last[0]["state"] != "running"

    await until(ended, 30, lambda: last)
    return last[0]


async def test_nothing_of_a_person_is_left_in_any_key(redis_url: str, redis_client: Redis, tmp_path: Path) -> None:
    async with running(redis_url, tmp_path) as world:
        sent = await a_life(world)
        before = {needle for _, needle in await left(redis_client, NEEDLES)}
        assert before == set(NEEDLES)
        certificate = await erased(world)
        assert certificate["state"] == "done", certificate
        assert await left(redis_client, NEEDLES) == []
        assert [m for m in world.sandbox.twilio.sms.messages.values() if m.to == PHONE] == [], "the provider's copies"
        assert [c for c in world.sandbox.twilio.calls.calls.values() if c.to == PHONE] == []
        _, reader = await world.service.gateway.api_keys.create("r", "test", ("read",))
        for message_id in sent:
            found = await world.message(message_id, key=reader if message_id.startswith("t") else None)
            assert found["status"] == "done"
            assert [needle for needle in NEEDLES if needle.lower() in json.dumps(found).lower()] == []
        again = await world.api("POST", "/v1/messages", body(ID, "sms"), headers={"Idempotency-Key": "k-sms"})
        assert (again.status, again.body["id"]) == (202, sent[0]), "a repeat is still recognised"
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.body["customer"].startswith("~erased.")
