"""Holds that do not move the deadline: the cap, an open complaint."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.preferences.caps import Cap
from gateway.routing.policy import CATEGORIES
from tests.support.routing import RULES, T0, note, person, refused
from tests.support.routing_world import World


def at(seconds: float) -> int:
    return T0 + int(seconds * 1000)


@pytest.mark.parametrize(
    "uses, began, state",
    [
        ([], 0, "pending"),
        ([-10] * 4, 0, "pending"),
        ([-3500] + [-10] * 4, 100, "pending"),
        ([-3600] + [-10] * 4, 0, "pending"),
        ([-3001] + [-10] * 4, 599, "pending"),
        ([-3000] + [-10] * 4, None, "suppressed"),
        ([-10] * 5, None, "suppressed"),
    ],
)
def test_over_the_cap_it_is_held_if_room_comes_before_the_deadline_else_suppressed(
    uses: list[float], began: float | None, state: str
) -> None:
    world = World(person("sms"), note("code"), cap_uses=[at(use) for use in uses]).run(599)
    assert world.verdict.state == state
    assert [when for _, when in world.began] == ([] if began is None else [began])
    if state == "suppressed":
        assert (world.verdict.code, world.done_at) == ("cap", 0)


def test_a_hold_for_the_cap_says_so_and_does_not_move_the_deadline() -> None:
    world = World(person("sms"), note("code"), cap_uses=[at(-3500)] * 5).run(50)
    assert (world.message.status, world.held, world.wake, world.deadline) == ("held", "cap", 100, 600)


def test_a_fall_back_counts_once_against_the_cap() -> None:
    world = World(person("sms", "email"), note("code"), {"sms": refused()}, cap_uses=[at(-10)] * 4)
    world.watch = lambda w, _turn: setattr(w, "cap_uses", [*w.cap_uses, w.now])
    assert world.run(10).began == [("sms", 0), ("email", 0)]


@pytest.mark.parametrize("category", ["reply", "outage", "service", "follow_up"])
def test_these_have_no_cap(category: str) -> None:
    world = World(person("sms"), note(category), cap_uses=[at(-1)] * 1000).run(0)
    assert world.began == [("sms", 0)]


def test_a_cap_of_an_operators_own_holds() -> None:
    rules = replace(RULES, categories={**CATEGORIES, "service": replace(CATEGORIES["service"], cap=Cap(1, 60))})
    assert World(person("sms"), note("service"), cap_uses=[at(-1)], rules=rules).run(59).began == [("sms", 59)]


def test_a_survey_waits_while_a_complaint_is_open_without_moving_its_deadline() -> None:
    world = World(person("sms", complaint_open=True), note("survey")).run(1000)
    assert (world.held, world.began, world.deadline) == ("complaint_open", [], 259200)
    world.at(2000, lambda w: setattr(w.customer, "complaint_open", False)).run(2000)
    assert (world.began, world.held) == ([("sms", 2000)], None)


def test_a_survey_whose_complaint_is_never_settled_expires() -> None:
    world = World(person("sms", complaint_open=True), note("survey")).run()
    assert (world.verdict.state, world.done_at, world.began) == ("expired", 259200, [])


def test_a_complaint_opened_meanwhile_holds_the_surveys_later_steps_too() -> None:
    world = World(person("sms", "voice"), note("survey"))
    world.at(100, lambda w: setattr(w.customer, "complaint_open", True)).run(4000)
    assert (world.began, world.held) == ([("sms", 0)], "complaint_open")


@pytest.mark.parametrize("category", ["code", "reply", "outage", "service", "follow_up"])
def test_a_complaint_holds_nothing_but_surveys(category: str) -> None:
    assert World(person("sms", complaint_open=True), note(category)).run(0).began == [("sms", 0)]
