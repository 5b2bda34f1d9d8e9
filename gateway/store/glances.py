"""As much of a customer's record as tells whether a broadcast is for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.store.keys import Partition
from gateway.store.scripts import Scripts


class Glance(msgspec.Struct, frozen=True):
    """Who it is; the rest of the record is passed over unread. `created_at` in ms."""

    id: str
    attributes: dict[str, Any] = {}
    created_at: int = 0


_decoder: Final = msgspec.msgpack.Decoder(Glance)


class Glances:
    """Reads them, one partition at a time. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._pipe = scripts.pipe

    async def at(self, place: Partition, people: Sequence[str]) -> list[Glance | None]:
        """Customers of one partition, in the order of their ids; None for who is none."""
        answers = await self._pipe.send_all([(("HGET", place.customer(one), "s"), False) for one in people])
        found: list[Glance | None] = []
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
            found.append(None if answer is None else _decoder.decode(answer))
        return found

    async def page(self, place: Partition, after: str, limit: int) -> list[str]:
        """At most `limit` ids of a partition's customers, after `after`, in their order."""
        low = f"({after}" if after else "-"
        found: list[bytes] = await self._pipe.send("ZRANGE", place.customers, low, "+", "BYLEX", "LIMIT", 0, limit)
        return [one.decode() for one in found]

    async def count(self, place: Partition) -> int:
        """How many customers a partition has."""
        return int(await self._pipe.send("ZCARD", place.customers))
