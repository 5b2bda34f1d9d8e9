"""Forgetting a person: a durable job that a worker carries out, whatever dies on the way.

It begins with the moment the record goes: from then on the customer is unknown, nothing is accepted for them and nothing
begins, for both compare the record. What is left is gone through in stages; each may be repeated, so a worker that dies
costs a little time. In the end the erasure itself forgets whom it was for and stays as the certificate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from gateway.customer import ConsentEntry, Customer
from gateway.privacy.certificate import BUDGET_MS, STAGES, Copy, Erasure, summed
from gateway.privacy.keeping import kept_after
from gateway.store.changes import Taken
from gateway.store.clock import Clock
from gateway.store.customers import ONE_OFF, Customers, Going
from gateway.store.erasing import Erasing
from gateway.store.journal import Journal, Line, merged
from gateway.store.keys import Partition
from gateway.store.pipe import StoreUnavailable

HOLD_MS: Final = 15_000
"""How long a worker may be busy with an erasure before another one goes on with it."""
AGAIN_MS: Final = 250
COPY_S: Final = 60.0
"""How often a host's journal is brought up to what other hosts wrote."""
AWAY_S: Final = 5.0

Stage = Callable[[Erasure], Awaitable[int | None]]
"""Carries out a stage as far as it can now; when (ms) to go on with it, None when it is over."""

log = structlog.get_logger()
_decoder: Final = msgspec.msgpack.Decoder(Erasure)
_copy: Final = msgspec.msgpack.Decoder(Copy)


