"""A message that isn't due yet: what will hold it then, and when its steps will really come."""

from __future__ import annotations

import pytest

from gateway.customer import Preferences
from tests.support.routing import HOUR, T0, granted, note, person
from tests.support.routing_world import World

NIGHT, MORNING = 15 * HOUR, 20 * HOUR
"""Seconds from T0 (noon in Athens) to three and to eight in the morning there."""


def at(seconds: float) -> int:
    return T0 + int(seconds * 1000)


def foreseen(world: World) -> tuple[str, int, int] | None:
    held = world.following.later
    return None if held is None else (held.code, held.until, held.since)


@pytest.mark.parametrize("within", [60, 259_200])
def test_quiet_hours_at_the_time_it_is_due_are_seen_ahead(within: int) -> None:
    message = note("survey", send_at=at(NIGHT), within=within, step=3600)
    world = World(person("sms", "email"), message).run(0)
    assert (world.message.status, world.held, world.wake) == ("scheduled", None, NIGHT), "it isn't held yet"
    assert foreseen(world) == ("quiet_hours", at(MORNING), at(NIGHT))
    coming = [(step.channel, step.after) for step in world.following.route]
    assert coming == [("sms", MORNING), ("email", MORNING + 3600)][: 1 if within == 60 else 2]
    assert world.deadline == NIGHT + within, "the clock stands still only once it is held"
    world.run(MORNING)
    assert world.began[:1] == [("sms", MORNING)]
    assert world.deadline == MORNING + within


@pytest.mark.parametrize("category, seconds", [("survey", MORNING), ("outage", NIGHT), ("code", NIGHT)])
def test_what_may_go_out_then_is_not_said_to_be_held(category: str, seconds: int) -> None:
    world = World(person("sms"), note(category, send_at=at(seconds))).run(0)
    assert foreseen(world) is None
    assert [step.after for step in world.following.route] == [seconds]


def test_a_cap_that_is_used_up_until_after_then_is_seen_ahead() -> None:
    world = World(person("sms"), note("survey", send_at=at(2 * HOUR)), cap_uses=[T0 - 1000]).run(0)
    found = foreseen(world)
    assert found is not None
    assert found[0] == "cap"


def test_the_laws_hours_are_seen_ahead() -> None:
    customer = person("sms", preferences=Preferences(quiet_hours=None))
    customer.consents = (granted("sms", "marketing", T0 - 1),)
    world = World(customer, note("marketing", send_at=at(NIGHT))).run(0)
    found = foreseen(world)
    assert found is not None
    assert (found[0], found[1]) == ("legal_window", at(21 * HOUR))
    assert [step.after for step in world.following.route] == [21 * HOUR]


def test_an_open_complaint_may_be_settled_by_then() -> None:
    world = World(person("sms", complaint_open=True), note("survey", send_at=at(MORNING))).run(0)
    assert foreseen(world) is None


def test_somebody_nobody_can_be_reached_at_is_held_by_nothing() -> None:
    assert foreseen(World(person(), note("survey", send_at=at(NIGHT))).run(0)) is None
