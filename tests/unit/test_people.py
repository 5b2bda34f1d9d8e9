from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.customer import Address, CategoryPreference, ConsentEntry, Preferences, QuietHours
from gateway.delivery.people_fields import Invalid, Known, Problem, wire_time
from gateway.delivery.people_parse import MOST_ATTRIBUTES, Reading
from gateway.delivery.people_rows import taken_in
from gateway.delivery.people_views import merged, preferences_view

EMPTY: list[Any] = []
NOW = 1_795_000_000_000
KNOWN = Known(channels=("sms", "email", "wechat", "voice", "pager"), categories=("outage", "survey"))


def reading() -> Reading:
    return Reading(KNOWN, NOW)


def pointers(read: Callable[[Reading], Any]) -> list[str]:
    made = reading()
    read(made)
    assert all(detail for _, detail in made.problems)
    return [pointer for pointer, _ in made.problems]


def refused(**fields: Any) -> list[str]:
    return pointers(lambda made: made.profile(fields))


def test_a_profile_is_normalised() -> None:
    made = reading()
    profile = made.profile(
        {
            "name": " Ana ",
            "locale": "zh_hk",
            "time_zone": "Europe/Athens",
            "addresses": [
                {"channel": "sms", "value": "+30 690 000 0001", "label": "mobile"},
                {"channel": "email", "value": "ana@EXAMPLE.org"},
                {"channel": "pager", "value": " 77 "},
            ],
            "attributes": {"medical_priority": True},
        }
    )
    made.done()
    assert (profile.name, profile.locale) == ("Ana", "zh-HK")
    assert profile.addresses == (
        Address("sms", "+306900000001", "mobile"),
        Address("email", "ana@example.org"),
        Address("pager", "77"),
    )


def test_nothing_is_needed() -> None:
    made = reading()
    nulls = dict.fromkeys(("name", "locale", "time_zone", "addresses", "attributes"))
    assert made.profile({}) == made.profile(nulls)
    made.done()


def test_every_problem_is_told_at_once() -> None:
    made = reading()
    made.customer_id("/id", "a b")
    made.profile(
        {
            "name": "x" * 201,
            "locale": "klingon",
            "time_zone": "Mars/Base",
            "nick/name": "A",
            "addresses": [
                {"channel": "sms", "value": "12"},
                {"channel": "telex", "value": "1"},
                {"channel": "email", "value": "a@example.org", "note": 1},
                "+306900000001",
                {"channel": "sms"},
            ],
            "attributes": [],
        }
    )
    with pytest.raises(Invalid) as bad:
        made.done()
    assert {pointer for pointer, _ in bad.value.problems} == {
        "/id",
        "/name",
        "/locale",
        "/time_zone",
        "/nick~1name",
        "/addresses/0/value",
        "/addresses/1/channel",
        "/addresses/2/note",
        "/addresses/3",
        "/addresses/4/value",
        "/attributes",
    }  # fmt: skip - a list of places


@pytest.mark.parametrize("raw", [None, [], "x", 1, True])
def test_a_body_is_an_object(raw: Any) -> None:
    assert pointers(lambda made: made.profile(raw)) == [""]
    assert pointers(lambda made: made.preferences(raw)) == [""]
    assert "" in pointers(lambda made: made.consent(raw))


@pytest.mark.parametrize("name", ["", " ", 5, "a\nb", "a\x00b", "\ud800"])
def test_a_bad_name_is_refused(name: Any) -> None:
    assert refused(name=name) == ["/name"]


def test_the_same_address_twice_is_refused_but_a_mobile_stands_under_sms_and_voice() -> None:
    sms = {"channel": "sms", "value": "+306900000001"}
    assert refused(addresses=[sms, {"channel": "sms", "value": "+30 6900000001"}]) == ["/addresses/1/value"]
    assert refused(addresses=[sms, {**sms, "channel": "voice"}]) == []


def test_at_most_twenty_addresses() -> None:
    many = [{"channel": "pager", "value": str(n)} for n in range(21)]
    assert refused(addresses=many[:20]) == []
    assert refused(addresses=many) == ["/addresses"]


def nested(levels: int) -> Any:
    return {} if levels == 1 else {"a": nested(levels - 1)}


@pytest.mark.parametrize(
    "attributes",
    [
        {"a": "x" * MOST_ATTRIBUTES},
        nested(6),
        {"a": [[[[EMPTY]]]]},
        {"a": 2**63},
        {"a": "\ud800"},
        {"a\x00": 1},
        {"a": float("nan")},
        {"a": float("inf")},
    ],
)
def test_attributes_that_cannot_be_kept_are_refused(attributes: Any) -> None:
    assert refused(attributes=attributes) == ["/attributes"]


def test_attributes_as_deep_and_as_long_as_they_may_be() -> None:
    assert refused(attributes=nested(5)) == []
    assert refused(attributes={"a": "x" * (MOST_ATTRIBUTES - len('{"a":""}'))}) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    (
        "name",
        "locale",
        "time_zone",
        "addresses",
        "attributes",
        "channels",
        "categories",
        "quiet_hours",
        "language",
        "channel",
        "category",
        "state",
        "way",
        "wording",
        "at",
        "proof",
        "x",
    )
)  # fmt: skip - names


@given(st.dictionaries(FIELDS, JSON | st.fixed_dictionaries({"outage": JSON, "start": JSON, "end": JSON})))
def test_whatever_comes_is_read_or_refused_and_what_is_read_can_be_stored(raw: dict[str, Any]) -> None:
    for read in (Reading.profile, Reading.preferences, Reading.consent):
        made = reading()
        result = read(made, raw)
        if not made.problems:
            msgspec.msgpack.encode(result)


