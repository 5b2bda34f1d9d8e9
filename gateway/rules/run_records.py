"""How runs are kept: on the agenda while they are live, on their lists until they are forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from gateway.message import Mode
from gateway.rules.run import KIND, LIVE, Run, State, place_of_run
from gateway.store.changes import Taken
from gateway.store.clock import Clock
from gateway.store.scripts import Scripts
from gateway.store.things import Place, Shelf, Written

DAY_MS: Final = 86_400_000


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list; None: whatever it is."""

    customer: str | None = None
    rule: str | None = None
    state: State | None = None

    def fits(self, run: Run) -> bool:
        """Whether a run is wanted."""
        return (
            self.customer in (None, run.customer) and self.rule in (None, run.rule) and self.state in (None, run.state)
        )


class RunRecords:
    """The runs of all modes. Methods raise StoreUnavailable. `keep`: days for which those that ended are kept."""

    def __init__(self, scripts: Scripts, clock: Clock, *, keep: int) -> None:
        self._shelf = Shelf(scripts, KIND, Run)
        self._clock = clock
        self._keep_ms = keep * DAY_MS

    async def get(self, mode: Mode, run: str) -> Run | None:
        """A run; None when there is none of that id in this mode."""
        place = place_of_run(mode, run)
        return None if place is None else await self._shelf.load(place)

    async def at(self, place: Place) -> Run | None:
        """The run that is kept there."""
        return await self._shelf.load(place)

    def taken(self, taken: Taken) -> Run:
        """The run that the worker was handed. Raises msgspec.DecodeError."""
        return self._shelf.taken(taken)

    async def page(self, mode: Mode, wanted: Wanted, limit: int, cursor: str | None) -> tuple[list[Run], str | None]:
        """A page of runs, the newest first, and the cursor of the next (None: no more)."""
        name, value = "run", ""
        if wanted.customer is not None:
            name, value = "run.customer", wanted.customer
        elif wanted.rule is not None:
            name, value = "run.live" if wanted.state in LIVE else "run.rule", wanted.rule
        found: list[Run] = []
        while len(found) < limit:
            some, cursor = await self._shelf.page(mode, name, limit - len(found), cursor, value=value)
            found += filter(wanted.fits, some)
            if cursor is None:
                break
        return found, cursor

    async def live(self, mode: Mode, rule: str, limit: int, cursor: str | None) -> tuple[list[Run], str | None]:
        """Some runs of a rule that have still to act."""
        return await self._shelf.page(mode, "run.live", limit, cursor, value=rule)

    async def change(self, place: Place, told: Callable[[Run], Run | None], *, again: int | None = None) -> Run | None:
        """Change a run by what `told` makes of it (None: leave it); what it is then, None: there is none.

        `again`: when (ms) to look again at one that is acting.
        """

        def made(found: Run | None) -> Written[Run] | None:
            after = None if found is None else told(found)
            return None if after is None else self._written(after, again)

        return await self._shelf.change(place, made)

    async def keep(self, run: Run) -> Run:
        """Keep a run, unless it is there; as it is then."""
        made = await self._shelf.change(run.place, lambda found: self._written(run) if found is None else None)
        if made is None:
            raise RuntimeError(run.id)
        return made

    async def tidy(self, place: Place, now: int) -> Run | None:
        """Put a run where it belongs: back on the agenda, or away (None) when it has been kept for long enough."""

        def told(run: Run | None) -> Written[Run] | None:
            if run is None:
                return None
            return self._written(run) if run.live or self._goes(run) > now else _gone(run)

        return await self._shelf.change(place, told)

    async def erase(self, place: Place) -> None:
        """Forget a run."""
        await self._shelf.change(place, lambda run: None if run is None else _gone(run))

    def _goes(self, run: Run) -> int:
        return (run.ended_at or run.began_at) + self._keep_ms

    def _written(self, run: Run, again: int | None = None) -> Written[Run]:
        lists = run.listed()
        if run.live:
            return Written(run, wake=again or run.due_at, lane=run.lane, lists=lists)
        goes = self._goes(run)
        return Written(run, wake=goes, lane=run.lane, lists=lists, keep=max(1, goes - self._clock.now()) + DAY_MS)


def _gone(run: Run) -> Written[Run]:
    return Written(None, lane=run.lane, lists=run.listed(on=False))
