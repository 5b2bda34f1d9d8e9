from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.customer import ConsentEntry, Evidence
from gateway.people.fields import wire_time
from gateway.people.people import Conflict, Invalid, People
from gateway.preferences.consent import permission
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.scripts import Scripts

pytestmark = pytest.mark.usefixtures("no_key_leaks")
MOBILE = "+306900000001"
PROFILE: dict[str, Any] = {
    "name": "Ana",
    "locale": "el",
    "time_zone": "Europe/Athens",
    "addresses": [
        {"channel": "sms", "value": MOBILE, "label": "mobile"},
        {"channel": "email", "value": "ana@example.org"},
    ],
    "attributes": {"area": "Kypseli", "rooms": {"n": 3}},
}
GRANT: dict[str, Any] = {"channel": "*", "category": "marketing", "state": "granted", "way": "form", "wording": "Yes"}


@pytest.fixture
def customers(scripts: Scripts, clock: Clock) -> Customers:
    return Customers(scripts, clock, b"pepper of the tests")


@pytest.fixture
def people(customers: Customers, clock: Clock) -> People:
    channels = ("sms", "email", "wechat", "voice")
    return People(customers, clock, known_channels=channels, categories=("outage", "marketing", "survey"))


async def may(customers: Customers, channel: str, category: str) -> bool:
    found = await customers.load("ana")
    assert found is not None
    key = next((found[0].keys[a.value] for a in found[0].addresses if a.channel == channel), None)
    return permission(found[0].consents, channel, category, key, "opt_out").allowed


async def imported(people: People, *rows: Any) -> dict[int, list[str]]:
    found = [pair async for pair in people.import_rows(list(enumerate(rows, 1)))]
    assert [number for number, _ in found] == list(range(1, len(rows) + 1))
    return {number: [pointer for pointer, _ in told.problems] for number, told in found if told.problems}


async def test_put_makes_then_replaces_whole(people: People) -> None:
    made = await people.put("ana", PROFILE)
    assert made.created
    assert {name: made.view[name] for name in PROFILE} == PROFILE
    assert set(made.view) == {"id", *PROFILE, "created_at", "changed_at"}
    again = await people.put("ana", {"name": "Ana"})
    assert (again.created, again.view["addresses"], again.view["attributes"], again.view["locale"]) == (
        False,
        [],
        {},
        None,
    )
    seen = await people.view("ana")
    assert seen is not None
    assert (seen.view, seen.version) == (again.view, again.version)
    assert await people.view("bo") is None


async def test_the_same_put_again_changes_nothing(people: People) -> None:
    first = await people.put("ana", PROFILE)
    second = await people.put("ana", PROFILE)
    assert (second.version, second.view, second.created) == (first.version, first.view, False)


async def test_if_match_is_kept_to(people: People) -> None:
    with pytest.raises(Conflict):
        await people.put("ana", PROFILE, expected=1)
    version = (await people.put("ana", PROFILE, expected=0)).version
    with pytest.raises(Conflict):
        await people.patch("ana", {"name": "B"}, expected=version + 1)
    with pytest.raises(Conflict):
        await people.put_preferences("ana", {}, expected=version + 1)
    assert (await people.patch("ana", {"name": "B"}, expected=version)).view["name"] == "B"


async def test_a_bad_put_stores_nothing(people: People) -> None:
    with pytest.raises(Invalid) as bad:
        await people.put("~ana", {**PROFILE, "health": {}})
    assert [pointer for pointer, _ in bad.value.problems] == ["/id", "/health"]
    assert await people.view("~ana") is None


async def test_a_patch_merges_and_is_checked_like_a_put(people: People) -> None:
    await people.put("ana", PROFILE)
    patched = await people.patch("ana", {"locale": None, "attributes": {"rooms": {"n": 4}, "area": None}})
    assert (patched.view["locale"], patched.view["attributes"]) == (None, {"rooms": {"n": 4}})
    assert patched.view["addresses"] == PROFILE["addresses"]
    with pytest.raises(Invalid) as bad:
        await people.patch("ana", {"addresses": [{"channel": "sms", "value": "1"}], "x": 1})
    assert {pointer for pointer, _ in bad.value.problems} == {"/addresses/0/value", "/x"}
    with pytest.raises(Invalid):
        await people.patch("ana", ["no object"])
    with pytest.raises(KeyError):
        await people.patch("bo", {})


