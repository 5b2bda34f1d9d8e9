"""Conditions on an event's data and on the customer, as data. Pure and total: whatever the data, there is an answer.

A condition that speaks of the customer is unknown as long as the customer isn't looked at. So a rule can say at the event
itself that it will never act, and asks about the customer when it does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.customer import Customer

Scalar = str | int | float | bool | None
Problem = tuple[str, str]

MISSING: Final = object()
_UNKNOWN: Final = object()
DEEPEST: Final = 8
MOST: Final = 100
_OF_CUSTOMER: Final = ("attributes", "channels", "id", "locale", "name", "time_zone")
_LONGEST_PATH: Final = 200
_ORDERS: Final = ("gt", "gte", "lt", "lte")
TESTS: Final = ("eq", "ne", "in", "not_in", *_ORDERS, "contains", "exists")


class Condition(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"among": "in", "not_among": "not_in", "negated": "not"},
):
    """Something that must hold: `all` or `any` of others, `not` another, or a `field` with one or more tests, all of which hold."""

    all: Annotated[tuple[Condition, ...], Meta(min_length=1, max_length=MOST)] | None = None
    any: Annotated[tuple[Condition, ...], Meta(min_length=1, max_length=MOST)] | None = None
    negated: Condition | None = None
    field: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=_LONGEST_PATH,
                description="`event.<name>` of the event's data, `customer.attributes.<name>`, `customer.locale` …; dots lead deeper.",
            ),
        ]
        | None
    ) = None
    eq: Scalar | UnsetType = UNSET
    ne: Scalar | UnsetType = UNSET
    among: Annotated[tuple[Scalar, ...], Meta(min_length=1, max_length=MOST)] | UnsetType = UNSET
    not_among: Annotated[tuple[Scalar, ...], Meta(min_length=1, max_length=MOST)] | UnsetType = UNSET
    gt: str | int | float | UnsetType = UNSET
    gte: str | int | float | UnsetType = UNSET
    lt: str | int | float | UnsetType = UNSET
    lte: str | int | float | UnsetType = UNSET
    contains: Annotated[Scalar, Meta(description="A member of a list, or a part of a text.")] | UnsetType = UNSET
    exists: Annotated[bool, Meta(description="Whether there is a value, and not null.")] | UnsetType = UNSET

    def tests(self) -> dict[str, Any]:
        """The tests of its field, by their names on the wire."""
        given = {**{name: getattr(self, name, UNSET) for name in TESTS}, "in": self.among, "not_in": self.not_among}
        return {name: value for name, value in given.items() if value is not UNSET}


class Facts(msgspec.Struct, frozen=True):
    """What conditions and texts of a rule are about. `customer` None: not looked at yet."""

    event: Mapping[str, Any]
    customer: Mapping[str, Any] | None = None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One test that was made. `holds` None: it speaks of the customer, who wasn't looked at."""

    pointer: str
    field: str
    test: str
    wanted: Any
    found: Any
    holds: bool | None


def facts_of(customer: Customer) -> dict[str, Any]:
    """What conditions and texts may know of a customer."""
    return {
        "id": customer.id,
        "name": customer.name,
        "locale": customer.preferences.language or customer.locale,
        "time_zone": customer.time_zone,
        "attributes": customer.attributes,
        "channels": list(dict.fromkeys(address.channel for address in customer.addresses)),
    }


def holds(condition: Condition, facts: Facts) -> bool | None:
    """Whether it holds; None: that depends on the customer, who isn't known yet."""
    if condition.all is not None:
        return _every(holds(one, facts) for one in condition.all)
    if condition.any is not None:
        return _not(_every(_not(holds(one, facts)) for one in condition.any))
    if condition.negated is not None:
        return _not(holds(condition.negated, facts))
    found = find(condition.field or "", facts)
    if found is _UNKNOWN:
        return None
    return all(_test(name, found, wanted) for name, wanted in condition.tests().items())


def explain(condition: Condition, facts: Facts, at: str = "/when") -> Iterator[Checked]:
    """Every test of a condition, one by one."""
    for name in ("all", "any"):
        for n, one in enumerate(getattr(condition, name) or ()):
            yield from explain(one, facts, f"{at}/{name}/{n}")
    if condition.negated is not None:
        yield from explain(condition.negated, facts, f"{at}/not")
    if condition.field is None:
        return
    found = find(condition.field, facts)
    for name, wanted in condition.tests().items():
        held = None if found is _UNKNOWN else _test(name, found, wanted)
        shown = None if found is MISSING or found is _UNKNOWN else found
        yield Checked(pointer=f"{at}/{name}", field=condition.field, test=name, wanted=wanted, found=shown, holds=held)


