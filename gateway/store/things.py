"""Records of services: broadcasts, outages, surveys, cases, rules, and what they have under way.

A thing is one hash, compared and swapped by its version; its place on the agenda, its lists, counts and events change in
the same step. `Shelf` reads and writes one kind of them. A thing that is to be looked at (`wake`) stands on the agenda
and is handed out by the worker like a message.
"""

from __future__ import annotations

import asyncio
import heapq
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from gateway.message import Lane, Mode
from gateway.store.changes import Taken
from gateway.store.ids import LETTERS, encoded
from gateway.store.keys import PARTITIONS, Partition, digest, of_customer, partition
from gateway.store.lua_source import load
from gateway.store.scripts import Scripts

T = TypeVar("T")

TRIES: Final = 100
_TIME: Final = 9
_CHUNK: Final = 200


class Place(msgspec.Struct, frozen=True):
    """Where a thing is: its partition's number and its member there, "<kind>:<digest>"."""

    number: int
    member: str

    @property
    def at(self) -> Partition:
        """The keys of its partition."""
        return partition(self.number)

    @property
    def kind(self) -> str:
        """Which kind of thing it is."""
        return self.member.partition(":")[0]

    @property
    def ref(self) -> str:
        """Its place as one word."""
        return f"{self.number:02x}{self.member}"

    @classmethod
    def of(cls, ref: str) -> Place:
        """The place that a word names. Raises ValueError for what `ref` never gives."""
        return cls(int(ref[:2], 16), ref[2:])


class Listed(msgspec.Struct, frozen=True):
    """A list on which a thing stands (`on`) or no longer stands. `at`: its time there, ms, which must never change."""

    mode: Mode
    name: str
    at: int
    value: str = ""
    on: bool = True


class Written(msgspec.Struct, Generic[T], frozen=True):
    """What a thing becomes, None: it is removed. `wake`: when (ms) to look at it, None: never.

    `events`: what is told of it, under `known_as`. `tally`: steps of counters, in the hash `tally_of`. `keep`: how long
    it lives from now on, ms; None: until it is removed.
    """

    thing: T | None
    wake: int | None = None
    lane: Lane = "normal"
    lists: Sequence[Listed] = ()
    events: Sequence[str] = ()
    known_as: str = ""
    tally: Mapping[str, int] = {}
    tally_of: str | None = None
    keep: int | None = None


