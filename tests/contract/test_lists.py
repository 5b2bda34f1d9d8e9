"""Lists and dry runs: newest first, stable cursors, filters; a dry run leaves no trace."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.contract.world import World, fresh, in_time


async def ids(w: World, **query: Any) -> list[str]:
    answer = await w.api("GET", "/v1/messages", **query)
    assert answer.status == 200, answer
    assert set(answer.body) == {"items", "next"}
    return [one["id"] for one in answer.body["items"]]


async def test_pages_are_whole_and_unmoved_by_new_entries(w: World) -> None:
    person = await w.person("sms")
    made = [(await w.send(person, send_at=in_time(days=1)))["id"] for _ in range(7)]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        query: dict[str, Any] = {"customer": person.id, "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await w.api("GET", "/v1/messages", **query)).body
        seen += [one["id"] for one in page["items"]]
        await w.send(person, send_at=in_time(days=1))
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made[::-1]
    assert cursor is None


async def test_one_page_has_no_next(w: World) -> None:
    person = await w.person("sms")
    await w.send(person, send_at=in_time(days=1))
    assert (await w.api("GET", "/v1/messages", customer=person.id)).body["next"] is None
    empty = (await w.api("GET", "/v1/messages", customer="nobody-ever")).body
    assert (empty["items"], empty["next"]) == ([], None)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=x",
        "limit=1.5",
        "limit=",
        "cursor=nonsense",
        "since=yesterday",
        "since=1764000000",
        "since=0.5",
        "status=odd",
        "verdict=odd",
        "customer=a%20b",
        "since=2026-01-01T00:00:00",
    ],
)
async def test_bad_parameters_are_422(w: World, query: str) -> None:
    answer = await w.api("GET", f"/v1/messages?{query}")
    assert answer.status == 422, answer
    assert answer.pointers == {"?" + query.partition("=")[0]}


async def test_a_cursor_of_another_question_gives_no_strangers(w: World) -> None:
    one, two = await w.person("sms"), await w.person("sms")
    for person in (one, one, two, two):
        await w.send(person, send_at=in_time(days=1))
    cursor = (await w.api("GET", "/v1/messages", customer=one.id, limit=1)).body["next"]
    answer = await w.api("GET", "/v1/messages", customer=two.id, limit=5, cursor=cursor)
    assert answer.status in {200, 422}
    if answer.status == 200:
        assert {item["customer"] for item in answer.body["items"]} <= {two.id}


async def test_filters(w: World) -> None:
    person = await w.person("sms")
    waits = await w.send(person, send_at=in_time(days=1), reference=f"ref-{person.id}")
    outage = await w.send(person, reach={"until": "accepted"})
    await w.done(outage)
    service = await w.send(person, category="service", reach={"step": 600, "within": 900})
    gone = await w.send(person, send_at=in_time(days=1))
    await w.api("POST", f"/v1/messages/{gone['id']}/cancel")
    await w.done(gone)
    mine: dict[str, Any] = {"customer": person.id}
    assert await ids(w, **mine, category="service") == [service["id"]]
    assert await ids(w, **mine, status="scheduled") == [waits["id"]]
    assert set(await ids(w, **mine, status="done")) == {outage["id"], gone["id"]}
    assert await ids(w, **mine, verdict="reached") == [outage["id"]]
    assert await ids(w, **mine, verdict="cancelled") == [gone["id"]]
    assert set(await ids(w, **mine, verdict="pending")) == {waits["id"], service["id"]}
    assert await ids(w, reference=f"ref-{person.id}") == [waits["id"]]
    assert await ids(w, **mine, reference="other") == []
    assert await ids(w, **mine, since=service["created_at"]) == [gone["id"], service["id"]]
    assert service["id"] in await ids(w, category="service", limit=500)


async def test_since_takes_any_offset(w: World) -> None:
    person = await w.person("sms")
    message = await w.send(person, send_at=in_time(days=1))
    path = f"/v1/messages?customer={person.id}&since="
    for since, found in (("2020-01-01T00:00:00+02:00", 1), (in_time(hours=1), 0)):
        answer = await w.api("GET", path + quote(since))
        assert len(answer.body["items"]) == found
    assert message["id"]


async def test_a_dry_run_leaves_no_trace(w: World) -> None:
    person = await w.person("sms", "email")
    given = {"customer": person.id, "category": "survey", "content": {"subject": "s", "text": "x"}, "reference": "dry"}
    answers = [await w.api("POST", "/v1/messages", given, dry_run="true") for _ in range(3)]
    assert [one.status for one in answers] == [200] * 3
    answer = answers[-1]
    assert [one["channel"] for one in answer.body["route"]] == ["sms", "email"]
    assert all(one["why"]["code"] and one["why"]["text"] for one in answer.body["route"])
    assert answer.body["route"][1]["after"] == answer.body["reach"]["step"]
    assert await ids(w, customer=person.id) == []
    assert (await w.api("GET", f"/v1/messages/{answer.body['id']}")).status == 404
    export = (await w.api("GET", f"/v1/customers/{person.id}/export")).text
    assert answer.body["id"] not in export
    real = await w.send(person, category="survey", reach={"step": 600, "within": 900})
    await w.twilio.text(person.number)
    assert (await w.get(real))["verdict"]["state"] == "pending", "the cap of 1 in 30 days is unused by dry runs"


@pytest.mark.parametrize("value", ["yes", "2", ""])
async def test_dry_run_takes_true_or_false(w: World, value: str) -> None:
    person = await w.person("sms")
    given = {"customer": person.id, "category": "outage", "content": {"text": "x"}}
    answer = await w.api("POST", f"/v1/messages?dry_run={value}", given)
    assert answer.status == 422
    assert await ids(w, customer=person.id) == []


async def test_a_dry_run_refuses_what_a_real_one_would(w: World) -> None:
    answer = await w.api(
        "POST", "/v1/messages?dry_run=true", {"customer": "nobody-q", "category": "outage", "content": {"text": "x"}}
    )
    assert answer.status == 422
    assert "/customer" in answer.pointers


async def test_a_one_off_recipient_and_a_customer_exclude_each_other(w: World) -> None:
    person = await w.person("sms")
    recipient = {"addresses": [{"channel": "sms", "value": person.number}]}
    given = {"category": "outage", "content": {"text": "x"}}
    assert (await w.api("POST", "/v1/messages", {**given, "recipient": recipient, "customer": person.id})).status == 422
    assert (await w.api("POST", "/v1/messages", given)).status == 422


@pytest.mark.parametrize("stored", [False, True])
async def test_a_recipients_own_locale_counts(w: World, *, stored: bool) -> None:
    """Also where the address happens to be that of a customer, of whom the caller said nothing."""
    number = (await w.person("sms")).number if stored else fresh()
    recipient = {"addresses": [{"channel": "sms", "value": number}], "locale": "el", "time_zone": "Europe/Athens"}
    given = {"category": "outage", "content": {"text": {"en": "EN", "el": "EL"}}, "recipient": recipient}
    answer = await w.api("POST", "/v1/messages", given)
    assert answer.status == 202
    assert (await w.twilio.text(number)).form["Body"].startswith("EL")


async def test_a_recipient_is_written_to_at_the_given_addresses_alone(w: World) -> None:
    person = await w.person("sms", "email", preferences={"channels": ["email", "sms"]})
    recipient = {"addresses": [{"channel": "sms", "value": person.number}]}
    given = {"category": "outage", "content": {"subject": "s", "text": "x"}, "recipient": recipient}
    body = (await w.api("POST", "/v1/messages", given, dry_run="true")).body
    assert [one["channel"] for one in body["route"]] == ["sms"]


async def test_marketing_to_a_one_off_needs_its_consent(w: World) -> None:
    person = await w.person("email")
    consent = {
        "channel": "email",
        "category": "marketing",
        "state": "granted",
        "way": "form",
        "wording": "Yes, offers.",
    }
    recipient: dict[str, Any] = {"addresses": [{"channel": "email", "value": "x" + person.email}]}
    given = {"category": "marketing", "content": {"subject": "s", "text": "x"}}
    without = await w.api("POST", "/v1/messages", {**given, "recipient": recipient}, dry_run="true")
    assert {one["channel"]: one["why"]["code"] for one in without.body["skipped"]}["email"] == "no_consent"
    granted = await w.api(
        "POST", "/v1/messages", {**given, "recipient": {**recipient, "consent": consent}}, dry_run="true"
    )
    assert [one["channel"] for one in granted.body["route"]] == ["email"]
