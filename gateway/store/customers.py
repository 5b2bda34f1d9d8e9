"""The people as the gateway asks for them: by id, by address, by "who is this one-off recipient"."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import msgspec

from gateway.customer import Address, ConsentEntry, Customer, Evidence
from gateway.preferences.consent import ANY, dated, of_person
from gateway.store import keys
from gateway.store.addresses import Hints, ask, compacted, needs_proof, news
from gateway.store.clock import Clock
from gateway.store.customer_records import ONE_OFF, Change, Changed, Conflict, Records, Written
from gateway.store.customer_settling import OWNERS_WAY
from gateway.store.entries import TIMELINE_DAYS
from gateway.store.health import Healths
from gateway.store.scripts import Scripts

__all__ = ["ONE_OFF", "Change", "Changed", "Conflict", "Customers", "Going", "Written"]

REMEMBERED_MS: Final = 30 * 86_400_000
"""How long an inbound text is given to whoever was last written to."""
DAY_MS: Final = 86_400_000
_MOST_ADDRESSES: Final = 100


class Going(msgspec.Struct, frozen=True):
    """A customer who leaves: the record, its version, their hints, and the addresses their withdrawals were bound to."""

    customer: Customer
    version: int
    hints: Hints
    bound: tuple[str, ...]


class Customers(Records):
    """The store of customers, their consent ledgers and their addresses. All methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts, clock: Clock, pepper: bytes, *, keep_timeline: int = TIMELINE_DAYS) -> None:
        """`pepper` keys the hashes of addresses; with another one no withdrawal is found again."""
        super().__init__(scripts, clock, pepper, keep_timeline=keep_timeline)
        self.health = Healths(scripts.pipe, clock, self._spread)

    async def owners(self, value: str) -> list[str]:
        """The customers that have this address now, on any channel; one-off recipients (`~…`) last."""
        found = await self._owners([self.address_key(value)])
        return sorted(found, key=lambda name: (name.startswith(ONE_OFF), name))

    async def having(self, key: str) -> list[Customer]:
        """Everyone who has the address of that keyed hash now."""
        return list((await self._owners([key])).values())

    async def last_written(self, value: str, channel: str) -> str | None:
        """Of those who have the address, the one last written to on the channel, within 30 days."""
        names = await self.owners(value)
        times = await asyncio.gather(
            *(ask(self._pipe, "HGET", keys.of_customer(name).customer(name), f"w:{channel}") for name in names)
        )
        written = [(int(time), name) for time, name in zip(times, names, strict=True) if time is not None]
        latest = max(written, default=(0, ""))
        return latest[1] if latest[0] > self._clock.now() - REMEMBERED_MS else None

    async def bound(self, values: Iterable[str], customer: str | None = None) -> tuple[ConsentEntry, ...]:
        """The consent entries stored with addresses themselves, and those that wait for a customer of that id."""
        places = [self.address_key(value) for value in values] + ([self.own_key(customer)] if customer else [])
        facts = await self._addresses.facts(places, self._clock.now())
        return compacted(entry for found in facts.values() for entry in found.consents)

    async def withdraw(
        self,
        channel_of_address: str,  # noqa: ARG002 - one key serves all channels; callers say where it was said all the same
        value: str,
        entries: Sequence[ConsentEntry],
    ) -> list[str]:
        """Store what was said from an address with it, and copy it to everyone who has it; their ids.

        An entry that names no address is bound to this one, unless it speaks of every channel ("*"): then it binds each
        owner on all of them. Grants (START) go the same way. Done again with the same entries it changes nothing.
        """
        key = self.address_key(value)
        bound = [
            entry if entry.address or entry.channel == ANY else msgspec.structs.replace(entry, address=key)
            for entry in entries
        ]
        await self._addresses.remember(key, bound)
        return await self._spread(key)

    async def learn(self, channel: str, value: str, evidence: Evidence) -> None:
        """Hold something against an address on a channel, or (ALIVE) take back what the same attempt has said."""
        await self.health.learn(channel, self.address_key(value), evidence)

    async def proved(self, channel: str, value: str, at: int) -> None:
        """A sign of life from an address at `at` (ms): doubts up to then are over, a suppression for good is not."""
        await self.health.proved(channel, self.address_key(value), at)

    async def lift(self, channel: str, value: str) -> None:
        """Use an address again: an operator says so, or the person has proved it theirs with a code sent there."""
        await self.health.lift(channel, self.address_key(value))

    async def object_to(
        self, customer: str, channel: str, values: Iterable[str], entries: Sequence[ConsentEntry]
    ) -> None:
        """A person withdraws, now, by way of a message to one of their addresses (one-click).

        It binds them at every address of theirs, and these addresses whoever else has them. Raises KeyError.
        """
        await self.change(customer, lambda known: (known, [dated(known.consents, entry) for entry in entries]))
        for value in dict.fromkeys(values):
            bound, key = await self.bound([value]), self.address_key(value)
            said = [dated(bound, msgspec.structs.replace(entry, address=key)) for entry in entries]
            await self.withdraw(channel, value, said)

    async def resolve(
        self,
        addresses: Sequence[Address],
        locale: str | None,
        time_zone: str | None,
        consent: ConsentEntry | None,
        *,
        store: bool = True,
    ) -> tuple[Customer, int]:
        """Who a one-off recipient is: the only customer with all these addresses, else one made for the first of them.

        The one that is made is bound by the withdrawals of every person who has one of the addresses. `consent` is
        recorded, but one that would lift a withdrawal without proof is not. `store` False: only look (a dry run).
        """
        address_keys = [self.address_key(address.value) for address in addresses]
        known = {
            name: found for name, found in (await self._owners(address_keys)).items() if not name.startswith(ONE_OFF)
        }
        whole = [name for name, found in known.items() if set(address_keys) <= set(found.keys.values())]
        name = whole[0] if len(whole) == 1 else ONE_OFF + address_keys[0]
        inherited = [] if whole == [name] else _inherited(known.values(), address_keys)
        bound = await self.bound((address.value for address in addresses), name)
        now = self._clock.now()

        def made(current: Customer | None) -> Changed | None:
            if name.startswith(ONE_OFF):
                person = _one_off(current or Customer(id=name), addresses, locale, time_zone, inherited)
                # Once a day, so that a quick series costs no writes; `lapse` counts on it.
                if now - person.used_at >= DAY_MS:
                    person = msgspec.structs.replace(person, used_at=now)
            else:
                person = current or Customer(id=name, addresses=tuple(addresses))
            fitting = consent is not None and not needs_proof([*person.consents, *bound], consent)
            return person, news(person.consents, [consent]) if consent is not None and fitting else []

        if not store:
            return await self.preview(name, made)
        done = await self.upsert(name, made)
        return done.customer, done.version

    async def delete(self, customer: str) -> bool:
        """Erase a customer: profile, addresses, ledger, timeline; False when there was none.

        Withdrawals in force stay as keyed hashes: under the id, and with each address that nobody else has, so that
        neither a customer of that id nor one with that address is written to against them.
        """
        return await self._delete(customer, None)

    async def lapse(self, customer: str, unused_since: int) -> bool:
        """Erase a one-off recipient who was not addressed since (ms, at least a day ago) and has no message on record.

        Whoever addresses them in the same moment writes `used_at`, so one of the two sees the other and begins again.
        """
        at = keys.of_customer(customer)
        indexes = [at.index(mode, "customer", customer) for mode in ("live", "team", "test")]
        if await ask(self._pipe, "EXISTS", *indexes):
            return False
        return await self._delete(customer, unused_since)

    async def _delete(self, customer: str, unused_since: int | None) -> bool:
        async def swap(going: Going) -> bool:
            return await self._erased(customer, going.version)

        going = await self.depart(customer, swap, unused_since)
        if going is not None:
            await self.release(going.hints, going.bound)
            for key in going.hints:
                if not await self._owners([key]):
                    await self.health.forget(key)
        return going is not None

    async def depart(
        self, customer: str, swap: Callable[[Going], Awaitable[bool]], unused_since: int | None = None
    ) -> Going | None:
        """Have a record deleted by `swap` (False: it has changed), its withdrawals kept; None when there is no such one.

        `release` must follow, also when whoever called this has died meanwhile.
        """
        while True:
            current, version = await self._fetch(customer)
            if current is None or (unused_since is not None and current.used_at >= unused_since):
                return None
            alone = await self._keep_withdrawals(current)
            hints = await self._addresses.tokens(set(current.keys.values()), customer)
            going = Going(current, version, hints, tuple(alone))
            if await swap(going):
                return going

    async def release(self, hints: Hints, bound: Iterable[str]) -> None:
        """Take back the hints of one who is gone, and tell what was kept to whoever has their addresses by now."""
        await self._addresses.unhint(hints)
        for key in bound:
            await self._spread(key)

    async def bind(self, key: str, entries: Sequence[ConsentEntry]) -> None:
        """Store what binds an address or the bearer of an id with its keyed hash, and tell it to whoever has it."""
        await self._addresses.remember(key, entries)
        await self._spread(key)

    async def _keep_withdrawals(self, current: Customer) -> list[str]:
        """Store the withdrawals outside of the record; the addresses they were stored with."""
        # Wording and proof can name the person, so they don't outlive the record.
        kept = [
            msgspec.structs.replace(entry, wording="(erased)", proof=None)
            for entry in of_person(current.consents)
            if entry.way != OWNERS_WAY
        ]
        if not kept:
            return []
        await self._addresses.remember(self.own_key(current.id), kept)
        alone: list[str] = []
        for key in sorted(set(current.keys.values())):
            others = [n for n in await self._owners([key]) if n == current.id or not n.startswith(ONE_OFF)]
            if others == [current.id]:
                await self._addresses.remember(key, [msgspec.structs.replace(e, address=key) for e in kept])
                alone.append(key)
        return alone

    async def _erased(self, customer: str, version: int) -> bool:
        """Delete the record if it still has this version."""
        return await self._scripts.erase_customer(keys.of_customer(customer), customer, version) == "ok"

    async def _owners(self, address_keys: Sequence[str]) -> dict[str, Customer]:
        """Everyone who has one of the addresses, by id."""
        hints = await asyncio.gather(*(self._addresses.hints(key) for key in dict.fromkeys(address_keys)))
        names = list(dict.fromkeys(name for found in hints for name in found))
        loaded = await self.load_many(names)
        wanted = set(address_keys)
        return {
            name: found[0]
            for name, found in zip(names, loaded, strict=True)
            if found is not None and not wanted.isdisjoint(found[0].keys.values())
        }

    async def _spread(self, key: str) -> list[str]:
        """Copy an address's facts to everyone who has it; hints that are wrong go on the way."""
        hints = await self._addresses.hints(key)
        had = await asyncio.gather(*(self._told(key, name, token) for name, token in hints.items()))
        return sorted(name for name, has in zip(hints, had, strict=True) if has)

    async def _told(self, key: str, customer: str, token: int) -> bool:
        current, _ = await self._bumped(customer)
        if current is None or key not in current.keys.values():
            await self._addresses.unhint({key: token})
            return False
        try:
            await self.change(customer, lambda _: None)
        except KeyError:
            return False  # erased meanwhile; whoever comes after it reads the facts
        return True


def _inherited(owners: Iterable[Customer], address_keys: Sequence[str]) -> list[ConsentEntry]:
    """The owners' withdrawals, bound to the addresses they have."""
    return [
        msgspec.structs.replace(entry, address=key, way=OWNERS_WAY)
        for owner in owners
        for entry in of_person(owner.consents)
        for key in dict.fromkeys(address_keys)
        if key in owner.keys.values()
    ]


def _one_off(
    person: Customer,
    addresses: Sequence[Address],
    locale: str | None,
    time_zone: str | None,
    inherited: Sequence[ConsentEntry],
) -> Customer:
    """The customer of a one-off recipient; earlier addresses stay, since messages to them may be under way."""
    pairs = dict.fromkeys([(a.channel, a.value) for a in (*person.addresses, *addresses)])
    return msgspec.structs.replace(
        person,
        addresses=tuple(Address(channel, value) for channel, value in list(pairs)[-_MOST_ADDRESSES:]),
        locale=locale or person.locale,
        time_zone=time_zone or person.time_zone,
        consents=(*(entry for entry in person.consents if entry.way != OWNERS_WAY), *inherited),
    )
