"""Lists of customers that others have drawn up: groups, and the audiences of broadcasts.

A list lies in the partitions of its people, in the order of their ids, so a page of it is read like a page of all
customers. Each partition knows which lists it holds: who is erased is struck from all of them.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway.store.keys import PARTITIONS, Partition, of_customer, partition, partition_of
from gateway.store.scripts import Scripts
from gateway.store.stream import Command

CHUNK: Final = 500
_ROUND: Final = 5_000
"""How many ids are sorted at a time, so that nobody else waits."""


class Rosters:
    """Reads and writes them. A list's `name` is made of letters, digits, ":" and "-". Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def write(self, name: str, people: Sequence[str], *, lives: int | None = None, label: str = "") -> None:
        """Put people on a list; `lives`: for so long, ms (None: until it is dropped). `label`: what it is shown as."""
        for start in range(0, len(people), _ROUND):
            shares: dict[int, list[str]] = {}
            for one in people[start : start + _ROUND]:
                shares.setdefault(partition_of(one), []).append(one)
            await asyncio.gather(*(self._write(partition(n), name, ids, lives, label) for n, ids in shares.items()))

    async def _write(self, at: Partition, name: str, people: list[str], lives: int | None, label: str) -> None:
        commands: list[Command] = [("HSET", at.rosters, name, label)]
        for start in range(0, len(people), CHUNK):
            scored = (part for one in people[start : start + CHUNK] for part in (0, one))
            commands.append(("ZADD", at.roster(name), *scored))
        if lives is not None:
            commands.append(("PEXPIRE", at.roster(name), lives))
        await self._all(commands, durable=True)

    async def copy(self, name: str, to: str, *, lives: int) -> None:
        """Make a list of its own, `to`, for `lives` ms, of what is on another now; an erasure finds both."""
        await asyncio.gather(*(self._copy(partition(n), name, to, lives) for n in range(PARTITIONS)))

    async def _copy(self, at: Partition, name: str, to: str, lives: int) -> None:
        whole = ("ZRANGESTORE", at.roster(to), at.roster(name), 0, -1)
        await self._all([("HSET", at.rosters, to, ""), whole, ("PEXPIRE", at.roster(to), lives)], durable=True)

    async def strike_unknown(self, name: str) -> int:
        """Take off a list whoever is no customer; how many they were."""
        return sum(await asyncio.gather(*(self._strike_unknown(partition(n), name) for n in range(PARTITIONS))))

    async def _strike_unknown(self, at: Partition, name: str) -> int:
        struck, after = 0, ""
        while page := await self.page(at, name, after, CHUNK):
            after = page[-1]
            known = await self._all([("HEXISTS", at.customer(one), "s") for one in page])
            gone = [one for one, there in zip(page, known, strict=True) if not there]
            if gone:
                await self._scripts.pipe.send("ZREM", at.roster(name), *gone)
            struck += len(gone)
        return struck

    async def page(self, at: Partition, name: str, after: str, limit: int) -> list[str]:
        """At most `limit` people of a list in one partition, after `after`, in order of their ids."""
        low = f"({after}" if after else "-"
        found: list[bytes] = await self._scripts.pipe.send(
            "ZRANGE", at.roster(name), low, "+", "BYLEX", "LIMIT", 0, limit
        )
        return [one.decode() for one in found]

    async def merged(self, name: str, after: str, limit: int) -> list[str]:
        """As `page`, over all partitions."""
        pages = await asyncio.gather(*(self.page(partition(n), name, after, limit) for n in range(PARTITIONS)))
        return [one for one, _ in zip(heapq.merge(*pages), range(limit), strict=False)]

    async def count(self, name: str) -> int:
        """How many people are on a list."""
        return sum(await asyncio.gather(*(self.count_in(partition(n), name) for n in range(PARTITIONS))))

    async def count_in(self, at: Partition, name: str) -> int:
        """How many of them are in one partition."""
        return int(await self._scripts.pipe.send("ZCARD", at.roster(name)))

    async def keep(self, at: Partition, name: str, lives: int) -> None:
        """What is left of a list in a partition lives for `lives` ms from now on."""
        await self._scripts.pipe.send("PEXPIRE", at.roster(name), lives)

    async def lasts(self, name: str) -> None:
        """A list stays until it is dropped."""
        await asyncio.gather(
            *(self._scripts.pipe.send("PERSIST", partition(n).roster(name)) for n in range(PARTITIONS))
        )

    async def drop(self, name: str, *, after: int = 0) -> None:
        """Throw a list away, in `after` ms: whoever is reading it comes to its end."""
        await asyncio.gather(*(self.drop_in(partition(n), name, after) for n in range(PARTITIONS)))

    async def drop_in(self, at: Partition, name: str, after: int = 0) -> None:
        """Throw away what one partition has of a list, in `after` ms."""
        if after:
            await self.keep(at, name, after)
            return
        await self._all([("DEL", at.roster(name)), ("HDEL", at.rosters, name)])

    async def forget(self, customer: str) -> int:
        """Strike a person from every list; how many they stood on."""
        at = of_customer(customer)
        names = await self._names(at)
        struck = await self._all([("ZREM", at.roster(name), customer) for name in names])
        await self._tidy(at, names)
        return sum(map(int, struck))

    async def of(self, customer: str) -> list[str]:
        """What the lists are shown as that a person stands on, where they are shown at all."""
        at = of_customer(customer)
        names = await self._names(at)
        scores = await self._all([("ZSCORE", at.roster(name), customer) for name in names])
        return sorted(
            {label for label, score in zip(names.values(), scores, strict=True) if score is not None and label}
        )

    async def _names(self, at: Partition) -> dict[str, str]:
        found: dict[bytes, bytes] = await self._scripts.pipe.send("HGETALL", at.rosters)
        return {name.decode(): label.decode() for name, label in found.items()}

    async def _tidy(self, at: Partition, names: Iterable[str]) -> None:
        """Lists that have lapsed leave their names behind."""
        listed = list(names)
        there = await self._all([("EXISTS", at.roster(name)) for name in listed])
        gone = [name for name, one in zip(listed, there, strict=True) if not one]
        if gone:
            await self._scripts.pipe.send("HDEL", at.rosters, *gone)

    async def _all(self, commands: Sequence[Command], *, durable: bool = False) -> list[Any]:
        answers = await self._scripts.pipe.send_all([(command, durable) for command in commands])
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers
