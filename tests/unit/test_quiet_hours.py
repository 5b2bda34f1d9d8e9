from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.preferences.quiet_hours import legal_until, minutes, next_local, quiet_until, zones

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
ATHENS, NEW_YORK, LONDON = "Europe/Athens", "America/New_York", "Europe/London"


def at(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """A local time as ms since the epoch."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def wall(moment: int, zone: str) -> int:
    """Minutes after midnight on the clock there: the tests' own reckoning."""
    local = datetime.fromtimestamp(moment / 1000, ZoneInfo(zone))
    return local.hour * 60 + local.minute


def is_quiet(moment: int, start: str, end: str, zone: str) -> bool:
    first, last, clock = minutes(start), minutes(end), wall(moment, zone)
    return first <= clock < last if first < last else clock >= first or clock < last


@lru_cache
def changes() -> tuple[tuple[str, int], ...]:
    """Every change of clocks in 2024 to 2028, with one zone of all those that share the whole series."""
    series: dict[tuple[object, ...], tuple[str, list[int]]] = {}
    for name in sorted(available_timezones() - {"localtime", "Factory"}):
        zone = ZoneInfo(name)
        moments = list(_changes(zone))
        series.setdefault((FIRST.astimezone(zone).utcoffset(), *moments), (name, moments))
    return tuple((name, moment) for name, moments in series.values() for moment in moments)


def _changes(zone: ZoneInfo) -> Iterator[int]:
    step = timedelta(days=7)
    day = FIRST
    while day < LAST:
        low, high = day, day + step
        if low.astimezone(zone).utcoffset() != high.astimezone(zone).utcoffset():
            before = low.astimezone(zone).utcoffset()
            while high - low > timedelta(minutes=1):
                middle = low + timedelta(minutes=int((high - low) / timedelta(minutes=2)))
                low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
            yield int(high.timestamp() * 1000)
        day += step


@pytest.mark.parametrize(
    "now, start, end, expected",
    [
        ("2026-01-15 20:59", "21:00", "08:00", None),
        ("2026-01-15 21:00", "21:00", "08:00", "2026-01-16 08:00"),
        ("2026-01-16 07:59", "21:00", "08:00", "2026-01-16 08:00"),
        ("2026-01-16 08:00", "21:00", "08:00", None),
        ("2026-01-16 13:30", "13:00", "15:00", "2026-01-16 15:00"),
        ("2026-01-16 12:59", "13:00", "15:00", None),
        ("2026-01-16 23:59", "00:00", "06:00", None),
        ("2026-01-16 00:00", "00:00", "06:00", "2026-01-16 06:00"),
        ("2026-01-16 23:00", "22:00", "00:00", "2026-01-17 00:00"),
        ("2026-01-16 23:00", "23:00", "23:00", None),
    ],
)
def test_one_zone(now: str, start: str, end: str, expected: str | None) -> None:
    wanted = at(expected, ATHENS) if expected else None
    assert quiet_until(at(now, ATHENS), start, end, [ATHENS]) == wanted


def test_seconds_and_milliseconds_count() -> None:
    evening = at("2026-01-15 21:00", ATHENS)
    assert quiet_until(evening - 1, "21:00", "08:00", [ATHENS]) is None
    assert quiet_until(evening + 1, "21:00", "08:00", [ATHENS]) == at("2026-01-16 08:00", ATHENS)
    assert quiet_until(at("2026-01-16 08:00", ATHENS) - 1, "21:00", "08:00", [ATHENS]) == at("2026-01-16 08:00", ATHENS)


def test_an_end_that_the_clocks_skip_comes_with_the_skip() -> None:
    # New York, 8 March 2026: 02:00 becomes 03:00.
    skip = at("2026-03-08 07:00")
    assert quiet_until(at("2026-03-08 01:00", NEW_YORK), "21:00", "02:30", [NEW_YORK]) == skip


def test_hours_that_come_twice_are_quiet_twice() -> None:
    # New York, 1 November 2026: 02:00 becomes 01:00.
    first, second = at("2026-11-01 01:30", NEW_YORK), at("2026-11-01 01:30", NEW_YORK, fold=1)
    assert second - first == HOUR
    assert quiet_until(first - MINUTE, "21:00", "01:30", [NEW_YORK]) == first
    assert quiet_until(first, "21:00", "01:30", [NEW_YORK]) is None
    assert quiet_until(second - MINUTE, "21:00", "01:30", [NEW_YORK]) == second
    assert quiet_until(first, "21:00", "02:00", [NEW_YORK]) == at("2026-11-01 02:00", NEW_YORK)


def test_all_zones_must_be_awake() -> None:
    both = ["America/New_York", "America/Los_Angeles"]
    assert quiet_until(at("2026-01-15 09:00", NEW_YORK), "21:00", "08:00", both) == at("2026-01-15 11:00", NEW_YORK)
    assert quiet_until(at("2026-01-15 21:30", NEW_YORK), "21:00", "08:00", both) == at("2026-01-16 11:00", NEW_YORK)


def test_zones_without_a_common_moment_give_the_one_that_suits_most() -> None:
    apart = [ATHENS, "Europe/Bucharest", "Pacific/Honolulu"]
    now = at("2026-01-15 21:00", ATHENS)
    assert quiet_until(now, "14:00", "09:00", apart) == at("2026-01-16 09:00", ATHENS)
    assert quiet_until(at("2026-01-16 09:00", ATHENS), "14:00", "09:00", apart) is None


@pytest.mark.parametrize("start, end", [("24:00", "08:00"), ("9:00", "08:00"), ("21:00", "0800"), ("", "08:00")])
def test_bad_times_are_refused(start: str, end: str) -> None:
    with pytest.raises(ValueError, match="must be a time such as"):
        quiet_until(0, start, end, [ATHENS])


def test_unknown_or_missing_zones_are_refused() -> None:
    for bad in (["Mars/Phobos"], ["../etc/passwd"], [""]):
        with pytest.raises(ValueError, match="must be an IANA time zone"):
            quiet_until(0, "21:00", "08:00", bad)
    with pytest.raises(ValueError, match="at least one time zone"):
        next_local(0, "09:00", [])


def check_quiet(now: int, start: str, end: str, places: Sequence[str]) -> None:
    """The answer against a walk by minutes: nothing earlier would do, and the answer does."""
    found = quiet_until(now, start, end, places)
    if found is None:
        assert not any(is_quiet(now, start, end, zone) for zone in places)
        return
    assert found > now
    assert not any(is_quiet(found, start, end, zone) for zone in places)
    walk = [now, *range(now - now % MINUTE + MINUTE, found, 5 * MINUTE), max(now, found - 1)]
    assert all(any(is_quiet(moment, start, end, zone) for zone in places) for moment in walk)


def test_every_change_of_clocks_in_every_zone() -> None:
    ranges = (("21:00", "08:00"), ("22:00", "02:30"), ("00:30", "01:15"), ("23:15", "00:00"), ("01:00", "03:00"))
    found = changes()
    assert len(found) > 300
    for zone, moment in found:
        for index, before in enumerate((3 * HOUR + 1, 40 * MINUTE, 0, -20 * MINUTE)):
            start, end = ranges[(moment // HOUR + index) % len(ranges)]
            check_quiet(moment - before, start, end, [zone])


CLOCK = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
MOMENTS = st.integers(int(FIRST.timestamp() * 1000), int(LAST.timestamp() * 1000))
ZONES = st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"}))


@settings(deadline=None, max_examples=150)
@given(MOMENTS, CLOCK, CLOCK, ZONES)
def test_any_time_in_any_zone(now: int, start: str, end: str, zone: str) -> None:
    if start == end:
        assert quiet_until(now, start, end, [zone]) is None
    else:
        check_quiet(now, start, end, [zone])


@settings(deadline=None, max_examples=100)
@given(MOMENTS, st.lists(ZONES, min_size=1, max_size=5))
def test_any_zones_together(now: int, places: list[str]) -> None:
    # Five zones that sleep four hours each always leave a common moment.
    found = quiet_until(now, "01:00", "05:00", places) or now
    assert now <= found <= now + 2 * DAY
    assert not any(is_quiet(found, "01:00", "05:00", zone) for zone in places)


def test_the_next_time_of_day() -> None:
    noon = at("2026-01-15 12:00", ATHENS)
    assert next_local(noon, "12:00", [ATHENS]) == noon
    assert next_local(noon, "12:01", [ATHENS]) == noon + MINUTE
    assert next_local(noon + 1, "12:00", [ATHENS]) == noon + DAY
    assert next_local(noon, "09:00", [ATHENS]) == at("2026-01-16 09:00", ATHENS)


def test_the_next_time_on_a_day_that_skips_or_repeats_it() -> None:
    assert next_local(at("2026-03-08 00:00", NEW_YORK), "02:30", [NEW_YORK]) == at("2026-03-08 07:00")
    assert next_local(at("2026-11-01 00:00", NEW_YORK), "01:30", [NEW_YORK]) == at("2026-11-01 01:30", NEW_YORK)
    assert next_local(at("2026-11-01 00:00", NEW_YORK), "02:00", [NEW_YORK]) == at("2026-11-01 02:00", NEW_YORK)


def test_with_several_zones_the_westernmost_decides() -> None:
    australia = ["Australia/Sydney", "Australia/Perth"]
    now = at("2026-01-15 00:00", "Australia/Sydney")
    assert next_local(now, "09:00", australia) == at("2026-01-15 09:00", "Australia/Perth")


def test_the_next_time_after_every_change_of_clocks() -> None:
    for index, (zone, moment) in enumerate(changes()):
        local = ("00:00", "00:30", "02:00", "02:30", "03:00")[index % 5]
        now = moment - 90 * MINUTE
        found = next_local(now, local, [zone])
        assert now <= found <= now + 26 * HOUR
        skipped = wall(found, zone) != minutes(local)
        assert not skipped or found == moment
        between = range(now - now % MINUTE + MINUTE, found, MINUTE)
        assert not any(wall(one, zone) == minutes(local) for one in between)


@pytest.mark.parametrize(
    "number, zone, closed, opens",
    [
        ("+12125550123", NEW_YORK, "2026-01-15 21:00", "2026-01-16 08:00"),
        ("+13055550123", NEW_YORK, "2026-01-15 20:00", "2026-01-16 08:00"),
        ("+14105550123", NEW_YORK, "2026-01-15 20:30", "2026-01-16 08:00"),
        ("+12065550123", "America/Los_Angeles", "2026-01-15 20:00", "2026-01-16 08:00"),
        ("+14055550123", "America/Chicago", "2026-01-15 20:00", "2026-01-16 08:00"),
        ("+12145550123", "America/Chicago", "2026-01-15 08:30", "2026-01-15 09:00"),
        ("+12145550123", "America/Chicago", "2026-01-17 21:00", "2026-01-18 12:00"),
        ("+302101234567", ATHENS, "2026-01-15 20:00", "2026-01-16 09:00"),
        ("+442071234567", LONDON, "2026-01-15 08:59", "2026-01-15 09:00"),
    ],
)
def test_the_law_of_the_place(number: str, zone: str, closed: str, opens: str) -> None:
    now, until = at(closed, zone), at(opens, zone)
    assert legal_until(now, "sms", number, "marketing", [zone]) == until
    assert legal_until(now, "voice", number, "winter-sale", [zone]) == until
    assert legal_until(until, "sms", number, "marketing", [zone]) is None


def test_the_law_leaves_other_messages_and_channels_alone() -> None:
    night = at("2026-01-15 03:00", ATHENS)
    assert legal_until(night, "sms", "+302101234567", "outage", [ATHENS]) is None
    assert legal_until(night, "sms", "+302101234567", "code", [ATHENS]) is None
    assert legal_until(night, "email", "ana@example.com", "marketing", [ATHENS]) is None
    assert legal_until(night, "sms", None, "marketing", [ATHENS]) is None


def test_where_a_person_may_be() -> None:
    assert zones("Asia/Tokyo", "+302101234567", "sms", "UTC") == ("Asia/Tokyo",)
    assert zones(None, "+302101234567", "sms", "UTC") == (ATHENS,)
    assert set(zones(None, "+61412345678", "voice", "UTC")) > {"Australia/Sydney", "Australia/Perth"}
    assert zones(None, "ana@example.com", "email", LONDON) == (LONDON,)
    assert zones(None, None, "", LONDON) == (LONDON,)
    assert zones(None, "+15551234567", "sms", LONDON) == (LONDON,)
    assert zones("Mars/Phobos", None, "sms", "Mars/Deimos") == ("UTC",)


def test_a_toll_free_number_waits_for_forty_zones() -> None:
    found = zones(None, "+18005551234", "sms", "UTC")
    assert len(found) > 30
    until = quiet_until(at("2026-01-15 03:00"), "21:00", "08:00", found)
    assert until is not None
    assert not any(is_quiet(until, "21:00", "08:00", zone) for zone in found)
