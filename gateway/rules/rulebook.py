"""The rules of each mode: kept with their versions, and read once a second at most."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.message import Mode
from gateway.rules.rule import MOST_WAIT, Kept, Rule
from gateway.store.clock import Clock
from gateway.store.scripts import Scripts
from gateway.store.things import Listed, Place, Shelf, Written

KIND: Final = "rule"
LIST: Final = "rule"
FRESH_MS: Final = 1_000
"""How long another process's change may go unseen."""
MOST_RULES: Final = 500
_KEEP_OLD_MS: Final = (MOST_WAIT + 30 * 86_400) * 1_000
"""How long a version that was replaced is kept: runs finish with the version they began with."""


class TooMany(Exception):
    """There are as many rules as there may be."""


class InForce(msgspec.Struct, frozen=True):
    """The rules of a mode, ready for use: those in force by the event that starts them, and the values asked of contrary
    events, by type and path.
    """

    starting: Mapping[str, tuple[Kept, ...]]
    contrary: Mapping[str, frozenset[str]]


_NONE: Final = InForce({}, {})


class Rulebook:
    """The rules. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts, clock: Clock) -> None:
        self._shelf = Shelf(scripts, KIND, Kept)
        self._clock = clock
        self._read: dict[Mode, tuple[int, InForce]] = {}
        self._reading = asyncio.Lock()

    def taken(self, state: bytes) -> Kept:
        """A rule that the worker was handed. Raises msgspec.DecodeError."""
        return msgspec.msgpack.decode(state, type=Kept)

    async def get(self, mode: Mode, rule: str) -> Kept | None:
        """A rule as it is now; None when there is none."""
        found = await self._shelf.load(self._shelf.place(mode, rule))
        return None if found is None or found.rule is None else found

    async def page(self, mode: Mode, limit: int, cursor: str | None) -> tuple[list[Kept], str | None]:
        """A page of rules, the newest first."""
        return await self._shelf.page(mode, LIST, limit, cursor)

    async def put(self, mode: Mode, name: str, rule: Rule) -> tuple[Kept, bool]:
        """Make a rule, or give it a new version; whether it is new. What it says already is no new version.

        Raises TooMany.
        """
        place, now = self._shelf.place(mode, name), self._clock.now()
        known = await self._shelf.load(place)
        if (known is None or known.rule is None) and await self._shelf.count(mode, LIST) >= MOST_RULES:
            raise TooMany
        if known is not None and known.rule is not None and known.rule != rule:
            old = Written(known, keep=_KEEP_OLD_MS)
            await self._shelf.change(self._version(mode, name, known.born, known.version), lambda _found: old)
        made: list[bool] = []

        def told(found: Kept | None) -> Written[Kept] | None:
            made[:] = [found is None or found.rule is None]
            if found is None or found.rule is None:
                sweep = found is not None
                born = now if found is None else max(now, found.born + 1)
                fresh = Kept(id=name, mode=mode, rule=rule, born=born, changed_at=now, sweep=sweep)
                return Written(fresh, wake=now if sweep else None, lists=[Listed(mode, LIST, born)])
            if found.rule == rule:
                return None
            if known is None or (found.born, found.version) != (known.born, known.version):
                raise _Faster
            replaced = msgspec.structs.replace(found, rule=rule, version=found.version + 1, changed_at=now)
            return Written(replaced, wake=now if found.sweep else None)

        try:
            kept = await self._shelf.change(place, told)
        except _Faster:
            return await self.put(mode, name, rule)
        self._read.pop(mode, None)
        if kept is None:
            raise RuntimeError(name)
        return kept, made[0]

    async def delete(self, mode: Mode, name: str) -> bool:
        """Delete a rule: nothing begins any more, and the worker ends what waits. False: there was none."""
        now, found = self._clock.now(), [False]

        def told(kept: Kept | None) -> Written[Kept] | None:
            found[0] = kept is not None and kept.rule is not None
            if kept is None or kept.rule is None:
                return None
            gone = msgspec.structs.replace(kept, rule=None, changed_at=now, sweep=True)
            return Written(gone, wake=now, lists=[Listed(mode, LIST, kept.born, on=False)])

        await self._shelf.change(self._shelf.place(mode, name), told)
        self._read.pop(mode, None)
        return found[0]

    async def swept(self, place: Place) -> None:
        """No run of a deleted rule is left: forget it, or that there was one."""

        def told(kept: Kept | None) -> Written[Kept] | None:
            if kept is None or not kept.sweep:
                return None
            return Written(None if kept.rule is None else msgspec.structs.replace(kept, sweep=False))

        await self._shelf.change(place, told)

    async def version(self, mode: Mode, name: str, born: int, version: int) -> Rule | None:
        """A rule as a run began with it; None: it was deleted."""
        head = await self._shelf.load(self._shelf.place(mode, name))
        if head is None or head.rule is None or head.born != born:
            return None
        if head.version == version:
            return head.rule
        old = await self._shelf.load(self._version(mode, name, born, version))
        return None if old is None else old.rule

    async def in_force(self, mode: Mode) -> InForce:
        """The rules of a mode, as of the last second."""
        async with self._reading:
            now = self._clock.now()
            known = self._read.get(mode)
            if known is None or not 0 <= now - known[0] < FRESH_MS:
                known = now, sorted_out(await self._all(mode))
                self._read[mode] = known
        return known[1]

    async def _all(self, mode: Mode) -> list[Kept]:
        found, cursor = await self._shelf.page(mode, LIST, MOST_RULES)
        while cursor is not None:
            more, cursor = await self._shelf.page(mode, LIST, MOST_RULES, cursor)
            found += more
        return found

    def _version(self, mode: Mode, name: str, born: int, version: int) -> Place:
        return self._shelf.place(mode, chr(0).join((name, str(born), str(version))))


class _Faster(Exception):
    """Somebody else changed the rule meanwhile."""


def sorted_out(kept: list[Kept]) -> InForce:
    """Rules by what starts them, in order of their ids, and the paths that are asked of contrary events."""
    starting: dict[str, list[Kept]] = {}
    contrary: dict[str, set[str]] = {}
    for one in sorted(kept, key=lambda each: each.id):
        if one.rule is None or not one.rule.enabled:
            continue
        starting.setdefault(one.rule.on, []).append(one)
        for unless in one.rule.unless:
            contrary.setdefault(unless.type, set()).update(unless.pairs())
    if not starting:
        return _NONE
    return InForce(
        {on: tuple(rules) for on, rules in starting.items()},
        {name: frozenset(paths) for name, paths in contrary.items()},
    )
