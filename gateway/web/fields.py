"""From a JSON tree to a typed value, naming every bad field at once.

msgspec converts, and stops at the first fault. Only then is the tree walked beside the type to collect all of them.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, TypeVar, cast

import msgspec
from msgspec import inspect

from gateway.web.problems import invalid

T = TypeVar("T")
Faults = list[tuple[str, str]]
MOST: Final = 100
"""More faults than this help nobody."""


def convert(tree: Any, wanted: type[T], *, at: str = "", strict: bool = True) -> T:
    """The tree as a value of `wanted`. Raises Problem 422 with (pointer, detail) for every bad field.

    `at` stands before every pointer. `strict=False` reads numbers and booleans out of strings, as in a query.
    """
    try:
        return msgspec.convert(tree, wanted, strict=strict)
    except (msgspec.ValidationError, OverflowError) as first:
        faults = collect(tree, wanted, at, strict=strict) or [(at or "/", _plain(str(first)))]
        raise invalid(faults[:MOST]) from None


def collect(tree: Any, wanted: Any, at: str = "", *, strict: bool = True) -> Faults:
    """Every place where the tree does not fit the type."""
    faults: Faults = []
    _Walk(faults, strict=strict).visit(tree, _info(wanted), at)
    return faults


@functools.lru_cache(maxsize=1024)
def _info(wanted: Any) -> inspect.Type:
    return inspect.type_info(wanted)


def pointer(at: str, step: str | int) -> str:
    """A JSON pointer (RFC 6901) one step further."""
    return f"{at}/{str(step).replace('~', '~0').replace('/', '~1')}"


class _Walk:
    def __init__(self, faults: Faults, *, strict: bool) -> None:
        self._faults = faults
        self._strict = strict

    def visit(self, tree: Any, info: inspect.Type, at: str) -> None:
        if len(self._faults) >= MOST:
            return
        match info:
            case inspect.Metadata():
                self.visit(tree, info.type, at)
            case inspect.StructType():
                self._struct(tree, info, at)
            case inspect.DictType():
                self._dict(tree, info, at)
            case inspect.ListType() | inspect.VarTupleType():
                self._list(tree, info, at)
            case inspect.UnionType():
                self._union(tree, info, at)
            case _:
                self._leaf(tree, info, at)

    def _fault(self, at: str, detail: str) -> None:
        self._faults.append((at or "/", detail))

    def _struct(self, tree: Any, info: inspect.StructType, at: str) -> None:
        if not isinstance(tree, dict):
            self._fault(at, f"must be an object, not {_kind(tree)}.")
            return
        given = cast("dict[str, Any]", tree)
        fields = {field.encode_name: field for field in info.fields}
        for name, value in given.items():
            if name in fields:
                self.visit(value, fields[name].type, pointer(at, name))
            elif info.forbid_unknown_fields:
                self._fault(pointer(at, name), unknown(name, fields))
        for name, field in fields.items():
            if field.required and name not in given:
                self._fault(pointer(at, name), "is required.")

    def _dict(self, tree: Any, info: inspect.DictType, at: str) -> None:
        if not isinstance(tree, dict):
            self._fault(at, f"must be an object, not {_kind(tree)}.")
            return
        before = len(self._faults)
        for name, value in cast("dict[str, Any]", tree).items():
            self.visit(name, info.key_type, pointer(at, name))
            self.visit(value, info.value_type, pointer(at, name))
        if len(self._faults) == before:
            self._size(tree, info, at, "entries")

    def _list(self, tree: Any, info: inspect.ListType | inspect.VarTupleType, at: str) -> None:
        if not isinstance(tree, list):
            self._fault(at, f"must be a list, not {_kind(tree)}.")
            return
        for number, value in enumerate(cast("list[Any]", tree)):
            self.visit(value, info.item_type, pointer(at, number))
        self._size(tree, info, at, "entries")

    def _size(self, tree: Any, info: Any, at: str, what: str) -> None:
        size = len(tree)
        if info.min_length is not None and size < info.min_length:
            self._fault(at, f"must have at least {info.min_length} {what}.")
        if info.max_length is not None and size > info.max_length:
            self._fault(at, f"must have at most {info.max_length} {what}, not {size}.")

    def _union(self, tree: Any, info: inspect.UnionType, at: str) -> None:
        """Null where null may be; else the fit of the member that wants this kind of value, or of the only one."""
        members = [member for member in info.types if not isinstance(member, inspect.NoneType)]
        if tree is None and len(members) < len(info.types):
            return
        fitting = [member for member in members if _wants(tree, member)]
        if not fitting and len(members) > 1:
            self._fault(at, f"must be {' or '.join(dict.fromkeys(map(_name, members)))}, not {_kind(tree)}.")
            return
        tries: list[Faults] = []
        for member in fitting or members:
            found: Faults = []
            _Walk(found, strict=self._strict).visit(tree, member, at)
            tries.append(found)
        self._faults.extend(min(tries, key=len))

    def _leaf(self, tree: Any, info: inspect.Type, at: str) -> None:
        # A number in a query is no time: read loosely, it would count as seconds since the epoch.
        strict = self._strict or isinstance(info, inspect.DateTimeType)
        try:
            msgspec.convert(tree, _annotation(info), strict=strict)
        except (msgspec.ValidationError, OverflowError) as bad:
            self._fault(at, _sentence(tree, info) or _plain(str(bad)))


def _wants(tree: Any, info: inspect.Type) -> bool:
    match info:
        case inspect.Metadata():
            return _wants(tree, info.type)
        case inspect.StructType() | inspect.DictType():
            return isinstance(tree, dict)
        case inspect.ListType() | inspect.VarTupleType():
            return isinstance(tree, list)
        case inspect.BoolType():
            return isinstance(tree, bool)
        case inspect.IntType() | inspect.FloatType():
            return isinstance(tree, int | float) and not isinstance(tree, bool)
        case inspect.AnyType():
            return True
        case inspect.LiteralType():
            return isinstance(tree, str | int)
        case _:
            return isinstance(tree, str)


_NAMES: Final[tuple[tuple[type[inspect.Type], str], ...]] = (
    (inspect.StructType, "an object"),
    (inspect.DictType, "an object"),
    (inspect.ListType, "a list"),
    (inspect.VarTupleType, "a list"),
    (inspect.BoolType, "true or false"),
    (inspect.IntType, "a whole number"),
    (inspect.FloatType, "a number"),
)


def _name(info: inspect.Type) -> str:
    plain = info.type if isinstance(info, inspect.Metadata) else info
    return next((name for kind, name in _NAMES if isinstance(plain, kind)), "a string")


def _kind(tree: Any) -> str:
    kinds: list[tuple[Any, str]] = [
        (bool, "true or false"),
        (dict, "an object"),
        (list, "a list"),
        (str, "a string"),
        (int | float, "a number"),
    ]  # fmt: skip - a table; bool before int, which it is one of
    return next((name for kind, name in kinds if isinstance(tree, kind)), "null")


def _sentence(tree: Any, info: inspect.Type) -> str:
    """What to send instead, where msgspec's own words would not say it."""
    match info:
        case inspect.LiteralType():
            return "must be one of " + ", ".join(str(value) for value in info.values) + "."
        case inspect.EnumType():
            return "must be one of " + ", ".join(str(member.value) for member in info.cls) + "."
        case inspect.DateTimeType():
            return "must be a time by RFC 3339 with offset, such as 2026-11-22T18:00:00+02:00."
        case inspect.StrType():
            return _of_string(tree, info)
        case inspect.IntType() | inspect.FloatType():
            return _of_number(info)
        case inspect.BoolType():
            return f"must be true or false, not {_kind(tree)}."
        case _:
            return ""


