"""The table of legal hours: every row can be read, states and countries get theirs, holidays fall where they should."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from gateway.preferences.legal_hours import RULES, easter, is_holiday, rule_for
from gateway.preferences.quiet_hours import legal_until


def at(text: str, zone: str) -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def test_every_row_can_be_read_and_names_its_source() -> None:
    for rule in RULES:
        assert rule.source, rule.place
        for day in rule.hours():
            ends = [0, *(minute for span in day for minute in span), 24 * 60]
            assert ends == sorted(ends), rule.place
        assert not is_holiday(rule, dt.date(2026, 3, 3))


def test_no_area_code_stands_in_two_states() -> None:
    codes = [code for rule in RULES for code in rule.area_codes]
    assert len(codes) == len(set(codes))
    assert all(200 < code < 1000 for code in codes)


def test_the_narrow_rows_stand_before_the_wide_ones() -> None:
    seen: set[tuple[str, str]] = set()
    for rule in RULES:
        pairs = {(country, channel) for country in rule.countries for channel in rule.channels}
        assert not pairs & seen, f"{rule.place} is never reached"
        if not rule.area_codes:
            seen |= pairs


@pytest.mark.parametrize(
    "channel, country, area_code, place",
    [
        ("sms", "US", "305", "Florida"),
        ("voice", "US", "401", "Rhode Island"),
        ("sms", "US", "212", "United States"),
        ("sms", "PR", "787", "United States"),
        ("voice", "FR", "", "France"),
        ("voice", "CA", "416", "Canada"),
        ("sms", "CA", "416", "elsewhere"),
        ("sms", "GR", "", "elsewhere"),
        ("sms", None, "", "elsewhere"),
    ],
)
def test_who_gets_which_row(channel: str, country: str | None, area_code: str, place: str) -> None:
    assert rule_for(channel, country, area_code).place == place


@pytest.mark.parametrize(
    "year, day",
    [(2024, "2024-03-31"), (2025, "2025-04-20"), (2026, "2026-04-05"), (2038, "2038-04-25"), (1818, "1818-03-22")],
)  # fmt: skip - one line
def test_easter(year: int, day: str) -> None:
    assert easter(year).isoformat() == day


@pytest.mark.parametrize(
    "country, channel, closed",
    [
        (
            "US",
            "sms",
            ["2026-01-01", "2026-01-19", "2026-05-25", "2026-07-03", "2026-07-04", "2026-11-26", "2027-12-24"],
        ),
        ("US", "sms", ["2027-12-31", "2028-01-01", "2027-07-05"]),
        ("FR", "voice", ["2026-04-06", "2026-05-14", "2026-05-25", "2026-07-14", "2026-12-25"]),
        ("AU", "voice", ["2026-04-03", "2027-04-26", "2026-01-26"]),
        ("ZA", "sms", ["2026-04-03", "2027-03-22"]),
    ],
)
def test_holidays(country: str, channel: str, closed: list[str]) -> None:
    area_code = "801" if country == "US" else ""
    rule = rule_for(channel, country, area_code)
    for day in closed:
        assert is_holiday(rule, dt.date.fromisoformat(day)), day
    assert not is_holiday(rule, dt.date(2026, 3, 4))


PARIS, DENVER, NEW_YORK, ROME, SYDNEY = (
    "Europe/Paris",
    "America/Denver",
    "America/New_York",
    "Europe/Rome",
    "Australia/Sydney",
)  # fmt: skip - names


@pytest.mark.parametrize(
    "channel, number, zone, asked, opens",
    [
        ("voice", "+33612345678", PARIS, "2026-03-03T13:30", "2026-03-03T14:00"),
        ("voice", "+33612345678", PARIS, "2026-03-06T20:00", "2026-03-09T10:00"),  # Friday evening
        ("voice", "+33612345678", PARIS, "2026-04-03T20:00", "2026-04-07T10:00"),  # before Easter
        ("voice", "+33612345678", PARIS, "2026-05-07T21:00", "2026-05-11T10:00"),  # 8 May is a Friday
        ("sms", "+33612345678", PARIS, "2026-03-07T20:30", "2026-03-09T08:00"),  # Saturday evening
        ("sms", "+18015550123", DENVER, "2026-07-02T22:00", "2026-07-06T08:00"),  # 4 July is a Saturday
        ("sms", "+14015550123", NEW_YORK, "2026-11-25T18:00", "2026-11-27T09:00"),  # Thanksgiving
        ("voice", "+393331234567", ROME, "2026-10-03T19:30", "2026-10-05T09:00"),
        ("voice", "+61412345678", SYDNEY, "2027-04-24T17:30", "2027-04-27T09:00"),  # Anzac Day is a Sunday
    ],
)  # fmt: skip - a table
def test_when_it_may_go_out_next(channel: str, number: str, zone: str, asked: str, opens: str) -> None:
    assert legal_until(at(asked, zone), channel, number, "marketing", [zone]) == at(opens, zone)
    assert legal_until(at(opens, zone), channel, number, "marketing", [zone]) is None


def test_a_day_that_is_a_holiday_somewhere_is_one_for_all_zones_of_the_number() -> None:
    zones = ["America/New_York", "Pacific/Honolulu"]
    found = legal_until(at("2026-12-24T21:30", NEW_YORK), "sms", "+18015550123", "marketing", zones)
    assert found == at("2026-12-26T08:00", "Pacific/Honolulu")
