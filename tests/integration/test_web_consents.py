"""The consent ledger over the API: its fields, its pages, and what preferences write into it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from gateway.web.api import customer_types
from tests.support.web_client import Api, pointers

LEDGER = "/v1/customers/c-1/consents"
YES: dict[str, Any] = {
    "channel": "email",
    "category": "marketing",
    "state": "granted",
    "way": "form",
    "wording": "Yes, send me offers by e-mail.",
}


async def test_an_entry_keeps_its_wording_with_its_version(ana: Api) -> None:
    entry = {**YES, "version": "2026-11", "proof": "form 12", "at": "2026-11-01T10:00:00+02:00"}
    made = await ana("POST", LEDGER, entry, status=201, kind=customer_types.ConsentOut)
    assert made == {**entry, "at": "2026-11-01T08:00:00+00:00"}
    found = await ana("GET", LEDGER, status=200, kind=customer_types.ConsentsOut)
    assert (found["items"], found["next"]) == ([made], None)
    assert found["effective"] == [made]


async def test_what_is_wrong_with_an_entry_is_said_of_every_field(ana: Api) -> None:
    bad = {**YES, "version": "", "channel": "pigeon", "state": "maybe", "colour": "red", "wording": None}
    refused = await ana("POST", LEDGER, bad, status=422)
    assert {"/version", "/state", "/colour", "/wording"} <= set(pointers(refused))


async def test_the_ledger_is_read_by_pages_newest_first(ana: Api) -> None:
    for number in range(5):
        state = "withdrawn" if number % 2 else "granted"
        await ana("POST", LEDGER, {**YES, "state": state, "wording": f"line {number}", "proof": "call"}, status=201)
    first = await ana("GET", f"{LEDGER}?limit=2", status=200, kind=customer_types.ConsentsOut)
    await ana("POST", LEDGER, {**YES, "wording": "later", "proof": "call"}, status=201)
    second = await ana("GET", f"{LEDGER}?limit=2&cursor={first['next']}", status=200)
    last = await ana("GET", f"{LEDGER}?limit=2&cursor={second['next']}", status=200)
    pages = [[item["wording"] for item in page["items"]] for page in (first, second, last)]
    assert pages == [["line 4", "line 3"], ["line 2", "line 1"], ["line 0"]]
    assert last["next"] is None
    for query, pointer in (("cursor=yesterday", "?cursor"), ("limit=0", "?limit"), ("newest=1", "?newest")):
        refused = await ana("GET", f"{LEDGER}?{query}", status=422)
        assert pointers(refused) == [pointer]


async def test_an_entry_that_says_less_than_is_known_is_still_kept(ana: Api) -> None:
    """The ledger is a record of what was said, whether or not it changes anything."""
    times = ("2026-11-03T10:00:00Z", "2026-11-01T10:00:00Z", "2026-11-02T10:00:00Z")
    for at in times:
        await ana("POST", LEDGER, {**YES, "at": at}, status=201)
    found = await ana("GET", LEDGER, status=200)
    assert len(found["items"]) == len(times)
    assert [one["at"] for one in found["effective"]] == ["2026-11-03T10:00:00+00:00"]


async def test_a_grant_dated_ahead_never_outlives_a_later_withdrawal(ana: Api) -> None:
    ahead = (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=4)).isoformat()
    await ana("POST", LEDGER, {**YES, "channel": "sms", "at": ahead}, status=201)
    await ana("POST", LEDGER, {**YES, "channel": "sms", "state": "withdrawn"}, status=201)
    found = await ana("GET", LEDGER, status=200)
    assert {one["state"] for one in found["effective"]} == {"withdrawn"}


async def test_preferences_that_are_put_again_lift_nothing(ana: Api) -> None:
    for enabled in (False, True):
        wishes = {"categories": {"survey": {"enabled": enabled}}}
        await ana("PUT", "/v1/customers/c-1/preferences", wishes, status=200)
    found = await ana("GET", LEDGER, status=200)
    assert [(one["channel"], one["category"], one["state"]) for one in found["effective"]] == [
        ("*", "survey", "withdrawn")
    ]


async def test_odd_preferences_are_refused_or_mean_what_they_say(ana: Api) -> None:
    odd: list[tuple[dict[str, Any], str]] = [
        ({"categories": {"surveys": {"enabled": False}}}, "/categories/surveys"),
        ({"channels": ["sms", "sms"]}, "/channels/1"),
        ({"channels": []}, "/channels"),
        ({"categories": {"survey": {"channels": ["sms", "sms"]}}}, "/categories/survey/channels/1"),
        ({"quiet_hours": {"start": "22:00", "end": "22:00"}}, "/quiet_hours/end"),
        ({"quiet_hours": {"start": "22:00", "end": "24:00"}}, "/quiet_hours/end"),
        ({"quiet_hours": {"start": "22:00"}}, "/quiet_hours/end"),
        ({"quiet_hours": {"start": "22:00", "end": "8:00"}}, "/quiet_hours/end"),
        ({"language": "klingon"}, "/language"),
        ({"language": "x" * 40}, "/language"),
    ]
    for wishes, pointer in odd:
        refused = await ana("PUT", "/v1/customers/c-1/preferences", wishes, status=422)
        assert pointers(refused) == [pointer], wishes
    for language, kept in (("zh_hk", "zh-HK"), ("EL-cy", "el-CY"), ("zh-hant", "zh-Hant")):
        put = await ana("PUT", "/v1/customers/c-1/preferences", {"language": language}, status=200)
        assert put["language"] == kept
    midnight = {"quiet_hours": {"start": "00:00", "end": "23:59"}}
    assert await ana("PUT", "/v1/customers/c-1/preferences", midnight, status=200) | midnight
