"""Hours in every zone at every change of clocks from 2024 to 2028, against a walk over the minutes of the wall clock.

The walk knows nothing of the gateway's reckoning. Zones that share a whole series of changes are walked once;
GATEWAY_TEST_EVERY_ZONE=1 walks each of them, from more moments.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import pytest

from gateway.preferences.quiet_hours import legal_until, next_local, quiet_until

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
EVERY = bool(os.environ.get("GATEWAY_TEST_EVERY_ZONE"))
QUIET = (("21:00", "08:00"), ("22:00", "02:30"), ("00:30", "01:15"), ("23:15", "00:00"), ("01:00", "03:00"))
CLOCKS = ("00:00", "00:30", "01:30", "02:00", "02:30", "03:00", "09:00")
BEFORE, AFTER = 26 * 60, 44 * 60
"""Minutes walked around a change."""
NOWS = (-1500, -600, -181, -61, -30, -1, 0, 1, 29, 60, 119, 500) if EVERY else (-600, -61, -1, 0, 29, 60)
GREECE, TEXAS = "+302101234567", "+12145550123"


class Clock(NamedTuple):
    """What a clock on the wall shows: minutes after midnight, weekday (Monday 0)."""

    minute: int
    weekday: int


class Change(NamedTuple):
    """A change of clocks: where, when (ms), what the wall shows at each minute around it."""

    zone: str
    at: int
    walls: tuple[Clock, ...]

    @property
    def start(self) -> int:
        return self.at - BEFORE * MINUTE


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def _moments(zone: ZoneInfo) -> Iterator[int]:
    """The changes of one zone, to the minute; no zone changes its clocks twice within the step."""
    step = timedelta(days=1 if EVERY else 10)
    day = FIRST
    while day < LAST:
        before = _offset(zone, day)
        if before != _offset(zone, day + step):
            low, high = 0, step // timedelta(minutes=1)
            while high - low > 1:
                middle = (low + high) // 2
                same = _offset(zone, day + timedelta(minutes=middle)) == before
                low, high = (middle, high) if same else (low, middle)
            yield int((day + timedelta(minutes=high)).timestamp()) * 1000
        day += step


def _walls(zone: ZoneInfo, at: int) -> tuple[Clock, ...]:
    """What the wall shows at each minute around a change; the quick way counts on with the offset of either side."""
    minutes = range(at - BEFORE * MINUTE, at + AFTER * MINUTE, MINUTE)
    if EVERY:
        shown = (datetime.fromtimestamp(ms // 1000, zone) for ms in minutes)
        return tuple(Clock(one.hour * 60 + one.minute, one.weekday()) for one in shown)
    before, after = (_offset(zone, datetime.fromtimestamp(at / 1000 + side, UTC)) or timedelta() for side in (-60, 60))
    locals_ = (ms // MINUTE + (before if ms < at else after) // timedelta(minutes=1) for ms in minutes)
    return tuple(Clock(local % 1440, (local // 1440 + 3) % 7) for local in locals_)


@lru_cache
def changes() -> tuple[Change, ...]:
    found: dict[object, Change] = {}
    for name in sorted(available_timezones() - {"localtime", "Factory"}):
        zone = ZoneInfo(name)
        for at in _moments(zone):
            alike = (name if EVERY else "", at, _offset(zone, datetime.fromtimestamp(at / 1000 - 1, UTC)))
            if alike not in found:
                found[alike] = Change(name, at, _walls(zone, at))
    return tuple(found.values())


def _of(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def walked(change: Change, now: int, good: Callable[[Clock], bool]) -> int:
    """The first good moment from `now` on: `now` itself, else the first whole minute after it."""
    for index in range((now - change.start) // MINUTE, len(change.walls)):
        if good(change.walls[index]):
            return max(now, change.start + index * MINUTE)
    raise AssertionError("the walk is too short")


def moments(change: Change) -> list[int]:
    """Where the walks begin: some just off the minute."""
    return [change.at + offset * MINUTE + (offset % 3 - 1) * (offset != 0) for offset in NOWS]


def test_there_are_changes_to_walk() -> None:
    assert len(changes()) > 150
    assert {change.zone for change in changes()} & {"Australia/Lord_Howe", "Antarctica/Troll"}


@pytest.mark.parametrize("start, end", QUIET)
def test_quiet_hours(start: str, end: str) -> None:
    first, last = _of(start), _of(end)

    def awake(wall: Clock) -> bool:
        return not (first <= wall.minute < last if first < last else wall.minute >= first or wall.minute < last)

    for change in changes():
        for now in moments(change):
            expected = walked(change, now, awake)
            assert (quiet_until(now, start, end, [change.zone]) or now) == expected, (change.zone, now)


@pytest.mark.parametrize("number", [GREECE, TEXAS])
def test_the_laws_hours(number: str) -> None:
    def lawful(wall: Clock) -> bool:
        if number == GREECE:
            return 9 * 60 <= wall.minute < 20 * 60
        return (12 if wall.weekday == 6 else 9) * 60 <= wall.minute < 21 * 60

    for change in changes():
        for now in moments(change):
            expected = walked(change, now, lawful)
            assert (legal_until(now, "sms", number, "marketing", [change.zone]) or now) == expected, (change.zone, now)


@pytest.mark.parametrize("local", CLOCKS)
def test_the_next_time_of_day(local: str) -> None:
    wanted = _of(local)
    for change in changes():
        here, before = change.walls[BEFORE].minute, change.walls[BEFORE - 1].minute
        skipped = (here - before - 1) % 1440
        jumps_over = 0 < skipped < 720 and 0 < (wanted - before) % 1440 <= skipped
        for now in moments(change):
            index = -(-(now - change.start) // MINUTE)
            while change.walls[index].minute != wanted and not (index == BEFORE and jumps_over):
                index += 1
            found = next_local(now, local, [change.zone])
            assert found == change.start + index * MINUTE, (change.zone, now, found)
