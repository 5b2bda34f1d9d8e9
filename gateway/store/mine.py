"""Which things speak of a customer, wherever they are: so that an erasure and an export find them."""

from __future__ import annotations

from gateway.store.keys import of_customer
from gateway.store.scripts import Scripts
from gateway.store.things import Place


class Mine:
    """The things of each customer. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._pipe = scripts.urgent

    async def add(self, customer: str, place: Place) -> bool:
        """Say that a thing speaks of a customer, to be called before it is written; False: there is no such customer.

        Whoever has written one for the first time asks `gone` afterwards: an erasure may have been faster.
        """
        at = of_customer(customer)
        await self._pipe.send("SADD", at.mine(customer), place.ref, durable=True)
        if await self.gone(customer):
            await self.drop(customer, place)
            return False
        return True

    async def gone(self, customer: str) -> bool:
        """Whether there is no such customer."""
        return not await self._pipe.send("HEXISTS", of_customer(customer).customer(customer), "s")

    async def drop(self, customer: str, place: Place) -> None:
        """A thing doesn't speak of a customer any more, or is gone."""
        await self._pipe.send("SREM", of_customer(customer).mine(customer), place.ref)

    async def of(self, customer: str, kind: str | None = None) -> list[Place]:
        """The things that speak of a customer, of one kind or of all; some of them may be gone."""
        found = await self._pipe.send("SMEMBERS", of_customer(customer).mine(customer))
        places = sorted((Place.of(ref.decode()) for ref in found), key=lambda place: place.ref)
        return [place for place in places if kind is None or place.kind == kind]
