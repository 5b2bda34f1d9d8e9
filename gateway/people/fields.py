"""The fields of bodies that callers write: each read by a method, what is wrong noted as (JSON pointer, sentence)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, Final, cast
from zoneinfo import available_timezones

import msgspec

from gateway.preferences.consent import ANY
from gateway.preferences.locales import valid_locale

Problem = tuple[str, str]
DEEPEST: Final = 5
FUTURE_MS: Final = 300_000
"""How far another machine's clock may be ahead of ours."""
CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Invalid(Exception):
    """Bad input; `problems` lists all of it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{pointer}: {detail}" for pointer, detail in problems))
        self.problems = problems


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The names that may be used, and the country of numbers written without one."""

    channels: Collection[str]
    categories: Collection[str]
    country: str | None = None


class Fields:
    """One body being read. Problems collect in `problems`; what is wrong reads as None."""

    def __init__(self, known: Known, now: int) -> None:
        self.known = known
        self.now = now
        self.problems: list[Problem] = []

    def done(self) -> None:
        """Raises Invalid if there was any problem."""
        if self.problems:
            raise Invalid(self.problems)

    def wrong(self, pointer: str, detail: str) -> None:
        """Note a problem."""
        self.problems.append((pointer, detail))

    def object(self, at: str, raw: Any, fields: Collection[str] | None) -> dict[str, Any]:
        """A JSON object with no other fields than these (None: any)."""
        if not isinstance(raw, Mapping):
            self.wrong(at, "must be a JSON object")
            return {}
        body = cast("Mapping[str, Any]", raw)
        unknown = [name for name in body if name not in fields] if fields is not None else []
        for name in unknown:
            self.wrong(f"{at}/{escaped(name)}", f"is no field here: there are {listed(fields or ())}")
        return {name: value for name, value in body.items() if name not in unknown}

    def _text(self, at: str, raw: Any, most: int, *, lines: bool = False) -> str | None:
        if raw is None:
            return None
        bad = _UNSTORABLE if lines else CONTROL
        if not isinstance(raw, str) or not raw.strip() or len(raw) > most or bad.search(raw):
            where = "" if lines else " on one line"
            self.wrong(at, f"must be a text of 1 to {most} characters{where}, without control characters")
            return None
        return raw.strip()

    def _needed(self, at: str, raw: Any, most: int, *, lines: bool = False) -> str:
        if raw is None:
            self.wrong(at, "is needed")
        return self._text(at, raw, most, lines=lines) or ""

    def _locale(self, at: str, raw: Any) -> str | None:
        if raw is None:
            return None
        try:
            return valid_locale(raw if isinstance(raw, str) else "")
        except ValueError as bad:
            self.wrong(at, str(bad))
            return None

    def _zone(self, at: str, raw: Any) -> str | None:
        if raw is None or (isinstance(raw, str) and raw in _zones()):
            return raw
        self.wrong(at, "must be an IANA time zone such as Europe/Athens")
        return None

    def _channel(self, at: str, raw: Any) -> str | None:
        if isinstance(raw, str) and raw in self.known.channels:
            return raw
        self.wrong(at, f"must be a channel: there are {listed(self.known.channels)}")
        return None

    def _name(self, at: str, raw: Any, names: Collection[str], what: str) -> str:
        if isinstance(raw, str) and (raw == ANY or raw in names):
            return raw
        self.wrong(at, f'must be a {what} or "*": there are {listed(names)}')
        return ""

    def _channels(self, at: str, raw: Any) -> tuple[str, ...] | None:
        if raw is None:
            return None
        if not isinstance(raw, list) or not raw:
            self.wrong(at, "must be a list of at least one channel; to stop messages, withdraw consent")
            return None
        found: list[str] = []
        for index, item in enumerate(cast("list[Any]", raw)):
            channel = self._channel(f"{at}/{index}", item)
            if channel in found:
                self.wrong(f"{at}/{index}", f"{channel} stands in the list twice")
            elif channel is not None:
                found.append(channel)
        return tuple(found)

    def _moment(self, at: str, raw: Any) -> int:
        if raw is None:
            return self.now
        try:
            if not isinstance(raw, str) or not _MOMENT.fullmatch(raw):
                raise ValueError
            moment = (dt.datetime.fromisoformat(raw.upper()) - _EPOCH) // dt.timedelta(milliseconds=1)
        except (ValueError, OverflowError):
            self.wrong(at, "must be a time with offset such as 2026-11-22T18:00:00+02:00 (RFC 3339)")
            return self.now
        if not 0 <= moment <= self.now + FUTURE_MS:
            self.wrong(at, "must not lie in the future, nor before 1970")
        # Another clock may be ahead; what comes to us later than this entry must count as later.
        return min(moment, self.now)


def wire_time(ms: int) -> str:
    """A time as it is written on the wire: RFC 3339 in UTC, to the millisecond where there are any."""
    return (_EPOCH + dt.timedelta(milliseconds=ms)).isoformat(timespec="milliseconds" if ms % 1000 else "seconds")


def escaped(token: str) -> str:
    """A part of a JSON pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")


def listed(names: Collection[str]) -> str:
    """Names for a sentence."""
    return ", ".join(sorted(names))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def unstorable(value: Any, level: int) -> str | None:
    """Why a JSON value can't be kept, or None. `level`: how deep it stands, from 1."""
    if isinstance(value, dict | list) and level > DEEPEST:
        return f"may be {DEEPEST} levels deep"
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value)
        inner = [*pairs, *pairs.values()]
    elif isinstance(value, list):
        inner = cast("list[Any]", value)
    elif isinstance(value, str):
        return "may not hold null characters or halves of surrogate pairs" if _UNSTORABLE.search(value) else None
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "may not hold whole numbers of more than 64 bits"
    elif isinstance(value, float) and (value != value or abs(value) == float("inf")):  # noqa: PLR0124 - that is NaN
        return "may not hold NaN or infinity"
    else:
        return None
    return next((fault for item in inner if (fault := unstorable(item, level + 1)) is not None), None)