def test_preferences_as_the_contract_writes_them() -> None:
    made = reading()
    raw = {
        "channels": ["wechat", "sms", "voice"],
        "categories": {"outage": {"channels": ["sms", "voice"]}, "survey": {"enabled": False}},
        "quiet_hours": {"start": "21:00", "end": "08:00"},
        "language": "zh-Hans",
    }
    read = made.preferences(raw)
    made.done()
    assert read == Preferences(
        channels=("wechat", "sms", "voice"),
        categories={"outage": CategoryPreference(("sms", "voice")), "survey": CategoryPreference(enabled=False)},
        quiet_hours=QuietHours("21:00", "08:00"),
        language="zh-Hans",
    )
    assert preferences_view(read) == raw


@pytest.mark.parametrize("raw", [{}, {"quiet_hours": None}, {"quiet_hours": {"start": "21:00", "end": "08:00"}}])
def test_absent_quiet_hours_and_none_are_two_things(raw: dict[str, Any]) -> None:
    made = reading()
    assert preferences_view(made.preferences(raw)) == raw or raw == {}
    assert (made.preferences({}).quiet_hours, made.preferences({"quiet_hours": None}).quiet_hours) == (
        msgspec.UNSET,
        None,
    )


def test_bad_preferences_are_told_at_once() -> None:
    raw = {
        "channels": ["sms", "telex", "sms"],
        "categories": {"gossip": {}, "outage": {"channels": EMPTY, "enabled": 1, "x": 1}, "survey": None},
        "quiet_hours": {"start": "9:00", "end": "24:00"},
        "language": 5,
        "colour": "red",
    }
    assert set(pointers(lambda made: made.preferences(raw))) == {
        "/channels/1",
        "/channels/2",
        "/categories/gossip",
        "/categories/outage/channels",
        "/categories/outage/enabled",
        "/categories/outage/x",
        "/categories/survey",
        "/quiet_hours/start",
        "/quiet_hours/end",
        "/language",
        "/colour",
    }  # fmt: skip - a list of places
    same = {"quiet_hours": {"start": "08:00", "end": "08:00"}}
    assert pointers(lambda made: made.preferences(same)) == ["/quiet_hours/end"]
    assert pointers(lambda made: made.preferences({"categories": []})) == ["/categories"]


CONSENT: dict[str, Any] = {"channel": "*", "category": "survey", "state": "granted", "way": "form", "wording": "Yes"}


def test_consent_is_read_and_is_given_now_unless_it_says_when() -> None:
    made = reading()
    assert made.consent(CONSENT) == ConsentEntry("*", "survey", "granted", "form", "Yes", NOW)
    assert made.consent({**CONSENT, "at": "2026-01-15T12:00:00.25+02:00", "proof": "form 7"}) == ConsentEntry(
        "*", "survey", "granted", "form", "Yes", 1_768_471_200_250, "form 7"
    )
    made.done()


@pytest.mark.parametrize(
    "change, pointer",
    [
        ({"channel": "telex"}, "/channel"),
        ({"category": "gossip"}, "/category"),
        ({"state": "maybe"}, "/state"),
        ({"way": None}, "/way"),
        ({"wording": " "}, "/wording"),
        ({"proof": ""}, "/proof"),
        ({"proof": 7}, "/proof"),
        ({"address": "+306900000001"}, "/address"),
        ({"at": "2026-01-15T12:00:00"}, "/at"),
        ({"at": "2026-01-15"}, "/at"),
        ({"at": "2026-13-15T12:00:00Z"}, "/at"),
        ({"at": 5}, "/at"),
        ({"at": "1969-12-31T23:59:59Z"}, "/at"),
        ({"at": wire_time(NOW + 300_001)}, "/at"),
    ],
)
def test_bad_consent_is_refused(change: dict[str, Any], pointer: str) -> None:
    assert pointers(lambda made: made.consent({**CONSENT, **change})) == [pointer]


def test_a_clock_a_little_ahead_is_forgiven() -> None:
    assert pointers(lambda made: made.consent({**CONSENT, "at": wire_time(NOW + 300_000)})) == []


@given(st.integers(0, NOW))
def test_times_come_back_from_the_wire(moment: int) -> None:
    assert reading().consent({**CONSENT, "at": wire_time(moment)}).at == moment


# RFC 7396, appendix A.
@pytest.mark.parametrize(
    "target, patch, result",
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_merges_as_the_rfc_says(target: Any, patch: Any, result: Any) -> None:
    assert merged(target, patch) == result


async def test_rows_are_told_in_order_and_rows_of_one_id_follow_each_other() -> None:
    taken: list[int] = []

    async def take(row: Any) -> None:
        taken.append(row["n"])
        if row["n"] == 3:
            raise Invalid([("/n", "is three")])

    rows = [(n, {"id": "same", "n": n}) for n in range(6)] + [(6, "no row")]
    found: list[tuple[int, list[Problem]]] = [pair async for pair in taken_in(rows, take, 4)]
    assert [number for number, _ in found] == list(range(7))
    assert {number: problems for number, problems in found if problems} == {
        3: [("/n", "is three")],
        6: [("", "no row")],
    }
    assert taken == list(range(6))


async def test_what_breaks_an_import_ends_it() -> None:
    async def take(row: Any) -> None:
        if row["id"] == "3":
            raise OSError("gone")

    async def rows() -> AsyncIterator[tuple[int, Any]]:
        for n in range(100):
            yield n, {"id": str(n)}

    with pytest.raises(OSError, match="gone"):
        _ = [pair async for pair in taken_in(rows(), take, 4)]
