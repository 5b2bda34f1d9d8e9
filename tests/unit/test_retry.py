"""What each fault asks for, and when a repeat is due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.message import Attempt, Fault
from gateway.routing.retry import REMEDIES, retry_at
from tests.support.routing import SILENT, T0, note, person, refused
from tests.support.routing_world import World

HERE = [fault for fault in Fault if REMEDIES[fault].here]
ELSEWHERE = [fault for fault in Fault if not REMEDIES[fault].here]
TEMPORARY = [Fault.THROTTLED, Fault.UNAVAILABLE]


def failed(fault: Fault, number: int = 1, retry_after: int | None = None, failed_at: int = T0 + 700) -> Attempt:
    return Attempt(
        id=f"a{number}",
        channel="sms",
        address="x",
        status="failed",
        fault=fault,
        retry_after=retry_after,
        times={"started": T0, "failed": failed_at},
    )


def test_every_fault_has_a_remedy_with_a_sentence() -> None:
    assert set(REMEDIES) == set(Fault)
    assert all(remedy.text.endswith(".") for remedy in REMEDIES.values())


@pytest.mark.parametrize("fault", ELSEWHERE)
@pytest.mark.parametrize("retry_after", [None, 0, 30])
def test_what_does_not_pass_by_itself_is_never_repeated_there(fault: Fault, retry_after: int | None) -> None:
    assert retry_at(failed(fault, retry_after=retry_after), 1) is None


def test_only_faults_of_the_moment_are_repeated_on_the_same_channel() -> None:
    assert set(HERE) == {Fault.THROTTLED, Fault.UNAVAILABLE, Fault.NOT_TAKEN}


@pytest.mark.parametrize("fault", HERE)
@pytest.mark.parametrize("seconds", [1, 45, 3600, 86400])
def test_retry_after_is_honoured(fault: Fault, seconds: int) -> None:
    for tries in (1, 2, 3):
        at = retry_at(failed(fault, retry_after=seconds), tries)
        assert at is not None
        assert at >= T0 + 700 + seconds * 1000


@given(
    fault=st.sampled_from(HERE),
    tries=st.integers(1, 40),
    number=st.integers(1, 99),
    after=st.none() | st.integers(0, 10**6),
)
def test_a_repeat_is_stable_later_than_the_failure_and_capped(
    fault: Fault, tries: int, number: int, after: int | None
) -> None:
    attempt = failed(fault, number, after)
    at = retry_at(attempt, tries)
    assert at == retry_at(attempt, tries)
    remedy = REMEDIES[fault]
    assert (at is None) == (tries > remedy.tries)
    if at is not None:
        most = max(remedy.most * 1200, (after or 0) * 1000)
        assert T0 + 700 <= at <= T0 + 700 + most


@pytest.mark.parametrize("fault", TEMPORARY)
def test_the_wait_doubles_within_its_jitter(fault: Fault) -> None:
    for tries in range(1, 8):
        at = retry_at(failed(fault), tries)
        assert at is not None
        wait = REMEDIES[fault].first * 2 ** (tries - 1) * 1000
        assert wait * 0.8 - 1 <= at - T0 - 700 <= wait * 1.2 + 1


def test_many_messages_that_failed_together_do_not_come_back_together() -> None:
    back = {
        retry_at(
            Attempt(id="a1", channel="sms", address="x", status="failed", fault=Fault.THROTTLED, times={"started": at}),
            6,
        )
        or 0
        for at in range(T0, T0 + 200)
    }
    assert max(back) - min(back) > 5_000


@pytest.mark.parametrize("fault", TEMPORARY)
@pytest.mark.parametrize("category", ["code", "outage", "service"])
def test_repeats_stay_inside_the_step(fault: Fault, category: str) -> None:
    step = note(category).reach.step or 0
    world = World(person("sms", "email"), note(category), {"sms": refused(fault)}).run(step)
    repeats = [at for channel, at in world.began if channel == "sms"]
    assert len(repeats) > 2
    assert all(at < step for at in repeats)
    first = next(at for channel, at in world.began if channel == "email")
    assert first <= step


@pytest.mark.parametrize("fault", TEMPORARY)
def test_a_retry_after_beyond_the_step_leads_to_the_next_step_at_once(fault: Fault) -> None:
    world = World(person("sms", "email"), note(), {"sms": refused(fault, 301)}).run(0)
    assert world.began == [("sms", 0), ("email", 0)]


@pytest.mark.parametrize("fault", TEMPORARY)
def test_repeats_do_not_begin_the_step_anew(fault: Fault) -> None:
    world = World(person("sms", "email"), note(), {"sms": [refused(fault, 200), SILENT]}).run(300)
    assert world.began == [("sms", 0), ("sms", 200), ("email", 300)]


def test_repeats_end_with_the_tries_of_their_fault() -> None:
    service = World(person("sms"), note("service", step=86000), {"sms": refused(Fault.NOT_TAKEN)}).run()
    assert len(service.began) == 1 + REMEDIES[Fault.NOT_TAKEN].tries
    assert service.verdict.code == "all_failed"


def test_repeats_never_begin_at_or_after_the_deadline() -> None:
    world = World(person("sms"), note(within=100, step=300), {"sms": refused(Fault.THROTTLED, 40)}).run()
    assert [at for _, at in world.began] == [0, 40, 80]
    assert world.verdict.state == "unreached"
