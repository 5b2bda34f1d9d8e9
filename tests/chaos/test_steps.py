"""A worker killed at each named step, and an API process at each of its own: nothing is lost, and no copy is unexplained."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.chaos.rig import ApiStep, Reckoning, Step, World, sent_many, world

EACH = 6
REACH = {"step": 9, "within": 120, "unproven": "settle"}


class Broken(msgspec.Struct):
    """What a kill at one step did. `recovery`: seconds until the last message it had interrupted went on."""

    found: Reckoning
    recovery: float


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broken(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[dict[str, Broken]]:
    """A kill at every step, one after the other, in one world; then the reckoning of each."""
    async with world(_folder(tmp_path_factory), workers=2, apis=2) as w:
        kills: dict[str, int] = {}
        for step in (*Step, *ApiStep):
            async with w.trap(step, step.name) as trap:
                await sent_many(w, step.name, EACH, reach=REACH)
            kills[step.name] = trap.at
        results = {name: Broken(await w.reckon(f"{name}-"), _recovery(w, name, at)) for name, at in kills.items()}
        assert w.fleet.bugs() == []
        yield results


def _folder(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("steps")


def _recovery(w: World, name: str, at: int) -> float:
    """How long after a kill the last message began its next attempt, or was done."""
    went_on: list[float] = []
    for sent in (one for one in w.callers.sent if one.reference.startswith(f"{name}-")):
        record = w.ledger.records[sent.id or ""]
        later = [when - at / 1000 for when in _times(record) if when > at / 1000]
        went_on.append(min(later, default=0.0))
    return max(went_on)


def _times(record: Mapping[str, Any]) -> list[float]:
    starts = [one["times"]["started"] for one in record["attempts"]]
    return [dt.datetime.fromisoformat(one).timestamp() for one in [*starts, record["verdict"]["at"]] if one]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("step", [*Step, *ApiStep], ids=lambda step: step.name.lower())
async def test_killed_at(step: Step | ApiStep, broken: dict[str, Broken]) -> None:
    result = broken[step.name]
    assert result.found.faults == []
    assert result.found.accepted == EACH
    assert result.found.verdicts == {"reached": EACH}