class Shelf(Generic[T]):
    """All things of one kind. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts, kind: str, form: type[T]) -> None:
        self.kind = kind
        self._scripts = scripts
        self._sha = scripts.urgent.remember(load("thing"))
        self._cursor = re.compile(rf"[{LETTERS}]{{{_TIME}}}{kind}:[0-9a-f]{{32}}\.[0-9a-f]{{2}}")
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(form)

    def place(self, mode: Mode, name: str, of: str | None = None) -> Place:
        """Where the thing of that name is: in the partition of `of` (a customer), else of its own name."""
        at = of_customer(name if of is None else of)
        return Place(at.number, f"{self.kind}:{digest(f'{mode}{chr(0)}{name}')}")

    async def load(self, place: Place) -> T | None:
        """A thing; None when there is none. Raises msgspec.DecodeError for one that can't be read."""
        found = await self._fetch(place)
        return None if found is None else found[0]

    async def load_many(self, places: Sequence[Place]) -> list[T | None]:
        """Several things, in the order of their places."""
        return list(await asyncio.gather(*map(self.load, places)))

    def taken(self, taken: Taken) -> T:
        """The thing that the worker was handed. Raises msgspec.DecodeError."""
        return self._decoder.decode(taken.state)

    async def change(self, place: Place, told: Callable[[T | None], Written[T] | None]) -> T | None:
        """Change a thing by what `told` makes of it; what it is then. Returning None it leaves the thing as it is.

        `told` must be safe to call again on a fresh copy: somebody may have been faster.
        """
        for turn in range(TRIES):
            found = await self._fetch(place)
            thing, version = found if found is not None else (None, 0)
            written = told(thing)
            if written is None:
                return thing
            if await self.put(place, written, version):
                return written.thing
            if turn > 1:
                await asyncio.sleep(0.001 * turn)
        raise RuntimeError(f"{place.member} could not be changed in {TRIES} tries")

    async def put(self, place: Place, written: Written[T], expected: int) -> bool:
        """Write a thing if its version is still `expected` (0: there is none)."""
        at, state = place.at, b"" if written.thing is None else self._encoder.encode(written.thing)
        lists = [(at.listed(one.mode, one.name, one.value), one) for one in written.lists]
        keys = [
            at.member(place.member),
            at.agenda(written.lane),
            at.events,
            written.tally_of or f"{at.prefix}tally:none",
        ]
        args = [
            place.member,
            expected,
            state,
            "" if written.wake is None else written.wake,
            written.lane,
            "" if written.keep is None else written.keep,
            f"{written.lane}:{at.number}:",
            written.known_as,
            " ".join(written.events),
            len(written.tally),
            *(part for pair in written.tally.items() for part in pair),
            *(f"{'+' if one.on else '-'}{entry(one.at, place)}" for _, one in lists),
        ]  # fmt: skip - the script's own order
        keys += [key for key, _ in lists]
        command = "EVALSHA", self._sha, len(keys), *keys, *args
        answer = await self._scripts.urgent.send(*command, size=len(state) + 500, durable=True)
        return answer[0] == b"ok"

    async def page(
        self, mode: Mode, name: str, limit: int, cursor: str | None = None, *, value: str = ""
    ) -> tuple[list[T], str | None]:
        """At most `limit` things of a list, newest first, and the cursor of the next page (None: no more).

        Raises ValueError for a cursor that no page gave.
        """
        if cursor is not None and not self._cursor.fullmatch(cursor):
            raise ValueError(cursor)
        found: list[T] = []
        last = cursor
        while True:
            entries = await self._entries(mode, name, value, last)
            if not entries:
                return found, None
            things = await self.load_many([place for _, place in entries])
            for (one, place), thing in zip(entries, things, strict=True):
                last = f"{one}.{place.number:02x}"
                if thing is None:
                    await self._scripts.pipe.send("ZREM", place.at.listed(mode, name, value), one)
                    continue
                found.append(thing)
                if len(found) == limit:
                    return found, last

    async def count(self, mode: Mode, name: str, *, value: str = "") -> int:
        """How many entries a list has."""
        counts = (self._scripts.pipe.send("ZCARD", partition(n).listed(mode, name, value)) for n in range(PARTITIONS))
        return sum(map(int, await asyncio.gather(*counts)))

    async def _fetch(self, place: Place) -> tuple[T, int] | None:
        state, version = await self._scripts.urgent.send("HMGET", place.at.member(place.member), "s", "v")
        return None if state is None else (self._decoder.decode(state), int(version))

    async def _entries(self, mode: Mode, name: str, value: str, last: str | None) -> list[tuple[str, Place]]:
        """The next entries of a list, newest first, over all partitions."""
        after, _, number = (last or "").rpartition(".")
        reads = (
            self._scripts.pipe.send(
                "ZRANGE",
                partition(n).listed(mode, name, value),
                _below(after, number, n),
                "-",
                "BYLEX",
                "REV",
                "LIMIT",
                0,
                _CHUNK,
            )  # fmt: skip - one command
            for n in range(PARTITIONS)
        )
        pages: list[list[Any]] = list(await asyncio.gather(*reads))
        placed = [[(m.decode(), n) for m in page] for n, page in enumerate(pages)]
        merged = heapq.merge(*placed, reverse=True)
        return [(e, Place(n, e[_TIME:])) for (e, n), _ in zip(merged, range(_CHUNK), strict=False)]


def entry(at: int, place: Place) -> str:
    """A thing's member in a list where it stands at a time (ms); a page goes on after "<entry>.<partition in hex>"."""
    return f"{encoded(max(0, at), _TIME)}{place.member}"


def _below(after: str, number: str, of: int) -> str:
    """Where to read on in partition `of` after an entry of another: equal entries are in order of their partitions."""
    if not after:
        return "+"
    return f"[{after}" if of < int(number, 16) else f"({after}"
