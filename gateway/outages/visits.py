"""Doors that somebody has knocked at: who, when, and what they found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.message import Mode
from gateway.outages.board import VISITS
from gateway.outages.nouns import Outage, Visit
from gateway.privacy.things import Concern
from gateway.store.clock import Clock
from gateway.store.entries import Entry
from gateway.store.mine import Mine
from gateway.store.things import Listed, Place, Shelf, Written, entry
from gateway.store.timeline import Timeline

KIND: Final = "visit"
DAY_MS: Final = 86_400_000


class Visits:
    """The marks. `keep`: for how many days. Methods raise StoreUnavailable."""

    def __init__(self, shelf: Shelf[Visit], mine: Mine, timeline: Timeline, clock: Clock, *, keep: int) -> None:
        self._shelf = shelf
        self._mine = mine
        self._timeline = timeline
        self._clock = clock
        self._keep = keep * DAY_MS

    async def mark(self, outage: Outage, customer: str, by: str, note: str | None) -> Visit:
        """Somebody was at the door; said again, the newest counts. Raises KeyError when there is no such customer."""
        place, now = self._place(outage.mode, outage.id, customer), self._clock.now()
        if not await self._mine.add(customer, place):
            raise KeyError(customer)
        made = Visit(outage=outage.id, mode=outage.mode, customer=customer, by=by, at=now, note=note, first_at=now)

        def marked(known: Visit | None) -> Written[Visit]:
            visit = made if known is None else msgspec.structs.replace(made, first_at=known.first_at)
            return Written(visit, lists=[self._listed(visit, on=True)], keep=self._keep)

        visit = await self._shelf.change(place, marked)
        if visit is None or await self._mine.gone(customer):
            await self._erase(place, customer, "")
            raise KeyError(customer)
        # What was noted stays with the mark: a timeline keeps no words.
        line = Entry(kind="visit", of=outage.id, at=now, mode=outage.mode, facts={"by": by})
        await self._timeline.add(customer, line, f"visit:{outage.mode}:{outage.id}:{now}")
        return visit

    async def of(self, outage: Outage, customers: Sequence[str]) -> list[Visit | None]:
        """The marks of some people, in their order."""
        if not await self.count(outage):
            return [None for _ in customers]
        return await self._shelf.load_many([self._place(outage.mode, outage.id, one) for one in customers])

    async def page(self, outage: Outage, limit: int, cursor: str | None) -> tuple[list[Visit], str | None]:
        """The people visited, the latest first, and the next cursor."""
        return await self._shelf.page(outage.mode, VISITS, limit, cursor, value=outage.id)

    def cursor(self, visit: Visit) -> str:
        """Where a page goes on that is to begin after this one."""
        place = self._place(visit.mode, visit.outage, visit.customer)
        return f"{entry(visit.first_at, place)}.{place.number:02x}"

    async def count(self, outage: Outage) -> int:
        """How many people were visited."""
        return await self._shelf.count(outage.mode, VISITS, value=outage.id)

    @property
    def concern(self) -> Concern:
        """How an erasure and an export find them."""
        return Concern("visits", self._erase, self._export)

    async def _erase(self, place: Place, _customer: str, _nobody: str) -> None:
        def gone(known: Visit | None) -> Written[Visit] | None:
            return None if known is None else Written(None, lists=[self._listed(known, on=False)])

        await self._shelf.change(place, gone)

    async def _export(self, place: Place) -> dict[str, Any] | None:
        found = await self._shelf.load(place)
        if found is None:
            return None
        return {"outage": found.outage, "mode": found.mode, "by": found.by, "at": found.at, "note": found.note}

    def _place(self, mode: Mode, outage: str, customer: str) -> Place:
        return self._shelf.place(mode, f"{outage}{chr(0)}{customer}", customer)

    @staticmethod
    def _listed(visit: Visit, *, on: bool) -> Listed:
        return Listed(visit.mode, VISITS, visit.first_at, visit.outage, on=on)