async def test_health_is_shown_and_a_put_does_not_lift_it(people: People, customers: Customers) -> None:
    await people.put("ana", PROFILE)
    at = Clock().now()
    await customers.learn("sms", MOBILE, Evidence("m1/a1", at, "bad_address", "21614"))
    shown = (await people.put("ana", {**PROFILE, "name": "B"})).view["addresses"]
    assert shown[0]["health"] == {
        "state": "suppressed",
        "reason": {"code": "bad_address", "text": "The address does not exist on this channel."},
        "at": wire_time(at),
        "until": wire_time(at + 180 * 86_400_000),
        "count": 1,
        "evidence": {"message": "m1", "attempt": "a1", "at": wire_time(at), "provider_code": "21614"},
    }
    assert "health" not in shown[1]


async def test_switching_a_category_off_is_a_withdrawal_and_switching_it_on_again_lifts_nothing(
    people: People, customers: Customers
) -> None:
    await people.put("ana", PROFILE)
    off = {"categories": {"survey": {"enabled": False}}}
    assert (await people.put_preferences("ana", off, way="page", wording="No surveys")).view == off
    await people.put_preferences("ana", {**off, "language": "el"})
    ledger = await customers.ledger("ana")
    assert [(e.channel, e.category, e.state, e.way, e.wording) for e in ledger] == [
        ("*", "survey", "withdrawn", "page", "No surveys")
    ]
    await people.put_preferences("ana", {"categories": {"survey": {"enabled": True}}})
    assert not await may(customers, "sms", "survey")
    assert len(await customers.ledger("ana")) == 1
    with pytest.raises(KeyError):
        await people.put_preferences("bo", {})
    assert await people.preferences("bo") is None


async def test_preferences_come_back_as_they_were_put(people: People) -> None:
    await people.put("ana", PROFILE)
    raw = {"channels": ["sms"], "quiet_hours": None, "language": "zh-Hans"}
    put = await people.put_preferences("ana", raw)
    seen = await people.preferences("ana")
    assert seen is not None
    assert (put.view, seen.view, seen.version) == (raw, raw, put.version)
    await people.put("ana", {"name": "Other"})
    seen = await people.preferences("ana")
    assert seen is not None
    assert seen.view == raw


async def test_a_grant_lifts_a_withdrawal_with_proof_or_by_the_person_alone(
    people: People, customers: Customers, clock: Clock
) -> None:
    await people.put("ana", PROFILE)
    stop = ConsentEntry("sms", "*", "withdrawn", "sms_keyword", "STOP", clock.now() - 1000)
    await customers.withdraw("sms", MOBILE, [stop])
    whole = {**GRANT, "channel": "sms", "category": "*"}
    with pytest.raises(Invalid) as bad:
        await people.add_consent("ana", whole)
    assert [pointer for pointer, _ in bad.value.problems] == ["/proof"]
    assert (await people.add_consent("ana", {**whole, "channel": "email"}))["state"] == "granted"  # lifts nothing
    assert not await may(customers, "sms", "marketing")
    shown = await people.add_consent("ana", {**whole, "proof": "form 7"})
    assert shown["proof"] == "form 7"
    assert await may(customers, "sms", "marketing")
    await customers.withdraw("sms", MOBILE, [ConsentEntry("sms", "*", "withdrawn", "sms_keyword", "STOP", clock.now())])
    later = {**whole, "at": None}
    with pytest.raises(Invalid):
        await people.add_consent("ana", {**later, "at": "2999-01-01T00:00:00Z"})
    with pytest.raises(KeyError):
        await people.add_consent("bo", GRANT)


async def test_the_person_needs_no_proof(people: People, customers: Customers) -> None:
    await people.put("ana", PROFILE)
    await people.add_consent("ana", {**GRANT, "state": "withdrawn", "at": "2026-01-01T00:00:00Z"})
    await people.add_consent("ana", GRANT, by_person=True)
    assert await may(customers, "sms", "marketing")


