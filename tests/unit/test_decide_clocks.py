"""Clocks: due, deadline, expiry; what holds a message, for how long, and which holds move its deadline."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.customer import Address, Preferences, QuietHours
from gateway.message import Fault
from gateway.routing.view import due_at
from tests.support.routing import (
    HOUR,
    RULES,
    SILENT,
    T0,
    Shut,
    delivered,
    failed,
    granted,
    note,
    person,
    refused,
    taken,
)
from tests.support.routing_world import World

DAY = 24 * HOUR
EIGHT = 20 * HOUR
"""Seconds from T0 (noon in Athens) to eight in the morning there."""
NINE_PM = 9 * HOUR
SLEEPERS: list[tuple[str, dict[str, Any]]] = [
    ("service", {}),
    ("follow_up", {}),
    ("survey", {}),
    ("outage", {"lane": "normal"}),
]
WAKERS: list[tuple[str, dict[str, Any]]] = [("code", {}), ("reply", {}), ("outage", {})]


def at(seconds: float) -> int:
    return T0 + int(seconds * 1000)


@pytest.mark.parametrize("send_at, due", [(None, 0), (-50, 0), (0, 0), (500, 500)])
def test_due_is_the_later_of_acceptance_and_send_at(send_at: float | None, due: float) -> None:
    message = note(send_at=None if send_at is None else at(send_at))
    assert due_at(message, person("sms"), RULES) == at(due)


@pytest.mark.parametrize(
    "local, zone, due",
    [
        ("12:00", "Europe/Athens", 0),
        ("09:00", "Europe/Athens", 21 * HOUR),
        ("20:00", "Asia/Tokyo", HOUR),
        ("18:00", "Asia/Tokyo", 23 * HOUR),
    ],
)
def test_due_is_the_next_time_the_persons_clock_shows_send_at_local(local: str, zone: str, due: float) -> None:
    assert due_at(note(send_at_local=local), person("sms", time_zone=zone), RULES) == at(due)


def test_send_at_local_goes_by_the_zone_of_the_number_where_none_is_stored() -> None:
    japanese = person("sms:+819012345678", time_zone=None)
    assert due_at(note(send_at_local="20:00"), japanese, RULES) == at(HOUR)


def test_nothing_begins_before_it_is_due_and_the_deadline_counts_from_then() -> None:
    world = World(person("sms"), note(send_at=at(500)))
    assert world.run(0).message.status == "scheduled"
    assert (world.began, world.wake, world.deadline) == ([], 500, 4100)
    world.run()
    assert world.began == [("sms", 500)]
    assert (world.done_at, world.verdict.state) == (4100, "unreached")


@pytest.mark.parametrize("expires, ends", [(600, 600), (3600, 3600), (9000, 3600)])
def test_the_deadline_is_never_past_expires_at(expires: float, ends: float) -> None:
    world = World(person("sms"), note(expires_at=at(expires))).run()
    assert (world.done_at, world.verdict.state) == (ends, "unreached")


def test_a_message_that_expires_before_it_is_due_never_begins() -> None:
    world = World(person("sms"), note(send_at=at(500), expires_at=at(400))).run()
    assert (world.began, world.done_at, world.verdict.state) == ([], 400, "expired")


@pytest.mark.parametrize("start, state, began", [(3599, "unreached", 1), (3600, "expired", 0), (9999, "expired", 0)])
def test_woken_late_it_has_expired_only_at_the_deadline(start: float, state: str, began: int) -> None:
    world = World(person("sms"), note(), start=at(start)).run()
    assert (world.verdict.state, len(world.began)) == (state, began)


def test_no_attempt_begun_by_the_deadline_is_expired_with_its_own_code() -> None:
    world = World(person("sms"), note(), shut={"sms": Shut()}).run()
    assert (world.verdict.state, world.verdict.code, world.verdict.proven) == ("expired", "deadline", False)


@pytest.mark.parametrize("category, changes", SLEEPERS)
def test_quiet_hours_hold_and_move_the_deadline(category: str, changes: dict[str, Any]) -> None:
    night = at(NINE_PM + 2 * HOUR)
    message = note(category, night, **changes)
    within = message.reach.within
    world = World(person("sms", "voice"), message).run(NINE_PM + 3 * HOUR)
    assert (world.message.status, world.held, world.began) == ("held", "quiet_hours", [])
    assert world.message.held is not None
    assert (world.message.held.until, world.wake) == (at(EIGHT), EIGHT)
    assert world.deadline == EIGHT + within
    world.run(EIGHT)
    assert (world.began[:1], world.held) == ([("sms", EIGHT)], None)
    world.run()
    assert (world.done_at, world.verdict.state) == (EIGHT + within, "unreached")


@pytest.mark.parametrize("category, changes", WAKERS)
def test_these_pass_quiet_hours(category: str, changes: dict[str, Any]) -> None:
    night = NINE_PM + 2 * HOUR
    world = World(person("sms"), note(category, at(night), **changes)).run(night)
    assert world.began == [("sms", night)]


@pytest.mark.parametrize(
    "hours, start, began",
    [
        (None, 11 * HOUR, 11 * HOUR),
        (QuietHours("11:00", "14:00"), 0, 2 * HOUR),
        (QuietHours("11:00", "14:00"), 12 * HOUR, 12 * HOUR),
        (QuietHours("11:00", "12:00"), 0, 0),
        (QuietHours("12:00", "12:01"), 0, 60),
    ],
)
def test_the_persons_own_quiet_hours_replace_the_default(hours: QuietHours | None, start: float, began: float) -> None:
    customer = person("sms", preferences=Preferences(quiet_hours=hours))
    assert World(customer, note("service", at(start))).run(began).began == [("sms", began)]


def test_the_zone_of_the_number_counts_where_none_is_stored() -> None:
    """19:00 in Tokyo at T0, so 21:00 there is two hours on."""
    world = World(person("sms:+819012345678", time_zone=None), note("service", at(2 * HOUR))).run(2 * HOUR)
    assert world.held == "quiet_hours"


def test_mail_to_somebody_with_a_number_and_no_zone_goes_by_the_number_too() -> None:
    customer = person("email", "sms:+819012345678", time_zone=None)
    assert World(customer, note("service", at(2 * HOUR))).run(2 * HOUR).held == "quiet_hours"


def test_a_later_step_that_falls_into_quiet_hours_is_held_too_and_moves_the_deadline() -> None:
    evening = NINE_PM - 600
    world = World(person("sms", "voice"), note("service", at(evening))).run(NINE_PM + 400)
    assert (world.began, world.held) == ([("sms", evening)], "quiet_hours")
    held_for = EIGHT - (evening + 900)
    assert world.deadline == evening + 86400 + held_for
    world.run(EIGHT)
    assert world.began == [("sms", evening), ("voice", EIGHT)]
    assert world.run().done_at == evening + 86400 + held_for


def test_proof_of_the_first_attempt_ends_a_hold_of_the_second() -> None:
    evening = NINE_PM - 600
    world = World(person("sms", "voice"), note("service", at(evening)), {"sms": taken(delivered(HOUR))}).run()
    assert (world.verdict.state, world.done_at, len(world.began)) == ("reached", evening + HOUR, 1)
    assert world.message.held is None


def test_a_hold_never_moves_the_deadline_past_expires_at() -> None:
    night = NINE_PM + 2 * HOUR
    world = World(person("sms"), note("service", at(night), expires_at=at(EIGHT - 60))).run()
    assert (world.began, world.done_at, world.verdict.state) == ([], EIGHT - 60, "expired")


def test_two_nights_move_the_deadline_twice() -> None:
    evening = NINE_PM - 600
    message = note("follow_up", at(evening), step=DAY, within=DAY + 1200, until="delivered")
    world = World(person("sms", "voice"), message).run()
    assert world.began == [("sms", evening), ("voice", evening + DAY)]
    late = NINE_PM + HOUR
    message = note("service", at(late), step=13 * HOUR, within=20 * HOUR)
    world = World(person("sms", "voice"), message).run()
    assert world.began == [("sms", EIGHT), ("voice", EIGHT + DAY)]
    assert world.done_at == late + 20 * HOUR + (EIGHT - late) + (DAY - 13 * HOUR)


@pytest.mark.parametrize("mode", ["in_turn", "all_at_once"])
def test_a_hold_of_several_addresses_moves_the_deadline_once(mode: Any) -> None:
    night = NINE_PM + 2 * HOUR
    world = World(person("sms", "email", "voice"), note("service", at(night), mode=mode)).run(night)
    assert (world.held, world.deadline) == ("quiet_hours", EIGHT + 86400)


@pytest.mark.parametrize("why", ["channel_down", "paused"])
def test_time_that_a_channel_is_shut_does_not_move_the_deadline(why: Any) -> None:
    world = World(person("sms"), note("service"), shut={"sms": Shut(0, 7200, why)}).run(100)
    assert (world.held, world.message.status, world.deadline) == (why, "held", 86400)
    assert world.run().began == [("sms", 7200)]
    assert world.done_at == 86400


def test_time_in_a_paced_line_does_not_move_the_deadline_nor_start_the_step() -> None:
    world = World(person("sms", "voice"), note("service"), line={"sms": 5000}).run()
    assert world.began == [("sms", 5000), ("voice", 5900)]
    assert world.done_at == 86400


def test_the_legal_window_holds_marketing_and_moves_its_deadline() -> None:
    customer = person("sms", consents=(granted(),), preferences=Preferences(quiet_hours=None))
    world = World(customer, note("marketing", at(8 * HOUR + 60))).run(8 * HOUR + 60)
    assert (world.held, world.wake) == ("legal_window", 21 * HOUR)
    assert world.deadline == 21 * HOUR + 86400
    assert world.run().began == [("sms", 21 * HOUR)]


def test_quiet_hours_then_the_legal_window_are_one_long_hold() -> None:
    customer = person("sms", consents=(granted(),))
    night = 10 * HOUR
    world = World(customer, note("marketing", at(night), until="delivered")).run(EIGHT)
    assert (world.held, world.deadline) == ("legal_window", 21 * HOUR + 86400)
    world.run()
    assert (world.began, world.done_at) == ([("sms", 21 * HOUR)], 21 * HOUR + 86400)


@pytest.mark.parametrize("category", ["service", "survey", "follow_up", "outage"])
def test_no_other_category_has_a_legal_window(category: str) -> None:
    customer = person("sms", preferences=Preferences(quiet_hours=None))
    assert World(customer, note(category, at(11 * HOUR))).run(11 * HOUR).began == [("sms", 11 * HOUR)]


def test_a_repeat_that_falls_into_quiet_hours_is_held_too() -> None:
    evening = NINE_PM - 60
    fates = {"sms": [refused(Fault.THROTTLED, 120), SILENT]}
    world = World(person("sms"), note("service", at(evening)), fates).run(EIGHT)
    assert world.began[0] == ("sms", evening)
    assert all(when >= EIGHT for _, when in world.began[1:])


def test_failure_at_the_deadline_is_still_unreached() -> None:
    world = World(person("sms"), note(), {"sms": taken(failed(3600))}).run()
    assert (world.verdict.state, world.done_at) == ("unreached", 3600)


def test_proof_at_the_very_deadline_reaches() -> None:
    world = World(person("sms"), note(), {"sms": taken(delivered(3600))}).run()
    assert (world.verdict.state, world.verdict.late, world.done_at) == ("reached", False, 3600)


def test_several_addresses_of_one_channel_share_the_persons_hours() -> None:
    customer = person("sms", "voice")
    customer.addresses = (*customer.addresses, Address("sms", "+306987654321"))
    world = World(customer, note("service", at(NINE_PM))).run(EIGHT + 1800)
    assert world.began == [("sms", EIGHT), ("sms", EIGHT + 900), ("voice", EIGHT + 1800)]
