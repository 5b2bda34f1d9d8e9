"""What answers come to: scores with their 95 % intervals. Pure.

Each score says how sure it is: with few answers the interval is wide, and no method here gives one of no width to a
handful of people who happen to agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import msgspec

Z95: Final = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: 95 % lie within this many standard errors."""
PROMOTER: Final = 9
DETRACTOR: Final = 6
SATISFIED: Final = 4
EASY: Final = 5
EASE: Final = (1, 7)
_PSEUDO: Final = 3.0
# 97.5 % quantiles of Student's t, by degrees of freedom from 1 (NIST/SEMATECH e-Handbook, 1.3.6.7.2).
_T95: Final = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
    2.120,
    2.110,
    2.101,
    2.093,
    2.086,
    2.080,
    2.074,
    2.069,
    2.064,
    2.060,
    2.056,
    2.052,
    2.048,
    2.045,
    2.042,
)  # fmt: skip - a table

Interval = tuple[float, float]


class Score(msgspec.Struct, frozen=True):
    """A score and its 95 % interval, low and high. `mean`: of the marks themselves, where they are numbers."""

    value: float
    interval: Interval
    mean: float | None = None


def net_promoter(promoters: int, passives: int, detractors: int) -> Score | None:
    """Promoters (9, 10) minus detractors (0 to 6), in percent of all, -100 to 100; None without answers.

    The interval is the adjusted Wald of B. Rocks, "Interval Estimation for the 'Net Promoter Score'", The American
    Statistician 70 (2016), 365-372: three answers are added, 3/4 a promoter and 3/4 a detractor. The score itself is
    always within: among a few answers that are all alike the added ones would leave it outside.
    """
    n = promoters + passives + detractors
    if not n:
        return None
    most = n + _PSEUDO
    p, d = (promoters + _PSEUDO / 4) / most, (detractors + _PSEUDO / 4) / most
    margin = Z95 * math.sqrt((p + d - (p - d) ** 2) / most)
    value = 100 * (promoters - detractors) / n
    low, high = _within(100 * (p - d), 100 * margin, -100, 100)
    return Score(value, (min(low, value), max(high, value)))


def share(some: int, n: int) -> Score | None:
    """How many of `n`, in percent; None without answers.

    The interval is Wilson's: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
    Journal of the American Statistical Association 22 (1927), 209-212.
    """
    if not n:
        return None
    p, z2 = some / n, Z95 * Z95
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    margin = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At its ends the share itself is a bound; rounding must not put it outside its own interval.
    low = 0.0 if some == 0 else 100 * (middle - margin)
    high = 100.0 if some == n else 100 * (middle + margin)
    return Score(100 * p, (max(0.0, low), min(100.0, high)))


def average(marks: Mapping[int, int], low: int, high: int) -> Score | None:
    """The mean of marks on a scale from `low` to `high`, given as mark to how often; None without answers.

    The interval is Student's ("The Probable Error of a Mean", Biometrika 6 (1908), 1-25), within the scale. Answers that
    are all alike count as if one of them stood a mark apart, since they don't prove that everybody thinks so.
    """
    n = sum(marks.values())
    if not n:
        return None
    mean = sum(mark * times for mark, times in marks.items()) / n
    if n == 1:
        return Score(mean, (float(low), float(high)), mean)
    squares = sum(times * (mark - mean) ** 2 for mark, times in marks.items())
    least = (n - 1) / n  # what one of n marks, one apart from all the others, brings
    margin = t95(n - 1) * math.sqrt(max(squares, least) / (n - 1) / n)
    return Score(mean, _within(mean, margin, low, high), mean)


def t95(freedom: int) -> float:
    """The 97.5 % quantile of Student's t; from 31 degrees of freedom on by its expansion (Abramowitz, Stegun, 26.7.5)."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = Z95
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2


def score_of(kind: str, counts: Mapping[str, int]) -> Score | None:
    """The score of a question from its counts (answer, as a word, to how often); None for kinds without one.

    `nps`: net promoters. `csat`: percent of 4 and 5. `ces`: the mean, 1 to 7. `yes_no`: percent of yes.
    """
    match kind:
        case "nps":
            marks = _marks(counts)
            up = sum(n for mark, n in marks.items() if mark >= PROMOTER)
            down = sum(n for mark, n in marks.items() if mark <= DETRACTOR)
            scored = net_promoter(up, sum(marks.values()) - up - down, down)
            return None if scored is None else msgspec.structs.replace(scored, mean=_mean(marks))
        case "csat":
            marks = _marks(counts)
            scored = share(sum(n for mark, n in marks.items() if mark >= SATISFIED), sum(marks.values()))
            return None if scored is None else msgspec.structs.replace(scored, mean=_mean(marks))
        case "ces":
            return average(_marks(counts), *EASE)
        case "yes_no":
            return share(counts.get("yes", 0), counts.get("yes", 0) + counts.get("no", 0))
        case _:
            return None


def groups_of(kind: str, counts: Mapping[str, int]) -> dict[str, int]:
    """The groups that people speak of; none where a kind has none."""
    marks = _marks(counts) if kind in ("nps", "csat", "ces") else {}
    match kind:
        case "nps":
            up = sum(n for mark, n in marks.items() if mark >= PROMOTER)
            down = sum(n for mark, n in marks.items() if mark <= DETRACTOR)
            return {"promoters": up, "passives": sum(marks.values()) - up - down, "detractors": down}
        case "csat":
            return {"satisfied": sum(n for mark, n in marks.items() if mark >= SATISFIED)}
        case "ces":
            return {"easy": sum(n for mark, n in marks.items() if mark >= EASY)}
        case _:
            return {}


def _marks(counts: Mapping[str, int]) -> dict[int, int]:
    return {int(mark): n for mark, n in counts.items()}


def _mean(marks: Mapping[int, int]) -> float:
    return sum(mark * n for mark, n in marks.items()) / sum(marks.values())


def _within(middle: float, margin: float, low: float, high: float) -> Interval:
    return max(float(low), middle - margin), min(float(high), middle + margin)
