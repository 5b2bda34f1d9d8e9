"""Conditions of rules: what holds of which data, by table and for whatever data there may be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.conditions import Condition, Facts, explain, holds, problems

DATA: dict[str, Any] = {
    "total": 30,
    "ratio": 1.5,
    "paid": True,
    "zero": 0,
    "plan": "gold",
    "note": None,
    "tags": ["new", 7],
    "at": "2026-11-22T18:00:00+02:00",
    "order": {"lines": {"count": 2}},
}
ANA = {"id": "ana", "locale": "el", "attributes": {"plan": "gold", "vip": False}, "channels": ["sms"]}


def read(tree: Any) -> Condition:
    return msgspec.convert(tree, Condition)


@pytest.mark.parametrize(
    "field, test, wanted, held",
    [
        ("total", "eq", 30, True),
        ("total", "eq", 30.0, True),
        ("total", "eq", "30", False),
        ("paid", "eq", True, True),
        ("paid", "eq", 1, False),
        ("zero", "eq", False, False),
        ("note", "eq", None, True),
        ("none", "eq", None, False),
        ("total", "ne", 31, True),
        ("none", "ne", 31, True),
        ("plan", "in", ["silver", "gold"], True),
        ("none", "in", ["silver"], False),
        ("none", "not_in", ["silver"], True),
        ("plan", "not_in", ["gold"], False),
        ("total", "gt", 29.5, True),
        ("total", "gt", 30, False),
        ("total", "gte", 30, True),
        ("ratio", "lt", 2, True),
        ("total", "lte", 30, True),
        ("total", "gt", "1", False),
        ("paid", "gt", 0, False),
        ("none", "lt", 5, False),
        ("plan", "gt", "bronze", True),
        ("at", "lt", "2026-11-22T16:30:00Z", True),
        ("at", "gt", "2026-11-22T16:30:00Z", False),
        ("at", "gt", "2026", False),
        ("order.lines.count", "eq", 2, True),
        ("order.lines.count.more", "exists", False, True),
        ("order", "exists", True, True),
        ("note", "exists", False, True),
        ("tags", "contains", "new", True),
        ("tags", "contains", 7, True),
        ("tags", "contains", True, False),
        ("plan", "contains", "ol", True),
        ("total", "contains", 3, False),
    ],
)
def test_tests_of_a_field(field: str, test: str, wanted: Any, held: bool) -> None:
    condition = read({"field": f"event.{field}", test: wanted})
    assert list(problems(condition)) == []
    assert holds(condition, Facts(DATA)) is held
    assert [one.holds for one in explain(condition, Facts(DATA))] == [held]


YES, NO = {"field": "event.total", "eq": 30}, {"field": "event.total", "eq": 1}
LATER = {"field": "customer.attributes.plan", "eq": "gold"}


@pytest.mark.parametrize(
    "tree, before, then",
    [
        ({"all": [YES, LATER]}, None, True),
        ({"all": [NO, LATER]}, False, False),
        ({"any": [YES, LATER]}, True, True),
        ({"any": [NO, LATER]}, None, True),
        ({"any": [NO, NO]}, False, False),
        ({"not": LATER}, None, False),
        ({"not": NO}, True, True),
        ({"not": {"all": [NO, LATER]}}, True, True),
        ({"field": "event.total", "gte": 20, "lt": 31}, True, True),
        ({"field": "event.total", "gte": 20, "lt": 30}, False, False),
        ({"field": "customer.channels", "contains": "sms"}, None, True),
    ],
)
def test_of_the_customer_nothing_is_known_at_first(tree: Any, before: bool | None, then: bool) -> None:
    assert holds(read(tree), Facts(DATA)) is before
    assert holds(read(tree), Facts(DATA, ANA)) is then


@pytest.mark.parametrize(
    "tree, pointer",
    [
        ({}, "/when"),
        ({"all": [YES], "field": "event.a", "eq": 1}, "/when"),
        ({"field": "event.a"}, "/when"),
        ({"field": "event", "eq": 1}, "/when/field"),
        ({"field": "event.a..b", "eq": 1}, "/when/field"),
        ({"field": "event." + ".".join("a" * 9), "eq": 1}, "/when/field"),
        ({"field": "customer.phone", "eq": 1}, "/when/field"),
        ({"field": "customer.attributes", "exists": True}, "/when/field"),
        ({"any": [YES, {"not": {"field": "x", "eq": 1}}]}, "/when/any/1/not/field"),
        ({"all": [YES], "eq": 1}, "/when/eq"),
    ],
)
def test_what_is_no_condition(tree: Any, pointer: str) -> None:
    assert [at for at, _ in problems(read(tree))] == [pointer]


def test_nesting_has_an_end() -> None:
    tree: Any = YES
    for _ in range(8):
        tree = {"not": tree}
    assert [detail for _, detail in problems(read(tree))] == ["is nested deeper than 8 levels."]


numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | st.text(max_size=5)
orders = st.integers(-9, 9) | numbers | st.text(max_size=4) | st.just("2026-11-22T16:30:00Z")
some = st.lists(scalars, min_size=1, max_size=3)
paths = st.sampled_from(["event.a", "event.a.b", "event.c.a.b", "customer.attributes.a", "customer.name"])


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)


datas: st.SearchStrategy[Any] = st.recursive(scalars, nested)


@st.composite
def leaves(draw: st.DrawFn) -> Any:
    tests: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(("eq", "ne", "contains"), scalars),
        **dict.fromkeys(("in", "not_in"), some),
        **dict.fromkeys(("gt", "gte", "lt", "lte"), orders),
        "exists": st.booleans(),
    }
    names = draw(st.lists(st.sampled_from(sorted(tests)), min_size=1, max_size=3, unique=True))
    return {"field": draw(paths), **{name: draw(tests[name]) for name in names}}


def joined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"not": inner})
    )


trees: st.SearchStrategy[Any] = st.recursive(leaves(), joined, max_leaves=6)
events = st.dictionaries(st.sampled_from("abc"), datas, max_size=3)


@settings(max_examples=60)
@given(trees, events, events)
def test_there_is_always_an_answer(tree: Any, event: dict[str, Any], attributes: dict[str, Any]) -> None:
    condition = read(tree)
    early = holds(condition, Facts(event))
    late = holds(condition, Facts(event, {"attributes": attributes, "name": None}))
    assert late in (True, False)
    assert early in (None, late), "what is said before the customer is known stays true"
    assert all(one.holds is not None for one in explain(condition, Facts(event, {"attributes": attributes})))


@settings(max_examples=60)
@given(trees)
def test_a_condition_is_the_same_after_a_journey_through_json(tree: Any) -> None:
    condition = read(tree)
    assert msgspec.json.decode(msgspec.json.encode(condition), type=Condition) == condition
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(condition), type=Condition) == condition
