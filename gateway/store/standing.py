"""Where the messages of a broadcast stand: counted and listed from what every commit has written down.

Exactly one of `standing.STANDINGS` for each message, so the counts of a broadcast sum to its messages at every moment.
They live for as long as records do after their last change.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway import standing
from gateway.message import Lane, Mode
from gateway.store.keys import PARTITIONS, Partition, partition
from gateway.store.scripts import Scripts

CHANNEL_COUNTS: Final = ("told", "reached", "acknowledged", "failed")
_CHUNK: Final = 200


class ByChannel(msgspec.Struct, frozen=True):
    """Of a broadcast's messages on one channel: how many were accepted there, reached by it, answered on it, failed."""

    told: int = 0
    reached: int = 0
    acknowledged: int = 0
    failed: int = 0


class Standings:
    """Reads them. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def counts(self, mode: Mode, broadcast: str) -> dict[str, int]:
        """How many messages stand under each of `standing.NAMES`: five states that sum to all, "told", "acknowledged"."""
        return await self.counts_of(mode, [broadcast])

    async def counts_of(self, mode: Mode, broadcasts: Sequence[str]) -> dict[str, int]:
        """As `counts`, for several broadcasts together."""
        found: dict[str, int] = dict.fromkeys(standing.NAMES, 0)
        places: list[tuple[str, str]] = [
            (name, partition(number).standing(mode, broadcast, name))
            for broadcast in broadcasts
            for number in range(PARTITIONS)
            for name in standing.NAMES
        ]
        numbers = await asyncio.gather(*(self._scripts.pipe.send("ZCARD", key) for _, key in places))
        for (name, _), number in zip(places, numbers, strict=True):
            found[name] += int(number)
        return found

    async def by_channel(self, mode: Mode, broadcast: str) -> dict[str, ByChannel]:
        """The counts of each channel that a message was tried or answered on."""
        keys = [partition(number).by_channel(mode, broadcast) for number in range(PARTITIONS)]
        hashes: list[dict[bytes, bytes]] = await asyncio.gather(
            *(self._scripts.pipe.send("HGETALL", key) for key in keys)
        )
        found: dict[str, dict[str, int]] = {}
        for fields in hashes:
            for field, raw in fields.items():
                what, _, channel = field.decode().partition(":")
                counts = found.setdefault(channel, {})
                counts[what] = counts.get(what, 0) + int(raw)
        return {
            channel: msgspec.convert({what: max(0, counts.get(what, 0)) for what in CHANNEL_COUNTS}, ByChannel)
            for channel, counts in sorted(found.items())
            if any(counts.values())
        }

    async def members(
        self, at: Partition, mode: Mode, broadcast: str, name: str, after: str = "", limit: int = _CHUNK
    ) -> list[str]:
        """At most `limit` ids of one partition under a name, the oldest first, after the id `after`."""
        low = f"({after}" if after else "-"
        key = at.standing(mode, broadcast, name)
        found: list[bytes] = await self._scripts.pipe.send("ZRANGE", key, low, "+", "BYLEX", "LIMIT", 0, limit)
        return [member.decode() for member in found]

    async def count_in(self, at: Partition, mode: Mode, broadcast: str, name: str) -> int:
        """How many messages of one partition stand under a name."""
        return int(await self._scripts.pipe.send("ZCARD", at.standing(mode, broadcast, name)))

    async def open(self, at: Partition, ids: Sequence[str]) -> list[bool]:
        """Which of these messages aren't done, in their order; one whose record has gone is."""
        facts = await asyncio.gather(*(self._scripts.pipe.send("HMGET", at.message(one), "l", "d") for one in ids))
        return [lane is not None and done is None for lane, done in facts]

    async def rouse(self, at: Partition, mode: Mode, lane: Lane, ids: Sequence[str], now: int) -> None:
        """Have those of these messages that are held looked at now (ms), if they would be later."""
        held = await self._scripts.pipe.send("ZMSCORE", at.index(mode, "held"), *ids)
        scored = [part for one, score in zip(ids, held, strict=True) if score is not None for part in (now, f"m:{one}")]
        if scored:
            await self._scripts.pipe.send("ZADD", at.agenda(lane), "XX", "LT", *scored)

    async def page(
        self, mode: Mode, broadcast: str, names: Sequence[str], limit: int, cursor: str | None = None
    ) -> tuple[list[str], str | None]:
        """At most `limit` ids that stand under any of `names`, newest first over all partitions, and the next cursor.

        The cursor is the last id shown: what moves to another name meanwhile neither repeats nor hides another.
        """
        high = "+" if cursor is None else f"({cursor}"
        places = [partition(number).standing(mode, broadcast, name) for number in range(PARTITIONS) for name in names]
        pages: list[list[bytes]] = await asyncio.gather(
            *(
                self._scripts.pipe.send("ZRANGE", key, high, "-", "BYLEX", "REV", "LIMIT", 0, limit + 1)
                for key in places
            )
        )
        merged = heapq.merge(*([member.decode() for member in page] for page in pages), reverse=True)
        found: list[str] = []
        for member in merged:
            if len(found) > limit:
                break
            if not found or found[-1] != member:
                found.append(member)
        return found[:limit], found[limit - 1] if len(found) > limit else None
