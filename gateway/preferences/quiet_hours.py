"""When a person may be disturbed: quiet hours, the law's hours for marketing, "at nine, her time".

A moment counts by what the clock on the wall shows there. So a night on which clocks change needs no rule of its own:
hours that are skipped never come, hours that come twice are quiet twice. Where a number may lie in several time zones,
a moment is good when it is good in all of them.

All times are whole milliseconds since the epoch.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway import numbers
from gateway.preferences.legal_hours import Rule, Week, is_holiday, rule_for

_MINUTE: Final = 60_000
_DAY: Final = 86_400_000
_WEEK: Final = 7 * _DAY
_MONDAY: Final = 3 * _DAY
"""The epoch was a Thursday: added to local time, weeks begin on Monday."""
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_HORIZON: Final = 3 * _DAY
_MOST_HOLIDAYS: Final = 30
"""So often a moment is put off because of a holiday; more than there are in any year's worst fortnight."""
_NEVER_MARKETING: Final = frozenset(("code", "reply", "outage"))

_T = TypeVar("_T")
Spans = tuple[tuple[int, int], ...]
"""The good times of a local week: [start, end) in ms from Monday 00:00, in order, none overlapping."""


def zones(customer_zone: str | None, address_value: str | None, channel: str, default: str) -> tuple[str, ...]:
    """The time zones a person may be in: the stored one, else those of the telephone number, else the default.

    Never empty. Zones that this machine's database doesn't know are passed over; UTC is the last resort.
    """
    if customer_zone is not None and _known(customer_zone):
        return (customer_zone,)
    if address_value is not None and numbers.is_phone_channel(channel):
        found = tuple(zone for zone in numbers.zones_of(address_value) if _known(zone))
        if found:
            return found
    return (default,) if _known(default) else ("UTC",)


def quiet_until(now: int, start: str, end: str, zones: Sequence[str]) -> int | None:
    """The first moment outside the quiet hours in every zone, or None if `now` is one.

    `start` and `end` are local times "HH:MM"; `end` itself is no longer quiet. The hours may cross midnight; the same
    time twice means no quiet hours. Where the zones lie so far apart that no moment suits all of them, it is the first
    that suits most. Raises ValueError for a bad time, an unknown zone, or no zone at all.
    """
    if minutes(start) == minutes(end):
        return None
    spans = _waking(minutes(start), minutes(end))
    return _first_in_all(now, [(_zone(name), spans) for name in zones])


def legal_until(now: int, channel: str, address_value: str | None, category: str, zones: Sequence[str]) -> int | None:
    """The first moment at which the law of the place allows a marketing call or text, or None if `now` is one.

    Asked for categories whose policy has a legal window; codes, replies and outages never wait. Only telephone numbers
    have such hours. The table is in `legal_hours`. Raises ValueError for an unknown zone or none.
    """
    if category in _NEVER_MARKETING or address_value is None or not numbers.is_phone_channel(channel):
        return None
    rule = _rule(channel, address_value)
    spans = _open(rule.hours())
    places = [(_zone(name), spans) for name in zones]
    moment = now
    for _ in range(_MOST_HOLIDAYS):
        moment = _first_in_all(moment, places) or moment
        if rule.holidays is None:
            break
        over = [_next_day(zone, moment) for zone, _ in places if is_holiday(rule, _date(zone, moment))]
        if not over:
            break
        moment = max(over)
    return None if moment == now else moment


def hours_meet(start: str, end: str, channel: str, address_value: str) -> bool:
    """Whether the law's hours for an address leave any minute outside of these quiet hours, in one and the same zone."""
    return not numbers.is_phone_channel(channel) or _meet(start, end, _rule(channel, address_value).hours())


def next_local(now: int, local: str, zones: Sequence[str]) -> int:
    """The next moment, `now` included, at which the person's clock reaches `local` ("HH:MM").

    On a day that skips this time it is the moment of the skip. With several zones the westernmost counts, so it is
    too early for nobody. Raises ValueError for a bad time, an unknown zone, or no zone at all.
    """
    wanted = minutes(local) * _MINUTE
    zone = min((_zone(name) for name in _some(zones)), key=lambda zone: _offset(zone, now))
    before = _offset(zone, now - 1)
    if (wanted - now - before) % _DAY < _offset(zone, now) - before:
        return now
    moment = now
    while True:
        offset = _offset(zone, moment)
        reached = moment + (wanted - moment - offset) % _DAY
        if reached == moment or _offset(zone, reached) == offset:
            return reached
        change = _change(zone, moment, reached)
        skipped = _offset(zone, change) - offset
        if (wanted - change - offset) % _DAY < skipped:
            return change
        moment = change


def minutes(local: str) -> int:
    """A local time "HH:MM" as minutes after midnight. Raises ValueError for anything else."""
    found = _CLOCK.fullmatch(local)
    if found is None:
        raise ValueError(f"must be a time such as 08:30, not {local!r}")
    return int(found[1]) * 60 + int(found[2])


def _rule(channel: str, value: str) -> Rule:
    return rule_for(channel, numbers.country_of(channel, value), value.removeprefix("+1")[:3])


@lru_cache(maxsize=4096)
def _meet(start: str, end: str, week: Week) -> bool:
    first, last = minutes(start), minutes(end)
    lawful = {minute for day in week for opens, closes in day for minute in range(opens, closes)}
    quiet = range(first, last) if first <= last else (*range(first, 24 * 60), *range(last))
    return not lawful.issubset(quiet)


@lru_cache(maxsize=4096)
def _waking(start: int, end: int) -> Spans:
    """The week outside quiet hours from `start` to `end` (minutes; they differ)."""
    day = ((end, start),) if end < start else ((0, start), (end, 24 * 60))
    return _open((day,) * 7)


@lru_cache(maxsize=64)
def _open(week: tuple[tuple[tuple[int, int], ...], ...]) -> Spans:
    """Seven days' opening times in minutes, as spans of the week."""
    return tuple(
        (number * _DAY + opens * _MINUTE, number * _DAY + closes * _MINUTE)
        for number, day in enumerate(week)
        for opens, closes in day
        if opens < closes
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(f"must be an IANA time zone such as Europe/Athens, not {name!r}") from None


@lru_cache(maxsize=1024)
def _known(name: str) -> bool:
    try:
        _zone(name)
    except ValueError:
        return False
    return True


def _first_in_all(now: int, places: Sequence[tuple[ZoneInfo, Spans]]) -> int | None:
    """The first good moment in all places, else in most of them; None if that is `now`."""
    moment, steps = now, _some(places)
    while moment <= now + _HORIZON:
        latest = max(_first(zone, spans, moment) for zone, spans in steps)
        if latest == moment:
            return None if moment == now else moment
        moment = latest
    return _first_in_most(now, steps)


def _first_in_most(now: int, places: Sequence[tuple[ZoneInfo, Spans]]) -> int | None:
    """The first moment of the coming two days that suits as many places as any does. All have the same spans."""
    alike: dict[tuple[int, ...], list[ZoneInfo]] = {}
    for zone, _ in places:
        alike.setdefault(tuple(_offset(zone, now + days * _DAY) for days in range(3)), []).append(zone)
    spans = places[0][1]
    kinds = [(zones[0], len(zones)) for zones in alike.values()]
    starts = {now, *(_first(zone, spans, now + days * _DAY) for zone, _ in kinds for days in range(2))}
    good = {moment: sum(many for zone, many in kinds if _first(zone, spans, moment) == moment) for moment in starts}
    best = min(starts, key=lambda moment: (-good[moment], moment))
    return None if best == now else best


def _first(zone: ZoneInfo, spans: Spans, moment: int) -> int:
    """The first good moment in one zone, `moment` included."""
    while True:
        offset = _offset(zone, moment)
        local = (moment + offset + _MONDAY) % _WEEK
        index = bisect_right(spans, local, key=_start) - 1
        if index >= 0 and local < spans[index][1]:
            return moment
        opens = spans[index + 1][0] if index + 1 < len(spans) else spans[0][0] + _WEEK
        reached = moment + opens - local
        if _offset(zone, reached) == offset:
            return reached
        moment = _change(zone, moment, reached)


def _start(span: tuple[int, int]) -> int:
    return span[0]


def _change(zone: ZoneInfo, before: int, after: int) -> int:
    """The moment between two at which the clocks are changed; their offsets differ. Clocks change on whole seconds."""
    offset, low, high = _offset(zone, before), before // 1000, -(-after // 1000)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle * 1000) == offset:
            low = middle
        else:
            high = middle
    return high * 1000


def _offset(zone: ZoneInfo, moment: int) -> int:
    """How far local clocks are ahead of UTC, ms."""
    ahead = datetime.fromtimestamp(moment // 1000, zone).utcoffset()
    return 0 if ahead is None else int(ahead.total_seconds()) * 1000


def _date(zone: ZoneInfo, moment: int) -> date:
    return datetime.fromtimestamp(moment // 1000, zone).date()


def _next_day(zone: ZoneInfo, moment: int) -> int:
    """When the next day begins there, ms."""
    return next_local(moment + 1, "00:00", (zone.key,))


def _some(values: Sequence[_T]) -> Sequence[_T]:
    if not values:
        raise ValueError("at least one time zone is needed")
    return values
