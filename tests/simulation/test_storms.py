"""Storms by seed: whatever goes wrong around it, the delivery core keeps what was promised."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from tests.simulation.ledger import audit, outcome
from tests.simulation.storm import storm
from tests.support.virtual import Stuck, VirtualLoop

SECONDS: Final = 4.0
"""How long each of two tests goes on taking further seeds; the long form is `python -m tests.simulation --storms 5000`."""
ROOT: Final = Path(__file__).parents[2]


def storms_from(first: int, step: int) -> None:
    """As many storms as there is time for, at least four; the first one that broke a promise ends it."""
    ends = time.monotonic() + SECONDS
    for done, seed in enumerate(range(first, first + 4000, step)):
        if done >= 3 and time.monotonic() > ends:
            return
        _, _, wrong = outcome(seed)
        assert not wrong, f"python -m tests.simulation {seed}: {wrong}"


def test_promises_hold_in_storms() -> None:
    """G3, G4, G6, G8: kills, lost commands and answers, providers that lie."""
    storms_from(1, 1)


def test_promises_hold_and_all_is_punctual_in_calm_weather() -> None:
    """G6: every fourth seed has no trouble with store and processes, so nothing excuses a delay."""
    storms_from(4000, 4)


def test_a_seed_gives_the_same_log_byte_for_byte() -> None:
    seed = 1
    first = storm(seed).log()
    assert storm(seed).log() == first
    again = subprocess.run(
        [sys.executable, "-m", "tests.simulation", str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert again.stdout == first + "All promises were kept.\n"


def test_a_storm_is_worth_its_name() -> None:
    """Over a few seeds everything that is meant to happen does happen."""
    seen: set[str] = set()
    for seed in range(1, 6):
        made = storm(seed)
        assert not audit(made)
        seen |= {event.what for event in made.events} | {event.outcome for event in made.events}
    assert {"begin", "conflict", "customer", "killed", "cancel", "settle", "moved", "knows", "vanished"} <= seen


def test_virtual_time_jumps_and_never_waits() -> None:
    loop = VirtualLoop()
    began = time.monotonic()

    async def nap() -> float:
        await asyncio.sleep(86_400)
        return loop.time()

    assert loop.run_until_complete(nap()) == pytest.approx(86_400)
    assert time.monotonic() - began < 5
    with pytest.raises(Stuck):
        loop.run_until_complete(loop.create_future())
    loop.close()
