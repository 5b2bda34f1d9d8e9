"""The list of what came in: found by id and by time, linked to a customer by whoever recognises the sender.

Items of unknown senders stay apart until they are linked. A link gives the customer no address: it says whose the texts
from there are, while nobody is known to own the address.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.channels.base import Inbound
from gateway.message import Mode
from gateway.store.clock import Clock
from gateway.store.customers import ONE_OFF, Customers
from gateway.store.entries import Entry
from gateway.store.inbound_index import InboundIndex, came_at, item_id, place_of
from gateway.store.keys import Partition, address_link, of_customer
from gateway.store.scripts import Scripts
from gateway.store.timeline import Timeline

DAY_MS: Final = 86_400_000
LINK_LIVES_MS: Final = 400 * DAY_MS
"""After the last text that came by it."""
SCAN_MOST: Final = 20_000
IN_TIMELINE: Final = "inbound"
"""The kind of an item's line in its customer's timeline."""


class Item(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An inbound item as stored. `outcome`: what became of it; `customer` None: unlinked."""

    mode: Mode
    inbound: Inbound
    outcome: str = "new"
    customer: str | None = None

    @property
    def unlinked(self) -> bool:
        """Whether nobody knows yet whose it is. A one-off recipient is a person only as far as they answer."""
        nobody = self.customer is None or self.customer.startswith(ONE_OFF)
        return nobody and self.outcome not in ("answer", "new")


class Listed(msgspec.Struct, frozen=True):
    """An item with its id."""

    id: str
    item: Item


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to list; None: anything."""

    unlinked: bool | None = None
    customer: str | None = None
    channel: str | None = None
    outcome: str | None = None

    def fits(self, item: Item) -> bool:
        """Whether an item belongs on the list; one that nobody has understood yet doesn't."""
        return (
            item.outcome != "new"
            and (self.unlinked is None or item.unlinked is self.unlinked)
            and (self.customer is None or item.customer == self.customer)
            and (self.channel is None or item.inbound.channel == self.channel)
            and (self.outcome is None or item.outcome == self.outcome)
        )


