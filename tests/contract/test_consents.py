"""Preferences and the consent ledger: who may be written to, on what, and that nothing overrides a withdrawal."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.client import Answer
from tests.contract.world import Person, World


async def says(w: World, person: Person, state: str, channel: str = "*", category: str = "*", **more: Any) -> Answer:
    given = {"channel": channel, "category": category, "state": state, "way": "form", "wording": "As written.", **more}
    return await w.api("POST", f"/v1/customers/{person.id}/consents", given)


async def route(w: World, person: Person, category: str = "outage", **more: Any) -> tuple[list[str], dict[str, str]]:
    """The channels that would be used, and why the others wouldn't."""
    given = {"customer": person.id, "category": category, "content": {"subject": "s", "text": "x"}, **more}
    answer = await w.api("POST", "/v1/messages", given, dry_run="true")
    assert answer.status == 200, answer
    body = answer.body
    return [one["channel"] for one in body["route"]], {one["channel"]: one["why"]["code"] for one in body["skipped"]}


async def test_preferences_round_trip(w: World) -> None:
    given = {
        "channels": ["wechat", "sms", "voice"],
        "categories": {"outage": {"channels": ["sms", "voice"]}, "survey": {"enabled": False}},
        "quiet_hours": {"start": "21:00", "end": "08:00"},
        "language": "zh-Hans",
    }
    person = await w.person("sms", preferences=given)
    answer = await w.api("GET", f"/v1/customers/{person.id}/preferences")
    assert answer.status == 200
    assert answer.headers["ETag"]
    for name in ("channels", "quiet_hours", "language"):
        assert answer.body[name] == given[name]
    assert answer.body["categories"]["outage"]["channels"] == ["sms", "voice"]
    assert answer.body["categories"]["survey"]["enabled"] is False


BAD: list[tuple[Any, str]] = [
    ({"channels": ["pigeon"]}, "/channels"),
    ({"channels": ["sms", "sms"]}, "/channels"),
    ({"channels": []}, "/channels"),
    ({"channels": "sms"}, "/channels"),
    ({"categories": {"nonsense": {"enabled": True}}}, "/categories/nonsense"),
    ({"categories": {"outage": {"channels": ["sms", 5]}}}, "/categories/outage/channels/1"),
    ({"categories": {"outage": {"enabled": "no"}}}, "/categories/outage/enabled"),
    ({"quiet_hours": {"start": "9pm", "end": "08:00"}}, "/quiet_hours/start"),
    ({"quiet_hours": {"start": "21:00"}}, "/quiet_hours/end"),
    ({"quiet_hours": "none"}, "/quiet_hours"),
    ({"language": "no such language"}, "/language"),
    ({"zzz": 1}, "/zzz"),
]


@pytest.mark.parametrize("bad, pointer", BAD)
async def test_bad_preferences_are_422(w: World, bad: Any, pointer: str) -> None:
    person = await w.person("sms")
    answer = await w.api("PUT", f"/v1/customers/{person.id}/preferences", bad)
    assert answer.status == 422, answer
    assert any(one.startswith(pointer) for one in answer.pointers), answer.body


async def test_all_bad_preferences_at_once(w: World) -> None:
    person = await w.person("sms")
    bad: dict[str, Any] = {
        "channels": ["pigeon"], "categories": {"nonsense": {}}, "language": "no such language",
        "quiet_hours": {"start": "9pm", "end": 5},
    }  # fmt: skip
    answer = await w.api("PUT", f"/v1/customers/{person.id}/preferences", bad)
    wanted = {"/channels/0", "/categories/nonsense", "/language", "/quiet_hours/start", "/quiet_hours/end"}
    assert wanted - answer.pointers == set()


async def test_the_order_of_channels(w: World) -> None:
    channels = ("sms", "email", "voice")
    assert (await route(w, await w.person(*channels)))[0] == ["sms", "email", "voice"]
    person = await w.person(*channels, preferences={"channels": ["voice", "sms"]})
    wanted, why = await route(w, person)
    assert wanted == ["voice", "sms"]
    assert why["email"] == "not_wanted"
    given = {"channels": ["voice", "sms"], "categories": {"outage": {"channels": ["email"]}}}
    person = await w.person(*channels, preferences=given)
    assert (await route(w, person))[0] == ["email"]
    assert (await route(w, person, "service"))[0] == ["voice", "sms"]


async def test_opt_in_needs_a_grant_and_opt_out_none(w: World) -> None:
    person = await w.person("sms", "email")
    assert (await route(w, person, "marketing"))[0] == []
    assert (await route(w, person, "marketing"))[1]["sms"] == "no_consent"
    assert (await says(w, person, "granted", "email", "marketing")).status in {200, 201}
    wanted, why = await route(w, person, "marketing")
    assert (wanted, why["sms"]) == (["email"], "no_consent")


async def test_an_entry_naming_the_pair_beats_the_star_and_the_newest_decides(w: World) -> None:
    person = await w.person("sms", "email")
    await says(w, person, "granted", "sms", "marketing")
    await says(w, person, "granted", "*", "*")
    await says(w, person, "withdrawn", "email", "marketing")
    assert (await route(w, person, "marketing"))[0] == ["sms"]
    await says(w, person, "withdrawn", "sms", "marketing")
    assert (await route(w, person, "marketing"))[0] == []


