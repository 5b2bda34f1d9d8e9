"""The table of categories, as the contract prints it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.message import LANES
from gateway.preferences.caps import Cap
from gateway.routing.policy import CATEGORIES, DEFAULT_ORDER, categories, may_lower

DAY = 86400
TABLE = {
    "code": ("asked", "critical", "delivered", "go_on", 60, 600, "pass", "next_now", "try_again", Cap(5, 3600)),
    "reply": ("asked", "normal", "accepted", "settle", 900, DAY, "pass", "next_after_step", "reconcile", None),
    "outage": (
        "opt_out",
        "critical",
        "delivered",
        "go_on",
        300,
        3600,
        "pass_while_critical",
        "next_now",
        "try_again",
        None,
    ),
    "service": ("opt_out", "normal", "delivered", "settle", 900, DAY, "held", "next_after_step", "reconcile", None),
    "follow_up": ("opt_out", "normal", "delivered", "settle", 3600, 2 * DAY, "held", "wait", "reconcile", None),
    "survey": (
        "opt_out",
        "bulk",
        "delivered",
        "settle",
        3600,
        3 * DAY,
        "held",
        "wait",
        "never_again",
        Cap(1, 30 * DAY),
    ),
    "marketing": ("opt_in", "bulk", "accepted", None, None, DAY, "held", "wait", "never_again", Cap(2, 7 * DAY)),
}  # fmt: skip - a table is read by its rows


@pytest.mark.parametrize("name", list(TABLE))
def test_each_row_is_that_of_the_contract(name: str) -> None:
    row = CATEGORIES[name]
    unproven = TABLE[name][3] or row.unproven
    assert (
        row.consent,
        row.priority,
        row.until,
        unproven,
        row.step,
        row.within,
        row.quiet_hours,
        row.channel_down,
        row.unknown,
        row.cap,
    ) == (*TABLE[name][:3], unproven, *TABLE[name][4:])  # fmt: skip - a table is read by its rows


def test_there_are_no_other_categories() -> None:
    assert list(CATEGORIES) == list(TABLE)


def test_only_marketing_has_a_legal_window_and_only_surveys_wait_for_complaints() -> None:
    assert [name for name, row in CATEGORIES.items() if row.legal_window] == ["marketing"]
    assert [name for name, row in CATEGORIES.items() if row.not_while_complaint] == ["survey"]


def test_all_but_three_carry_one_click_unsubscribe() -> None:
    assert {name for name, row in CATEGORIES.items() if not row.unsubscribe} == {"code", "reply", "outage"}


def test_the_default_order_is_that_of_the_contract() -> None:
    assert DEFAULT_ORDER == ("sms", "wechat", "email", "voice")
    assert all(row.channels == DEFAULT_ORDER for row in CATEGORIES.values())


@pytest.mark.parametrize("name", list(TABLE))
def test_a_message_that_asks_for_nothing_gets_its_categorys_reach(name: str) -> None:
    reach, row = CATEGORIES[name].reach(), CATEGORIES[name]
    assert (reach.until, reach.within, reach.step, reach.unproven) == (row.until, row.within, row.step, row.unproven)
    assert (reach.mode, reach.rounds, reach.channels) == ("in_turn", 1, None)


@pytest.mark.parametrize("own", LANES)
@pytest.mark.parametrize("asked", LANES)
def test_a_priority_may_be_lowered_never_raised(own: Any, asked: Any) -> None:
    assert may_lower(own, asked) == (LANES.index(asked) >= LANES.index(own))


def test_settings_change_one_value_and_leave_the_rest() -> None:
    changed = categories({"outage": {"step": 120}})
    assert (changed["outage"].step, changed["outage"].within) == (120, 3600)
    assert changed["service"] == CATEGORIES["service"]
    assert CATEGORIES["outage"].step == 300


def test_settings_add_a_category() -> None:
    added = categories({"billing": {"until": "read", "cap": {"limit": 3, "window": 60}, "channels": ["email"]}})
    assert (added["billing"].until, added["billing"].cap) == ("read", Cap(3, 60))
    assert added["billing"].channels == ("email",)


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": 60},
        {"until": "seen"},
        {"step": "soon"},
        {"priority": "urgent"},
        {"channel_down": "give_up"},
        {"unknown": "retry"},
        {"within": -1},
        {"step": 0},
        {"cap": {"limit": -1, "window": 60}},
    ],
)
def test_bad_settings_are_refused_with_one_clear_line(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as refused:
        categories({"outage": bad})
    line = str(refused.value)
    assert "[categories.outage]" in line
    assert next(iter(bad)) in line
    assert "\n" not in line


def test_every_bad_category_has_its_own_line() -> None:
    with pytest.raises(ValueError) as refused:
        categories({"outage": {"until": "seen"}, "mine": {"x": 1}, "service": {"step": 60}})
    assert [line.split("]")[0] for line in str(refused.value).splitlines()] == [
        "[categories.outage",
        "[categories.mine",
    ]
