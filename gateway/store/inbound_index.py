"""Where noted inbound items are found again: by id, and by time over all partitions, newest first.

An item lives in the partition of the address it came from. Its id holds its time, its partition and the digest under
which it was noted, so it needs no look-up. The two indexes of a partition (all of them; those that belong to nobody
yet) lapse with the items: each writing cuts off what has outlived its time, and sets their lifetime anew.
"""

from __future__ import annotations

import asyncio
import heapq
import re
from typing import Any, Final

from gateway.message import Mode
from gateway.store.ids import LETTERS, decoded, encoded
from gateway.store.keys import PARTITIONS, Partition, of_customer, partition
from gateway.store.scripts import Scripts

_TIME: Final = 9
_ID: Final = re.compile(rf"i([{LETTERS}]{{{_TIME}}})([0-9a-f]{{2}})([0-9a-f]{{32}})")
_CHUNK: Final = 200


class InboundIndex:
    """The indexes of inbound items. All methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._pipe = scripts.pipe

    async def file(self, mode: Mode, item: str, sender: str, *, unlinked: bool, keep: int, now: int) -> None:
        """Put an item where it is found for `keep` ms; `unlinked`: among those that belong to nobody yet, too.

        `sender`: the keyed hash of the address it came from.
        """
        place = place_of(item)
        if place is None:
            raise ValueError("no id of an inbound item")
        at, _ = place
        oldest = f"({encoded(max(0, now - keep), _TIME)}"
        keys = (at.inbound(mode, unlinked=False), at.inbound(mode, unlinked=True), at.inbound_from(mode, sender))
        for number, key in enumerate(keys):
            if number and not unlinked:
                await self._pipe.send("ZREM", key, listed(item))
                continue
            await asyncio.gather(
                self._pipe.send("ZADD", key, 0, listed(item)),
                self._pipe.send("ZREMRANGEBYLEX", key, "-", oldest),
                self._pipe.send("PEXPIRE", key, keep),
            )

    async def page(self, mode: Mode, after: str | None, *, unlinked: bool, since: int) -> list[str]:
        """The ids that follow `after` (None: from the newest on), at most 200, made since a time (ms)."""
        high = "+" if after is None else f"({listed(after)}"
        low = f"[{encoded(max(0, since), _TIME)}"
        reads = (
            self._pipe.send(
                "ZRANGE",
                partition(number).inbound(mode, unlinked=unlinked),
                high,
                low,
                "BYLEX",
                "REV",
                "LIMIT",
                0,
                _CHUNK,
            )
            for number in range(PARTITIONS)
        )
        pages: list[list[Any]] = list(await asyncio.gather(*reads))
        placed = [[(m.decode(), number) for m in page] for number, page in enumerate(pages)]
        merged = heapq.merge(*placed, reverse=True)
        return [_id(member, number) for (member, number), _ in zip(merged, range(_CHUNK), strict=False)]

    async def senders(self, mode: Mode, sender: str, limit: int) -> list[str]:
        """The newest ids that belong to nobody yet, of an address (its keyed hash)."""
        at = of_customer(sender)
        found: list[bytes] = await self._pipe.send("ZRANGE", at.inbound_from(mode, sender), 0, limit - 1, "REV")
        return [_id(member.decode(), at.number) for member in found]

    async def states(self, items: list[str]) -> list[bytes | None]:
        """What is stored of each; None for one that is gone."""
        places = [place_of(item) for item in items]
        return list(
            await asyncio.gather(
                *(self._pipe.send("HGET", place[0].member(place[1]), "s") for place in places if place is not None)
            )
        )

    async def swap(self, item: str, old: bytes, new: bytes) -> bool:
        """Put another state in the place of `old`; False when it isn't that any more."""
        place = place_of(item)
        if place is None:
            return False
        return (await self._scripts.swap(place[0].member(place[1]), "s", old, new, durable=True))[0]


def item_id(at: int, place: Partition, number: str) -> str:
    """The id of an item that came at `at` (ms) and was noted under that digest."""
    return f"i{encoded(max(0, at), _TIME)}{place.number:02x}{number}"


def place_of(item: str) -> tuple[Partition, str] | None:
    """Partition and member of an item's id; None when it can't be one of ours."""
    found = _ID.fullmatch(item)
    if found is None or int(found[2], 16) >= PARTITIONS:
        return None
    return partition(int(found[2], 16)), f"i:{found[3]}"


def came_at(item: str) -> int:
    """When an item came, ms."""
    return decoded(item[1 : 1 + _TIME])


def listed(item: str) -> str:
    """How an item stands in the indexes."""
    return item[1 : 1 + _TIME] + item[3 + _TIME :]


def _id(member: str, number: int) -> str:
    """The id of what stands in the indexes of a partition."""
    return f"i{member[:_TIME]}{number:02x}{member[_TIME:]}"
