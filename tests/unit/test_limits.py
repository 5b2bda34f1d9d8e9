"""Limits against toll fraud: what the settings say, which numbers are used at all, what a message over a limit does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.app import rules_of
from gateway.customer import Preferences
from gateway.message import Fault, Limited, Message
from gateway.settings import BadSettings, load
from gateway.settings_types import LimitSettings
from tests.support.routing import MOBILE, RULES, T0, delivered, news, note, person, refused, taken
from tests.support.routing_world import World

# What the settings say


def settings(path: Path, toml: str = "", **given: str) -> Any:
    (path / "gateway.toml").write_text(toml)
    return load({f"GATEWAY_{name}": value for name, value in given.items()}, path, command="dev")


def test_limits_are_read(tmp_path: Path) -> None:
    toml = """
    [limits]
    per_customer_per_day = 20
    per_address_per_day = 10
    per_prefix_per_day = { "+44" = 500, "+4479" = 100 }
    per_country_per_day = { GR = 50000, "*" = 200 }
    """
    limits = settings(tmp_path, toml).limits
    assert limits == LimitSettings(
        per_customer_per_day=20,
        per_address_per_day=10,
        per_prefix_per_day={"+44": 500, "+4479": 100},
        per_country_per_day={"GR": 50000, "*": 200},
    )
    assert limits
    assert not settings(tmp_path).limits


@pytest.mark.parametrize(
    "line, told",
    [
        ("per_customer_per_day = 0", "limits.per_customer_per_day in gateway.toml: must be a whole number above 0"),
        ("per_address_per_day = 1.5", "must be a whole number above 0, not 1.5"),
        ("per_adress_per_day = 1", "limits.per_adress_per_day in gateway.toml: there is no such setting; did you mean"),
        ("per_prefix_per_day = 5", 'must be a table such as {"+44" = 500}'),
        ("per_prefix_per_day = { 44 = 5 }", "'44' begins no number: write + and digits"),
        ('per_prefix_per_day = { "+44" = "5" }', "limits.per_prefix_per_day.+44 in gateway.toml: must be a whole"),
        ("per_country_per_day = { UK = 5 }", "'UK' is no country code: GB is the United Kingdom"),
    ],
)
def test_wrong_limits_are_refused_with_the_remedy(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(BadSettings) as bad:
        settings(tmp_path, f"[limits]\n{line}")
    assert any(told in problem for problem in bad.value.problems), bad.value.problems


@pytest.mark.parametrize("given", ["+0", "+", "+44x", "+1234567890123456"])
def test_what_begins_no_number_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(BadSettings, match="begins no number"):
        settings(tmp_path, ALLOWED_COUNTRIES=f"GR,{given}")


# Which numbers are used at all


@pytest.mark.parametrize(
    "allowed, number, used",
    [
        (None, "+306912345678", True),
        (None, "+447911123456", True),
        (None, "+309011234567", False),
        (None, "+19005551234", False),
        (None, "+448431234567", False),
        (None, "+979123456789", False),
        (None, "+88213612345678", False),
        (None, "+88216512345678", False),
        (None, "+8816312345678", False),
        (None, "+870773111632", False),
        ("GR,+4420", "+442071234567", True),
        ("GR,+4420", "+447400000305", False),
        ("GR,+4420", "+302101234567", True),
        ("+4420", "+302101234567", False),
        ("GR,+30901", "+309011234567", True),
        ("GR", "+309011234567", False),
        ("GR,+882", "+88213612345678", True),
    ],
)
@pytest.mark.parametrize("channel", ["sms", "voice"])
def test_numbers_outside_are_skipped(
    tmp_path: Path, allowed: str | None, number: str, used: bool, channel: str
) -> None:
    rules = rules_of(settings(tmp_path, **({} if allowed is None else {"ALLOWED_COUNTRIES": allowed})))
    world = World(person(f"{channel}:{number}"), note("outage"), rules=rules).run(0)
    assert [name for name, _ in world.began] == ([channel] if used else [])
    if not used:
        assert (world.verdict.state, world.verdict.code) == ("suppressed", "country")
        assert "ALLOWED_COUNTRIES" in (world.verdict.text or "")


def test_other_addresses_have_no_prefix() -> None:
    rules = replace(RULES, countries=frozenset(("GR",)), prefixes=("+44",))
    assert World(person("email", "wechat"), note("outage"), rules=rules).run(0).began == [("email", 0)]


# What a message over a limit does


def over(until: float, number: str = MOBILE, category: str = "service", **more: Any) -> Message:
    """A message whose number has met a limit that has room again at `until` (s)."""
    return note(category, limited={number: Limited("per_prefix_per_day +30", T0 + int(until * 1000))}, **more)


@pytest.mark.parametrize("channel", ["sms", "voice"])
def test_it_is_held_if_room_comes_before_the_deadline(channel: str) -> None:
    world = World(person(channel), over(3600), strict=True).run(3599)
    assert (world.held, world.began, world.wake, world.message.status) == ("cap", [], 3600, "held")
    held = world.message.held
    assert held is not None
    assert "per_prefix_per_day +30" in held.text
    assert world.run(3600).began == [(channel, 3600)]
    assert world.held is None


@pytest.mark.parametrize("until", [600, 601, 86_400])
def test_it_is_suppressed_at_once_if_room_comes_too_late(until: float) -> None:
    world = World(person("sms", "voice"), over(until, category="code"), strict=True).run(0)
    assert (world.verdict.state, world.verdict.code, world.done_at) == ("suppressed", "cap", 0)
    assert "per_prefix_per_day +30" in (world.verdict.text or "")


def test_the_limit_is_the_reason_whatever_else_could_not_be_used() -> None:
    world = World(person("sms", preferences=Preferences()), over(90_000)).run(0)
    assert (world.verdict.state, world.verdict.code) == ("suppressed", "cap")
    assert {s.why.code for s in world.message.skipped} == {"cap", "no_address"}


@pytest.mark.parametrize("category", ["code", "outage", "service", "survey"])
@pytest.mark.parametrize("until", [10, 500_000])
def test_other_addresses_are_used_meanwhile(category: str, until: float) -> None:
    world = World(person("sms", "email"), over(until, category=category), strict=True).run(0)
    assert world.began == [("email", 0)]
    assert [(s.channel, s.why.code) for s in world.message.skipped] == [("sms", "cap")]


def test_another_number_of_the_person_is_used() -> None:
    world = World(person("sms", "sms:+306900000000"), over(10), strict=True).run(0)
    assert [a.address for a in world.message.attempts] == ["+306900000000"]


def test_the_limit_of_a_number_is_none_of_an_email_address() -> None:
    world = World(person("email:+306912345678"), over(10)).run(0)
    assert world.began == [("email", 0)]


def test_a_fall_back_waits_for_room() -> None:
    world = World(person("email", "sms"), over(100), {"email": refused()}, strict=True).run(99)
    assert (world.began, world.held) == ([("email", 0)], "cap")
    assert world.run(100).began == [("email", 0), ("sms", 100)]


def test_a_fall_back_for_which_there_will_be_no_room_is_left_out() -> None:
    world = World(person("email", "sms"), over(86_400), {"email": refused()}, strict=True).run(0)
    assert (world.verdict.state, world.verdict.code, world.done_at) == ("unreached", "all_failed", 0)


def test_a_step_that_is_under_way_goes_on_and_the_next_waits_for_room() -> None:
    """Service: 900 s a step; sms has room during the first one, so it begins when that ends."""
    world = World(person("wechat", "sms"), over(100), strict=True).run(899)
    assert (world.began, world.held) == ([("wechat", 0)], None)
    assert world.run(900).began == [("wechat", 0), ("sms", 900)]


AWAY = refused(Fault.UNAVAILABLE, retry_after=5)


def limits_later(world: World, until: float) -> None:
    world.message.limited = over(until).limited


@pytest.mark.parametrize(
    "channels, until, began, verdict",
    [
        (("sms",), 500, [("sms", 0), ("sms", 500)], "pending"),
        (("sms", "email"), 500, [("sms", 0), ("email", 5)], "pending"),
        (("sms",), 90_000, [("sms", 0)], "unreached"),
        (("sms", "email"), 90_000, [("sms", 0), ("email", 1)], "pending"),
    ],
)
def test_trying_again_obeys_the_limit(
    channels: Sequence[str], until: float, began: list[tuple[str, float]], verdict: str
) -> None:
    world = World(person(*channels), note("service"), {"sms": [AWAY, taken()]}, strict=True)
    world.at(1, lambda w: limits_later(w, until)).run(600)
    assert (world.began, world.verdict.state) == (began, verdict)


def test_all_at_once_leaves_out_what_is_over_its_limit_until_there_is_room() -> None:
    message = over(50, mode="all_at_once", category="outage")
    world = World(person("sms", "email", "wechat"), message, strict=True).run(49)
    assert world.began == [("email", 0), ("wechat", 0)]
    assert world.run(50).began[2:] == [("sms", 50)]


def test_proof_ends_it_while_it_waits_for_room() -> None:
    world = World(person("wechat", "sms"), over(7000), {"wechat": taken(delivered(2000))}, strict=True).run()
    assert (world.verdict.state, world.began) == ("reached", [("wechat", 0)])


def test_news_of_a_number_over_its_limit_still_counts() -> None:
    world = World(person("sms"), note("service"), {"sms": taken(news(50, status="delivered"))}, strict=True)
    world.at(1, lambda w: limits_later(w, 90_000)).run()
    assert world.verdict.state == "reached"
