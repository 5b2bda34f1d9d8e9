"""What is shown of a broadcast: counts, share and time left, from its record and its jobs."""

from __future__ import annotations

from typing import Any

from gateway.broadcasts.nouns import ALL, Audience, Broadcast, Job, Report, Sample
from gateway.broadcasts.reporting import report
from gateway.message import Reach

NOW = 1_000_000


def shown(made: int, *, waiting: int = 0, jobs: tuple[Job, ...] = (), **more: Any) -> Report:
    """A broadcast of which so many have messages; those who don't wait were told."""
    broadcast = Broadcast(
        id="b",
        mode="live",
        category="outage",
        lane="critical",
        audience=Audience(),
        reach=Reach(until="accepted", within=3600, step=None),
        created_at=0,
        digest=b"",
        **more,
    )
    states = {"waiting": waiting, "told_only": made - waiting, "reached": 0, "unreached": 0, "suppressed": 0}
    return report(broadcast, jobs, {**states, "told": made - waiting, "acknowledged": 0}, {}, NOW)


def job(number: int = 0, **more: Any) -> Job:
    return Job(broadcast="b", mode="live", number=number, **more)


def test_a_cancelled_one_forgets_nobody() -> None:
    found = shown(22, listed=30, cancelled_at=1, ended_at=2, expanded_by=ALL)
    assert (found.counts.audience, found.counts.told_only, found.counts.suppressed) == (30, 22, 8)
    assert (found.progress.of, found.progress.expanded, found.progress.percent) == (30, 22, 73)
    assert found.eta is None


def test_a_cancelled_one_that_has_no_list_ends_with_those_it_had_found() -> None:
    found = shown(22, cancelled_at=1, ended_at=2, expanded_by=ALL)
    assert (found.counts.audience, found.counts.suppressed, found.progress.of) == (22, 0, 22)


def test_one_whose_time_is_to_come_is_expanding() -> None:
    assert shown(0, listed=5, send_at=NOW + 1).state == "expanding"


def test_the_time_left_is_guessed_from_those_looked_at() -> None:
    sampled = job(total=100, seen=25, samples=(Sample(NOW - 5_000, 0),))
    found = shown(10, jobs=(sampled,))
    assert (found.progress.of, found.progress.percent, found.rate) == (None, 25, 2.0)
    assert found.eta == NOW + 15_000


def test_nothing_is_guessed_before_anybody_was_looked_at() -> None:
    found = shown(0, jobs=(job(total=100),))
    assert (found.progress.percent, found.eta) == (None, None)
