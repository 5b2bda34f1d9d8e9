"""What goes wrong, and when: drawn from a seed, so that the same seed gives the same schedule."""

from __future__ import annotations

import random
from typing import Final, Literal

import msgspec

from tests.chaos.rig import Step

Kind = Literal[
    "kill worker",
    "kill at a step",
    "kill api",
    "kill redis",
    "stop worker",
    "stop api",
    "freeze worker",
    "freeze redis",
    "freeze carrier",
    "cut redis connections",
    "lossy redis",
    "lossy callers",
    "lossy carrier",
    "slow redis",
    "carrier hangs",
    "carrier answers badly",
    "carrier down",
    "relay down",
    "relay answers badly",
]
WEIGHTS: Final[dict[Kind, int]] = {
    "kill worker": 6,
    "kill at a step": 10,
    "kill api": 4,
    "kill redis": 3,
    "stop worker": 2,
    "stop api": 1,
    "freeze worker": 3,
    "freeze redis": 2,
    "freeze carrier": 2,
    "cut redis connections": 3,
    "lossy redis": 4,
    "lossy callers": 5,
    "lossy carrier": 4,
    "slow redis": 2,
    "carrier hangs": 3,
    "carrier answers badly": 4,
    "carrier down": 2,
    "relay down": 2,
    "relay answers badly": 2,
}
QUIET_S: Final = 5.0
"""Nothing goes wrong at the very start, so that there is something to lose."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong `at` seconds after the start and lasts `seconds`; `target`: which process of its kind."""

    at: float
    kind: Kind
    target: int
    seconds: float
    step: Step


def schedule(seed: int, seconds: float, pause: float) -> list[Fault]:
    """Faults for a run of `seconds`, one every `pause` seconds on the average; they may overlap."""
    roll = random.Random(seed)
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    faults: list[Fault] = []
    at = QUIET_S
    while True:
        at += roll.expovariate(1 / pause)
        kind = roll.choices(kinds, weights)[0]
        fault = Fault(at, kind, roll.randrange(16), roll.uniform(1.0, 12.0), roll.choice(list(Step)))
        if at > seconds:
            return faults
        faults.append(fault)