def _of_string(tree: Any, info: inspect.StrType) -> str:
    if not isinstance(tree, str):
        return f"must be a string, not {_kind(tree)}."
    if info.max_length is not None and len(tree) > info.max_length:
        return f"must have at most {info.max_length} characters, not {len(tree)}."
    if info.min_length is not None and len(tree) < info.min_length:
        return f"must have at least {info.min_length} character{'s' if info.min_length > 1 else ''}."
    return f"must match {info.pattern}" if info.pattern is not None else ""


def _of_number(info: inspect.IntType | inspect.FloatType) -> str:
    bounds = [f"{words} {value}" for value, words in ((info.ge, "from"), (info.le, "to")) if value is not None]
    return " ".join([f"must be {_name(info)}", *bounds]) + "."


def _annotation(info: inspect.Type) -> Any:
    """The Python type of a leaf, with its constraints."""
    match info:
        case inspect.StrType():
            return _limited(
                str, {"min_length": info.min_length, "max_length": info.max_length, "pattern": info.pattern}
            )
        case inspect.IntType():
            return _limited(int, {"ge": info.ge, "gt": info.gt, "le": info.le, "lt": info.lt})
        case inspect.FloatType():
            return _limited(float, {"ge": info.ge, "gt": info.gt, "le": info.le, "lt": info.lt})
        case inspect.BoolType():
            return bool
        case inspect.NoneType():
            return None
        case inspect.DateTimeType():
            return _limited(dt.datetime, {"tz": info.tz})
        case inspect.LiteralType():
            return cast("Any", Literal)[tuple(info.values)]  # subscripted with values the checker can't know
        case inspect.EnumType():
            return info.cls
        case _:
            return Any


def _limited(base: type, limits: dict[str, Any]) -> Any:
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return Annotated[base, msgspec.Meta(**given)] if given else base


def unknown(name: str, known: Iterable[str]) -> str:
    """What is said of a name nobody knows."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return "is not a known field" + (f"; did you mean {close[0]}?" if close else ".")


def _plain(text: str) -> str:
    """The message of msgspec without its own path."""
    words = text.partition(" - at ")[0].replace("`", "")
    return f"{words}." if not words.endswith(".") else words
