"""How the people of an outage are counted: a table, and any history of notices, updates and repeats."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outages.counting import Counts, People, Sent, counts, together
from gateway.standing import STANDINGS
from gateway.store.standing import ByChannel


def sent(*states: int, renewed: Sequence[int] = ()) -> Sent:
    """`states` and `renewed` in the order of STANDINGS."""
    return Sent(names=dict(zip(STANDINGS, states, strict=False)), renewed=dict(zip(STANDINGS, renewed, strict=False)))


@pytest.mark.parametrize(
    "newest, expected, resolved, states",
    [
        ([sent()], 0, False, (0, 0, 0, 0, 0)),
        ([sent(1, 2, 3, 4, 5)], 0, False, (1, 2, 3, 4, 5)),
        ([sent(1, 0, 0, 0, 0)], 10, False, (10, 0, 0, 0, 0)),
        ([sent(1, 0, 0, 0, 0)], 10, True, (1, 0, 0, 0, 9)),
        ([sent(0, 0, 3, 2, 0), sent(1, 1)], 0, False, (1, 1, 3, 2, 0)),
        ([sent(0, 0, 3, 2, 0, renewed=(0, 0, 0, 2, 0)), sent(1, 1)], 0, False, (1, 1, 3, 0, 0)),
        ([sent(2, 0, 0, 0, 0)], 1, False, (2, 0, 0, 0, 0)),
    ],
    ids=[
        "nobody",
        "states",
        "still expanding",
        "stopped expanding",
        "repeat of none",
        "repeat of two",
        "more than expected",
    ],
)
def test_states(newest: list[Sent], expected: int, resolved: bool, states: tuple[int, ...]) -> None:
    found = counts(newest, People(), expected, resolved=resolved)
    assert tuple(getattr(found, state) for state in STANDINGS) == states
    assert found.audience == sum(states)


def test_the_acknowledged_are_those_who_answered_the_newest_to_them() -> None:
    notice = Sent(names={"reached": 3, "acknowledged": 3}, renewed={"reached": 2, "acknowledged": 2})
    again = Sent(names={"told_only": 1, "reached": 1, "acknowledged": 1})
    found = counts([notice, again], People(told=3))
    assert (found.told_only, found.reached, found.acknowledged) == (1, 2, 2)


def test_channels_are_added_up() -> None:
    one, two = {"sms": ByChannel(told=1, failed=2)}, {"sms": ByChannel(told=3), "voice": ByChannel(reached=1)}
    assert together([one, two]) == {"sms": ByChannel(told=4, failed=2), "voice": ByChannel(reached=1)}
    assert together([]) == {}


class Person(msgspec.Struct):
    """Somebody as a plain reader of the history would keep them: their messages, oldest first."""

    states: list[str | None]
    told: bool = False


_STATE = st.sampled_from(STANDINGS)
_PEOPLE = st.integers(0, 8)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Person], list[Sent], int]:
    """People, what Redis would know of the newest whole broadcast and its repeats, and how many it is for in the end.

    A notice and updates go to everybody, the last one perhaps not to all yet; then repeats to some of those it reached.
    """
    people = [Person([]) for _ in range(draw(_PEOPLE))]
    for _ in range(draw(st.integers(0, 2))):  # earlier notices and updates: they count for nobody's state
        for one in people:
            hit(draw, one, draw(_STATE))
    for one in people:
        one.states = []
    reached = draw(st.integers(0, len(people)))
    for one in people[:reached]:
        hit(draw, one, draw(_STATE))
    for turn in range(draw(st.integers(0, 3))):
        for one in people[:reached]:
            again = draw(st.booleans())
            one.states.append(draw(_STATE) if again else None)
            if again:
                hit(draw, one, None)
        assert all(len(one.states) == turn + 2 for one in people[:reached])
    rounds = max((len(one.states) for one in people), default=1)
    return people, [_known(people, n) for n in range(max(1, rounds))], len(people)


def hit(draw: st.DrawFn, one: Person, state: str | None) -> None:
    if state is not None:
        one.states.append(state)
    one.told = one.told or draw(st.booleans())


def _known(people: Sequence[Person], n: int) -> Sent:
    """What is written down of the n-th: its messages by state, and those of them that a later one renewed."""
    names = dict.fromkeys(map(str, STANDINGS), 0)
    renewed = dict(names)
    for one in people:
        if n < len(one.states) and (state := one.states[n]) is not None:
            names[state] += 1
            renewed[state] += any(later is not None for later in one.states[n + 1 :])
    return Sent(names=names, renewed=renewed)


@given(histories())
def test_everybody_is_counted_once_by_the_newest_that_was_sent_to_them(
    history: tuple[list[Person], list[Sent], int],
) -> None:
    people, newest, expected = history
    beside = People(told=sum(p.told for p in people))
    found = counts(newest, beside, expected)
    assert found.audience == len(people) == sum(getattr(found, state) for state in STANDINGS)
    for state in STANDINGS:
        stands = [next((s for s in reversed(one.states) if s is not None), "waiting") for one in people]
        assert getattr(found, state) == stands.count(state), state
    assert found.told == beside.told


def test_the_names_of_the_counts_are_those_of_the_contract() -> None:
    assert Counts.__struct_fields__ == (
        "audience",
        *STANDINGS,
        "told",
        "acknowledged",
        "visited",
    )
