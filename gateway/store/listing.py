"""Lists of messages over all partitions, newest first.

Each partition keeps its ids in order of time; a page merges them and reads on until it is full. The cursor is the last
id shown, so new entries never move it.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import Any, Final

import msgspec

from gateway.message import Message, Mode
from gateway.store.ids import earliest
from gateway.store.keys import PARTITIONS, Partition, of_customer, partition
from gateway.store.messages import Messages
from gateway.store.scripts import Scripts

_CHUNK: Final = 200
_SCAN_MOST: Final = 20_000


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What to list; None: anything. `since` in ms."""

    customer: str | None = None
    category: str | None = None
    status: str | None = None
    verdict: str | None = None
    reference: str | None = None
    since: int | None = None

    @property
    def needs_reading(self) -> bool:
        """Whether records must be read to know if they fit: an index answers for one filter only."""
        asked = [self.customer, self.category, self.status, self.verdict, self.reference]
        return self.category is not None or sum(one is not None for one in asked) > 1 or self.status is not None

    def fits(self, message: Message) -> bool:
        """Whether a message belongs on the list."""
        return (
            (self.customer is None or message.customer == self.customer)
            and (self.category is None or message.category == self.category)
            and (self.status is None or message.status == self.status)
            and (self.verdict is None or message.verdict.state == self.verdict)
            and (self.reference is None or message.reference == self.reference)
            and (self.since is None or message.created_at >= self.since)
        )


class Listing:
    """Finds messages by what the indexes hold."""

    def __init__(self, scripts: Scripts, messages: Messages) -> None:
        self._scripts = scripts
        self._messages = messages

    async def page(
        self, mode: Mode, wanted: Filter, limit: int, cursor: str | None
    ) -> tuple[list[Message], str | None]:
        """At most `limit` messages after `cursor`, and the cursor of the next page (None: no more)."""
        found: list[Message] = []
        last = cursor
        scanned = 0
        while scanned < _SCAN_MOST:
            ids = await self._ids(mode, wanted, last, _CHUNK if wanted.needs_reading else limit - len(found))
            if not ids:
                return found, None
            for message_id, loaded in zip(ids, await self._messages.load_many(ids), strict=True):
                last = message_id
                if loaded is not None and wanted.fits(loaded.message):
                    found.append(loaded.message)
                    if len(found) == limit:
                        return found, last
            scanned += len(ids)
        return found, last

    async def _ids(self, mode: Mode, wanted: Filter, last: str | None, most: int) -> list[str]:
        partitions = [of_customer(wanted.customer)] if wanted.customer else [partition(n) for n in range(PARTITIONS)]
        low = "-" if wanted.since is None else f"[{earliest(mode, wanted.since)}"
        high = "+" if last is None else f"({last}"
        reads = (
            self._scripts.pipe.send(
                "ZRANGE", self._index(p, mode, wanted), high, low, "BYLEX", "REV", "LIMIT", 0, _CHUNK
            )
            for p in partitions
        )
        pages: list[list[Any]] = list(await asyncio.gather(*reads))
        merged = heapq.merge(*([m.decode() for m in page] for page in pages), reverse=True)
        return [m for m, _ in zip(merged, range(most), strict=False)]

    @staticmethod
    def _index(at: Partition, mode: Mode, wanted: Filter) -> str:
        if wanted.reference is not None:
            return at.index(mode, "reference", wanted.reference)
        if wanted.customer is not None:
            return at.index(mode, "customer", wanted.customer)
        if wanted.verdict == "unreached":
            return at.index(mode, "unreached")
        return at.index(mode, "held") if wanted.status == "held" else at.index(mode, "all")
