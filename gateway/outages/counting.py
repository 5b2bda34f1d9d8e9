"""How the people of an outage are counted: each exactly once, by the newest that was sent to them.

An outage sends several broadcasts: its notice, updates to the whole audience, and repeats to some of those ("retry only
these"). A person stands as the newest message to them stands, and has acknowledged where they answered that one; whoever was told
by any of them was told. Pure: what Redis knows of each broadcast is added up here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gateway.standing import STANDINGS
from gateway.store.standing import ByChannel

Names = Mapping[str, int]
"""How many stand under each name of `standing.NAMES`."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """People. The five states sum to `audience`; `told`, `acknowledged` and `visited` stand beside them."""

    audience: int = 0
    waiting: int = 0
    told_only: int = 0
    reached: int = 0
    unreached: int = 0
    suppressed: int = 0
    told: int = 0
    acknowledged: int = 0
    visited: int = 0


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one broadcast. `names`: its messages; `renewed`: of these, those that a later repeat has replaced,
    by name.
    """

    names: Names
    renewed: Names = {}

    def own(self, state: str) -> int:
        """Those whose newest message this is, under a name."""
        return max(0, self.names.get(state, 0) - self.renewed.get(state, 0))


class People(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted person by person, over all broadcasts of the outage."""

    told: int = 0
    visited: int = 0


def counts(newest: Sequence[Sent], people: People, expected: int = 0, *, resolved: bool = False) -> Counts:
    """The counts of an outage. `newest`: its newest notice or update, and all repeats of that.

    `expected`: how many it will have told in the end, while that is still being worked out: who has no message yet waits
    for it, and once the outage is resolved, will not get one.
    """
    states = {state: sum(sent.own(state) for sent in newest) for state in STANDINGS}
    to_come = max(0, expected - sum(states.values()))
    states["suppressed" if resolved else "waiting"] += to_come
    return Counts(
        audience=sum(states.values()),
        **states,
        told=people.told,
        acknowledged=sum(sent.own("acknowledged") for sent in newest),
        visited=people.visited,
    )


def together(broadcasts: Iterable[Mapping[str, ByChannel]]) -> dict[str, ByChannel]:
    """What several broadcasts did on each channel."""
    found: dict[str, ByChannel] = {}
    for shares in broadcasts:
        for channel, share in shares.items():
            before = found.get(channel, ByChannel())
            found[channel] = ByChannel(
                **{name: getattr(before, name) + getattr(share, name) for name in ByChannel.__struct_fields__}
            )
    return dict(sorted(found.items()))
