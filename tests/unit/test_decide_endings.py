"""How a message ends, and what news may still change afterwards."""

from __future__ import annotations

import copy
from itertools import permutations
from typing import Any

import pytest

from gateway.message import Fault, Receipt, State
from gateway.news import absorb
from tests.support.routing import SILENT, T0, acked, delivered, failed, note, person, read, refused, taken
from tests.support.routing_world import World


def cancel(world: World) -> None:
    world.message.cancelled_at = world.now


def supersede(world: World) -> None:
    world.message.superseded_by = "m-2"


@pytest.mark.parametrize("end", [cancel, supersede])
def test_nothing_begins_after_being_called_off(end: Any) -> None:
    world = World(person("sms", "email"), note()).at(100, end).run()
    assert (world.began, world.done_at) == ([("sms", 0)], 100)
    assert world.verdict.state == {"cancel": "cancelled", "supersede": "superseded"}[end.__name__]


@pytest.mark.parametrize("end", [cancel, supersede])
def test_being_called_off_before_anything_began_or_fell_due(end: Any) -> None:
    world = World(person("sms"), note(send_at=T0 + 500_000)).at(100, end).run()
    assert (world.began, world.done_at) == ([], 100)


@pytest.mark.parametrize("end", [cancel, supersede])
def test_being_called_off_at_the_moment_of_proof_is_proof(end: Any) -> None:
    world = World(person("sms"), note(), {"sms": taken(delivered(100))}).at(100, end).run()
    assert (world.verdict.state, world.verdict.proven) == ("reached", True)


def test_cancelled_by_a_person_outranks_superseded() -> None:
    world = World(person("sms"), note()).at(100, lambda w: (cancel(w), supersede(w))[0]).run()
    assert world.verdict.state == "cancelled"


@pytest.mark.parametrize("end", [cancel, supersede])
@pytest.mark.parametrize("told", [delivered(200), failed(200), acked(200)])
def test_what_was_called_off_stays_so_whatever_is_heard_later(end: Any, told: Any) -> None:
    world = World(person("sms"), note(), {"sms": taken(told)}).at(100, end).run()
    assert world.verdict.state in ("cancelled", "superseded")
    assert world.message.attempts[0].status in ("delivered", "failed")


@pytest.mark.parametrize("told", [delivered(5000), read(5000), acked(5000)])
def test_unreached_becomes_reached_late_on_proof(told: Any) -> None:
    world = World(person("sms", "email"), note(), {"sms": taken(told)}).run(4000)
    assert world.verdict.state == "unreached"
    world.run()
    assert (world.verdict.state, world.verdict.late, world.verdict.proven) == ("reached", True, True)
    assert (world.verdict.channel, world.verdict.attempt) == ("sms", "a1")
    assert world.done_at == 3600


def test_all_failed_becomes_reached_late_when_a_receipt_was_wrong() -> None:
    world = World(person("sms"), note(), {"sms": taken(failed(10), delivered(20))}).run()
    assert (world.done_at, world.verdict.state, world.verdict.late) == (10, "reached", True)


def test_unreached_becomes_reached_late_by_an_acknowledgement_through_the_api() -> None:
    world = World(person("sms"), note()).at(5000, World.acknowledge).run()
    assert (world.verdict.state, world.verdict.late, world.verdict.level) == ("reached", True, "acknowledged")


def test_news_below_the_level_asked_for_does_not_make_it_reached() -> None:
    message = note(until="acknowledged")
    world = World(person("sms"), message, {"sms": taken(delivered(5000), read(5001))}).run()
    assert (world.verdict.state, world.message.attempts[0].engagement) == ("unreached", "read")


def test_an_unproven_reached_becomes_unreached_when_its_attempt_bounces() -> None:
    world = World(person("email"), note("service"), {"email": taken(failed(5000))}).run(1000)
    assert (world.verdict.state, world.verdict.proven, world.verdict.code) == ("reached", False, None)
    world.run()
    assert (world.verdict.state, world.verdict.code, world.verdict.proven) == ("unreached", "bounced", False)
    assert (world.verdict.channel, world.done_at) == ("email", 900)


