"""The morgue: records that could not be worked off, kept with the reason until somebody decides."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from gateway.store.keys import PARTITIONS, partition
from gateway.store.pipe import scored
from gateway.store.scripts import Scripts


class Buried(msgspec.Struct, frozen=True):
    """One record in the morgue. `since` in ms; `reason` may be a traceback."""

    partition: int
    member: str
    since: int
    reason: str


class Morgue:
    """Looks after the morgue of every partition."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def listed(self) -> list[Buried]:
        """Everything in it, oldest first."""
        found: list[Buried] = []
        for number in range(PARTITIONS):
            at = partition(number)
            for member, since in scored(await self._scripts.pipe.send("ZRANGE", at.morgue, 0, -1, "WITHSCORES")):
                reason = await self._scripts.pipe.send("HGET", at.member(member), "why")
                found.append(Buried(number, member, int(since), (reason or b"").decode(errors="replace")))
        return sorted(found, key=lambda one: one.since)

    async def retry(self, ids: Collection[str] | None) -> int:
        """Put records back to work (None: all); how many."""
        return await self._take_out(ids, retry=True)

    async def discard(self, ids: Collection[str] | None) -> int:
        """Delete records for good (None: all); how many."""
        return await self._take_out(ids, retry=False)

    async def _take_out(self, ids: Collection[str] | None, *, retry: bool) -> int:
        count = 0
        for one in await self.listed():
            if ids is None or one.member in ids or one.member.partition(":")[2] in ids:
                count += await self._scripts.exhume(partition(one.partition), one.member, retry=retry) == "ok"
        return count
