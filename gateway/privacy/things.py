"""What services keep of a person: each kind of things says how it lets go of them, and how it is shown to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gateway.privacy.certificate import Erasure
from gateway.store.erasing import Erasing
from gateway.store.mine import Mine
from gateway.store.rosters import Rosters
from gateway.store.things import Place


class Concern(msgspec.Struct, frozen=True):
    """A kind of things that speak of people.

    `erase` takes a customer out of one (its place, the customer's id, the name that stands for nobody), and may be called
    again. `export` shows one as it is handed to the person; None: it is gone. `plural` is its name on certificates.
    """

    plural: str
    erase: Callable[[Place, str, str], Awaitable[None]]
    export: Callable[[Place], Awaitable[dict[str, Any] | None]]


Concerns = Mapping[str, Concern]
"""By kind of thing."""


class ThingEraser:
    """The stage of an erasure that goes through them, and through the lists that people stand on."""

    def __init__(self, store: Erasing, concerns: Concerns, rosters: Rosters) -> None:
        self._store = store
        self._concerns = concerns
        self._rosters = rosters

    async def __call__(self, job: Erasure) -> int | None:
        """All at once: a person has tens of them. Raises KeyError for a kind that nobody answers for."""
        counts: dict[str, int] = {}
        for ref in await self._store.handed(job.id, "things"):
            place = Place.of(ref)
            concern = self._concerns[place.kind]
            await concern.erase(place, job.customer or "", job.nobody)
            counts[concern.plural] = counts.get(concern.plural, 0) + 1
        struck = await self._rosters.forget(job.customer) if job.customer else 0
        if struck:
            counts["places on lists"] = struck
        for plural, count in counts.items():
            await self._store.count(job.id, plural, count)
        return None


async def shown(mine: Mine, concerns: Concerns, rosters: Rosters, customer: str) -> dict[str, list[dict[str, Any]]]:
    """What services keep of a customer, by the names of the kinds."""
    found: dict[str, list[dict[str, Any]]] = {}
    for place in await mine.of(customer):
        concern = concerns.get(place.kind)
        one = await concern.export(place) if concern is not None else None
        if concern is not None and one is not None:
            found.setdefault(concern.plural, []).append(one)
    groups = await rosters.of(customer)
    return found | ({"groups": [{"id": name} for name in groups]} if groups else {})