def test_an_unproven_reached_does_not_care_for_the_failure_of_another_attempt() -> None:
    fates = {"sms": taken(failed(5000)), "email": SILENT}
    world = World(person("sms", "email"), note("service"), fates).run()
    assert (world.verdict.state, world.verdict.channel, world.done_at) == ("reached", "email", 1800)


def test_an_unproven_reached_stays_reached_when_it_is_read_after_all() -> None:
    world = World(person("email"), note("service"), {"email": taken(read(5000), failed(6000))}).run()
    assert (world.verdict.state, world.verdict.late) == ("reached", False)


@pytest.mark.parametrize(
    "until, fates",
    [
        ("delivered", taken(delivered(10), failed(500))),
        ("accepted", taken(failed(500))),
        ("read", taken(read(10), failed(500))),
    ],
)
def test_a_proven_reached_stays(until: Any, fates: Any) -> None:
    world = World(person("sms"), note(until=until), {"sms": fates}).run()
    assert (world.verdict.state, world.verdict.proven, world.verdict.late) == ("reached", True, False)


@pytest.mark.parametrize("told", [delivered(700), failed(700), acked(700)])
def test_an_expired_message_has_no_attempt_that_could_correct_it(told: Any) -> None:
    world = World(person("sms"), note(expires_at=T0 + 600_000), {"sms": taken(told)}, line={"sms": 10**6}).run()
    assert (world.began, world.verdict.state) == ([], "expired")


@pytest.mark.parametrize("state", ["suppressed", "expired", "superseded", "cancelled"])
def test_only_reached_and_unreached_are_ever_corrected(state: State) -> None:
    world = World(person("sms"), note()).run(0)
    verdict = type(world.verdict)(state=state, at=T0)
    world.message.closing = world.message.verdict = verdict
    world.hear("a1", status="delivered", engagement="answered")
    assert world.verdict == verdict
    world.acknowledge()
    assert world.verdict == verdict


def test_a_bounce_and_a_late_proof_end_alike_in_any_order() -> None:
    base = World(person("sms", "email"), note("service")).run()
    assert (base.verdict.channel, base.done_at) == ("email", 1800)
    told = [
        Receipt(attempt="a2", at=T0 + 5_000_000, status="failed", fault=Fault.UNREACHABLE),
        Receipt(attempt="a1", at=T0 + 6_000_000, status="delivered"),
        Receipt(attempt="a1", at=T0 + 6_500_000, engagement="answered"),
    ]
    ends: list[Any] = []
    for order in permutations(told):
        message = copy.deepcopy(base.message)
        for receipt in (*order, *order):
            absorb(message, receipt)
        ends.append(message)
    assert all(end == ends[0] for end in ends)
    assert ends[0].verdict.state == "reached"


def test_the_same_news_decided_on_in_any_order_gives_the_same_end() -> None:
    """Decided on after each piece; what differs is only the moment at which a message that was reached closed."""
    told: list[dict[str, Any]] = [
        {"status": "accepted"},
        {"status": "sent"},
        {"status": "delivered"},
        {"engagement": "read"},
    ]
    for order in permutations(told):
        world = World(person("sms", "email"), note(), {"sms": taken()})
        for number, what in enumerate(order):
            world.at(10 + number, lambda w, what=what: w.hear("a1", at=T0 + 10_000, **what))
        world.run()
        attempt = world.message.attempts[0]
        assert (world.verdict.state, world.verdict.proven, world.verdict.late) == ("reached", True, False)
        assert (world.verdict.attempt, attempt.status, attempt.engagement) == ("a1", "delivered", "read")
        assert world.began == [("sms", 0)]


def test_the_first_attempt_to_prove_is_the_one_named() -> None:
    fates = {"sms": taken(delivered(500)), "email": taken(delivered(100))}
    world = World(person("sms", "email"), note(), fates).run()
    assert (world.verdict.attempt, world.verdict.channel, world.verdict.at) == ("a2", "email", T0 + 400_000)


def test_a_verdict_has_a_sentence_for_people_and_a_time() -> None:
    for fates in (SILENT, refused(), taken(delivered(1)), taken(failed(3))):
        verdict = World(person("sms"), note(), {"sms": fates}).run().verdict
        assert verdict.text
        assert verdict.at is not None
