"""How big a storm is. Most are small: what goes wrong, goes wrong between few, and many seeds meet more of it than long ones."""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """A size. `crossings`: of each kind of act that crosses messages, the most; `picked`: how many of all these, at most.

    `partitions`: how many there are; empty ones cost time.
    `sweep_ms`: how often workers look at all of them unasked, `follow_s`: and at what the other processes found out.
    """

    people: int
    messages: tuple[int, int]
    batches: int
    crossings: float
    picked: int
    rage_s: float
    partitions: int
    sweep_ms: int
    follow_s: float
    kills: tuple[int, ...]
    outages: tuple[int, ...]

    @property
    def healed_s(self) -> float:
        """When troubles end; things are asked for in the first half of that."""
        return 2 * self.rage_s


SMALL: Final = Scale(
    people=2,
    messages=(1, 5),
    batches=1,
    crossings=0.6,
    picked=4,
    rage_s=4.0,
    partitions=1,
    sweep_ms=1500,
    follow_s=2.0,
    kills=(0, 1, 1, 2),
    outages=(0, 0, 0, 1),
)
MIDDLING: Final = Scale(
    people=4,
    messages=(4, 10),
    batches=1,
    crossings=0.6,
    picked=10,
    rage_s=8.0,
    partitions=2,
    sweep_ms=500,
    follow_s=1.0,
    kills=(0, 1, 2, 3),
    outages=(0, 0, 1),
)
LARGE: Final = Scale(
    people=6,
    messages=(6, 18),
    batches=3,
    crossings=1.0,
    picked=30,
    rage_s=16.0,
    partitions=4,
    sweep_ms=250,
    follow_s=0.5,
    kills=(0, 1, 2, 4),
    outages=(0, 0, 1, 2),
)
_DICE: Final = (SMALL,) * 15 + (MIDDLING,) * 4 + (LARGE,)


def scale_of(random: Random) -> Scale:
    """Of twenty storms fifteen are small, and one is large."""
    return random.choice(_DICE)
