from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.customer import Address
from gateway.people.fields import Invalid, Problem
from gateway.people.parse import MOST_ATTRIBUTES, Reading
from gateway.people.rows import taken_in
from gateway.people.views import merged
from tests.support.people_reading import EMPTY, pointers, reading, refused


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

    async def take(rows: Sequence[Any]) -> list[list[Problem]]:
        found = [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]
        assert len({row["id"] for row in found}) == len(found), "those of one id never come together"
        taken.extend(row["n"] for row in found)
        return [[("", row)] if isinstance(row, str) else [("/n", "is three")] * (row["n"] == 3) for row in rows]

    rows = [(n, {"id": "same", "n": n}) for n in range(6)] + [(6, "no row")]
    found: list[tuple[int, list[Problem]]] = [pair async for pair in taken_in(rows, take, 4)]
    assert [number for number, _ in found] == list(range(7))
    assert {number: problems for number, problems in found if problems} == {
        3: [("/n", "is three")],
        6: [("", "no row")],
    }
    assert taken == list(range(6))


async def test_what_breaks_an_import_ends_it() -> None:
    async def take(rows: Sequence[Any]) -> list[list[Problem]]:
        if any(row["id"] == "3" for row in rows):
            raise OSError("gone")
        return [[] for _ in rows]

    async def rows() -> AsyncIterator[tuple[int, Any]]:
        for n in range(100):
            yield n, {"id": str(n)}

    with pytest.raises(OSError, match="gone"):
        _ = [pair async for pair in taken_in(rows(), take, 4)]
