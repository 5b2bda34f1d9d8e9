"""A channel that is down or paused, a line that is long: by category, without using a channel up, without giving up early."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.message import Fault
from gateway.routing.decide import decide
from gateway.routing.traits import ChannelState
from gateway.routing.view import View
from tests.support.routing import (
    SILENT,
    T0,
    TRAITS,
    Shut,
    acked,
    delivered,
    granted,
    lost,
    note,
    person,
    refused,
    taken,
)
from tests.support.routing_world import World

NEXT_NOW = ["code", "outage"]
AFTER_STEP = ["reply", "service"]
WAIT = ["follow_up", "survey", "marketing"]


def agreeing(*channels: str) -> Any:
    return person(*channels, consents=(granted(),))


@pytest.mark.parametrize("why", ["channel_down", "paused"])
@pytest.mark.parametrize("category", NEXT_NOW)
def test_next_now_passes_over_a_shut_channel_at_once(category: str, why: Any) -> None:
    world = World(person("sms", "email"), note(category), shut={"sms": Shut(why=why)}).run(0)
    assert (world.began, world.held, world.message.status) == ([("email", 0)], None, "waiting")


@pytest.mark.parametrize("category", AFTER_STEP)
def test_next_after_step_waits_a_step_for_the_shut_channel(category: str) -> None:
    world = World(person("sms", "email"), note(category), shut={"sms": Shut()}).run(899)
    assert (world.began, world.held) == ([], "channel_down")
    assert world.run(900).began == [("email", 900)]


@pytest.mark.parametrize("category", AFTER_STEP)
def test_next_after_step_keeps_its_new_place_in_the_next_channels_line(category: str) -> None:
    world = World(person("sms", "email"), note(category), shut={"sms": Shut()}, line={"email": 50}).run(2000)
    assert world.began == [("email", 950)]


@pytest.mark.parametrize("category", AFTER_STEP)
def test_next_after_step_goes_out_as_soon_as_the_channel_opens(category: str) -> None:
    world = World(person("sms", "email"), note(category), shut={"sms": Shut(0, 400)}).run(899)
    assert world.began == [("sms", 400)]


@pytest.mark.parametrize("category", AFTER_STEP)
def test_next_after_step_reaches_a_third_channel_when_two_are_shut(category: str) -> None:
    world = World(person("sms", "wechat", "email"), note(category), shut={"sms": Shut(), "wechat": Shut()}).run(1800)
    assert [channel for channel, _ in world.began] == ["email"]
    assert world.began[0][1] in (900, 1800)


@pytest.mark.parametrize("category", WAIT)
def test_wait_stays_with_the_shut_channel_until_it_opens(category: str) -> None:
    world = World(agreeing("sms", "email"), note(category), shut={"sms": Shut(0, 20_000)}).run(19_999)
    assert (world.began, world.held) == ([], "channel_down")
    assert world.run(20_000).began == [("sms", 20_000)]


@pytest.mark.parametrize("category", [*NEXT_NOW, *AFTER_STEP, *WAIT])
def test_all_shut_waits_and_closes_only_at_the_deadline(category: str) -> None:
    message = note(category, within=3000)
    shut = {channel: Shut() for channel in ("sms", "email", "voice")}
    world = World(agreeing(*shut), message, shut=shut).run(2999)
    assert (world.message.status, world.held, world.verdict.state) == ("held", "channel_down", "pending")
    assert world.run().done_at == 3000
    assert (world.verdict.state, world.began) == ("expired", [])


@pytest.mark.parametrize("category", [*NEXT_NOW, *AFTER_STEP])
def test_all_shut_looks_again_at_the_next_probe_of_any_of_them(category: str) -> None:
    shut = {"sms": Shut(probe=120), "email": Shut(probe=30)}
    world = World(person("sms", "email"), note(category), shut=shut).run(0)
    assert world.wake is not None
    assert world.wake <= (30 if category in NEXT_NOW else 120)


@pytest.mark.parametrize("category", NEXT_NOW)
def test_all_shut_takes_whichever_opens_first(category: str) -> None:
    shut = {"sms": Shut(0, 500, probe=250), "email": Shut(0, 60)}
    world = World(person("sms", "email"), note(category), shut=shut).run(70)
    assert world.began == [("email", 60)]


@pytest.mark.parametrize("category", NEXT_NOW)
def test_being_passed_over_does_not_use_a_channel_up(category: str) -> None:
    step = note(category).reach.step or 0
    world = World(person("sms", "email", "voice"), note(category), shut={"sms": Shut(0, step - 1)}).run(step)
    assert world.began == [("email", 0), ("sms", step)]


def test_a_shut_channel_passed_over_is_tried_when_nothing_else_is_left() -> None:
    fates = {"email": refused(), "voice": refused(), "sms": taken(delivered(1))}
    world = World(person("sms", "email", "voice"), note(), fates, shut={"sms": Shut(0, 100, probe=50)})
    assert world.run(99).verdict.state == "pending"
    assert world.held == "channel_down"
    world.run()
    assert world.began == [("email", 0), ("voice", 0), ("sms", 100)]
    assert world.verdict.state == "reached"


@pytest.mark.parametrize("category", NEXT_NOW)
def test_a_channel_that_goes_down_before_a_repeat_is_passed_over_too(category: str) -> None:
    fates = {"sms": [refused(Fault.UNAVAILABLE, 5), SILENT]}
    world = World(person("sms", "email"), note(category), fates, shut={"sms": Shut(1)}).run(5)
    assert world.began == [("sms", 0), ("email", 5)]


@pytest.mark.parametrize("category", NEXT_NOW)
def test_a_channel_that_goes_down_with_a_lost_answer_is_passed_over_too(category: str) -> None:
    world = World(person("sms", "email"), note(category), {"sms": lost()}, shut={"sms": Shut(1)}).run(5)
    assert world.began == [("sms", 0), ("email", 5)]


@pytest.mark.parametrize("category", ["code", "outage", "reply", "service"])
@pytest.mark.parametrize("fate", [refused(Fault.UNAVAILABLE, 5), lost(found="absent")])
def test_a_step_that_could_not_be_repeated_still_ends_after_step_seconds(category: str, fate: Any) -> None:
    message = note(category)
    step = message.reach.step or 0
    world = World(person("email", "voice"), message, {"email": fate}, shut={"email": Shut(1)}).run(step)
    assert world.began[0] == ("email", 0)
    assert world.began[1][0] == "voice"
    assert world.began[1][1] <= step


@pytest.mark.parametrize("category", ["outage", "service"])
def test_a_step_whose_repeat_waits_in_a_long_line_still_ends_after_step_seconds(category: str) -> None:
    message = note(category)
    step = message.reach.step or 0
    fates = {"sms": [refused(Fault.THROTTLED, 5)]}
    world = World(person("sms", "voice"), message, fates)
    world.at(1, lambda w: setattr(w, "line", {"sms": 10**6})).run(step)
    assert world.began == [("sms", 0), ("voice", step)]


def test_a_critical_message_leaves_a_long_line_after_a_step_for_a_shorter_one() -> None:
    world = World(
        person("sms", "wechat", "email"),
        note(),
        line={"sms": 2000, "wechat": 1000},
        waits={"sms": 2000, "wechat": 1000},
    )
    assert world.run(299).began == []
    assert [t.channel for t in world.following.turns] == ["sms"]
    world.run(300)
    assert world.began == [("email", 300)]


def test_a_critical_message_that_moved_keeps_its_new_place() -> None:
    waits = {"sms": 5000, "email": 200}
    world = World(person("sms", "email"), note(), line=waits, waits=waits).run(900)
    assert world.began == [("email", 500)]


def test_a_critical_message_stays_where_no_line_is_shorter() -> None:
    world = World(
        person("sms", "email"), note(), line={"sms": 500, "email": 400}, waits={"sms": 500, "email": 600}
    ).run(800)
    assert world.began[0] == ("sms", 500)


def test_a_line_left_behind_is_not_used_up() -> None:
    line = {"sms": 2000, "email": 0}
    world = World(person("sms", "email"), note(), line=line, waits=line)
    world.at(400, lambda w: setattr(w, "line", {})).run(600)
    assert world.began == [("email", 300), ("sms", 600)]


@pytest.mark.parametrize("lane", ["normal", "bulk"])
def test_a_message_that_is_not_critical_keeps_its_place(lane: Any) -> None:
    line = {"sms": 2000, "email": 0}
    world = World(person("sms", "email"), note(lane=lane), line=line, waits=line).run(2000)
    assert world.began == [("sms", 2000)]


def test_the_step_begins_with_the_attempt_not_in_the_line() -> None:
    world = World(person("sms", "email"), note(), line={"sms": 200}).run(500)
    assert world.began == [("sms", 200), ("email", 500)]


def test_rounds_go_on_over_a_channel_that_stays_shut() -> None:
    message = note(rounds=3)
    fates = {"voice": refused(Fault.NO_ANSWER)}
    world = World(person("sms", "voice"), message, fates, shut={"sms": Shut()}).run()
    assert [channel for channel, _ in world.began] == ["voice"] * 3
    assert world.verdict.state == "unreached"


def test_all_at_once_uses_what_is_open_and_the_shut_one_as_it_opens() -> None:
    world = World(person("sms", "email", "voice"), note(mode="all_at_once"), shut={"sms": Shut(0, 200)}).run(200)
    assert world.began == [("email", 0), ("voice", 0), ("sms", 200)]


def test_all_at_once_with_one_channel_shut_still_ends_at_proof() -> None:
    world = World(
        person("sms", "email"), note(mode="all_at_once"), {"email": taken(acked(50))}, shut={"sms": Shut(0, 200)}
    ).run()
    assert (world.began, world.verdict.state, world.done_at) == ([("email", 0)], "reached", 50)


def test_a_channel_that_is_gone_is_skipped_and_its_attempt_stays_open() -> None:
    world = World(person("sms", "email"), note(), {"sms": taken(delivered(800))}).run(100)
    world.known = ("email",)
    world.run()
    assert world.began == [("sms", 0), ("email", 300)]
    assert (world.verdict.state, world.verdict.channel) == ("reached", "sms")


def test_only_channels_that_are_not_set_up_is_no_route() -> None:
    world = World(person("sms"), note(), known=()).run()
    assert (world.verdict.state, world.verdict.code, world.done_at) == ("suppressed", "no_channel", 0)


@pytest.mark.parametrize(
    "category, shut, line",
    [
        ("outage", {}, {"sms": 5000, "email": 400}),
        ("code", {"sms": Shut(0, 100)}, {"email": 5000}),
        ("service", {"sms": Shut(), "wechat": Shut()}, {}),
        ("service", {"sms": Shut(), "wechat": Shut()}, {"email": 5000}),
        ("reply", {"sms": Shut(), "wechat": Shut(), "email": Shut()}, {}),
        ("follow_up", {"sms": Shut(0, 4000)}, {}),
    ],
)
def test_deciding_twice_at_the_same_moment_changes_nothing(category: str, shut: Any, line: Any) -> None:
    customer = person("sms", "wechat", "email")
    World(customer, note(category, within=6000), shut=shut, line=line, waits=line, strict=True).run()


def test_what_waits_because_the_provider_asked_us_to_slow_down_says_so() -> None:
    world = World(person("sms"), note("outage"))
    states = {**world.states(), "sms": ChannelState(traits=TRAITS["sms"], paced_until=T0 + 7_000)}
    following = decide(View(world.message, world.customer, states, world.rules), T0)
    assert [turn.channel for turn in following.turns] == ["sms"], "it keeps its place in line"
    assert following.held is not None
    assert (following.status, following.held.code, following.held.until) == ("held", "paced", T0 + 7_000)
    assert following.deadline == T0 + 3_600_000, "which moves no deadline"


@pytest.mark.parametrize("category", NEXT_NOW)
def test_what_is_in_a_hurry_is_not_tried_for_long_where_it_cannot_be_taken(category: str) -> None:
    world = World(person("sms", "email"), note(category), {"sms": refused(Fault.UNAVAILABLE)}).run(59)
    channels = [channel for channel, _ in world.began]
    assert channels == ["sms", "sms", "sms", "email"]
    assert 2 < world.began[-1][1] < 5


@pytest.mark.parametrize("category", NEXT_NOW)
def test_what_found_out_that_a_channel_is_down_goes_on_at_once(category: str) -> None:
    """Its own failure has opened the breaker: it does not wait for its own next try there."""
    shut = {"sms": Shut(0.5)}
    world = World(person("sms", "email"), note(category), {"sms": refused(Fault.UNAVAILABLE)}, shut=shut, latency=600)
    assert world.run(59).began == [("sms", 0), ("email", 0.6)]


def test_with_nothing_else_left_even_what_is_in_a_hurry_is_tried_on() -> None:
    world = World(person("sms"), note("code"), {"sms": refused(Fault.UNAVAILABLE)}).run(59)
    assert len(world.began) > 4
