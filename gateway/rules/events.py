"""Events: taken in once per type and id, whatever they start and cancel.

An event is kept before anything follows from it, and stays on the agenda until all of it has: so what a dying process
leaves half done is finished by a worker, and a repeat changes nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from gateway.customer import Customer
from gateway.delivery.intake import Intake
from gateway.delivery.request import Rejected
from gateway.message import Mode
from gateway.preferences.quiet_hours import next_local
from gateway.routing.view import zones_of
from gateway.rules import journal as journals
from gateway.rules.conditions import Facts
from gateway.rules.event import Another, Begun, Event, NewEvent
from gateway.rules.journal import MOST_OPEN, Coming, Journal, Open, Start, against, taken_in
from gateway.rules.rule import Kept, Rule
from gateway.rules.rulebook import Rulebook
from gateway.rules.run import Run, run_id
from gateway.rules.runs import Runs, Tell
from gateway.store.changes import Taken
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.entries import Entry
from gateway.store.keys import Partition
from gateway.store.mine import Mine
from gateway.store.scripts import Scripts
from gateway.store.things import Place, Shelf, Written

KIND: Final = "event"
DAY_MS: Final = 86_400_000
REMEMBERED_MS: Final = 30 * DAY_MS
"""How long a repeat of an event is recognised."""
STALE_MS: Final = 7 * DAY_MS
"""An event that comes in so long after a rule would have acted starts no run of it."""
_AGAIN_MS: Final = 10_000


class Events:
    """Takes events in. Methods raise StoreUnavailable. `time_zone`: of people who have none."""

    def __init__(
        self,
        scripts: Scripts,
        clock: Clock,
        mine: Mine,
        customers: Customers,
        rulebook: Rulebook,
        runs: Runs,
        intake: Intake,
        tell: Tell,
        *,
        time_zone: str,
    ) -> None:
        self._shelf = Shelf(scripts, KIND, Event)
        self._journals = Shelf(scripts, journals.KIND, Journal)
        self._clock = clock
        self._mine = mine
        self._customers = customers
        self._rulebook = rulebook
        self._runs = runs
        self._intake = intake
        self._tell = tell
        self._zone = time_zone

    async def accept(self, mode: Mode, new: NewEvent) -> tuple[Event, bool]:
        """Take an event in; as it is kept, and whether it had been told before.

        Raises Another, and Rejected when there is no such customer or too much waits for them.
        """
        place = self._shelf.place(mode, f"{new.type}{chr(0)}{new.id}")
        known = await self._shelf.load(place)
        if known is None:
            await self._check(mode, new)
            if not await self._mine.add(new.customer, place):
                raise _nobody()
        now = self._clock.now()
        fresh = Event(
            type=new.type,
            id=new.id,
            mode=mode,
            customer=new.customer,
            at=now if new.at is None else new.at,
            received_at=now,
            digest=new.digest,
            data=new.data,
        )
        kept, first = await self._keep(place, fresh)
        if kept.customer != new.customer:
            await self._mine.drop(new.customer, place)
        if kept.digest != new.digest:
            raise Another
        if not kept.handled:
            kept = await self._handle(place, kept)
        if kept is None:
            raise _nobody()
        return kept, not first

    async def _keep(self, place: Place, fresh: Event) -> tuple[Event, bool]:
        """The event as it is kept, and whether it is the first of its type and id.

        A repeat writes too: with replicas only a real write proves that it is known there.
        """
        first: list[bool] = []

        def told(found: Event | None) -> Written[Event]:
            first[:] = [found is None]
            return self._written(fresh if found is None else found)

        kept = await self._shelf.change(place, told)
        if kept is None:
            raise RuntimeError(place.member)
        return kept, first[0]

    async def work(self, at: Partition, taken: Taken) -> None:
        """Finish an event that somebody left half done; put away one that was remembered for long enough."""
        event, place = self._shelf.taken(taken), Place(at.number, taken.member)
        if not event.handled:
            await self._handle(place, event)
        elif event.received_at + REMEMBERED_MS <= self._clock.now():
            await self._shelf.change(place, _nothing)
            await self._mine.drop(event.customer, place)
        else:
            await self._shelf.change(place, lambda found: None if found is None else self._written(found))

    async def erase(self, place: Place) -> None:
        """Forget an event, or a journal."""
        await (
            self._journals.change(place, _nothing)
            if place.kind == journals.KIND
            else self._shelf.change(place, _nothing)
        )

    async def held(self, place: Place) -> Event | None:
        """An event as it is held on its customer."""
        return await self._shelf.load(place)

    def due_at(self, rule: Rule, customer: Customer, at: int, now: int) -> int:
        """When a rule acts that an event of `at` (ms) starts."""
        due = max(now, at + rule.waits.seconds * 1000)
        local = rule.waits.until_local
        return due if local is None else next_local(due, local, zones_of(customer, None, self._zone))

    async def _check(self, mode: Mode, new: NewEvent) -> None:
        if await self._customers.load(new.customer) is None:
            raise _nobody()
        if new.type in (await self._rulebook.in_force(mode)).starting:
            known = await self._journals.load(self._journals.place(mode, new.customer))
            if known is not None and len(known.open) >= MOST_OPEN:
                raise Rejected(
                    [("/customer", f"has {MOST_OPEN} runs under way, which is the most a customer may have.")]
                )

    async def _handle(self, place: Place, event: Event) -> Event | None:
        """Everything that follows from an event; done again it comes to the same. None: its customer was erased meanwhile."""
        found = await self._customers.load(event.customer)
        begun: tuple[Begun, ...] = ()
        if found is not None:
            begun = await self._followed(event, found[0])
            facts = {"type": event.type, "id": event.id}
            line = Entry(kind="event", of=event.id, at=event.at, mode=event.mode, facts=facts)
            await self._tell(event.customer, line, f"event:{event.mode}:{place.ref}")
        done = msgspec.structs.replace(event, data={}, handled=True, runs=begun)

        def told(kept: Event | None) -> Written[Event] | None:
            return None if kept is None or kept.handled else self._written(done)

        after = await self._shelf.change(place, told)
        if not await self._mine.gone(event.customer):
            return after or done
        await self._forget(place, done)
        return None

    async def _followed(self, event: Event, customer: Customer) -> tuple[Begun, ...]:
        rules = await self._rulebook.in_force(event.mode)
        facts = Facts(event.data)
        wanted = {
            run.id: (kept, run)
            for kept in rules.starting.get(event.type, ())
            if kept.rule is not None
            and kept.rule.allows(facts) is not False
            and (run := self._run(event, customer, kept, kept.rule)) is not None
        }
        starts = [_start(kept.rule, run) for kept, run in wanted.values() if kept.rule is not None]
        coming = Coming(event.type, event.id, event.at, event.received_at, event.data)
        ended, begun = await self._journalled(event, coming, rules.contrary.get(event.type), starts)
        await asyncio.gather(*(self._begin(wanted[run][1]) for run in begun))
        now = self._clock.now()
        for run in ended:
            await self._runs.contrary(event.mode, run, now)
        return tuple(Begun(run.rule, run.id, run.due_at) for _, run in map(wanted.__getitem__, begun))

    async def _journalled(
        self, event: Event, coming: Coming, asked: frozenset[str] | None, starts: list[Start]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Put the event into the customer's journal; the runs it ends, and those it begins."""
        place = self._journals.place(event.mode, event.customer)
        if asked is None and not starts and await self._journals.load(place) is None:
            return (), ()
        outcome: list[tuple[str, ...]] = [(), ()]
        if not await self._mine.add(event.customer, place):
            return (), ()

        def told(found: Journal | None) -> Written[Journal] | None:
            before = found or Journal(customer=event.customer)
            after, outcome[0], outcome[1] = taken_in(before, coming, asked, starts)
            if found is not None and after == before:
                return None
            now = self._clock.now()
            return Written(after, keep=max(1, after.lives_until(now) - now))

        await self._journals.change(place, told)
        return outcome[0], outcome[1]

    async def _begin(self, run: Run) -> None:
        if await self._mine.add(run.customer, run.place):
            await self._runs.begin(run)

    def _run(self, event: Event, customer: Customer, kept: Kept, rule: Rule) -> Run | None:
        """The run that a rule would have; None: it would have acted long ago."""
        if event.at + rule.waits.seconds * 1000 < event.received_at - STALE_MS:
            return None
        then = rule.then
        name = run_id(event.mode, customer.id, kept.id, kept.born, event.type, event.id, event.received_at)
        return Run(
            id=name,
            mode=event.mode,
            customer=customer.id,
            rule=kept.id,
            version=kept.version,
            born=kept.born,
            type=event.type,
            event=event.id,
            at=event.at,
            began_at=event.received_at,
            due_at=self.due_at(rule, customer, event.at, event.received_at),
            data=event.data,
            lane=self._intake.lane(then.category, then.priority) if then.category else "normal",
            does=then.kind,
        )

    async def _forget(self, place: Place, event: Event) -> None:
        """The customer was erased in this very moment: what was written since goes too."""
        for begun in event.runs:
            run = await self._runs.records.get(event.mode, begun.run)
            if run is not None:
                await self._runs.records.erase(run.place)
        await self._journals.change(self._journals.place(event.mode, event.customer), _nothing)
        await self._shelf.change(place, _nothing)

    def _written(self, event: Event) -> Written[Event]:
        if not event.handled:
            return Written(event, wake=self._clock.now() + _AGAIN_MS)
        goes = event.received_at + REMEMBERED_MS
        return Written(event, wake=goes, keep=max(1, goes - self._clock.now()) + DAY_MS)


def _start(rule: Rule, run: Run) -> Start:
    pairs = [(unless.type, unless.pairs()) for unless in rule.unless]
    opened = Open(run.rule, run.type, run.event, run.at, run.due_at, against(pairs, run.data))
    return Start(run.id, opened, None if rule.once_per == "event" else (rule.per or 0) * 1000)


def _nothing(_found: object) -> Written[Any]:
    return Written(None)


def _nobody() -> Rejected:
    return Rejected([("/customer", "There is no such customer: PUT /v1/customers/{id} first.")])
