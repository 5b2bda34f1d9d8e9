"""From an audience to messages: one step of a job, as many people as there is room for.

A step accepts the messages first and moves the cursor after, so one that is repeated meets ids that are there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.broadcasts.audiences import PRIORITY, Audiences, Item
from gateway.broadcasts.claims import Claims
from gateway.broadcasts.nouns import Broadcast, Job
from gateway.broadcasts.records import DAY_MS, Records, body_name, body_place, message_id, pattern_of, source_name
from gateway.delivery.crowd import Crowd
from gateway.delivery.room import NoRoom
from gateway.message import Message
from gateway.store.bodies import Bodies
from gateway.store.clock import Clock
from gateway.store.glances import Glance
from gateway.store.keys import Partition, digest, line_name, pace, partition
from gateway.store.marks import Marks
from gateway.store.scripts import Scripts

PAGE: Final = 192
"""How many ids are looked at in a step."""
UNSENT_MOST: Final = 1_000
"""How many messages of a lane may wait in a partition before a broadcast that isn't critical makes no more."""
WAIT_MS: Final = 250
FULL_MS: Final = 5_000


Gate = Callable[[Broadcast, Sequence[str]], Awaitable[Collection[str]]]
"""Whom a broadcast passes over, of the customers it is about to write to. It is asked again when a step is repeated."""


class Step(msgspec.Struct, frozen=True):
    """What a step came to: the job after it, and when (ms) to go on; `end`: nobody is left."""

    job: Job
    wake: int
    end: bool = False


