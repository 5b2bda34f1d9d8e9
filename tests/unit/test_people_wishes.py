"""Preferences and consent as callers write them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.customer import CategoryPreference, ConsentEntry, Preferences, QuietHours
from gateway.people.fields import wire_time
from gateway.people.views import preferences_view
from tests.support.people_reading import EMPTY, NOW, pointers, reading


def test_preferences_as_the_contract_writes_them() -> None:
    made = reading()
    raw = {
        "channels": ["wechat", "sms", "voice"],
        "categories": {"outage": {"channels": ["sms", "voice"]}, "survey": {"enabled": False}},
        "quiet_hours": {"start": "21:00", "end": "08:00"},
        "language": "zh-Hans",
    }
    read = made.preferences(raw)
    made.done()
    assert read == Preferences(
        channels=("wechat", "sms", "voice"),
        categories={"outage": CategoryPreference(("sms", "voice")), "survey": CategoryPreference(enabled=False)},
        quiet_hours=QuietHours("21:00", "08:00"),
        language="zh-Hans",
    )
    assert preferences_view(read) == raw


@pytest.mark.parametrize("raw", [{}, {"quiet_hours": None}, {"quiet_hours": {"start": "21:00", "end": "08:00"}}])
def test_absent_quiet_hours_and_none_are_two_things(raw: dict[str, Any]) -> None:
    made = reading()
    assert preferences_view(made.preferences(raw)) == raw or raw == {}
    assert (made.preferences({}).quiet_hours, made.preferences({"quiet_hours": None}).quiet_hours) == (
        msgspec.UNSET,
        None,
    )


def test_bad_preferences_are_told_at_once() -> None:
    raw = {
        "channels": ["sms", "telex", "sms"],
        "categories": {"gossip": {}, "outage": {"channels": EMPTY, "enabled": 1, "x": 1}, "survey": None},
        "quiet_hours": {"start": "9:00", "end": "24:00"},
        "language": 5,
        "colour": "red",
    }
    assert set(pointers(lambda made: made.preferences(raw))) == {
        "/channels/1",
        "/channels/2",
        "/categories/gossip",
        "/categories/outage/channels",
        "/categories/outage/enabled",
        "/categories/outage/x",
        "/categories/survey",
        "/quiet_hours/start",
        "/quiet_hours/end",
        "/language",
        "/colour",
    }  # fmt: skip - a list of places
    same = {"quiet_hours": {"start": "08:00", "end": "08:00"}}
    assert pointers(lambda made: made.preferences(same)) == ["/quiet_hours/end"]
    assert pointers(lambda made: made.preferences({"categories": []})) == ["/categories"]


CONSENT: dict[str, Any] = {"channel": "*", "category": "survey", "state": "granted", "way": "form", "wording": "Yes"}


def test_consent_is_read_and_is_given_now_unless_it_says_when() -> None:
    made = reading()
    assert made.consent(CONSENT) == ConsentEntry("*", "survey", "granted", "form", "Yes", NOW)
    assert made.consent({**CONSENT, "at": "2026-01-15T12:00:00.25+02:00", "proof": "form 7"}) == ConsentEntry(
        "*", "survey", "granted", "form", "Yes", 1_768_471_200_250, "form 7"
    )
    made.done()


@pytest.mark.parametrize(
    "change, pointer",
    [
        ({"channel": "telex"}, "/channel"),
        ({"category": "gossip"}, "/category"),
        ({"state": "maybe"}, "/state"),
        ({"way": None}, "/way"),
        ({"wording": " "}, "/wording"),
        ({"proof": ""}, "/proof"),
        ({"proof": 7}, "/proof"),
        ({"address": "+306900000001"}, "/address"),
        ({"at": "2026-01-15T12:00:00"}, "/at"),
        ({"at": "2026-01-15"}, "/at"),
        ({"at": "2026-13-15T12:00:00Z"}, "/at"),
        ({"at": 5}, "/at"),
        ({"at": "1969-12-31T23:59:59Z"}, "/at"),
        ({"at": wire_time(NOW + 300_001)}, "/at"),
    ],
)
def test_bad_consent_is_refused(change: dict[str, Any], pointer: str) -> None:
    assert pointers(lambda made: made.consent({**CONSENT, **change})) == [pointer]


def test_a_clock_a_little_ahead_is_forgiven() -> None:
    assert pointers(lambda made: made.consent({**CONSENT, "at": wire_time(NOW + 300_000)})) == []


@given(st.integers(0, NOW))
def test_times_come_back_from_the_wire(moment: int) -> None:
    assert reading().consent({**CONSENT, "at": wire_time(moment)}).at == moment


# RFC 7396, appendix A.
