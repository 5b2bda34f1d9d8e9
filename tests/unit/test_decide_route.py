"""What is skipped and why, the verdict when nothing is left, and the route shown to people."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.customer import AddressHealth, CategoryPreference, Preferences
from gateway.message import Fault
from tests.support.routing import HOUR, MOBILE, RULES, T0, Shut, granted, note, person, refused, withdrawn
from tests.support.routing_world import World

CATEGORIES = ["code", "reply", "outage", "service", "follow_up", "survey", "marketing"]


def skipped(world: World) -> dict[str, str]:
    return {s.channel: s.why.code for s in world.message.skipped}


def route(world: World) -> list[tuple[str, int]]:
    return [(step.channel, step.after) for step in world.following.route]


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("scope", [("*", "*"), ("sms", "*"), ("*", None), ("sms", None)])
def test_nothing_overrides_a_withdrawal(category: str, scope: tuple[str, str | None]) -> None:
    entry = withdrawn(scope[0], scope[1] or category, at=T0)
    world = World(person("sms", consents=(granted(at=T0 - 9), entry)), note(category)).run()
    assert (world.began, world.verdict.state, world.verdict.code) == ([], "suppressed", "opted_out")
    assert world.done_at == 0


@pytest.mark.parametrize("category", CATEGORIES)
def test_only_opt_in_needs_a_grant(category: str) -> None:
    world = World(person("sms"), note(category)).run(0)
    if category == "marketing":
        assert (world.verdict.state, world.verdict.code) == ("suppressed", "no_consent")
    else:
        assert world.began == [("sms", 0)]


def test_a_later_grant_lifts_a_withdrawal() -> None:
    customer = person("sms", consents=(withdrawn("*", "*", at=T0 - 9), granted("*", "*", at=T0)))
    assert World(customer, note()).run(0).began == [("sms", 0)]


@pytest.mark.parametrize(
    "customer, changes, rules, code",
    [
        (person("email"), {}, {}, "no_address"),
        (person("sms"), {}, {"known": ("email",)}, "no_channel"),
        (person("sms"), {"channels": ("email",)}, {}, "not_in_reach"),
        (person("sms"), {"mode": "team"}, {}, "not_in_team"),
        (person("sms"), {"unfit": {"sms": "too_long"}}, {}, "too_long"),
        (person("sms"), {"unfit": {"sms": "cannot_prompt"}}, {}, "cannot_prompt"),
        (person("sms"), {"unfit": {"sms": "no_window"}}, {}, "no_window"),
        (person("sms"), {}, {"rules": replace(RULES, countries=frozenset(("GB",)))}, "country"),
        (
            person("sms", health={f"sms:key-of-{MOBILE}": AddressHealth(state="suppressed", reason="gone", at=T0)}),
            {},
            {},
            "suppressed_address",
        ),
        (person("sms", preferences=Preferences(channels=("email",))), {}, {}, "not_wanted"),
        (
            person("sms", preferences=Preferences(categories={"outage": CategoryPreference(enabled=False)})),
            {},
            {},
            "not_wanted",
        ),
        (person("sms", consents=(withdrawn("sms"),)), {}, {}, "opted_out"),
    ],
)  # fmt: skip - a table is read by its rows
def test_each_reason_to_skip_is_named(customer: Any, changes: Any, rules: Any, code: str) -> None:
    if code == "no_address":
        customer = replace(customer, preferences=Preferences(channels=("sms",)))
    world = World(customer, note(**changes), **rules).run()
    assert world.verdict.state == "suppressed"
    assert world.began == []
    assert skipped(world)["sms"] == code
    assert all(s.why.text for s in world.message.skipped)


def test_a_suppression_that_has_lapsed_and_a_mere_doubt_stop_nothing() -> None:
    lapsed = AddressHealth(state="suppressed", reason="gone", at=T0 - 9, until=T0)
    doubt = AddressHealth(state="suspect", reason="once", at=T0)
    for health in (lapsed, doubt):
        customer = person("sms", health={f"sms:key-of-{MOBILE}": health})
        assert World(customer, note()).run(0).began == [("sms", 0)]


def test_a_duplicate_address_is_used_once() -> None:
    world = World(person("sms", "sms", "email"), note(), line={"sms": 1}).run(0)
    assert [s.why.code for s in world.message.skipped] == ["duplicate_address"]
    assert world.run().began == [("sms", 1), ("email", 301)]


def test_several_reasons_together_are_no_route() -> None:
    customer = person("sms", "email", consents=(withdrawn("sms"),))
    world = World(customer, note(unfit={"email": "no_template"})).run()
    assert (world.verdict.state, world.verdict.code) == ("suppressed", "no_route")
    assert skipped(world) == {"sms": "opted_out", "email": "no_template"}


def test_one_reason_for_all_is_the_verdicts_code() -> None:
    world = World(person("sms", "email", consents=(withdrawn(),)), note()).run()
    assert (world.verdict.code, world.done_at) == ("opted_out", 0)


def test_somebody_without_any_address_is_suppressed() -> None:
    world = World(person(preferences=Preferences()), note()).run()
    assert (world.verdict.state, world.verdict.code, world.done_at) == ("suppressed", "no_address", 0)


def test_a_listed_order_is_complete_and_reach_only_narrows_it() -> None:
    customer = person("sms", "email", "voice", preferences=Preferences(channels=("voice", "sms")))
    world = World(customer, note(channels=("sms", "email"))).run()
    assert [channel for channel, _ in world.began] == ["sms"]
    assert skipped(world) == {"voice": "not_in_reach", "email": "not_wanted"}


def test_a_skipped_channel_does_not_stop_the_others() -> None:
    world = World(person("sms", "email"), note(unfit={"sms": "too_long"})).run(0)
    assert (world.began, skipped(world)) == ([("email", 0)], {"sms": "too_long"})


def test_the_route_shows_the_steps_to_come_if_all_stay_silent() -> None:
    world = World(person("sms", "email", "wechat"), note(), line={"sms": 1})
    assert route(world.run(0)) == [("sms", 0), ("email", 300), ("wechat", 600)]
    assert route(world.run(101)) == [("email", 200), ("wechat", 500)] or route(world) == [
        ("email", 300),
        ("wechat", 600),
    ]
    assert all(step.why.text for step in world.following.route)


def test_the_route_is_what_then_happens() -> None:
    world = World(person("sms", "email", "wechat"), note(send_at=T0 + 100_000)).run(0)
    shown = route(world)
    assert world.run().began == shown


def test_the_route_of_a_held_message_begins_when_the_hold_ends() -> None:
    night = 11 * HOUR
    world = World(person("sms", "voice"), note("service", T0 + night * 1000)).run(night)
    assert route(world) == [("sms", 9 * HOUR), ("voice", 9 * HOUR + 900)]


def test_the_route_begins_with_the_channel_that_is_open() -> None:
    world = World(person("sms", "email"), note(), shut={"sms": Shut()}, line={"email": 5}).run(0)
    assert route(world)[0] == ("email", 0)


def test_the_route_at_once_is_now_for_all() -> None:
    world = World(person("sms", "email"), note(mode="all_at_once"), line={"sms": 5, "email": 5}).run(0)
    assert route(world) == [("sms", 0), ("email", 0)]


def test_the_route_leaves_out_what_would_come_after_the_deadline() -> None:
    world = World(person("sms", "email", "wechat"), note(within=500), line={"sms": 5}).run(0)
    assert route(world) == [("sms", 0), ("email", 300)]


def test_without_fall_back_the_route_is_one_step() -> None:
    customer = person("sms", "email", consents=(granted(),))
    world = World(customer, note("marketing"), line={"sms": 5}).run(0)
    assert route(world) == [("sms", 0)]


def test_a_message_that_is_done_has_no_route_and_no_turns() -> None:
    following = World(person("sms", "email"), note(), {"sms": refused(), "email": refused()}).run().following
    assert (following.route, following.turns, following.wake_at) == ((), (), None)


@pytest.mark.parametrize(
    "seconds, status",
    [(0, "scheduled"), (100, "queued"), (200, "sending"), (201, "waiting"), (3700, "done")],
)
def test_status_over_a_life(seconds: float, status: str) -> None:
    message = note(send_at=T0 + 100_000)
    world = World(person("sms"), message, line={"sms": 100}, latency=500)
    assert world.run(seconds).message.status == status


def test_a_planned_repeat_stands_in_the_route_with_its_time_and_why() -> None:
    """Greylisting: the same address once more in five minutes, whatever else comes before or after."""

    def greylisted(*channels: str, **reach: Any) -> World:
        fates = {"email": [refused(Fault.UNAVAILABLE, 300)]}
        return World(person(*channels), note("outage", within=3600, **reach), fates).run(0)

    steps = greylisted("email", "sms", step=600).following.route
    assert [(s.channel, s.after, s.why.code) for s in steps] == [("email", 300, "repeat"), ("sms", 600, "fall_back")]
    assert steps[0].why.text == "The provider could not take it just now. It is tried once more."
    assert "email" not in dict(route(greylisted("email", "sms", step=120))), "the step is over before"
    assert route(greylisted("email", step=600, mode="all_at_once")) == [("email", 300)]