def problems(condition: Condition, at: str = "/when", depth: int = 1) -> Iterator[Problem]:
    """What is wrong with a condition."""
    if depth > DEEPEST:
        yield at, f"is nested deeper than {DEEPEST} levels."
        return
    forms = [name for name in ("all", "any", "negated", "field") if getattr(condition, name) is not None]
    if len(forms) != 1:
        yield at or "/", "needs exactly one of all, any, not, field."
        return
    tests = condition.tests()
    if condition.field is None:
        for name in tests:
            yield f"{at}/{name}", "is a test of a field: give the field beside it."
    else:
        fault = path_problem(condition.field)
        if fault is not None:
            yield f"{at}/field", fault
        if not tests:
            yield at or "/", f"needs a test: one of {', '.join(TESTS)}."
    for name in ("all", "any"):
        for n, one in enumerate(getattr(condition, name) or ()):
            yield from problems(one, f"{at}/{name}/{n}", depth + 1)
    if condition.negated is not None:
        yield from problems(condition.negated, f"{at}/not", depth + 1)


def size(condition: Condition) -> int:
    """How many conditions it is made of."""
    inner = (
        *(condition.all or ()),
        *(condition.any or ()),
        *(() if condition.negated is None else (condition.negated,)),
    )
    return 1 + sum(map(size, inner))


def path_problem(path: str) -> str | None:
    """What is wrong with a path that begins with `event` or `customer`."""
    root, *rest = path.split(".")
    if root not in ("event", "customer") or not rest:
        return "must begin with event. or customer., such as event.total or customer.attributes.plan."
    if not is_path(".".join(rest)):
        return f"must be names with single dots between them, {DEEPEST} at most."
    if root == "customer" and (rest[0] not in _OF_CUSTOMER or (rest[0] == "attributes" and len(rest) == 1)):
        known = ", ".join(f"customer.{name}" for name in _OF_CUSTOMER if name != "attributes")
        return f"must be customer.attributes.<name>, or one of {known}."
    return None


def is_path(path: str) -> bool:
    """Whether it can be a path within data."""
    names = path.split(".")
    return all(names) and len(names) <= DEEPEST and len(path) <= _LONGEST_PATH


def find(path: str, facts: Facts) -> Any:
    """The value under a path that begins with `event` or `customer`, MISSING where there is none."""
    root, _, rest = path.partition(".")
    if root == "customer":
        return _UNKNOWN if facts.customer is None else within(facts.customer, rest)
    return within(facts.event, rest)


def within(data: Any, path: str) -> Any:
    """The value under a path in data, MISSING where there is none."""
    for name in path.split("."):
        if not isinstance(data, Mapping) or name not in data:
            return MISSING
        data = cast("Mapping[str, Any]", data)[name]
    return data


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; true is no 1, and a number is the same however it is written."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        ones, others = cast("list[Any]", one), cast("list[Any]", other)
        return len(ones) == len(others) and all(map(same, ones, others))
    if isinstance(one, dict) and isinstance(other, dict):
        mine, theirs = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return mine.keys() == theirs.keys() and all(same(mine[name], theirs[name]) for name in mine)
    return one == other


def _every(found: Iterator[bool | None]) -> bool | None:
    unknown = False
    for one in found:
        if one is False:
            return False
        unknown = unknown or one is None
    return None if unknown else True


def _not(one: bool | None) -> bool | None:  # noqa: FBT001 - the value itself, of three
    return None if one is None else not one


def _test(name: str, found: Any, wanted: Any) -> bool:
    match name:
        case "eq":
            return same(found, wanted)
        case "ne":
            return not same(found, wanted)
        case "in":
            return any(same(found, one) for one in wanted)
        case "not_in":
            return not any(same(found, one) for one in wanted)
        case "exists":
            return (found is not MISSING and found is not None) == wanted
        case "contains":
            if isinstance(found, list):
                return any(same(one, wanted) for one in cast("list[Any]", found))
            return isinstance(found, str) and isinstance(wanted, str) and wanted in found
        case _:
            return _ordered(name, found, wanted)


def _ordered(name: str, found: Any, wanted: Any) -> bool:
    """Numbers by size, times (RFC 3339) by when they are, other texts by their characters; never one kind with another."""
    one, other = _key(found), _key(wanted)
    if one is None or other is None or one[0] != other[0]:
        return False
    first, second = one[1], other[1]
    if name == "gt":
        return first > second
    if name == "gte":
        return first >= second
    return first < second if name == "lt" else first <= second


def _key(value: Any) -> tuple[str, Any] | None:
    if isinstance(value, str):
        moment = _moment(value)
        return ("text", value) if moment is None else ("time", moment)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return "number", value


def _moment(text: str) -> dt.datetime | None:
    if not 20 <= len(text) <= 35:
        return None
    try:
        found = msgspec.convert(text, dt.datetime)
    except (msgspec.ValidationError, OverflowError):
        return None
    return found if found.tzinfo is not None else None
