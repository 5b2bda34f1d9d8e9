"""The journal of events: in whatever order they come, the same runs are begun and cancelled."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.journal import (
    EARLY_MS,
    MOST_SEEN,
    Coming,
    Journal,
    Open,
    Seen,
    Start,
    against,
    closed,
    contrary,
    taken_in,
)

NOW = 1_800_000_000_000
MATCH = [("paid", {"order": "order"})]


def placed(n: str, at: int, order: str, came: int = NOW) -> tuple[Coming, Start]:
    event = Coming("placed", n, at, came, {"order": order})
    return event, Start(f"r{n}", Open("ask", "placed", n, at, at + 3_600_000, against(MATCH, event.data)))


def paid(n: str, at: int, order: object, came: int = NOW) -> Coming:
    return Coming("paid", n, at, came, {"order": order})


def told(journal: Journal, event: Coming, start: Start | None = None) -> Journal:
    asked = {"order"} if event.type == "paid" else None
    return taken_in(journal, event, asked, [] if start is None else [start])[0]


events = st.lists(
    st.tuples(st.sampled_from(["placed", "paid"]), st.integers(0, 3), st.integers(0, 3), st.sampled_from("ab")),
    max_size=8,
    unique_by=lambda one: one[:2],
)


@given(events, st.data())
def test_the_order_of_arrival_changes_nothing(some: Sequence[tuple[str, int, int, str]], data: st.DataObject) -> None:
    """Repeats included: a run stays exactly when no contrary event is as late as what began it."""
    arrivals = data.draw(
        st.permutations([*some, *data.draw(st.lists(st.sampled_from(some), max_size=4) if some else st.just([]))])
    )
    journal = Journal(customer="ana")
    for type_, n, at, order in arrivals:
        if type_ == "placed":
            journal = told(journal, *placed(str(n), NOW + at, order))
        else:
            journal = told(journal, paid(str(n), NOW + at, order))
    left = {run for run, one in journal.open.items() if one.ended_by is None}
    assert journal.open.keys() == {f"r{n}" for type_, n, _, _ in some if type_ == "placed"}
    assert left == {
        f"r{n}"
        for type_, n, at, order in some
        if type_ == "placed" and not any(t == "paid" and a >= at and o == order for t, _, a, o in some)
    }


@given(st.permutations([0, 1, 1, 2, 3]), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_of_events_that_cancel_each_other_the_last_stays(order: list[int], times: list[int]) -> None:
    journal = Journal(customer="ana")
    for n in order:
        event = Coming("seen", str(n), NOW + times[n], NOW, {})
        one = Open("idle", "seen", str(n), event.at, event.at + 60, against([("seen", {})], {}))
        journal = taken_in(journal, event, set(), [Start(f"r{n}", one)])[0]
    last = max(range(4), key=lambda n: (times[n], str(n)))
    assert [run for run, one in journal.open.items() if one.ended_by is None] == [f"r{last}"]


def test_a_value_that_is_missing_matches_nothing() -> None:
    assert against(MATCH, {}) == ()
    assert against(MATCH, {"order": {"deep": 1}}) == (), "only plain values are compared"
    event, start = placed("1", NOW, "a")
    journal = told(Journal(customer="ana"), event, start)
    for odd in (None, 1, True, ["a"], {"a": 1}, "b"):
        assert told(journal, paid("p", NOW, odd)).open["r1"].ended_by is None
    assert not contrary(start.open, "paid", "p", NOW - 1, lambda _path: "a"), "it was paid before"
    assert not contrary(start.open, "lost", "p", NOW, lambda _path: "a")


def test_contrary_events_are_remembered_for_a_day_and_no_more_than_so_many() -> None:
    journal = told(Journal(customer="ana"), paid("p", NOW, "a"))
    event, start = placed("1", NOW, "a", came=NOW + EARLY_MS + 1)
    assert told(journal, event, start).open["r1"].ended_by is None
    event, start = placed("1", NOW, "a", came=NOW + EARLY_MS - 1)
    assert told(journal, event, start).open["r1"].ended_by == ("paid", "p")
    many = tuple(Seen("paid", str(n), NOW, NOW) for n in range(MOST_SEEN))
    full = told(Journal(customer="ana", seen=many), paid("p", NOW, "a"))
    assert len(full.seen) == MOST_SEEN
    assert full.seen[-1].id == "p"


def test_a_rule_once_per_customer_is_taken_until_its_time_is_over_or_its_run_did_not_act() -> None:
    def start(n: int) -> tuple[Coming, Start]:
        event, begun = placed(str(n), NOW + n, str(n), came=NOW + n)
        return event, msgspec.structs.replace(begun, per=1_000)

    journal = told(Journal(customer="ana"), *start(1))
    assert told(journal, *start(1)).open.keys() == {"r1"}, "told again it is the same"
    assert told(journal, *start(2)).open.keys() == {"r1"}
    assert told(journal, *start(1_001)).open.keys() == {"r1", "r1001"}
    assert told(closed(journal, "r1", acted=True), *start(3)).open.keys() == set()
    assert told(closed(journal, "r1", acted=False), *start(3)).open.keys() == {"r3"}
    ended = told(journal, paid("p", NOW + 5, "1"))
    assert told(ended, *start(6)).open["r6"].ended_by is None


def test_a_journal_lives_as_long_as_somebody_may_ask() -> None:
    event, start = placed("1", NOW, "a")
    assert told(Journal(customer="ana"), event, start).lives_until(NOW) > NOW + 3_600_000 + 365 * 86_400_000
    assert told(Journal(customer="ana"), paid("p", NOW, "a")).lives_until(NOW) > NOW + EARLY_MS
