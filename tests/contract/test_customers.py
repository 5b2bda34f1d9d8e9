"""Customers: whole replacement, merge patches, ETags, and values in their normal form."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.contract.client import Api
from tests.contract.world import World, fresh


async def test_put_makes_and_replaces_whole(w: World) -> None:
    path = f"/v1/customers/k{fresh()[1:]}"
    first = await w.api("PUT", path, {"name": "Ana", "locale": "el", "attributes": {"a": 1}})
    assert first.status == 201
    second = await w.api("PUT", path, {"name": "Anna"})
    assert second.status == 200
    assert (second.body["name"], second.body["locale"], second.body["attributes"]) == ("Anna", None, {})
    assert (await w.api("GET", path)).body == second.body
    assert first.headers["ETag"] != second.headers["ETag"]


@pytest.mark.parametrize("name", ["a", "A.b_c:d@e-f", "x" * 128])
async def test_callers_choose_ids(w: World, name: str) -> None:
    answer = await w.api("PUT", f"/v1/customers/{name}", {})
    assert answer.status in {200, 201}
    assert answer.body["id"] == name


@pytest.mark.parametrize("name", ["x" * 129, "a%20b", "a%2Fb", "%C3%A9", "a%0A", "~abc", "a,b"])
async def test_other_ids_are_refused(w: World, name: str) -> None:
    answer = await w.api("PUT", f"/v1/customers/{name}", {})
    assert answer.status in {404, 422}, answer


async def test_patch_is_a_merge_patch(w: World) -> None:
    person = await w.person("sms", "email", name="Ana", attributes={"a": 1, "b": {"c": 1, "d": 2}})
    path = f"/v1/customers/{person.id}"
    patch = {"name": None, "attributes": {"a": None, "b": {"c": 3}, "e": 4}}
    answer = await w.api("PATCH", path, patch, headers={"Content-Type": "application/merge-patch+json"})
    assert answer.status == 200
    assert answer.body["name"] is None
    assert answer.body["attributes"] == {"b": {"c": 3, "d": 2}, "e": 4}
    assert len(answer.body["addresses"]) == 2
    replaced = await w.api("PATCH", path, {"addresses": [{"channel": "email", "value": person.email}]})
    assert [one["channel"] for one in replaced.body["addresses"]] == ["email"]


async def test_patch_of_nobody_is_404_and_makes_nobody(w: World) -> None:
    assert (await w.api("PATCH", "/v1/customers/nobody-at-all", {"name": "x"})).status == 404
    assert (await w.api("GET", "/v1/customers/nobody-at-all")).status == 404


@pytest.mark.parametrize("tail", ["", "/preferences"])
async def test_if_match_guards_against_a_lost_update(w: World, tail: str) -> None:
    person = await w.person("sms", preferences={})
    path = f"/v1/customers/{person.id}{tail}"
    tag = (await w.api("GET", path)).headers["ETag"]
    change: Any = {"language": "el"} if tail else {"name": "One"}
    assert (await w.api("PUT", path, change, headers={"If-Match": tag})).status == 200
    stale = await w.api("PUT", path, change, headers={"If-Match": tag})
    assert stale.status == 412
    assert (await w.api("PUT", path, change, headers={"If-Match": "*"})).status == 200
    foreign = await w.api("PUT", path, change, headers={"If-Match": '"a-tag-of-somebody-else"'})
    assert foreign.status == 412, "a well-formed tag that isn't the present one (RFC 9110, 13.1.1)"


async def test_if_match_any_never_makes_a_customer(w: World) -> None:
    answer = await w.api("PUT", "/v1/customers/not-there-yet", {}, headers={"If-Match": "*"})
    assert answer.status == 412
    assert (await w.api("GET", "/v1/customers/not-there-yet")).status == 404


FORMS: list[tuple[str, str, str]] = [
    ("sms", "+30 694 555 1234", "+306945551234"),
    ("sms", "+30 (694) 555-1234", "+306945551234"),
    ("voice", "+302101234567", "+302101234567"),
    ("email", "Ana.B@EXAMPLE.Org", "Ana.B@example.org"),
]


@pytest.mark.parametrize("channel, given, kept", FORMS)
async def test_values_are_kept_in_their_normal_form(w: World, channel: str, given: str, kept: str) -> None:
    path = f"/v1/customers/f{fresh()[1:]}"
    answer = await w.api("PUT", path, {"addresses": [{"channel": channel, "value": given, "label": "work"}]})
    assert answer.status == 201, answer
    assert (answer.body["addresses"][0]["value"], answer.body["addresses"][0]["label"]) == (kept, "work")


BAD: list[dict[str, Any]] = [
    {"addresses": [{"channel": "sms", "value": "12345"}]},
    {"addresses": [{"channel": "sms", "value": "6945551234"}]},
    {"addresses": [{"channel": "sms", "value": "+30999"}]},
    {"addresses": [{"channel": "email", "value": "a@b@c.org"}]},
    {"addresses": [{"channel": "email", "value": "a@example.org\r\nBcc: x@example.org"}]},
    {"addresses": [{"channel": "email", "value": "no-at"}]},
    {"addresses": [{"channel": "wechat", "value": "has space"}]},
    {"addresses": [{"channel": "pigeon", "value": "x"}]},
    {"addresses": [{"channel": "sms", "value": "+306945551234"}, {"channel": "sms", "value": "+30 694 555 1234"}]},
    {"addresses": [{"channel": "email", "value": "a@example.org"}, {"channel": "email", "value": "a@EXAMPLE.org"}]},
    {"time_zone": "GMT+3"},
    {"time_zone": "Europe/Atlantis"},
    {"time_zone": "../etc/passwd"},
    {"locale": "english please"},
    {"locale": "e"},
    {"attributes": None, "name": ""},
]


@pytest.mark.parametrize("bad", BAD)
async def test_wrong_values_are_422(w: World, bad: dict[str, Any]) -> None:
    answer = await w.api("PUT", "/v1/customers/never-made", bad)
    assert answer.status == 422, answer
    assert (await w.api("GET", "/v1/customers/never-made")).status == 404


async def test_a_mobile_stands_under_sms_and_voice(w: World) -> None:
    person = await w.person("sms", "voice")
    stored = (await w.api("GET", f"/v1/customers/{person.id}")).body["addresses"]
    assert [(one["channel"], one["value"]) for one in stored] == [("sms", person.number), ("voice", person.number)]


async def test_people_may_share_an_address(w: World) -> None:
    one = await w.person("sms")
    shared = {"addresses": [{"channel": "sms", "value": one.number}]}
    assert (await w.api("PUT", f"/v1/customers/shared-{one.number[1:]}", shared)).status == 201
    given = {"category": "outage", "content": {"text": "x"}}
    for who in (one.id, f"shared-{one.number[1:]}"):
        body = (await w.api("POST", "/v1/messages", {**given, "customer": who}, dry_run="true")).body
        assert [step["channel"] for step in body["route"]] == ["sms"]


async def test_locales_and_zones_are_normalised(w: World) -> None:
    answer = await w.api("PUT", f"/v1/customers/l{fresh()[1:]}", {"locale": "ZH_hans", "time_zone": "Asia/Shanghai"})
    assert answer.status in {201, 422}
    if answer.status == 201:
        assert answer.body["locale"] == "zh-Hans"
    assert (await w.api("PUT", f"/v1/customers/l{fresh()[1:]}", {"locale": "zh-hk"})).body["locale"] == "zh-HK"


async def imported(w: World, api: Api, lines: list[Any]) -> tuple[int, list[Any]]:
    raw = b"\n".join(one if isinstance(one, bytes) else msgspec.json.encode(one) for one in lines)
    answer = await api("POST", "/v1/customers/import", raw=raw, headers={"Content-Type": "application/x-ndjson"})
    return answer.status, [msgspec.json.decode(line) for line in answer.text.splitlines() if line]


async def test_import_keeps_good_rows_and_names_bad_ones(w: World) -> None:
    one, two = fresh(), fresh()
    rows: list[Any] = [
        {"id": f"i{one[1:]}", "name": "One", "addresses": [{"channel": "sms", "value": one}]},
        {"id": "bad id", "name": "x"},
        b"{not json",
        {"id": f"j{one[1:]}", "addresses": [{"channel": "sms", "value": "12"}]},
        {"id": f"k{one[1:]}", "zzz": 1},
        {"id": f"i{two[1:]}", "addresses": [{"channel": "sms", "value": two}]},
    ]
    for _ in range(2):
        status, lines = await imported(w, w.api, rows)
        assert status == 200
        assert len(lines) == 5, lines
        assert any(isinstance(value, int) and value == 2 for value in lines[-1].values()), lines[-1]
    assert (await w.api("GET", f"/v1/customers/i{two[1:]}")).status == 200
    assert (await w.api("GET", f"/v1/customers/j{one[1:]}")).status == 404


async def test_an_import_never_overrides_a_withdrawal(w: World) -> None:
    person = await w.person("sms")
    gone = {"channel": "sms", "category": "*", "state": "withdrawn", "way": "phone", "wording": "Stop texting me."}
    assert (await w.api("POST", f"/v1/customers/{person.id}/consents", gone)).status in {200, 201}
    row = {"id": person.id, "name": "Again", "addresses": [{"channel": "sms", "value": person.number}]}
    await imported(w, w.api, [row])
    message = (
        await w.api(
            "POST",
            "/v1/messages",
            {"customer": person.id, "category": "outage", "content": {"text": "x"}},
            dry_run="true",
        )
    ).body
    assert [one["why"]["code"] for one in message["skipped"] if one["channel"] == "sms"] == ["opted_out"]


async def test_export_holds_everything(w: World) -> None:
    person = await w.person("sms", "email", preferences={"language": "el"}, name="Ana")
    await w.api(
        "POST", f"/v1/customers/{person.id}/consents",
        {"channel": "email", "category": "marketing", "state": "granted", "way": "form", "wording": "Yes, send me offers."},
    )  # fmt: skip
    message = await w.send(person, "The words that were sent")
    await w.twilio.text(person.number)
    answer = await w.api("GET", f"/v1/customers/{person.id}/export")
    assert answer.status == 200
    for part in (person.number, person.email, "Ana", "Yes, send me offers.", message["id"], "The words that were sent"):
        assert part in answer.text, part


@pytest.mark.parametrize("mode", ["test", "team"])
async def test_test_and_team_keys_change_no_customers(w: World, mode: str) -> None:
    api = await w.key(mode=mode)
    person = await w.person("sms")
    path = f"/v1/customers/{person.id}"
    consent = {"channel": "*", "category": "*", "state": "withdrawn", "way": "form", "wording": "No."}
    tried = [
        await api("PUT", path, {}),
        await api("PATCH", path, {"name": "x"}),
        await api("PUT", path + "/preferences", {}),
        await api("POST", path + "/consents", consent),
        await api("POST", "/v1/customers/import", raw=b"{}", headers={"Content-Type": "application/x-ndjson"}),
    ]
    assert [one.status for one in tried] == [403] * 5
    assert (await api("GET", path)).status == 200
