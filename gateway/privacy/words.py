"""What a person wrote to us: found on the list of what came in, by whose it is and by the address it came from."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.delivery.inbox import InboundItems, Item
from gateway.privacy.certificate import Copy, Erasure
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.erasing import MODES, Erasing
from gateway.store.inbound_index import InboundIndex, listed, place_of
from gateway.store.keys import of_customer

PAGES: Final = 20
"""Pages of two hundred items looked at in one turn."""
WAIT_MS: Final = 500


class WordEraser:
    """Deletes what came in from a person, and the links from addresses to them."""

    def __init__(
        self, store: Erasing, index: InboundIndex, items: InboundItems, customers: Customers, clock: Clock
    ) -> None:
        self._store = store
        self._index = index
        self._items = items
        self._customers = customers
        self._clock = clock

    async def __call__(self, job: Erasure) -> int | None:
        """Go on: when (ms) to look again, None when nothing is left."""
        if job.cursor is None:
            await self._items.unlink_all(job.customer or "")
            if await self._under_way(job):
                # What has just come in may be a STOP, which must be understood first.
                return self._clock.now() + WAIT_MS
        begun = (job.cursor or "live ").partition(" ")
        left = MODES[[*MODES].index(begun[0]) :]
        after, pages = begun[2] or None, 0
        for mode in left:
            while names := await self._index.page(mode, after, unlinked=False, since=0):
                await self._delete(job, names)
                after, pages = names[-1], pages + 1
                if pages == PAGES:
                    job.cursor = f"{mode} {after}"
                    return self._clock.now()
            after = None
        return None

    async def _delete(self, job: Erasure, names: list[str]) -> None:
        for name, state in zip(names, await self._index.states(names), strict=True):
            place = place_of(name)
            item = None if state is None else _read(state)
            if place is not None and item is not None and await self._theirs(job, item):
                await self._store.new_copies(job.id, _copy(name, item))
                sender = self._customers.address_key(item.inbound.sender)
                await self._store.drop_item(job.id, *place, item.mode, listed(name), sender)

    async def _theirs(self, job: Erasure, item: Item) -> bool:
        """Whether an item came from the person: as was understood then, or as far as nobody else can have sent it."""
        if item.inbound.at > job.requested_at:
            return False
        if item.customer == job.customer:
            return True
        key = self._customers.address_key(item.inbound.sender)
        return item.unlinked and key in job.hints and not await self._customers.having(key)

    async def _under_way(self, job: Erasure) -> bool:
        """Whether something from their addresses has been noted and not been understood yet."""
        for at in {of_customer(key).number: of_customer(key) for key in job.hints}.values():
            async for member, state, buried in self._store.live_items(at):
                item = _read(state)
                if item is None or self._customers.address_key(item.inbound.sender) not in job.hints:
                    continue
                if not buried:
                    return True
                sender = self._customers.address_key(item.inbound.sender)
                await self._store.drop_item(job.id, at, member, item.mode, "", sender)
        return False


def _copy(name: str, item: Item) -> dict[str, bytes]:
    """The provider's copy of what came in; a key pressed in our own call is no resource of its own."""
    if item.inbound.message is not None:
        return {}
    copy = Copy(mode=item.mode, channel=item.inbound.channel, provider_id=item.inbound.id)
    return {name: msgspec.msgpack.encode(copy)}


def _read(state: bytes) -> Item | None:
    try:
        return msgspec.msgpack.decode(state, type=Item)
    except msgspec.DecodeError:
        return None
