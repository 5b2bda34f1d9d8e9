"""What is marked on messages of a broadcast besides how they stand: who goes first, and whom a later broadcast tries again.

Marks lie beside the standings, in the same partitions, so both are counted together without reading a message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from gateway.message import Mode
from gateway.standing import NAMES
from gateway.store.keys import PARTITIONS, Partition, partition
from gateway.store.scripts import Scripts

Mark = str
"""first: goes first; renewed: a later broadcast tries it again; renewed:told:sms: the same, and what it counted for then."""
LIVES_MS: Final = 400 * 86_400_000
"""As long as jobs do."""


class Marks:
    """Reads and writes them. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def put(self, at: Partition, mode: Mode, broadcast: str, mark: Mark, ids: Sequence[str]) -> None:
        """Mark messages of one partition; done again it changes nothing."""
        if ids:
            key = at.standing(mode, broadcast, mark)
            await self._scripts.pipe.send("ZADD", key, *(part for one in ids for part in (0, one)))
            await self._scripts.pipe.send("PEXPIRE", key, LIVES_MS)

    async def among(self, at: Partition, mode: Mode, broadcast: str, mark: Mark, ids: Sequence[str]) -> set[str]:
        """Those of a partition's messages that are marked."""
        if not ids:
            return set()
        scores = await self._scripts.pipe.send("ZMSCORE", at.standing(mode, broadcast, mark), *ids)
        return {one for one, score in zip(ids, scores, strict=True) if score is not None}

    async def count(self, mode: Mode, broadcast: str, mark: Mark) -> int:
        """How many of a broadcast's messages have a mark."""
        keys = [partition(number).standing(mode, broadcast, mark) for number in range(PARTITIONS)]
        return sum(map(int, await asyncio.gather(*(self._scripts.pipe.send("ZCARD", key) for key in keys))))

    async def counts(self, mode: Mode, broadcast: str, mark: Mark) -> dict[str, int]:
        """How many of a broadcast's marked messages stand under each of `standing.NAMES`."""
        places: list[tuple[str, Partition]] = [
            (state, partition(number)) for state in NAMES for number in range(PARTITIONS)
        ]
        numbers = await asyncio.gather(
            *(
                self._scripts.pipe.send(
                    "ZINTERCARD", 2, at.standing(mode, broadcast, mark), at.standing(mode, broadcast, state)
                )
                for state, at in places
            )
        )
        found = dict[str, int]()
        for (state, _), number in zip(places, numbers, strict=True):
            found[state] = found.get(state, 0) + int(number)
        return found