class Erasures:
    """Begins erasures, carries them out, and knows their certificates. All methods raise StoreUnavailable.

    `stages` are those for messages, answers, words and copies; `caps`: the names frequency caps count under.
    """

    def __init__(
        self,
        store: Erasing,
        journal: Journal,
        customers: Customers,
        clock: Clock,
        caps: Collection[str],
        stages: Sequence[Stage],
        *,
        keep_records: int,
    ) -> None:
        self._store = store
        self._journal = journal
        self._customers = customers
        self._clock = clock
        self._caps = caps
        *before, last = stages
        own = self._remember, self._let_go, *before, self._addresses, last
        self._stages = dict(zip(STAGES, own, strict=True))
        self._keep_records = keep_records

    async def begin(self, customer: str, by: str) -> str:
        """Erase a customer: the id of the erasure. `by`: who asked, an API key's id or "page".

        Asked again it is the same erasure, unless the id has been given to somebody new meanwhile. Raises KeyError for
        an id that nobody has had.
        """
        return await self._begin(customer, by, self._store.new_id(customer), self._clock.now())

    def who(self, customer: str) -> str:
        """The keyed hash of a customer's id, as it stands on the certificate."""
        return self._store.who(customer)

    async def certificate(self, erasure: str) -> Erasure | None:
        """An erasure as it stands; None when there is none of that id, or its time is over."""
        found = await self._store.read(erasure)
        if found is None:
            return None
        known = _decoder.decode(found[0])
        if known.state == "running":
            known.erased = await self._store.counts(erasure)
            known.copies = summed([_copy.decode(state) async for _, state in self._store.copies(erasure)])
            known.kept = kept_after(self._keep_records)
        return known

    async def work(self, _at: Partition, taken: Taken) -> None:
        """Get on with an erasure that has been taken from the agenda. Raises msgspec.DecodeError."""
        job, version = _decoder.decode(taken.state), taken.version
        if job.customer is None:
            return
        begun = self._clock.now()
        await self._store.hold(job.id, begun + HOLD_MS)
        while True:
            wake = await self._stages[job.stage](job)
            if wake is not None:
                break
            if job.stage == STAGES[-1]:
                await self._end(job, job.customer, version)
                return
            job.stage, job.cursor = STAGES[STAGES.index(job.stage) + 1], None
            if self._clock.now() - begun > BUDGET_MS:
                wake = self._clock.now()
                break
        log.info("erasure", erasure=job.id, stage=job.stage)
        await self._store.progress(job.id, job.customer, version, msgspec.msgpack.encode(job), wake)

    async def reapply(self, lines: Iterable[Line] = ()) -> int:
        """Erase again whoever an older state of Redis has brought back; how many.

        `lines`: what the journal said before Redis was replaced (`journal`), where it could still be read; this host's
        file is read in any case. Customers of these ids who were made after their erasure are left alone.
        """
        in_redis = merged(await self._journal.in_redis())
        known = merged([*in_redis.values(), *await self._journal.in_file(), *lines])
        for line in known.values():
            if line.id not in in_redis:
                await self._journal.add(line)
            for key, entries in line.withdrawals.items():
                await self._customers.bind(key, entries)
        newest: dict[str, Line] = {}
        for line in sorted(known.values(), key=lambda line: line.at):
            newest[line.who] = line
            if line.certificate is not None and await self._store.read(line.id) is None:
                await self._store.restore(line.id, line.who, line.certificate)
        return await self._erase_again(newest)

    async def catch_up(self) -> int:
        """As `reapply`, if this host's file knows of erasures that Redis doesn't; to be done when a worker starts."""
        in_redis = merged(await self._journal.in_redis())
        unknown = merged(await self._journal.in_file()).keys() - in_redis.keys()
        if unknown:
            log.warning("redis_older_than_journal", erasures=len(unknown))
        return await self.reapply() if unknown else 0

    async def run(self) -> None:
        """Erase again whom an older state of Redis brought back, then keep this host's journal in step, until cancelled."""
        caught_up = False
        while True:
            try:
                if not caught_up:
                    await self.catch_up()
                    caught_up = True
                await self._journal.copy()
            except (StoreUnavailable, RedisError) as away:
                log.warning("redis_unavailable", error=str(away))
            await asyncio.sleep(COPY_S if caught_up else AWAY_S)

    async def journal(self) -> list[Line]:
        """Every erasure that is remembered, for `reapply`; to be read before Redis is replaced."""
        lines = merged([*await self._journal.in_redis(), *await self._journal.in_file()])
        return list(lines.values())

    async def _begin(self, customer: str, by: str, erasure: str, at: int) -> str:
        job = Erasure(
            id=erasure,
            who=self._store.who(customer),
            by=by,
            requested_at=at,
            customer=customer,
            nobody=self._store.nobody(customer),
        )

        async def swap(going: Going) -> bool:
            job.hints, job.bound = going.hints, going.bound
            return await self._store.begin(going, erasure, msgspec.msgpack.encode(job), self._caps)

        if await self._customers.depart(customer, swap) is not None:
            log.info("erasure", erasure=erasure, stage="begun", by=by)
            return erasure
        known = await self._store.latest(customer)
        if known is None:
            raise KeyError(customer)
        return known

    async def _erase_again(self, newest: dict[str, Line]) -> int:
        count = 0
        async for name in self._customers.all_ids(one_off=True):
            line = newest.get(self._store.who(name))
            found = await self._customers.load(name) if line is not None else None
            if line is not None and found is not None and found[0].created_at <= line.at:
                await self._begin(name, "restore", line.id, line.at)
                count += 1
        return count

    # Stages

    async def _remember(self, job: Erasure) -> int | None:
        """Into the journal, before anything more is deleted."""
        await self._journal.add(Line(id=job.id, at=job.requested_at, who=job.who, withdrawals=await self._bound(job)))
        return None

    async def _let_go(self, job: Erasure) -> int | None:
        """No address leads to the person any more, and who is the same person is erased with them."""
        await self._customers.release(job.hints, job.bound)
        for key in job.hints:
            owners = await self._customers.having(key)
            if all(_same(job, owner) for owner in owners):
                for owner in owners:
                    job.others = (*job.others, await self.begin(owner.id, job.by))
        await self._store.count(job.id, "addresses", len(job.hints))
        return None

    async def _addresses(self, job: Erasure) -> int | None:
        """Of what is known of addresses that nobody has any more only withdrawals stay, and no words with them."""
        for other in job.others:
            found = await self._store.read(other)
            if found is not None and _decoder.decode(found[0]).state == "running":
                return self._clock.now() + AGAIN_MS
        await self._store.count(job.id, "one-off recipients", len(job.others))
        for key in job.hints:
            if not await self._customers.having(key):
                await self._customers.health.forget(key)
                await self._store.redact(key)
        return None

    async def _end(self, job: Erasure, customer: str, version: int) -> None:
        """The erasure forgets whom it was for."""
        erased = {"profiles": 1, **await self._store.counts(job.id)}
        copies = summed([_copy.decode(state) async for _, state in self._store.copies(job.id)])
        state = "incomplete" if any(one.outcome == "failed" for one in copies) else "done"
        left = job.ended(state, self._clock.now(), erased, copies, kept_after(self._keep_records))
        told, kept = msgspec.msgpack.encode(left), await self._bound(job)
        await self._journal.add(Line(id=job.id, at=job.requested_at, who=job.who, withdrawals=kept, certificate=told))
        if await self._store.progress(job.id, customer, version, told, None):
            log.info("erasure", erasure=job.id, stage=state)

    async def _bound(self, job: Erasure) -> dict[str, list[ConsentEntry]]:
        """What goes on binding, by keyed hash of the addresses and of the id."""
        return await self._store.bindings([*job.hints, self._customers.own_key(job.customer or "")])


def _same(job: Erasure, owner: Customer) -> bool:
    """Whether an owner of an address is the same person: a one-off recipient at no other address than theirs."""
    return owner.id.startswith(ONE_OFF) and job.hints.keys() >= set(owner.keys.values())
