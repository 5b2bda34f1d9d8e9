"""The breaker by a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.channels.base import Accepted, Refused, Unknown
from gateway.delivery.breaker import FARTHEST_MS, FAULTS_IN_A_ROW, FIRST_REST_MS, LONGEST_REST_MS, Breaker, Turned
from gateway.message import Fault

TAKEN = Accepted(provider_id="p")
DOWN = Refused(fault=Fault.UNAVAILABLE)
SHUT = Refused(fault=Fault.ACCOUNT_SHUT)
OTHERS_FAULT = Refused(fault=Fault.BAD_ADDRESS)
THROTTLED = Refused(fault=Fault.THROTTLED)
LOST = Unknown()
ANSWER_WITHIN = 16_000
START = 1_000_000


def opened(now: int = START) -> Breaker:
    breaker = Breaker()
    assert breaker.hear(SHUT, now, sent_at=now)
    return breaker


def probe(breaker: Breaker, now: int) -> None:
    assert not breaker.shut(now)
    breaker.follow(breaker.probing(now, ANSWER_WITHIN))


def test_it_opens_after_a_run_of_faults_only() -> None:
    breaker = Breaker()
    for _ in range(3):
        for _ in range(FAULTS_IN_A_ROW - 1):
            assert not breaker.hear(DOWN, START, sent_at=START)
        breaker.hear(TAKEN, START, sent_at=START)
    for _ in range(FAULTS_IN_A_ROW - 1):
        assert not breaker.hear(LOST, START, sent_at=START)
    assert breaker.hear(LOST, START, sent_at=START)
    assert breaker.shut(START)


@pytest.mark.parametrize("answer", [OTHERS_FAULT, THROTTLED])
def test_an_answer_about_somebody_or_our_pace_proves_that_the_provider_works(answer: Refused) -> None:
    breaker = Breaker()
    for _ in range(100):
        assert not breaker.hear(answer, START, sent_at=START)
    for _ in range(FAULTS_IN_A_ROW - 1):
        breaker.hear(DOWN, START, sent_at=START)
    breaker.hear(answer, START, sent_at=START)
    assert not breaker.hear(DOWN, START, sent_at=START)


def test_a_refused_account_shuts_at_once() -> None:
    assert opened().shut(START + FIRST_REST_MS - 1)
    assert not opened().shut(START + FIRST_REST_MS)


def test_one_probe_at_a_time_and_rests_that_double() -> None:
    breaker, now, rest = opened(), START, FIRST_REST_MS
    for _ in range(12):
        now += rest
        probe(breaker, now)
        assert breaker.shut(now + ANSWER_WITHIN - 1), "the others wait for the probe"
        assert breaker.hear(DOWN, now, sent_at=now, probe=True), "whoever joined the line meanwhile must hear of it"
        rest = min(rest * 2, LONGEST_REST_MS)
        assert breaker.shut(now + rest - 1)
        assert not breaker.shut(now + rest)


def test_a_probe_that_brings_no_news_makes_room_for_the_next() -> None:
    breaker = opened()
    probe(breaker, START + FIRST_REST_MS)
    assert breaker.shut(START + FIRST_REST_MS + ANSWER_WITHIN - 1)
    assert not breaker.shut(START + FIRST_REST_MS + ANSWER_WITHIN)


@pytest.mark.parametrize("good", [TAKEN, OTHERS_FAULT, THROTTLED])
def test_a_good_probe_closes_it_and_forgets(good: Accepted | Refused) -> None:
    breaker, now = opened(), START + FIRST_REST_MS
    probe(breaker, now)
    assert breaker.hear(good, now, sent_at=now, probe=True)
    assert breaker.closed
    for _ in range(FAULTS_IN_A_ROW - 1):
        assert not breaker.hear(DOWN, now, sent_at=now)
    assert breaker.hear(DOWN, now, sent_at=now)
    assert breaker.facts.open_until == now + FIRST_REST_MS, "the rests begin anew"


def test_stragglers_of_before_say_nothing_about_now() -> None:
    breaker = opened()
    was = breaker.facts
    assert not breaker.hear(DOWN, START + 5, sent_at=START - 9)
    assert not breaker.hear(LOST, START + 10, sent_at=START - 9)
    assert not breaker.hear(OTHERS_FAULT, START + 15, sent_at=START - 9)
    assert breaker.facts == was
    assert breaker.hear(TAKEN, START + 20, sent_at=START - 9), "but one that was taken does"


def test_answers_lost_since_before_it_closed_do_not_open_it_again() -> None:
    """Sixty requests hang when the provider fails; it is back when the last of them is given up."""
    breaker, now = opened(), START + FIRST_REST_MS
    probe(breaker, now)
    breaker.hear(TAKEN, now, sent_at=now, probe=True)
    for _ in range(60):
        assert not breaker.hear(LOST, now + 10_000, sent_at=START - 5_000)
    assert breaker.closed
    for _ in range(FAULTS_IN_A_ROW - 1):
        assert not breaker.hear(LOST, now + 10_000, sent_at=now + 1)
    assert breaker.hear(LOST, now + 10_000, sent_at=now + 1)


def test_a_server_clock_that_was_set_back_keeps_nothing_shut() -> None:
    breaker = opened(START + 3_600_000)
    assert not breaker.shut(START), "nothing rests for an hour"
    probe(breaker, START)
    assert breaker.hear(TAKEN, START, sent_at=START, probe=True)
    again = Breaker()
    again.follow(Turned(turned_at=START + 3_600_000))
    for _ in range(FAULTS_IN_A_ROW - 1):
        assert not again.hear(LOST, START, sent_at=START)
    assert again.hear(LOST, START, sent_at=START), "faults count before the old time has come again"


def test_another_process_closes_and_opens_it() -> None:
    breaker = opened()
    breaker.follow(Turned(turned_at=START + 1))
    assert breaker.closed
    breaker.follow(Turned(opened_at=START, open_until=START + 9_000, rest=8_000, turned_at=START + 2))
    assert breaker.shut(START + 8_999)
    probe(breaker, START + 9_000)
    breaker.hear(LOST, START + 9_000, sent_at=START + 9_000, probe=True)
    assert breaker.facts.open_until == START + 17_000, "the rests double across processes"


_OUTCOMES = st.sampled_from([TAKEN, DOWN, SHUT, OTHERS_FAULT, THROTTLED, LOST])
_STEPS = st.tuples(
    st.integers(-100_000, 100_000), st.sampled_from(["probe", "lost probe", "straggler", "hear"]), _OUTCOMES
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_STEPS, max_size=40))
def test_whatever_happens_a_probe_is_let_through_in_the_end(story: list[tuple[int, str, Any]]) -> None:
    breaker, now = Breaker(), 10_000_000
    for passed, what, outcome in story:
        now += passed
        probing = "probe" in what and not breaker.closed and not breaker.shut(now)
        if probing:
            probe(breaker, now)
        if what != "lost probe":
            breaker.hear(outcome, now, sent_at=now - 50_000 * (what == "straggler"), probe=probing)
        assert breaker.facts.rest <= LONGEST_REST_MS
    assert not breaker.shut(now + FARTHEST_MS)
    breaker.hear(TAKEN, now, sent_at=now)
    assert breaker.closed
