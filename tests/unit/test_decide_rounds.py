"""Rounds, everything at once, several addresses of one channel."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.message import Fault
from tests.support.routing import SILENT, T0, Shut, acked, delivered, failed, granted, note, person, refused, taken
from tests.support.routing import withdrawn as withdrawal
from tests.support.routing_world import World

PERMANENT = [Fault.BAD_ADDRESS, Fault.OPTED_OUT, Fault.BLOCKED]
PASSING = [Fault.NO_ANSWER, Fault.BUSY, Fault.UNREACHABLE]
SECOND = "sms:+306987654321"


def test_addresses_of_one_channel_are_steps_of_their_own_in_stored_order() -> None:
    world = World(person("sms", SECOND, "email"), note()).run(900)
    assert world.began == [("sms", 0), ("sms", 300), ("email", 600)]
    assert [a.address for a in world.message.attempts][:2] == ["+306912345678", "+306987654321"]


def test_a_failed_address_leads_to_the_next_of_the_same_channel_at_once() -> None:
    world = World(person("sms", SECOND, "email"), note(), {"sms": [refused(), SILENT]}).run(300)
    assert world.began == [("sms", 0), ("sms", 0), ("email", 300)]


def test_the_order_is_the_persons_then_the_categorys() -> None:
    order = ("voice", "email", "wechat", "sms")
    assert [c for c, _ in World(person(*order), note(step=60, within=600)).run(599).began] == [
        "voice",
        "email",
        "wechat",
        "sms",
    ]
    indifferent = person(*order, preferences=type(person("sms").preferences)())
    assert [c for c, _ in World(indifferent, note()).run(901).began] == ["sms", "wechat", "email", "voice"]


def test_rounds_repeat_the_order() -> None:
    world = World(person("sms", "email"), note(rounds=2)).run()
    assert world.began == [("sms", 0), ("email", 300), ("sms", 600), ("email", 900)]
    assert [a.round for a in world.message.attempts] == [1, 1, 2, 2]
    assert world.done_at == 3600


def test_rounds_end_with_the_deadline() -> None:
    world = World(person("sms"), note(rounds=10, within=700)).run()
    assert world.began == [("sms", 0), ("sms", 300), ("sms", 600)]


@pytest.mark.parametrize("fault", PERMANENT)
def test_rounds_leave_out_addresses_that_failed_for_good(fault: Fault) -> None:
    world = World(person("sms", "email"), note(rounds=3), {"sms": refused(fault)}).run()
    assert world.began == [("sms", 0), ("email", 0), ("email", 300), ("email", 600)]


@pytest.mark.parametrize("fault", PASSING)
def test_rounds_keep_addresses_that_failed_in_passing(fault: Fault) -> None:
    world = World(person("voice"), note(rounds=3), {"voice": taken(failed(25, fault))}).run()
    assert world.began == [("voice", 0), ("voice", 25), ("voice", 50)]
    assert (world.verdict.code, world.done_at) == ("all_failed", 75)


def test_a_permanent_failure_that_is_heard_of_later_counts_in_the_next_round() -> None:
    fates = {"sms": taken(failed(400, Fault.BAD_ADDRESS))}
    world = World(person("sms", "email"), note(rounds=2), fates).run(1000)
    assert world.began == [("sms", 0), ("email", 300), ("email", 600)]


def test_a_permanent_failure_followed_by_silence_in_a_repeat_still_counts() -> None:
    fates = {"sms": [refused(Fault.THROTTLED, 10), refused(Fault.BAD_ADDRESS)]}
    world = World(person("sms", "email"), note(rounds=2), fates).run(1000)
    assert world.began == [("sms", 0), ("sms", 10), ("email", 10), ("email", 310)]


def test_without_fall_back_there_is_no_second_round() -> None:
    customer = person("sms", consents=(granted(),))
    world = World(customer, note("marketing", until="delivered"), {"sms": refused()}).run()
    assert (len(world.began), world.verdict.code) == (1, "all_failed")


def test_all_at_once_begins_every_step_together() -> None:
    world = World(person("sms", SECOND, "email", "voice"), note(mode="all_at_once")).run(0)
    assert world.began == [("sms", 0), ("sms", 0), ("email", 0), ("voice", 0)]


def test_all_at_once_the_first_proof_ends_it() -> None:
    fates = {"sms": taken(delivered(9)), "voice": taken(delivered(7))}
    world = World(person("sms", "voice"), note(mode="all_at_once"), fates).run()
    assert (world.verdict.channel, world.done_at) == ("voice", 7)


def test_all_at_once_proof_drops_what_has_not_begun() -> None:
    fates = {"sms": taken(delivered(20))}
    world = World(person("sms", "voice"), note(mode="all_at_once"), fates, line={"voice": 30}).run()
    assert (world.began, world.verdict.state) == ([("sms", 0)], "reached")
    assert world.following.turns == ()


def test_all_at_once_step_is_the_time_to_the_next_round() -> None:
    fates = {"sms": refused(Fault.BAD_ADDRESS)}
    world = World(person("sms", "email", "wechat"), note(mode="all_at_once", rounds=3), fates).run()
    assert world.began == [
        ("sms", 0),
        ("email", 0),
        ("wechat", 0),
        ("email", 300),
        ("wechat", 300),
        ("email", 600),
        ("wechat", 600),
    ]
    assert (world.verdict.code, world.done_at) == ("no_receipt", 3600)


def test_all_at_once_a_shut_channel_does_not_keep_the_others_from_their_next_round() -> None:
    message = note(mode="all_at_once", rounds=2)
    world = World(person("sms", "email"), message, shut={"sms": Shut()}).run(300)
    assert world.began == [("email", 0), ("email", 300)]


def test_all_at_once_all_refused_ends_at_once() -> None:
    fates = {"sms": refused(), "email": refused()}
    world = World(person("sms", "email"), note(mode="all_at_once"), fates).run()
    assert (world.verdict.state, world.verdict.code, world.done_at) == ("unreached", "all_failed", 0)


def test_all_at_once_repeats_what_is_throttled_beside_the_others() -> None:
    fates = {"sms": [refused(Fault.THROTTLED, 30), SILENT]}
    world = World(person("sms", "email"), note(mode="all_at_once"), fates).run(100)
    assert world.began == [("sms", 0), ("email", 0), ("sms", 30)]


def test_all_at_once_settles_unproven_after_the_step() -> None:
    message = note("service", mode="all_at_once")
    world = World(person("sms", "email"), message).run()
    assert (world.verdict.state, world.verdict.proven, world.verdict.channel) == ("reached", False, "email")
    assert world.done_at == 900


def test_all_at_once_is_held_through_quiet_hours_with_one_deadline() -> None:
    night = T0 + 11 * 3600_000
    world = World(person("sms", "email"), note("service", night, mode="all_at_once")).run()
    assert world.began == [("sms", 20 * 3600), ("email", 20 * 3600)]


def test_an_acknowledgement_on_one_channel_ends_all_the_others() -> None:
    fates = {"sms": SILENT, "wechat": taken(acked(100))}
    world = World(person("sms", "wechat", "voice"), note(until="acknowledged"), fates).run()
    assert world.began == [("sms", 0), ("wechat", 300)]
    assert (world.verdict.channel, world.done_at) == ("wechat", 400)


@pytest.mark.parametrize("mode", ["in_turn", "all_at_once"])
def test_a_stop_that_comes_meanwhile_ends_what_has_not_begun(mode: Any) -> None:
    world = World(person("sms", "email"), note(mode=mode), line={"email": 50})
    world.at(20, lambda w: setattr(w.customer, "consents", (withdrawal(at=T0 + 20_000),))).run()
    assert world.began == [("sms", 0)]
    assert (world.verdict.state, world.done_at) == ("unreached", 3600)


@pytest.mark.parametrize("category", ["outage", "marketing"])
def test_a_stop_before_the_repeat_of_the_only_address_ends_it_at_once(category: str) -> None:
    customer = person("sms", consents=(granted(at=T0 - 1),))
    world = World(customer, note(category), {"sms": refused(Fault.THROTTLED, 100)})
    world.at(50, lambda w: setattr(w.customer, "consents", (withdrawal(at=T0 + 1),))).run()
    assert (world.began, world.verdict.state) == ([("sms", 0)], "unreached")
    assert world.done_at == 50


def test_preferences_changed_meanwhile_count_for_the_steps_still_to_come() -> None:
    world = World(person("sms", "email", "voice"), note())
    changed = person("sms", "voice", "email").preferences
    world.at(100, lambda w: setattr(w.customer, "preferences", changed)).run(600)
    assert world.began == [("sms", 0), ("voice", 300), ("email", 600)]