async def test_the_ledger_is_shown_newest_first_with_how_things_stand(people: People, customers: Customers) -> None:
    await people.put("ana", PROFILE)
    await people.add_consent("ana", {**GRANT, "at": "2026-01-01T00:00:00Z"})
    await customers.withdraw("sms", MOBILE, [ConsentEntry("sms", "*", "withdrawn", "sms_keyword", "STOP", 5000)])
    shown = await people.consents("ana")
    assert shown is not None
    assert [(e["state"], e.get("address")) for e in shown["items"]] == [("withdrawn", MOBILE), ("granted", None)]
    assert shown["items"][1]["at"] == "2026-01-01T00:00:00+00:00"
    assert [(e["channel"], e["category"], e["state"]) for e in shown["effective"]] == [
        ("*", "marketing", "granted"),
        ("sms", "*", "withdrawn"),
    ]
    assert await people.consents("bo") is None


async def test_an_import_keeps_good_rows_and_says_what_is_wrong_with_the_others(people: People) -> None:
    rows = [
        {"id": "ana", **PROFILE},
        {"id": "b o", "name": 5},
        "not a JSON object",
        {"name": "nobody"},
        {"id": "cy", "preferences": {"channels": ["telex"]}, "consents": [{**GRANT, "way": "form"}]},
        {"id": "ana", **PROFILE, "name": "Later"},
    ]
    wrong = await imported(people, *rows)
    assert wrong == {2: ["/id", "/name"], 3: [""], 4: ["/id"], 5: ["/preferences/channels/0", "/consents/0/at"]}
    seen = await people.view("ana")
    assert seen is not None
    assert seen.view["name"] == "Later"
    assert await people.view("cy") is None


async def test_an_import_again_changes_nothing(people: People, customers: Customers) -> None:
    old = {**GRANT, "at": "2026-01-01T00:00:00Z"}
    row = {
        "id": "ana",
        **PROFILE,
        "preferences": {"categories": {"survey": {"enabled": False}}},
        "consents": [
            old,
            {**old, "at": "2026-01-02T00:00:00Z"},
            {**old, "state": "withdrawn", "channel": "sms", "address": MOBILE},
        ],
    }
    assert await imported(people, row) == {}
    first = await people.view("ana")
    ledger = await customers.ledger("ana")
    assert len(ledger) == 4
    assert await imported(people, row) == {}
    assert await people.view("ana") == first
    assert await customers.ledger("ana") == ledger
    assert len(await customers.bound([MOBILE])) == 1


async def test_what_is_exported_can_be_imported_elsewhere(
    people: People, customers: Customers, redis_client: Redis, clock: Clock
) -> None:
    await people.put("ana", PROFILE)
    await people.put_preferences("ana", {"categories": {"survey": {"enabled": False}}, "quiet_hours": None})
    stop = ConsentEntry("sms", "*", "withdrawn", "sms_keyword", "STOP", clock.now() - 500)
    await customers.withdraw("sms", MOBILE, [stop])
    await customers.withdraw(
        "sms", MOBILE, [ConsentEntry("sms", "*", "granted", "sms_keyword", "START", clock.now() - 400)]
    )
    row = await people.portable("ana")
    assert row is not None
    await customers.delete("ana")
    await redis_client.flushall()  # pyright: ignore[reportUnknownMemberType] - the library's own type
    assert await imported(people, row) == {}
    assert await people.portable("ana") == row
    assert await may(customers, "sms", "outage")
    assert not await may(customers, "sms", "survey")
    assert await people.portable("bo") is None


async def test_an_import_does_not_lift_what_was_withdrawn_from_the_address_before(
    people: People, customers: Customers
) -> None:
    await customers.withdraw("sms", MOBILE, [ConsentEntry("sms", "*", "withdrawn", "sms_keyword", "STOP", 5000)])
    grant = {**GRANT, "channel": "sms", "category": "*", "at": "2026-01-01T00:00:00Z"}
    assert await imported(people, {"id": "ana", **PROFILE, "consents": [grant]}) == {1: ["/consents/0/proof"]}
    assert await people.view("ana") is None
    assert await imported(people, {"id": "ana", **PROFILE, "consents": [{**grant, "proof": "form 7"}]}) == {}
    assert await may(customers, "sms", "outage")
