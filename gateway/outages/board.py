"""How an outage stands: its counts, read from what every commit has written down of its broadcasts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.broadcasts.nouns import ALL, Broadcast
from gateway.broadcasts.service import Broadcasts
from gateway.message import Mode
from gateway.outages.counting import Counts, People, Sent, counts, together
from gateway.outages.nouns import Outage, Part, Visit
from gateway.standing import STANDINGS
from gateway.store.keys import PARTITIONS, partition
from gateway.store.marks import Marks
from gateway.store.scripts import Scripts
from gateway.store.standing import ByChannel, Standings
from gateway.store.things import Shelf

OF_OUTAGES: Final = "outage"
"""The kind of an outage's broadcasts."""
VISITS: Final = "outages.visits"
"""The list of visits of an outage."""
_PAGE: Final = 100


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An outage as it stands now. `repeats`: of anything of it, the oldest first."""

    counts: Counts
    by_channel: dict[str, ByChannel]
    all_clear: Counts | None
    repeats: tuple[Broadcast, ...]


class Board:
    """Reads it. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts, broadcasts: Broadcasts, standings: Standings, visits: Shelf[Visit]) -> None:
        self._scripts = scripts
        self._broadcasts = broadcasts
        self._standings = standings
        self._visits = visits
        self._marks = Marks(scripts)

    async def standing(self, outage: Outage) -> Standing:
        """All of it."""
        basis, repeats = await asyncio.gather(self.basis(outage), self.all_repeats(outage, outage.created_at))
        names = _family(basis, repeats)
        found, people, shares, (expected, stopped) = await asyncio.gather(
            self._sent(outage, names),
            self._people(outage),
            asyncio.gather(*(self._shares(outage.mode, name, names[-1]) for name in names)),
            self._expected(outage, basis),
        )
        clear = await self._all_clear(outage, people.told)
        made = counts(found, people, expected, resolved=stopped or outage.state != "active")
        if outage.state == "resolved" and outage.shown is not None and made.audience < outage.shown.audience:
            made = outage.shown  # its messages have outlived their retention
        return Standing(counts=made, by_channel=together(shares), all_clear=clear, repeats=tuple(repeats))

    async def waiting(self, mode: Mode, broadcast: str) -> int:
        """How many messages of a broadcast wait for their first hand-over."""
        return (await self._standings.counts(mode, broadcast))["waiting"]

    async def names(self, outage: Outage) -> list[str]:
        """The broadcasts by whose messages people stand: its basis, and what repeats that to some, the oldest first."""
        basis = await self.basis(outage)
        return _family(basis, await self.all_repeats(outage, basis.at))

    async def basis(self, outage: Outage) -> Part:
        """Its newest notice or update; but not one cut short that came to fewer people than an earlier one."""
        newest, most = outage.newest, -1
        for part in reversed([one for one in outage.parts if one.kind != "all_clear"]):
            found = await self._broadcasts.load(outage.mode, part.broadcast)
            cut = found is not None and found.cut
            if most < 0 and not cut:
                return part
            counted = await self._standings.counts(outage.mode, part.broadcast)
            came_to = sum(counted[state] for state in STANDINGS)
            if came_to > most:
                newest, most = part, came_to
            if not cut:
                break
        return newest

    async def all_repeats(self, outage: Outage, since: int) -> list[Broadcast]:
        """The broadcasts that repeat anything of it to some, made at `since` (ms) or later; the oldest first."""
        found: list[Broadcast] = []
        cursor: str | None = None
        while True:
            page, cursor = await self._broadcasts.page(outage.mode, _PAGE, cursor, kind=OF_OUTAGES)
            for one in page:
                if one.created_at < since:
                    return found[::-1]
                if one.thread == outage.thread and one.retry_of is not None:
                    found.append(one)
            if cursor is None:
                return found[::-1]

    async def _sent(self, outage: Outage, names: Sequence[str]) -> list[Sent]:
        found = await asyncio.gather(*(self._standings.counts(outage.mode, name) for name in names))
        if len(names) == 1:
            return [Sent(names=found[0])]  # nobody has been tried again
        renewed = await asyncio.gather(*(self._marks.counts(outage.mode, name, "renewed") for name in names))
        return [Sent(names=counted, renewed=gone) for counted, gone in zip(found, renewed, strict=True)]

    async def _shares(self, mode: Mode, name: str, last: str) -> dict[str, ByChannel]:
        """What a broadcast did on each channel for those whom no later one has tried again. `last`: the newest one."""
        found = await self._standings.by_channel(mode, name)
        if name == last:
            return found
        places = [(channel, what) for channel in found for what in ByChannel.__struct_fields__]
        gone = await asyncio.gather(
            *(self._marks.count(mode, name, f"renewed:{what}:{channel}") for channel, what in places)
        )
        for (channel, what), count in zip(places, gone, strict=True):
            share = found[channel]
            found[channel] = msgspec.structs.replace(share, **{what: max(0, getattr(share, what) - count)})
        return found

    async def _people(self, outage: Outage) -> People:
        keys = [partition(n).people(outage.mode, "told", outage.thread) for n in range(PARTITIONS)]
        told = sum(map(int, await asyncio.gather(*(self._scripts.pipe.send("HLEN", key) for key in keys))))
        return People(told=told, visited=await self._visits.count(outage.mode, VISITS, value=outage.id))

    async def _expected(self, outage: Outage, basis: Part) -> tuple[int, bool]:
        """How many people its basis is for, while it hasn't come to all of them, else 0; and whether it never will."""
        sent = await self._broadcasts.load(outage.mode, basis.broadcast)
        if sent is not None and sent.expanded_by == ALL and not sent.cut:
            return 0, False
        known = [0 if outage.shown is None else outage.shown.audience]
        for part in outage.parts:
            found = None if part.kind == "all_clear" else await self._broadcasts.load(outage.mode, part.broadcast)
            if found is not None:
                report = await self._broadcasts.report(found)
                known.append(report.progress.of or report.counts.audience)
        return max(known), sent is not None and sent.cut

    async def _all_clear(self, outage: Outage, told: int) -> Counts | None:
        """While it is still finding people, all who were told wait for it."""
        part = outage.all_clear
        if part is None:
            return None
        found = await self._standings.counts(outage.mode, part.broadcast)
        states = {state: found[state] for state in STANDINGS}
        sent = await self._broadcasts.load(outage.mode, part.broadcast)
        if outage.state == "resolving" and (sent is None or sent.expanded_by != ALL):
            states["waiting"] += max(0, told - sum(states.values()))
        return Counts(audience=sum(states.values()), **states, told=found["told"], acknowledged=found["acknowledged"])


def _family(basis: Part, repeats: Sequence[Broadcast]) -> list[str]:
    """A broadcast and those that repeat it, or such a repeat, to some. `repeats`: of anything, the oldest first."""
    names = [basis.broadcast]
    for one in repeats:
        if one.retry_of in names:
            names.append(one.id)
    return names