async def test_a_tie_is_a_withdrawal(w: World) -> None:
    person = await w.person("sms")
    at = "2026-01-01T00:00:00Z"
    await says(w, person, "withdrawn", "sms", "service", at=at)
    await says(w, person, "granted", "sms", "service", at=at, proof="signed form 1")
    assert (await route(w, person, "service"))[1]["sms"] == "opted_out"


async def test_an_older_entry_that_comes_later_decides_nothing(w: World) -> None:
    person = await w.person("sms")
    await says(w, person, "withdrawn", "sms", "service", at="2026-06-01T00:00:00Z")
    await says(w, person, "granted", "sms", "service", at="2026-01-01T00:00:00Z", proof="old form")
    assert (await route(w, person, "service"))[0] == []


async def test_a_grant_by_api_needs_proof_to_lift_a_withdrawal(w: World) -> None:
    person = await w.person("sms")
    await says(w, person, "withdrawn", "sms", "service")
    without = await says(w, person, "granted", "sms", "service")
    assert (await route(w, person, "service"))[0] == [], without
    assert (await says(w, person, "granted", "sms", "service", proof="recording 77")).status in {200, 201}
    assert (await route(w, person, "service"))[0] == ["sms"]


@pytest.mark.parametrize("category", ["code", "reply", "outage", "service"])
async def test_nothing_overrides_a_withdrawal(w: World, category: str) -> None:
    """No category, no priority, no PUT."""
    person = await w.person("sms")
    await says(w, person, "withdrawn")
    again = {"addresses": [{"channel": "sms", "value": person.number}]}
    assert (await w.api("PUT", f"/v1/customers/{person.id}", again)).status == 200
    await w.api(
        "PUT",
        f"/v1/customers/{person.id}/preferences",
        {"channels": ["sms"], "categories": {category: {"enabled": True}}},
    )
    assert (await route(w, person, category))[1]["sms"] == "opted_out"
    done = await w.done(await w.send(person, category=category))
    assert (done["verdict"]["state"], done["attempts"]) == ("suppressed", [])
    assert w.twilio.count(person.number) == 0


async def test_enabled_false_writes_a_withdrawal(w: World) -> None:
    person = await w.person("sms", preferences={"categories": {"survey": {"enabled": False}}})
    ledger = (await w.api("GET", f"/v1/customers/{person.id}/consents")).body["items"]
    assert [(one["channel"], one["category"], one["state"]) for one in ledger] == [("*", "survey", "withdrawn")]
    assert (await route(w, person, "survey"))[0] == []
    await w.api("PUT", f"/v1/customers/{person.id}/preferences", {})
    assert (await route(w, person, "survey"))[0] == [], "PUT never touches consent"


async def test_a_withdrawal_before_sending_stops_what_waits(w: World) -> None:
    person = await w.person("sms", "voice", preferences={"channels": ["sms", "voice"]})
    message = await w.send(person, reach={"step": 3, "within": 6})
    await w.twilio.text(person.number)
    await says(w, person, "withdrawn")
    done = await w.done(message)
    assert done["verdict"]["state"] == "unreached"
    assert not [one for one in w.twilio.calls if one.to == person.number]


async def test_the_ledger_is_append_only_and_keeps_wording(w: World) -> None:
    person = await w.person("sms")
    path = f"/v1/customers/{person.id}/consents"
    await says(w, person, "granted", "sms", "marketing", wording="First words.")
    await says(w, person, "withdrawn", "sms", "marketing", wording="Second words.")
    items = (await w.api("GET", path)).body["items"]
    assert [one["wording"] for one in items] == ["Second words.", "First words."]
    assert (await w.api("DELETE", path)).status == 405
    assert (await w.api("PUT", path, {})).status == 405


BAD_CONSENTS: list[tuple[dict[str, Any], str]] = [
    ({"state": "maybe"}, "/state"),
    ({"channel": "pigeon"}, "/channel"),
    ({"category": "nonsense"}, "/category"),
    ({"way": None}, "/way"),
    ({"wording": ""}, "/wording"),
    ({"at": "yesterday"}, "/at"),
    ({"at": "2099-01-01T00:00:00Z"}, "/at"),
    ({"zzz": 1}, "/zzz"),
]


@pytest.mark.parametrize("bad, pointer", BAD_CONSENTS)
async def test_bad_consents(w: World, bad: dict[str, Any], pointer: str) -> None:
    answer = (
        await says(w, await w.person("sms"), "granted", **bad)
        if "state" not in bad
        else await says(w, await w.person("sms"), bad["state"])
    )
    assert answer.status == 422
    assert pointer in answer.pointers


async def test_consents_of_nobody_are_404(w: World) -> None:
    given = {"channel": "*", "category": "*", "state": "granted", "way": "form", "wording": "x"}
    assert (await w.api("POST", "/v1/customers/nobody-x/consents", given)).status == 404
    assert (await w.api("GET", "/v1/customers/nobody-x/consents")).status == 404
    assert (await w.api("GET", "/v1/customers/nobody-x/preferences")).status == 404
    assert (await w.api("PUT", "/v1/customers/nobody-x/preferences", {})).status == 404
