"""What attempts teach of an address: thresholds, spells, ways back, and that no order of news matters."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.channels.twilio_api import fault_for
from gateway.customer import AddressHealth, Evidence
from gateway.message import Fault
from gateway.routing.health import ALIVE, weigh
from gateway.routing.retry import REMEDIES

DAY = 86_400_000
T0 = 1_795_327_932_000


def told(number: int, fault: str, days: float = 0) -> Evidence:
    return Evidence(f"m{number}/a1", T0 + int(days * DAY), fault, provider_code=f"c{number}")


def state(evidence: Iterable[Evidence], days: float = 0, **ways_back: int) -> str | None:
    found = weigh(evidence, T0 + int(days * DAY), **ways_back)
    return None if found is None else found.state


@pytest.mark.parametrize(
    "fault, ends",
    [
        (Fault.BAD_ADDRESS, ["suppressed"]),
        (Fault.BLOCKED, ["suppressed"]),
        (Fault.DOUBTFUL_ADDRESS, ["suspect", "suppressed"]),
        (Fault.MAILBOX_FULL, ["suspect"] * 5 + ["suppressed"]),
        (Fault.UNREACHABLE, ["suspect"] * 10 + ["suppressed"]),
        (Fault.NO_ANSWER, ["good", "good", *["suspect"] * 30]),
    ],
)
def test_how_many_are_too_many(fault: Fault, ends: list[str]) -> None:
    seen = [told(n, fault, n / 100) for n in range(len(ends))]
    assert [state(seen[: n + 1], 1) for n in range(len(ends))] == ends


@pytest.mark.parametrize("fault", [f for f in Fault if REMEDIES[f].address in ("nothing", "opted_out")])
def test_what_says_nothing_of_the_address(fault: Fault) -> None:
    assert weigh([told(n, fault) for n in range(50)], T0) is None


@pytest.mark.parametrize(
    "code, end",
    [
        (30003, "suspect"),
        (30005, "suppressed"),
        (30006, "suppressed"),
        (21614, "suppressed"),
        (21211, "suppressed"),
        (30007, None),
        (30008, None),
        (30036, None),
        (21408, None),
        (21610, None),
        (13224, "suppressed"),
    ],
)  # fmt: skip - a table
def test_one_event_of_the_provider(code: int, end: str | None) -> None:
    assert state([told(1, fault_for(code))]) == end


def test_what_is_shown() -> None:
    seen = [told(1, "mailbox_full", 0), told(2, "mailbox_full", 2)]
    assert weigh(seen, T0 + 3 * DAY, proved_at=T0 - 1) == AddressHealth(
        state="suspect",
        reason="The mailbox is full.",
        at=T0,
        until=T0 + 32 * DAY,
        count=2,
        code="mailbox_full",
        evidence=seen[1],
        refs=("m1/a1", "m2/a1"),
        proved_at=T0 - 1,
    )


def test_spells_begin_and_lapse() -> None:
    hard = [told(1, "bad_address")]
    assert (state(hard, 179.9), state(hard, 180)) == ("suppressed", None)
    soft = [told(n, "mailbox_full", n) for n in range(6)]
    assert (state(soft, 34.9), state(soft, 35)) == ("suppressed", None), "a month after the last"
    thin = [told(n, "mailbox_full", 10 * n) for n in range(20)]
    assert state(thin, 191) == "suspect", "never six in one month"
    assert weigh([told(1, "unreachable"), told(2, "unreachable", 40)], T0 + 41 * DAY) == weigh(
        [told(2, "unreachable", 40)], T0 + 41 * DAY
    ), "what has lapsed is forgotten"


def test_ways_back() -> None:
    doubts = [told(n, "unreachable", n) for n in range(11)]
    assert state(doubts, 11) == "suppressed"
    assert state(doubts, 11, proved_at=T0 + 10 * DAY) is None
    assert state(doubts, 11, proved_at=T0 + 9 * DAY) == "suspect"
    hard = [told(1, "bad_address", 5)]
    assert state(hard, 6, proved_at=T0 + 6 * DAY) == "suppressed", "only who lifts it or proves it theirs may"
    assert state(hard, 6, lifted_at=T0 + 5 * DAY) is None
    assert state(hard, 6, lifted_at=T0 + 5 * DAY - 1) == "suppressed"


def test_an_attempt_that_got_through_holds_nothing_against_the_address() -> None:
    assert state([told(1, "bad_address"), told(1, ALIVE)]) is None
    assert state([told(1, "bad_address"), told(2, ALIVE)]) == "suppressed"
    assert state([told(1, "from_a_later_release")]) is None


EVIDENCE = st.builds(
    told, st.integers(1, 8), st.sampled_from([*map(str, Fault), ALIVE]), st.integers(0, 200).map(lambda n: n / 2)
)


@settings(deadline=None)
@given(st.lists(EVIDENCE, max_size=14), st.data(), st.integers(0, 220), st.integers(0, 100), st.integers(0, 100))
def test_the_same_news_in_any_order_and_more_than_once(
    seen: list[Evidence], data: st.DataObject, day: int, proved: int, lifted: int
) -> None:
    other = data.draw(
        st.permutations([*seen, *data.draw(st.lists(st.sampled_from(seen or [told(1, ALIVE)])))] if seen else [])
    )
    back = {"proved_at": T0 + proved * DAY, "lifted_at": T0 + lifted * DAY}
    assert weigh(seen, T0 + day * DAY, **back) == weigh(other, T0 + day * DAY, **back)


@settings(deadline=None)
@given(st.lists(EVIDENCE, max_size=14), st.integers(0, 220))
def test_a_doubt_never_comes_from_nowhere_and_always_ends(seen: list[Evidence], day: int) -> None:
    now = T0 + day * DAY
    found = weigh(seen, now)
    if found is None:
        return
    assert found.until is not None
    assert found.at <= now or found.at <= max(one.at for one in seen)
    assert found.until > now
    assert found.count == len(found.refs) <= len({one.ref for one in seen})
    assert weigh(seen, T0 + 2 * 400 * DAY) is None