class InboundItems:
    """Inbound items once they are worked off. `keep`: how long they are kept, days. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts, customers: Customers, timeline: Timeline, clock: Clock, *, keep: int) -> None:
        self._timeline = timeline
        self._index = InboundIndex(scripts)
        self._pipe = scripts.pipe
        self._customers = customers
        self._clock = clock
        self.keep_ms = keep * DAY_MS

    async def file(self, at: Partition, member: str, item: Item) -> str:
        """Put an item that has been understood on the list, and into the timeline of whoever wrote it; its id there."""
        name = item_id(item.inbound.at, at, member.partition(":")[2])
        await self._filed(name, item)
        if item.customer is not None:
            await self._told(name, item, item.customer)
        return name

    async def _filed(self, name: str, item: Item) -> None:
        now, sender = self._clock.now(), self._customers.address_key(item.inbound.sender)
        await self._index.file(item.mode, name, sender, unlinked=item.unlinked, keep=self.keep_ms, now=now)

    async def _told(self, name: str, item: Item, customer: str) -> None:
        facts = {"channel": item.inbound.channel, "outcome": item.outcome}
        entry = Entry(kind=IN_TIMELINE, of=name, at=item.inbound.at, mode=item.mode, facts=facts)
        await self._timeline.add(customer, entry, once=name)

    async def noted(self, at: Partition, number: str) -> Item | None:
        """An item as it was noted under that digest, and what has become of it; None when it is gone."""
        state = await self._pipe.send("HGET", at.member(f"i:{number}"), "s")
        return None if state is None else _read(state)

    async def find(self, mode: Mode, name: str) -> Listed | None:
        """An item by its id; None when there is none, or none of that mode."""
        if place_of(name) is None:
            return None
        [state] = await self._index.states([name])
        item = None if state is None else _read(state)
        return Listed(name, item) if item is not None and _matches(mode, name, item) else None

    async def page(self, mode: Mode, wanted: Wanted, limit: int, cursor: str | None) -> tuple[list[Listed], str | None]:
        """At most `limit` items after `cursor`, newest first, and the cursor of the next page (None: no more)."""
        found: list[Listed] = []
        last, scanned = cursor, 0
        since = self._clock.now() - self.keep_ms
        while scanned < SCAN_MOST:
            names = await self._index.page(mode, last, unlinked=wanted.unlinked is True, since=since)
            if not names:
                return found, None
            for name, state in zip(names, await self._index.states(names), strict=True):
                last = name
                item = None if state is None else _read(state)
                if item is not None and wanted.fits(item):
                    found.append(Listed(name, item))
                    if len(found) == limit:
                        return found, last
            scanned += len(names)
        return found, last

    async def find_many(self, names: Sequence[str]) -> list[Item | None]:
        """Items by their ids, in their order; None for one that is gone."""
        known = [name for name in names if place_of(name) is not None]
        states = dict(zip(known, await self._index.states(known), strict=True))
        found = (states.get(name) for name in names)
        return [None if state is None else _read(state) for state in found]

    async def unlinked_from(self, mode: Mode, sender: str, limit: int) -> list[Listed]:
        """The newest items from an address that belong to nobody yet."""
        names = await self._index.senders(mode, self._customers.address_key(sender), limit)
        items = await self.find_many(names)
        return [Listed(name, item) for name, item in zip(names, items, strict=True) if item is not None]

    async def link(self, mode: Mode, name: str, customer: str | None) -> Listed | None:
        """Say whose an item is (None: nobody's after all), and whose the next ones from there are; None: no such item.

        Raises KeyError for an unknown customer.
        """
        if customer is not None and await self._customers.load(customer) is None:
            raise KeyError(customer)
        if place_of(name) is None:
            return None
        while True:
            [old] = await self._index.states([name])
            item = None if old is None else _read(old)
            if old is None or item is None or not _matches(mode, name, item):
                return None
            before = item.customer
            if before is not None and before != customer:
                await self._timeline.remove(before, IN_TIMELINE, name, once=name)
            item.customer = customer
            if item.outcome in ("linked", "unlinked"):
                item.outcome = "linked" if customer is not None else "unlinked"
            if await self._index.swap(name, old, msgspec.msgpack.encode(item)):
                break
        await self._filed(name, item)
        key = self._customers.address_key(item.inbound.sender)
        if customer is not None:
            await self._told(name, item, customer)
            await self._remember(key, customer)
        elif before is not None:
            await self._forget(key, before)
        return Listed(name, item)

    async def linked_to(self, sender: str, *, renew: bool = True) -> str | None:
        """Whose texts come from an address that nobody is known to own; asked without `renew` the link gets no older."""
        key = self._customers.address_key(sender)
        raw: bytes | None = await self._pipe.send("GET", address_link(key))
        customer = None if raw is None else raw.decode()
        if customer is None:
            return None
        if await self._customers.load(customer) is None:
            await self._forget(key, customer)
            return None
        if renew:
            await self._remember(key, customer)
        return customer

    async def unlink_all(self, customer: str) -> None:
        """Forget every link to a customer, as an erasure must."""
        for key in await self._pipe.send("SMEMBERS", of_customer(customer).linked(customer)):
            await self._forget(key.decode(), customer)

    async def _remember(self, key: str, customer: str) -> None:
        linked = of_customer(customer).linked(customer)
        await self._pipe.send("SADD", linked, key)
        await self._pipe.send("PEXPIRE", linked, LINK_LIVES_MS)
        await self._pipe.send("SET", address_link(key), customer, "PX", LINK_LIVES_MS, durable=True)

    async def _forget(self, key: str, customer: str) -> None:
        if await self._pipe.send("GET", address_link(key)) == customer.encode():
            await self._pipe.send("DEL", address_link(key), durable=True)
        await self._pipe.send("SREM", of_customer(customer).linked(customer), key)


def _read(state: bytes) -> Item | None:
    try:
        return msgspec.msgpack.decode(state, type=Item)
    except msgspec.DecodeError:
        return None  # the morgue has it


def _matches(mode: Mode, name: str, item: Item) -> bool:
    """Whether the item is the one that was listed under that id."""
    return item.mode == mode and came_at(name) == item.inbound.at
