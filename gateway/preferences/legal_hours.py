"""The hours in which a marketing call or text may arrive, by place: the table beside this file, read.

Not legal advice: operators with a stricter duty narrow it with their customers' quiet hours.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

Day = tuple[tuple[int, int], ...]
Week = tuple[Day, Day, Day, Day, Day, Day, Day]
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FRIDAY, _SATURDAY, _SUNDAY = 4, 5, 6


class Holidays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Days on which nothing goes out, as the table writes them; `moved`: what else is one when they fall on a weekend."""

    days: tuple[str, ...]
    moved: Literal["near", "after"] | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the table. Hours as it writes them; `saturday`, `sunday` left out: as on other days."""

    place: str
    countries: tuple[str, ...]
    week: str
    source: str
    channels: tuple[str, ...] = ("sms", "voice")
    area_codes: tuple[int, ...] = ()
    saturday: str | None = None
    sunday: str | None = None
    holidays: str | None = None

    def hours(self) -> Week:
        """Monday to Sunday, in minutes after local midnight."""
        return _week(self.week, self.saturday, self.sunday)


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: tuple[Rule, ...]
    holidays: dict[str, Holidays]


def _read() -> _Table:
    with Path(__file__).with_suffix(".toml").open("rb") as file:
        raw: dict[str, Any] = tomllib.load(file)
    return msgspec.convert(raw, _Table)


_TABLE: Final = _read()
RULES: Final = _TABLE.rule
"""All rows, in the order in which they are asked."""


@lru_cache(maxsize=4096)
def rule_for(channel: str, country: str | None, area_code: str) -> Rule:
    """The row for a number on a channel. `area_code`: the three digits behind +1, of numbers that have them."""
    for rule in RULES:
        fits = country in rule.countries and (not rule.area_codes or area_code in map(str, rule.area_codes))
        if fits and channel in rule.channels:
            return rule
    return RULES[-1]


def is_holiday(rule: Rule, day: dt.date) -> bool:
    """Whether nothing at all may go out on a (local) day."""
    return rule.holidays is not None and day in _holidays(rule.holidays, day.year)


@lru_cache(maxsize=256)
def _holidays(name: str, year: int) -> frozenset[dt.date]:
    """The holidays of a year; the first and last days of the years beside it may be moved into it."""
    rule = _TABLE.holidays[name]
    found = [_dated(text, one) for one in (year - 1, year, year + 1) for text in rule.days]
    return frozenset(day for fixed in found for day in _moved(fixed, rule.moved) if day.year == year)


def _moved(day: dt.date, how: str | None) -> tuple[dt.date, ...]:
    if how is not None and day.weekday() == _SUNDAY:
        return day, day + dt.timedelta(days=1)
    if how == "near" and day.weekday() == _SATURDAY:
        return day, day - dt.timedelta(days=1)
    return (day,)


def _dated(text: str, year: int) -> dt.date:
    """A day as the table writes it: "12-25", "11-thu-4", "05-mon-0" (the last one), "easter-2"."""
    if text.startswith("easter"):
        return easter(year) + dt.timedelta(days=int(text.removeprefix("easter")))
    month, _, rest = text.partition("-")
    if "-" not in rest:
        return dt.date(year, int(month), int(rest))
    weekday, number = rest.split("-")
    first = dt.date(year, int(month), 1)
    first += dt.timedelta(days=(_WEEKDAYS.index(weekday) - first.weekday()) % 7)
    days = [first + dt.timedelta(weeks=week) for week in range(5)]
    return [day for day in days if day.month == first.month][int(number) - 1]


def easter(year: int) -> dt.date:
    """Easter Sunday of the western churches, by the algorithm that "Nature" published in 1876 (Meeus, chapter 8)."""
    golden, (century, within) = year % 19, divmod(year, 100)
    leaps, rest = divmod(century, 4)
    moon = (19 * golden + century - leaps - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * rest + 2 * (within // 4) - moon - within % 4) % 7
    late = (golden + 11 * moon + 22 * weekday) // 451
    month, day = divmod(moon + weekday - 7 * late + 114, 31)
    return dt.date(year, month, day + 1)


@lru_cache(maxsize=256)
def _week(every: str, saturday: str | None, sunday: str | None) -> Week:
    day = _day(every)
    last = tuple(day if text is None else _day(text) for text in (saturday, sunday))
    return (day, day, day, day, day, last[0], last[1])


def _day(text: str) -> Day:
    """Hours such as "10:00-13:00 14:00-20:00", in minutes."""
    return tuple((_minutes(opens), _minutes(closes)) for opens, closes in (part.split("-") for part in text.split()))


def _minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)
