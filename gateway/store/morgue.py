"""The morgue: records that could not be worked off, kept with the reason until somebody decides.

However full it is, it is read in pages; one partition's share after the other.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Collection
from typing import Final

import msgspec

from gateway.store.derived import discarded
from gateway.store.entries import DAY_MS
from gateway.store.keys import PARTITIONS, Partition, partition
from gateway.store.messages import decode
from gateway.store.pipe import scored
from gateway.store.scripts import Scripts

PAGE: Final = 50
"""Records read at once: a reason may be a long traceback."""
DISCARDED_MS: Final = 90 * DAY_MS
"""How long at least a broadcast counts who was thrown away."""


class Buried(msgspec.Struct, frozen=True):
    """One record in the morgue. `since` in ms; `reason` may be a traceback."""

    partition: int
    member: str
    since: int
    reason: str

    @property
    def summary(self) -> str:
        """The last line of the reason, which names the error."""
        lines = self.reason.strip().splitlines()
        return lines[-1] if lines else ""


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Which records are meant; what is None excludes nothing.

    `ids`: members ("m:<id>") or bare ids. `kind`: "m" messages, "i" what people sent. `reason`: words in it, whatever
    their case. `since`, `before`: when it was put there, ms.
    """

    ids: Collection[str] | None = None
    kind: str | None = None
    reason: str | None = None
    since: int | None = None
    before: int | None = None

    def fits(self, one: Buried) -> bool:
        """Whether a record is meant."""
        kind, _, name = one.member.partition(":")
        return (
            (self.ids is None or one.member in self.ids or name in self.ids)
            and (self.kind is None or kind == self.kind)
            and (self.reason is None or self.reason.casefold() in one.reason.casefold())
            and (self.since is None or one.since >= self.since)
            and (self.before is None or one.since < self.before)
        )


ANY: Final = Which()


class Morgue:
    """Looks after the morgue of every partition."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def listed(self, which: Which = ANY, most: int = 1000) -> list[Buried]:
        """The oldest ones that are meant, at most so many, oldest first."""
        found: list[Buried] = []
        for number in range(PARTITIONS):
            room = most
            async for one in self._each(partition(number)):
                if which.fits(one):
                    found.append(one)
                    room -= 1
                if not room:
                    break
            found = heapq.nsmallest(most, found, key=lambda one: (one.since, one.partition, one.member))
        return found

    async def size(self) -> int:
        """How many records lie in it."""
        return sum([await self._scripts.pipe.send("ZCARD", partition(n).morgue) for n in range(PARTITIONS)])

    async def retry(self, which: Which = ANY) -> int:
        """Put records back to work; how many."""
        return await self._take_out(which, retry=True)

    async def discard(self, which: Which = ANY) -> int:
        """Delete records for good, with their content; how many."""
        return await self._take_out(which, retry=False)

    async def _take_out(self, which: Which, *, retry: bool) -> int:
        count = 0
        for number in range(PARTITIONS):
            at = partition(number)
            async for one in self._each(at):
                if which.fits(one):
                    stands = [] if retry else await self._places(at, one.member)
                    done = await self._scripts.exhume(
                        at, one.member, retry=retry, stands=stands, keep_stands=DISCARDED_MS
                    )
                    count += done == "ok"
        return count

    async def _places(self, at: Partition, member: str) -> list[str]:
        """Where a message stands in its broadcast once it is discarded; what can't be read stays where it stood."""
        state = await self._scripts.pipe.send("HGET", at.member(member), "s") if member.startswith("m:") else None
        try:
            return [] if state is None else discarded(at, decode(state, "", ""))
        except msgspec.DecodeError:
            return []

    async def _each(self, at: Partition) -> AsyncIterator[Buried]:
        """Those that lie there now, oldest first; what is put there meanwhile has a later place, and is not shown."""
        send = self._scripts.pipe.send
        newest = scored(await send("ZRANGE", at.morgue, 0, 0, "REV", "WITHSCORES"))
        last = int(newest[0][1]) if newest else 0
        after, shown = 0, set[str]()
        while True:
            limit = PAGE + len(shown)
            page = scored(await send("ZRANGE", at.morgue, after, last, "BYSCORE", "LIMIT", 0, limit, "WITHSCORES"))
            new = [(member, int(since)) for member, since in page if member not in shown]
            if not new:
                return
            for member, since in new:
                reason: bytes | None = await send("HGET", at.member(member), "why")
                yield Buried(at.number, member, since, (reason or b"").decode(errors="replace"))
            # Several may have been put there in the same millisecond, over the end of a page.
            same = {member for member, since in new if since == new[-1][1]}
            after, shown = new[-1][1], same | shown if new[-1][1] == after else same
