"""The five filters of the template language: `date time datetime money number`.

Every value is first read strictly (`read`), so a bad one is found when a message is accepted, and only then written in
the reader's language and time zone (`write`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import msgspec
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_datetime_format
from babel.numbers import format_currency, format_decimal

FILTERS: Final = ("date", "time", "datetime", "money", "number")
STYLES: Final = ("short", "medium", "long", "full")

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_NUMBER: Final = re.compile(r"-?\d{1,15}(\.\d{1,9})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_LARGEST: Final = 10**15
_EXAMPLE: Final = "2026-11-22T18:00:00+02:00"

Value = date | datetime | Decimal | tuple[Decimal, str]


class Reader(msgspec.Struct, frozen=True):
    """Whom a text is written for: a BCP 47 tag and an IANA time zone."""

    locale: str
    time_zone: str


def check_argument(name: str, argument: object) -> str | None:
    """What is wrong with a filter's literal argument, or None. Dates take a style, money a currency, number digits."""
    if name == "money":
        good = isinstance(argument, str) and _CURRENCY.fullmatch(argument) is not None
        return None if good else 'money takes a currency of three capital letters, as in money("EUR")'
    if name == "number":
        good = isinstance(argument, int) and not isinstance(argument, bool) and 0 <= argument <= 9
        return None if good else "number takes how many decimal places to show, 0 to 9, as in number(2)"
    return None if argument in STYLES else f"{name} takes one of " + ", ".join(STYLES)


def read(name: str, value: object, argument: object) -> Value:
    """The value as the filter understands it. Raises ValueError with a sentence that follows the value's name."""
    if name == "money":
        return _read_money(value, argument)
    if name == "number":
        return _read_number(value)
    return _read_date(name, value)


def _read_date(name: str, value: object) -> date | datetime:
    text = value if isinstance(value, str) else ""
    try:
        if name == "date" and _DAY.fullmatch(text):
            return date.fromisoformat(text)
        if _MOMENT.fullmatch(text):
            moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
            if 2 <= moment.year <= 9998:
                return moment
    except (ValueError, OverflowError):
        pass
    also = ' or a day such as "2026-11-22"' if name == "date" else ""
    raise ValueError(f'must be an RFC 3339 time with offset, such as "{_EXAMPLE}"{also}')


def _read_number(value: object) -> Decimal:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return Decimal(str(value))
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        try:
            return Decimal(value)
        except InvalidOperation:
            pass
    raise ValueError('must be a number below 10^15 or one written as text, such as 12.5 or "12.50"')


def _read_money(value: object, argument: object) -> tuple[Decimal, str]:
    if isinstance(value, dict):
        pair = cast("dict[str, Any]", value)
        value, argument = pair.get("amount"), pair.get("currency", argument)
    if not isinstance(argument, str) or not _CURRENCY.fullmatch(argument):
        raise ValueError('needs a currency: write money("EUR"), or give {"amount": "12.50", "currency": "EUR"}')
    return _read_number(value), argument


def write(name: str, value: Value, argument: object, reader: Reader) -> str:
    """The value in the reader's language and time zone."""
    return _write(name, value, argument if name != "money" else None, reader.locale, reader.time_zone)


@lru_cache(maxsize=8192)
def _write(name: str, value: Value, argument: object, tag: str, zone: str) -> str:
    return _WRITERS[name](value, argument, babel_locale(tag), zone)


def _write_date(value: Any, style: Any, locale: Locale, zone: str) -> str:
    day = value.astimezone(ZoneInfo(zone)) if isinstance(value, datetime) else value
    return format_date(day, style or "medium", locale=locale)


def _write_time(value: Any, style: Any, locale: Locale, zone: str) -> str:
    return format_time(value.astimezone(ZoneInfo(zone)), style or "short", locale=locale)


def _write_datetime(value: Any, style: Any, locale: Locale, zone: str) -> str:
    pattern = str(get_datetime_format(style or "medium", locale=locale))
    day, clock = _write_date(value, style, locale, zone), _write_time(value, None, locale, zone)
    return pattern.replace("'", "").replace("{0}", clock).replace("{1}", day)


def _write_number(value: Any, places: Any, locale: Locale, _zone: str) -> str:
    pattern = None if places is None else "#,##0" + ("." + "0" * places if places else "")
    return format_decimal(value, pattern, locale=locale)


def _write_money(value: Any, _argument: Any, locale: Locale, _zone: str) -> str:
    amount, currency = value
    return format_currency(amount, currency, locale=locale)


_WRITERS: Final[dict[str, Callable[[Any, Any, Locale, str], str]]] = {
    "date": _write_date,
    "time": _write_time,
    "datetime": _write_datetime,
    "number": _write_number,
    "money": _write_money,
}


@lru_cache(maxsize=512)
def babel_locale(tag: str) -> Locale:
    """Babel's locale for a BCP 47 tag: the tag itself, else its language alone, else English."""
    for candidate in (tag, tag.partition("-")[0]):
        try:
            return Locale.parse(candidate, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale("en")
