"""Runs at work: they wait, look again whether they should act, act once, and hear what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog

from gateway.delivery.request import Rejected
from gateway.message import Message, Mode
from gateway.rules import journal as journals
from gateway.rules.acts import Act
from gateway.rules.conditions import Facts, facts_of
from gateway.rules.filling import Unfilled
from gateway.rules.journal import Journal
from gateway.rules.rule import Then
from gateway.rules.rulebook import Rulebook
from gateway.rules.run import Run, State, place_of_run
from gateway.rules.run_records import RunRecords
from gateway.store.changes import Taken
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.entries import Entry
from gateway.store.keys import Partition
from gateway.store.mine import Mine
from gateway.store.scripts import Scripts
from gateway.store.things import Place, Shelf, Written

AGAIN_MS: Final = 10_000
"""When a run is looked at again whose worker has died."""
_TURN_MS: Final = 5_000
_CHUNK: Final = 200

Tell = Callable[[str, Entry, str], Awaitable[Any]]
"""Adds a line to a customer's timeline, once under that name."""

log = structlog.get_logger()


class NotNow(Exception):
    """The run has nothing left that could be cancelled."""


class Runs:
    """Works on them. Methods raise StoreUnavailable. `acts`: who does what a rule asks for, by its kind."""

    def __init__(
        self,
        scripts: Scripts,
        clock: Clock,
        records: RunRecords,
        rulebook: Rulebook,
        customers: Customers,
        mine: Mine,
        acts: Mapping[str, Act],
        tell: Tell,
    ) -> None:
        self.records = records
        self._journals = Shelf(scripts, journals.KIND, Journal)
        self._clock = clock
        self._rulebook = rulebook
        self._customers = customers
        self._mine = mine
        self._acts = acts
        self._tell = tell

    async def begin(self, run: Run) -> Run:
        """Keep a run, unless it is there; as it is then."""
        made = await self.records.keep(run)
        if not made.live and (made.made is None or made.verdict is not None):
            await self._close(made)
        return made

    async def contrary(self, mode: Mode, run: str, now: int) -> None:
        """A contrary event came in: the run doesn't act any more, and what it has sent goes no further."""
        await self._cancel(mode, run, "contrary_event", now)

    async def cancel(self, mode: Mode, run: str) -> Run:
        """Somebody asks for it. Raises KeyError when there is none, NotNow when there is nothing left to cancel."""
        found, done = await self._cancel(mode, run, "by_request", self._clock.now())
        if found is None:
            raise KeyError(run)
        if not done:
            raise NotNow
        return found

    async def work(self, at: Partition, taken: Taken) -> None:
        """Work on a run that the agenda handed out."""
        place, run, now = Place(at.number, taken.member), self.records.taken(taken), self._clock.now()
        if run.live and run.due_at <= now:
            await self._act(place, now)
        elif await self.records.tidy(place, now) is None:
            await self._mine.drop(run.customer, place)

    async def work_rule(self, at: Partition, taken: Taken) -> None:
        """End the runs of a rule that was deleted, a few seconds' worth at a time."""
        place, kept = Place(at.number, taken.member), self._rulebook.taken(taken.state)
        mode, cursor, ends = kept.mode, None, self._clock.now() + _TURN_MS
        while self._clock.now() < ends:
            runs, cursor = await self.records.live(mode, kept.id, _CHUNK, cursor)
            for run in runs:
                if kept.rule is None or run.born != kept.born:
                    await self._cancel(mode, run.id, "rule_deleted", self._clock.now())
            if cursor is None:
                await self._rulebook.swept(place)
                return

    async def heard(self, message: Message) -> None:
        """The message of a run was answered or has ended."""
        place = place_of_run(message.mode, (message.about or "").partition(":")[2])
        if place is None or not message.done:
            return
        verdict = message.verdict.state

        def told(run: Run) -> Run | None:
            other = run.verdict == verdict or (run.made or message.id) != message.id
            return None if other else msgspec.structs.replace(run, verdict=verdict)

        run = await self.records.change(place, told)
        if run is not None and run.state == "acted":
            await self._close(run)

    # Acting

    async def _act(self, place: Place, now: int) -> None:
        def begun(run: Run) -> Run | None:
            if run.state == "waiting":
                return msgspec.structs.replace(run, state="acting", acted_at=now)
            return run if run.live else None

        run = await self.records.change(place, begun, again=now + AGAIN_MS)
        if run is None or run.state != "acting":
            return
        rule = await self._rulebook.version(run.mode, run.rule, run.born, run.version)
        if rule is None:
            await self._end(run, "cancelled", "rule_deleted")
        elif await self._countered(run):
            await self._end(run, "cancelled", "contrary_event")
        elif (found := await self._customers.load(run.customer)) is None:
            await self._end(run, "dropped", "customer_gone")
        else:
            facts = Facts(run.data, facts_of(found[0]))
            if rule.allows(facts) is not True:
                await self._end(run, "dropped", "conditions")
                return
            await self._do(run, rule.then, facts)

    async def _do(self, run: Run, then: Then, facts: Facts) -> None:
        try:
            made = await self._acts[then.kind].do(run, then, facts)
        except (Rejected, Unfilled) as refused:
            log.warning("run_failed", run=run.id, rule=run.rule)
            await self._end(run, "failed", "refused", str(refused))
            return
        now = self._clock.now()

        def acted(found: Run) -> Run | None:
            if not found.live:
                return None
            return msgspec.structs.replace(found, state="acted", made=made, ended_at=now, data={})

        after = await self.records.change(run.place, acted)
        if after is None:
            await self._acts[then.kind].stop(run, made)
            return
        await self._note(after)
        if after.does != "message" or after.verdict is not None:
            await self._close(after)
        elif await self._countered(after):
            await self._cancel(after.mode, after.id, "contrary_event", now)

    async def _countered(self, run: Run) -> bool:
        """Whether a contrary event has come in; what was told to the journal before we asked is known here."""
        found = await self._journals.load(self._journals.place(run.mode, run.customer))
        entry = None if found is None else found.open.get(run.id)
        return entry is not None and entry.ended_by is not None

    async def _end(self, run: Run, state: State, code: str, text: str | None = None) -> None:
        """End a run that is acting. Whoever died over it may have sent something already: that goes no further."""
        await self._acts[run.does].stop(run, None)
        now = self._clock.now()

        ended = await self.records.change(
            run.place, lambda found: found.ended(state, code, now, text) if found.live else None
        )
        if ended is not None and not ended.live:
            await self._close(ended)
            await self._note(ended)

    async def _cancel(self, mode: Mode, run: str, code: str, now: int) -> tuple[Run | None, bool]:
        """End a run that waits, or what it has sent; the run, and whether there was anything to end."""
        place = place_of_run(mode, run)
        if place is None:
            return None, False
        made: list[str] = []
        ended: list[bool] = []

        def told(found: Run) -> Run | None:
            made.clear()
            ended[:] = [found.state == "waiting"]
            if found.state == "waiting":
                return found.ended("cancelled", code, now)
            if found.state == "acted" and found.does == "message" and found.made and found.verdict is None:
                made.append(found.made)
                return msgspec.structs.replace(found, why=found.why or found.ended("acted", code, now).why)
            return None

        after = await self.records.change(place, told)
        if after is None:
            return None, False
        if made:
            await self._acts[after.does].stop(after, made[0])
        if after.state == "cancelled":
            await self._close(after)
            await self._note(after)
        return after, ended[0] or bool(made)

    async def _close(self, run: Run) -> None:
        """Nothing can cancel a run any more: strike it from its customer's journal."""
        now = self._clock.now()

        def told(found: Journal | None) -> Written[Journal] | None:
            if found is None or run.id not in found.open:
                return None
            rest = journals.closed(found, run.id, acted=run.state == "acted")
            return Written(rest, keep=max(1, rest.lives_until(now) - now))

        await self._journals.change(self._journals.place(run.mode, run.customer), told)

    async def _note(self, run: Run) -> None:
        facts = {"rule": run.rule, "state": run.state, "type": run.type, "event": run.event}
        facts |= {} if run.made is None else {run.does: run.made}
        facts |= {} if run.why is None else {"code": run.why.code}
        entry = Entry(kind="run", of=run.id, at=run.ended_at, mode=run.mode, facts=facts)
        await self._tell(run.customer, entry, f"run:{run.id}:{run.state}")