class Expander:
    """Takes steps. `channels`: whose lines a message may stand in; `keep`: how long content is kept, days.

    `gates`: whom broadcasts of a kind pass over.
    """

    def __init__(
        self,
        records: Records,
        audiences: Audiences,
        crowd: Crowd,
        bodies: Bodies,
        scripts: Scripts,
        clock: Clock,
        channels: Sequence[str],
        *,
        keep: int,
        gates: Mapping[str, Gate] = MappingProxyType({}),
    ) -> None:
        self._gates = gates
        self._records = records
        self._audiences = audiences
        self._crowd = crowd
        self._bodies = bodies
        self._scripts = scripts
        self._clock = clock
        self._channels = channels
        self._keep = keep * DAY_MS
        self._marks = Marks(scripts)
        self._claims = Claims(scripts, records)

    async def step(self, broadcast: Broadcast, job: Job) -> Step:
        """Deal with the next people. Raises StoreUnavailable."""
        at, now = partition(job.number), self._clock.now()
        try:
            self._crowd.room(broadcast.lane)
        except NoRoom:
            return Step(job, now + FULL_MS)
        if broadcast.lane != "critical" and await self._waiting(broadcast, at) >= UNSENT_MOST:
            return Step(job, now + WAIT_MS)
        if job.total is None:
            job = msgspec.structs.replace(job, total=await self._audiences.total(broadcast, at))
        items = await self._audiences.page(broadcast, at, job.cursor, PAGE)
        if not items:
            return Step(job, now, end=True)
        wanted = [n for n, item in enumerate(items) if self._meant(job, item)]
        granted, wake = await self._pace(broadcast, len(wanted))
        if granted < len(wanted):
            items, wanted = items[: wanted[granted]], wanted[:granted]
        gone = 0
        if wanted:
            gone = await self._accept(broadcast, at, [items[n] for n in wanted])
        return Step(_after(job, items, gone), wake)

    @staticmethod
    def _meant(job: Job, item: Item) -> bool:
        return item.person is not None and (job.phase != "first" or goes_first(item.person))

    async def _accept(self, broadcast: Broadcast, at: Partition, items: Sequence[Item]) -> int:
        """How many of them have gone meanwhile."""
        gate = self._gates.get(broadcast.kind)
        if gate is not None:
            over = await gate(broadcast, [item.person.id for item in items if item.person is not None])
            items = [item for item in items if item.person is not None and item.person.id not in over]
        if broadcast.retry_of is not None:
            wanted = {old: p.id for item in items if (old := _tried(broadcast, item)) and (p := item.person)}
            own = await self._claims.take(broadcast, at, wanted)
            items = [item for item in items if _tried(broadcast, item) in own]
        await self.share_body(broadcast, at)
        people = [(item.person, _tried(broadcast, item)) for item in items if item.person is not None]
        outcomes = await self._crowd.accept(pattern_of(broadcast), [_message_for(broadcast, *one) for one in people])
        await self._mark(broadcast, at, items)
        return outcomes.count("customer")

    async def _mark(self, broadcast: Broadcast, at: Partition, items: Sequence[Item]) -> None:
        """Say who goes first, and whom an earlier broadcast need not count any more: they have a newer message."""
        if broadcast.priority_first:
            first = [message_id(broadcast, p.id) for item in items if (p := item.person) is not None and goes_first(p)]
            await self._marks.put(at, broadcast.mode, broadcast.id, "first", first)
        if broadcast.retry_of is not None:
            tried = {old: item.counted for item in items if (old := _tried(broadcast, item)) is not None}
            await self._marks.put(at, broadcast.mode, broadcast.retry_of, "renewed", list(tried))
            for what in sorted(frozenset[str]().union(*tried.values())):
                ids = [old for old, counted in tried.items() if what in counted]
                await self._marks.put(at, broadcast.mode, broadcast.retry_of, f"renewed:{what}", ids)

    async def share_body(self, broadcast: Broadcast, at: Partition) -> None:
        """See that the body is in a partition and lives for as long as a message made now may need it."""
        name, lives = body_name(broadcast), broadcast.reach.within * 1000 + self._keep
        if await self._bodies.extend(at, name, lives):
            return
        body = await self._bodies.load(body_place(self._records, broadcast), source_name(broadcast))
        if body is not None:
            await self._bodies.store(at, name, body, lives)

    async def ended(self, broadcast: Broadcast) -> None:
        """Nobody needs the body any more but those who want to try again."""
        await self._bodies.extend(body_place(self._records, broadcast), source_name(broadcast), self._keep)

    async def _waiting(self, broadcast: Broadcast, at: Partition) -> int:
        """How many messages of its lane wait in a partition, to be decided or to go out."""
        send, lane = self._scripts.pipe.send, broadcast.lane
        lines = (at.line(line_name(broadcast.mode, channel), lane) for channel in self._channels)
        counts = await asyncio.gather(
            send("ZCOUNT", at.agenda(lane), "-inf", self._clock.now()), *(send("ZCARD", line) for line in lines)
        )
        return sum(map(int, counts))

    async def _pace(self, broadcast: Broadcast, wanted: int) -> tuple[int, int]:
        """How many may be made now, and when (ms) to go on."""
        now = self._clock.now()
        if broadcast.rate is None or not wanted:
            return wanted, now
        key, burst = pace(digest(f"{broadcast.mode}{chr(0)}{broadcast.id}")), max(1, round(broadcast.rate / 2))
        granted, wait = await self._scripts.tokens(key, broadcast.rate, burst, wanted, critical=True)
        return granted, now + max(WAIT_MS, wait)


def goes_first(person: Glance) -> bool:
    """Whether a person is written to before all others."""
    return person.attributes.get(PRIORITY) is True


def _tried(broadcast: Broadcast, item: Item) -> str | None:
    """The message that is tried again, in a retry."""
    return item.cursor.partition(":")[2] if broadcast.retry_of is not None else None


def _message_for(broadcast: Broadcast, person: Glance, old: str | None = None) -> Callable[[Message], Message]:
    """The pattern, made into this person's message; `old`: of which it is a retry."""
    made_id = message_id(broadcast, person.id)
    reach = broadcast.reach
    if broadcast.priority_first and goes_first(person):
        reach = msgspec.structs.replace(reach, rounds=max(reach.rounds, broadcast.priority_rounds))

    def made(pattern: Message) -> Message:
        return msgspec.structs.replace(
            pattern, id=made_id, customer=person.id, born=person.created_at, reach=reach, retry_of=old
        )

    return made


def _after(job: Job, items: Sequence[Item], gone: int) -> Job:
    """The job once these have been dealt with; those who go first are counted when all are."""
    if not items:
        return job
    moved = msgspec.structs.replace(job, cursor=items[-1].cursor)
    if job.phase == "first":
        return moved
    unknown = gone + sum(not item.known for item in items)
    return msgspec.structs.replace(moved, seen=job.seen + len(items), unknown=job.unknown + unknown)
