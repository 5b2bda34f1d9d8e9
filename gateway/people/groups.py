"""Groups: audiences with a name, a list of customers or a condition on their attributes."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from gateway.message import Mode
from gateway.store.clock import Clock
from gateway.store.keys import digest
from gateway.store.rosters import Rosters
from gateway.store.scripts import Scripts
from gateway.store.things import Place, Shelf, Written

MODE: Mode = "live"
"""Groups are made of customers, of whom there is one set for all modes."""
READ_ON_MS = 7 * 86_400_000
"""Whoever is going through a list that has been replaced comes to its end by then."""


class Group(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group: `where`, or a list of which `roster` is the name and `listed` the length. Times in ms.

    `unknown`: how many ids of the list were nobody's, and were left out.
    """

    id: str
    where: dict[str, Any] | None = None
    roster: str | None = None
    listed: int | None = None
    unknown: int = 0
    created_at: int = 0
    changed_at: int = 0


class Groups:
    """Keeps them. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts, rosters: Rosters, clock: Clock) -> None:
        self._shelf = Shelf(scripts, "group", Group)
        self._rosters = rosters
        self._clock = clock

    async def put(self, name: str, people: tuple[str, ...] | None, where: dict[str, Any] | None) -> tuple[Group, bool]:
        """Make a group of people or of a condition, or replace it whole; whether it is new. The ids have been checked."""
        made = Group(id=name, where=where)
        if people is not None:
            made = await self._listed(name, tuple(dict.fromkeys(people)))
        before: list[Group | None] = []

        def written(found: Group | None) -> Written[Group]:
            before[:] = [found]
            now = self._clock.now()
            created = now if found is None else found.created_at
            return Written(msgspec.structs.replace(made, created_at=created, changed_at=now))

        after = await self._shelf.change(self._place(name), written)
        await self._let_go(before[0])
        return after or made, before[0] is None

    async def load(self, name: str) -> Group | None:
        """A group; None when there is none of that id."""
        return await self._shelf.load(self._place(name))

    async def people(self, group: Group, after: str, limit: int) -> list[str]:
        """At most `limit` people of a list, after `after`, in order of their ids."""
        return [] if group.roster is None else await self._rosters.merged(group.roster, after, limit)

    async def count(self, group: Group) -> int | None:
        """How many people are on its list now: who is erased leaves it."""
        return None if group.roster is None else await self._rosters.count(group.roster)

    async def delete(self, name: str) -> bool:
        """Remove a group; False when there is none."""
        before: list[Group | None] = []

        def removed(found: Group | None) -> Written[Group] | None:
            before[:] = [found]
            return None if found is None else Written(None)

        await self._shelf.change(self._place(name), removed)
        await self._let_go(before[0])
        return before[0] is not None

    async def _listed(self, name: str, people: tuple[str, ...]) -> Group:
        # A list of its own for each version, so that a broadcast that reads the old one isn't disturbed.
        roster = f"group:{digest(name)}:{secrets.token_hex(6)}"
        await self._rosters.write(roster, people, lives=READ_ON_MS, label=name)
        unknown = await self._rosters.strike_unknown(roster)
        await self._rosters.lasts(roster)
        return Group(id=name, roster=roster, listed=len(people) - unknown, unknown=unknown)

    async def _let_go(self, group: Group | None) -> None:
        if group is not None and group.roster is not None:
            await self._rosters.drop(group.roster, after=READ_ON_MS)

    def _place(self, name: str) -> Place:
        return self._shelf.place(MODE, name)
