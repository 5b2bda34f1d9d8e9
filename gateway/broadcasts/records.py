"""Where broadcasts and their jobs are kept, and how they are written."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import msgspec

from gateway.broadcasts.nouns import ALL, Broadcast, Job, NewBroadcast
from gateway.delivery.drafts import Origin
from gateway.message import Message, Mode
from gateway.store.ids import encoded, new_id
from gateway.store.keys import Partition, digest
from gateway.store.scripts import Scripts
from gateway.store.things import Listed, Place, Shelf, Written

DAY_MS: Final = 86_400_000
LIST: Final = "broadcasts"
JOB_LIVES_MS: Final = 400 * DAY_MS
"""A job that nobody resumes goes at last."""


class Records:
    """The shelves. `keep`: how long a broadcast stays after its end, days. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts, *, keep: int) -> None:
        self.broadcasts = Shelf(scripts, "broadcast", Broadcast)
        self.jobs = Shelf(scripts, "job", Job)
        self._keep = keep * DAY_MS

    def place(self, mode: Mode, name: str) -> Place:
        """Where a broadcast is."""
        return self.broadcasts.place(mode, name)

    def job_place(self, mode: Mode, name: str, number: int) -> Place:
        """Where its job in a partition is."""
        return Place(number, self.jobs.place(mode, f"{number}{chr(0)}{name}").member)

    async def load(self, mode: Mode, name: str) -> Broadcast | None:
        """A broadcast; None when there is none of that id."""
        return await self.broadcasts.load(self.place(mode, name))

    async def jobs_of(self, broadcast: Broadcast) -> list[Job]:
        """Its jobs, as far as they have been made."""
        places = [self.job_place(broadcast.mode, broadcast.id, n) for n in range(ALL.bit_length())]
        return [job for job in await self.jobs.load_many(places) if job is not None]

    async def page(self, mode: Mode, kind: str, limit: int, cursor: str | None) -> tuple[list[Broadcast], str | None]:
        """Broadcasts of a kind ("": of all), newest first. Raises ValueError for a cursor that no page gave."""
        return await self.broadcasts.page(mode, LIST, limit, cursor, value=kind)

    def new(self, made: Broadcast) -> Written[Broadcast]:
        """How a broadcast is first written."""
        lists = [Listed(made.mode, LIST, made.created_at, value) for value in ("", made.kind)]
        return Written(made, wake=made.created_at, lane=made.lane, lists=lists)

    async def change(self, mode: Mode, name: str, told: Callable[[Broadcast], Broadcast | None], now: int) -> Broadcast:
        """Change a broadcast; None from `told`: leave it. Raises KeyError, and what `told` raises."""

        def written(found: Broadcast | None) -> Written[Broadcast] | None:
            if found is None:
                raise KeyError(name)
            changed = told(found)
            return None if changed is None else self._written(found, changed, now)

        changed = await self.broadcasts.change(self.place(mode, name), written)
        if changed is None:
            raise KeyError(name)
        return changed

    def _written(self, before: Broadcast, after: Broadcast, now: int) -> Written[Broadcast]:
        ends = after.ended_at is not None
        return Written(
            after,
            wake=now if after.carried < after.orders else None,
            lane=after.lane,
            events=("broadcast.done",) if ends and before.ended_at is None else (),
            known_as=after.id,
            keep=self._keep if ends else None,
        )


def body_name(broadcast: Broadcast) -> str:
    """Under which name its messages share their body."""
    return f"~{digest(f'{broadcast.mode}{chr(0)}{broadcast.id}')}"


def source_name(broadcast: Broadcast) -> str:
    """Under which name the body is kept that is copied to the partitions."""
    return f"{body_name(broadcast)}.source"


def body_place(records: Records, broadcast: Broadcast) -> Partition:
    """Where its body is kept first."""
    return records.place(broadcast.mode, broadcast.id).at


def pattern_of(broadcast: Broadcast) -> Message:
    """What everybody gets, to nobody yet."""
    return Message(
        id="",
        mode=broadcast.mode,
        customer="",
        category=broadcast.category,
        lane=broadcast.lane,
        reach=broadcast.reach,
        created_at=broadcast.created_at,
        due_at=broadcast.created_at,
        expires_at=broadcast.expires_at,
        template=broadcast.template,
        template_version=broadcast.template_version,
        thread=broadcast.thread,
        order=broadcast.created_at * 1000,
        reference=broadcast.reference,
        metadata=broadcast.metadata,
        prompt=broadcast.prompt,
        broadcast=broadcast.id,
        about=broadcast.about,
        uncapped=broadcast.uncapped,
        body_of=body_name(broadcast),
    )


def seed(broadcast: Broadcast, customer: str) -> bytes:
    """What the id of a person's message is made from, so that they get one however often it is tried."""
    return hashlib.blake2b(msgspec.msgpack.encode((broadcast.mode, broadcast.id, customer)), digest_size=32).digest()


def message_id(broadcast: Broadcast, customer: str) -> str:
    """The id of a person's message."""
    return new_id(broadcast.mode, customer, broadcast.created_at, seed(broadcast, customer))


def made_id(origin: Origin) -> str:
    """The id of a broadcast that was given none."""
    mark = hmac.digest(origin.seed, f"broadcast{origin.n}".encode(), hashlib.sha256)
    return f"b{encoded(origin.at, 9)}{encoded(int.from_bytes(mark[:8], 'big'), 12)}"


def digest_of(new: NewBroadcast) -> bytes:
    """The same for two that ask for the same, whatever their ids."""
    words = msgspec.json.encode(msgspec.structs.replace(new, id=None), order="deterministic")
    return hashlib.blake2b(words, digest_size=20).digest()
