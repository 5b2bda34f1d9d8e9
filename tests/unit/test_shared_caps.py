"""Caps over several categories, and what several reasons to wait make of each other."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.customer import Preferences, QuietHours
from gateway.preferences.caps import Cap, SharedCap, room_at
from gateway.routing.policy import CATEGORIES, caps_of, shared_caps
from tests.support.routing import RULES, T0, granted, note, person
from tests.support.routing_world import World

HOUR = 3600
EIGHT_AM, NINE_AM = 20 * HOUR, 21 * HOUR
"""Seconds after T0, when clocks in Athens show noon."""


def test_the_scene() -> None:
    world = World(person("sms"), note("service", T0 + 11 * HOUR * 1000)).run(11 * HOUR)
    assert (world.held, world.message.held and (world.message.held.until - T0) // 1000) == ("quiet_hours", EIGHT_AM)


def test_a_cap_that_names_nothing_leaves_out_what_is_asked_for_and_what_is_critical() -> None:
    wide = {"all": SharedCap(3, 86400)}
    counted = {name for name, rules in CATEGORIES.items() if any(c.name for c in caps_of(name, rules, wide))}
    assert counted == {"service", "follow_up", "survey", "marketing"}
    named = {"all": SharedCap(3, 86400, categories=("outage",))}
    assert [c.name for c in caps_of("outage", CATEGORIES["outage"], named)] == ["all"]
    assert caps_of("service", CATEGORIES["service"], named) == ()


@pytest.mark.parametrize(
    "raw, said",
    [
        ({"limit": "2", "window": 60}, "[caps.all]: Expected `int`"),
        ({"limit": 2}, "missing required field `window`"),
        ({"limit": 2, "window": 60, "categories": ["surveys"]}, "no category surveys; there are code"),
        ({"limit": 2, "window": 60, "per": "day"}, "unknown field `per`"),
        ({"limit": 2, "window": 0}, ">= 1"),
    ],
)
def test_a_bad_cap_is_named_with_what_is_wrong(raw: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError) as found:
        shared_caps({"all": raw, "well": {"limit": 1, "window": 1}}, CATEGORIES)
    assert said in str(found.value)
    assert "well" not in str(found.value)


@pytest.mark.parametrize(
    "cap, text", [(Cap(2, 7 * 86400), "2 in 7 days"), (Cap(5, 3600), "5 in 1 hour"), (Cap(1, 90), "1 in 90 seconds")]
)
def test_a_cap_says_itself(cap: Cap, text: str) -> None:
    assert str(cap) == text


WIDE = replace(RULES, caps={"weekly": SharedCap(2, 7 * 86400)})


def test_over_a_shared_cap_it_is_suppressed_and_the_reason_names_the_cap() -> None:
    world = World(person("sms"), note("service"), cap_uses=[T0 - 1000, T0 - 2000], rules=WIDE).run()
    assert (world.verdict.state, world.verdict.code, world.began) == ("suppressed", "cap", [])
    assert world.verdict.text == "The customer has had as many messages as the cap weekly allows: 2 in 7 days."


def test_it_is_held_when_room_comes_in_time() -> None:
    uses = [T0 - 7 * 86400_000 + 500_000, T0 - 1000]
    world = World(person("sms"), note("service"), cap_uses=uses, rules=WIDE).run()
    assert world.began == [("sms", 500)]


def test_of_two_full_caps_the_one_that_is_full_longer_counts() -> None:
    rules = replace(RULES, caps={"short": SharedCap(1, 1000), "long": SharedCap(1, 2000)})
    world = World(person("sms"), note("service"), cap_uses=[T0 - 100_000], rules=rules)
    assert "the cap long" in (world.run(1).message.held or pytest.fail("not held")).text
    assert world.run().began == [("sms", 1900)]


@pytest.mark.parametrize("category", ["code", "reply", "outage"])
def test_these_pass_a_cap_that_does_not_name_them(category: str) -> None:
    rules = replace(RULES, caps={"all": SharedCap(0, 86400)})
    assert World(person("sms"), note(category), rules=rules).run(0).began == [("sms", 0)]


def test_quiet_hours_then_the_law_then_the_cap_give_the_first_moment_that_suits_all() -> None:
    customer = person("sms", consents=(granted(),), preferences=Preferences(quiet_hours=QuietHours("21:00", "08:00")))
    start = T0 + 12 * HOUR * 1000
    room = T0 + (NINE_AM + 600) * 1000
    uses = [room - 7 * 86400_000, room - 7 * 86400_000 + 1]
    world = World(customer, note("marketing", start), cap_uses=uses).run(12 * HOUR)
    assert world.message.held is not None
    assert (world.held, world.message.held.until) == ("quiet_hours", room)
    assert world.run(EIGHT_AM + 1).held == "legal_window"
    assert world.run(NINE_AM + 1).held == "cap"
    world.run()
    assert world.began == [("sms", NINE_AM + 600)]


def test_room_that_comes_at_night_is_used_in_the_morning() -> None:
    night = T0 + 13 * HOUR * 1000
    window = 6 * HOUR
    rules = replace(RULES, caps={"few": SharedCap(1, window, categories=("service",))})
    world = World(person("sms"), note("service", T0 + 8 * HOUR * 1000), cap_uses=[night - window * 1000], rules=rules)
    world.run(8 * HOUR)
    assert world.message.held is not None
    assert (world.held, world.message.held.until) == ("cap", T0 + EIGHT_AM * 1000)
    world.run()
    assert world.began == [("sms", EIGHT_AM)]


def test_over_the_cap_at_night_it_is_said_at_once() -> None:
    world = World(person("sms"), note("survey", T0 + 12 * HOUR * 1000), cap_uses=[T0 - 1000]).run()
    assert (world.verdict.state, world.verdict.code, world.done_at) == ("suppressed", "cap", 12 * HOUR)


def test_quiet_hours_that_leave_no_lawful_hour_suppress_at_once_instead_of_waiting_for_ever() -> None:
    never = Preferences(channels=("sms",), quiet_hours=QuietHours("08:30", "20:30"))
    world = World(person("sms", consents=(granted(),), preferences=never), note("marketing")).run()
    assert (world.verdict.state, world.verdict.code, world.done_at) == ("suppressed", "legal_window", 0)


def test_a_limit_of_none_has_never_room() -> None:
    assert room_at([], Cap(0, 60), 1000) == 61_000
