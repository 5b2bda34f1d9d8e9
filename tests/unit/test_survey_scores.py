"""Scores and their intervals, against published values and against what an interval promises."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.surveys.scoring import Score, average, groups_of, net_promoter, score_of, share, t95

counts = st.integers(0, 2_000)


@pytest.mark.parametrize(
    "some, n, low, high",
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3.
        (81, 263, 25.53, 36.62),
        (15, 148, 6.24, 16.05),
        (0, 20, 0.0, 16.11),
        (1, 29, 0.61, 17.18),
    ],
)
def test_wilson_as_published(some: int, n: int, low: float, high: float) -> None:
    found = share(some, n)
    assert found is not None
    assert found.value == pytest.approx(100 * some / n)
    assert found.interval == pytest.approx((low, high), abs=0.006)


@pytest.mark.parametrize(
    "freedom, quantile", [(1, 12.706), (4, 2.776), (30, 2.042), (40, 2.021), (60, 2.000), (120, 1.980)]
)
def test_students_quantiles_as_published(freedom: int, quantile: float) -> None:
    assert t95(freedom) == pytest.approx(quantile, abs=0.001)


def test_net_promoters_by_hand() -> None:
    found = net_promoter(50, 30, 20)
    assert found is not None
    assert found.value == pytest.approx(30)
    # 103 answers, 50.75 promoters, 20.75 detractors: 29.13 +- 1.96 * 100 * sqrt((0.6942 - 0.0848) / 103)
    assert found.interval == pytest.approx((14.05, 44.20), abs=0.01)


def test_a_mean_by_hand() -> None:
    found = average({5: 1, 6: 2, 7: 1}, 1, 7)
    assert found is not None
    # Mean 6, standard deviation 0.8165, four answers: 3.182 * 0.8165 / 2 to each side.
    assert found.value == 6
    assert found.interval == pytest.approx((4.701, 7.0), abs=0.001)


def test_one_answer_says_next_to_nothing() -> None:
    assert (average({7: 1}, 1, 7) or _none()).interval == (1, 7)
    alone = net_promoter(1, 0, 0)
    assert alone is not None
    assert alone.interval[1] - alone.interval[0] > 100


def _none() -> Score:
    raise AssertionError


def test_nobody_answered() -> None:
    assert net_promoter(0, 0, 0) is None
    assert share(0, 0) is None
    assert average({}, 1, 7) is None
    assert score_of("nps", {}) is None
    assert score_of("text", {"answered": 3}) is None


def test_who_counts_as_what() -> None:
    every = {str(mark): 1 for mark in range(11)}
    assert groups_of("nps", every) == {"promoters": 2, "passives": 2, "detractors": 7}
    found = score_of("nps", every)
    assert found is not None
    assert found.value == pytest.approx(-500 / 11)
    assert found.mean == 5
    satisfied = score_of("csat", {"1": 1, "3": 1, "4": 1, "5": 1})
    assert satisfied is not None
    assert (satisfied.value, satisfied.mean) == (50, 3.25)
    assert (score_of("ces", {"7": 2, "5": 2}) or _none()).value == 6
    assert (score_of("yes_no", {"yes": 3, "no": 1}) or _none()).value == 75


@given(counts, counts, counts)
def test_net_promoters_keep_to_their_bounds(up: int, middle: int, down: int) -> None:
    found = net_promoter(up, middle, down)
    if found is None:
        assert up + middle + down == 0
        return
    low, high = found.interval
    assert -100 <= low <= found.value <= high <= 100
    assert low < high
    mirrored = net_promoter(down, middle, up)
    assert mirrored is not None
    assert mirrored.value == pytest.approx(-found.value)
    assert mirrored.interval == pytest.approx((-high, -low))


@given(counts, counts)
def test_shares_keep_to_their_bounds(some: int, others: int) -> None:
    found = share(some, some + others)
    if found is not None:
        assert 0 <= found.interval[0] <= found.value <= found.interval[1] <= 100
        assert found.interval[0] < found.interval[1]


@given(st.dictionaries(st.integers(1, 7), st.integers(1, 500), min_size=1))
def test_means_keep_to_their_scale(marks: dict[int, int]) -> None:
    found = average(marks, 1, 7)
    assert found is not None
    low, high = found.interval
    assert 1 <= low <= found.value <= high <= 7
    assert low < high
    assert not math.isnan(found.value)


@given(st.integers(1, 200), st.integers(0, 200), st.integers(1, 200), st.integers(2, 20))
def test_more_answers_make_it_surer(up: int, middle: int, down: int, times: int) -> None:
    few, many = net_promoter(up, middle, down), net_promoter(up * times, middle * times, down * times)
    assert few is not None
    assert many is not None
    assert many.interval[1] - many.interval[0] < few.interval[1] - few.interval[0]


def test_of_a_hundred_intervals_about_ninety_five_hold_the_truth() -> None:
    """All samples of 30 from a known mix, each by its probability (no dice): how often the truth lies within."""
    p, q, n = 0.45, 0.25, 30  # promoters, detractors
    truth, within = 100 * (p - q), 0.0
    for up in range(n + 1):
        for down in range(n + 1 - up):
            middle = n - up - down
            ways = math.comb(n, up) * math.comb(n - up, down)
            chance = ways * p**up * q**down * (1 - p - q) ** middle
            found = net_promoter(up, middle, down)
            assert found is not None
            within += chance * (found.interval[0] <= truth <= found.interval[1])
    assert 0.94 < within < 0.965
