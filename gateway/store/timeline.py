"""A customer's timeline: what happened with them, over all channels, in the order in which it became known.

Two streams of the customer's partition are read as one: the timeline proper, which commits and services write, and the
consent ledger. Lines are kept for a time of their own, longer than the records they refer to.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import msgspec

from gateway.customer import ConsentEntry
from gateway.message import Mode
from gateway.store.clock import Clock
from gateway.store.entries import DAY_MS, TIMELINE_DAYS, Entry, decoded, encoded
from gateway.store.keys import Partition, of_customer
from gateway.store.scripts import Scripts

TOLD_ONCE_MS: Final = 30 * DAY_MS
"""How long a repeat of a line is recognised."""
_CHUNK: Final = 200
_SCAN_MOST: Final = 20_000
_CURSOR: Final = re.compile(r"([0-9]{1,16})-([0-9]{1,16})-([01])")
_LEDGER: Final = msgspec.msgpack.Decoder(ConsentEntry)

Place = tuple[int, int, int]
"""Where a line stands: ms, number within it, and the stream: of two equally old lines the timeline's comes first."""


class Line(msgspec.Struct, frozen=True):
    """A line as it is read. `id` is the place it stands at, `at` when it happened (ms)."""

    id: str
    at: int
    entry: Entry | ConsentEntry


class Timeline:
    """Reads and writes them. `keep` in days. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts, clock: Clock, *, keep: int = TIMELINE_DAYS) -> None:
        self._scripts = scripts
        self._clock = clock
        self._keep = keep * DAY_MS

    async def add(self, customer: str, entry: Entry, once: str | None = None) -> bool:
        """Add a line; False when there is no such customer, or the line is there already.

        `once`: names the line among all of the customer's, so that who can't be sure adds it again, and it is there once.
        None: it is the same line when every part of it is the same, so give it its time and what tells it from others.
        """
        at, raw = of_customer(customer), encoded(entry)
        return await self._scripts.tell(at, customer, raw, self._keep, once or raw.hex(), TOLD_ONCE_MS) == "ok"

    async def remove(self, customer: str, kind: str, of: str, once: str) -> None:
        """Take back the lines of that kind about one thing, added under `once`; they may be added again."""
        at = of_customer(customer)
        place, found = at.timeline(customer), list[bytes]()
        for name, fields in await self._scripts.pipe.send("XRANGE", place, "-", "+"):
            entry = _entry(fields)
            if entry is not None and (entry.kind, entry.of) == (kind, of):
                found.append(name)
        if found:
            await self._scripts.pipe.send("XDEL", place, *found)
        await self._scripts.pipe.send("DEL", at.noted(customer, once))

    async def page(
        self, customer: str, mode: Mode | None, limit: int, cursor: str | None
    ) -> tuple[list[Line], str | None]:
        """At most `limit` lines after `cursor`, newest first, and the cursor of the next page (None: no more).

        Of messages those of one mode (None: of all); what isn't a message's has none. Raises ValueError for a cursor
        that no page gave.
        """
        at, oldest = of_customer(customer), self._clock.now() - self._keep
        last: Place | None = _place(cursor)
        found: list[Line] = []
        scanned = 0
        while scanned < _SCAN_MOST:
            some = await self._read(at, customer, last, oldest)
            if not some:
                return found, None
            for place, line in some:
                if mode is not None and isinstance(line.entry, Entry) and line.entry.mode != mode:
                    last = place
                    continue
                if len(found) == limit:
                    return found, found[-1].id
                last = place
                found.append(line)
            scanned += len(some)
        return found, None if last is None else "-".join(map(str, last))

    async def _read(self, at: Partition, customer: str, last: Place | None, oldest: int) -> list[tuple[Place, Line]]:
        """What follows a place in both streams, as far as both were read."""
        keys = at.timeline(customer), at.ledger(customer)
        pages = await asyncio.gather(
            *(
                self._scripts.pipe.send("XREVRANGE", key, _from(last, stream), max(0, oldest), "COUNT", _CHUNK)
                for stream, key in enumerate(keys)
            )
        )
        ends = [_of(page[-1][0], stream) for stream, page in enumerate(pages) if len(page) == _CHUNK]
        floor = max(ends, key=_order, default=None)
        found: list[tuple[Place, Line]] = []
        for stream, page in enumerate(pages):
            for name, fields in page:
                place, entry = _of(name, stream), _entry(fields) if stream == 0 else _LEDGER.decode(fields[b"e"])
                if entry is not None and (floor is None or _order(place) >= _order(floor)):
                    when = place[0] if entry.at is None else entry.at
                    found.append((place, Line("-".join(map(str, place)), when, entry)))
        return sorted(found, key=lambda one: _order(one[0]), reverse=True)


def _order(place: Place) -> Place:
    """Newest first, the timeline before the ledger: as a number that falls."""
    return place[0], place[1], -place[2]


def _of(name: bytes, stream: int) -> Place:
    ms, _, number = name.decode().partition("-")
    return int(ms), int(number), stream


def _place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise ValueError("must be the `next` of an earlier page.")
    return int(found[1]), int(found[2]), int(found[3])


def _from(last: Place | None, stream: int) -> str:
    """The newest id of a stream that stands after a place."""
    if last is None:
        return "+"
    return f"{'' if stream > last[2] else '('}{last[0]}-{last[1]}"


def _entry(fields: dict[bytes, Any]) -> Entry | None:
    try:
        return decoded(fields[b"e"])
    except msgspec.DecodeError:
        return None  # of a later release
