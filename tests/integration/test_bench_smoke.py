from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from benchmarks import imports, plan
from benchmarks.loader import Job, carry_out
from benchmarks.plan import Rounds, Scale, percentile
from benchmarks.process import child
from benchmarks.report import Result, table
from benchmarks.run import run

TINY = Scale(rounds=1, budget=60.0, seconds=0.05, customers=5, drain=8, deep=8, steady=3)


@pytest.mark.slow
async def test_a_tiny_run_measures_everything() -> None:
    said: list[str] = []
    result = await run(TINY, said.append)
    named = {figure.name: figure for figure in result.figures}
    wanted = {plan.SINGLE, plan.BATCHED, plan.DRAIN, plan.DRAIN_SLOW, plan.DRAIN_TWO, plan.DEEP}
    assert wanted | {plan.BARE_HANDLER, plan.BARE_CLIENT, plan.BARE_CLIENT_SLOW} <= set(named)
    assert {"Redis, per customer", "Redis, per waiting message"} <= set(named)
    assert all(math.isfinite(figure.median) for figure in result.figures)
    assert all(named[name].ratio is not None for name in wanted)
    assert len(said) == plan.STEPS_BESIDE + plan.STEPS_OF_A_ROUND
    assert msgspec.json.decode(msgspec.json.encode(result), type=Result) == result
    assert table(result).row_count == len(result.figures)


async def test_the_generator_counts_what_it_sends(tmp_path: Path) -> None:
    async with child("bare", ["-m", "benchmarks.bare"], tmp_path) as bare:
        url = f"{await bare.line()}/"
        sample = await carry_out(Job(kind="bare_handler", url=url, connections=3, count=10))
        steady = await carry_out(Job(kind="paced", url=url, connections=2, count=5, per_second=200.0))
        refused = await carry_out(Job(kind="bare_handler", url=url + "nowhere", connections=1, count=1))
    assert sample.statuses == {202: 10}
    assert sorted(sample.numbers) == list(range(10))
    assert len(sample.took) == len(sample.began) == 10
    assert steady.statuses == {202: 5}
    assert refused.statuses == {404: 1}
    assert refused.refused.startswith("404")


def test_a_ratio_is_of_the_same_round() -> None:
    rounds = Rounds()
    for limit, ours in ((100.0, 50.0), (10.0, 4.0), (1.0, 0.6)):
        rounds.add("limit", "1/s", limit)
        rounds.add("ours", "1/s", ours)
    ours = rounds.figures({"ours": "limit"})[1]
    assert (ours.median, ours.least, ours.most, ours.ratio) == (4.0, 0.6, 50.0, 0.5)


def test_percentiles_are_values_that_occurred() -> None:
    times = [n * 1_000_000 for n in range(1, 101)]
    assert percentile(times, 0.5) == 51.0
    assert percentile(times, 0.99) == 100.0


async def test_imports_are_measured() -> None:
    measured: list[imports.Measured] = []
    await imports.measure(30, measured.append)
    assert [one.name for one in measured] == ["one by one", "import", "import again", "export", "backup"]
    assert all(one.per_second > 0 and one.mib > 0 for one in measured)
