"""The people, each one record with one version.

A record carries copies of what is known of its addresses (withdrawals, health), so that a send needs one look-up. The
copies can't be missed, because each side moves in an order that makes the other see it:

- A write reads the version first, hints at the addresses it adds, then reads their facts, then swaps by that version,
  and only then takes back the hints of addresses it removed.
- A withdrawal stores the fact first, then reads the hints, then bumps the version of each customer named there, then
  copies. A write that had read the facts too early loses its swap to that bump and begins again.

So "whoever has an address has a hint there, and knows its facts" holds at every step, also when either side dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final, cast

import msgspec

from gateway.customer import ConsentEntry, Customer
from gateway.store import keys
from gateway.store.addresses import Addresses, Facts, Hints, ask, compacted, news
from gateway.store.clock import Clock
from gateway.store.pipe import StoreUnavailable
from gateway.store.scripts import Scripts

ONE_OFF: Final = "~"
"""What the id of a customer begins with that was made for a one-off recipient; callers can't choose such an id."""
OWNERS_WAY: Final = "owner_of_address"
"""The `way` of a withdrawal a one-off customer has from the person who owns the address; renewed at each use."""
_PAGE: Final = 500
_MANY: Final = 1000
_STATE: Final = msgspec.msgpack.Decoder(Customer)
_ENTRY: Final = msgspec.msgpack.Decoder(ConsentEntry)

Changed = tuple[Customer, Sequence[ConsentEntry]]


class Conflict(Exception):
    """The record isn't of the expected version any more (or not of version 0: it exists)."""


class Written(msgspec.Struct, frozen=True):
    """A record as it stands after a write. `version` is its ETag, `created`: it was not there before."""

    customer: Customer
    version: int
    created: bool


class Records:
    """Customers' records and consent ledgers; `store.customers.Customers` adds what is asked by address."""

    def __init__(self, scripts: Scripts, clock: Clock, pepper: bytes) -> None:
        """`pepper` keys the hashes of addresses; with another one no withdrawal is found again."""
        self._scripts = scripts
        self._clock = clock
        self._pipe = scripts.pipe
        self._addresses = Addresses(scripts.pipe, pepper)

    def address_key(self, value: str) -> str:
        """The keyed hash of a normalised address, 32 hex digits; one for all channels."""
        return self._addresses.key(value)

    async def load(self, customer: str) -> tuple[Customer, int] | None:
        """The record and its version; None when there is none. Raises StoreUnavailable, as all here do."""
        current, version = await self._fetch(customer)
        return None if current is None else (current, version)

    async def load_many(self, ids: Sequence[str]) -> list[tuple[Customer, int] | None]:
        """As `load`, for many, in their order."""
        found: list[tuple[Customer, int] | None] = []
        for start in range(0, len(ids), _MANY):
            found += await asyncio.gather(*map(self.load, ids[start : start + _MANY]))
        return found

    async def ledger(self, customer: str) -> list[ConsentEntry]:
        """The whole consent ledger, in the order it was written."""
        lines = await ask(self._pipe, "XRANGE", keys.of_customer(customer).ledger(customer), "-", "+")
        return [_ENTRY.decode(fields[b"e"]) for _, fields in lines]

    async def all_ids(self, *, one_off: bool = False) -> AsyncIterator[str]:
        """Every customer, each once, unmoved by what is added meanwhile; one-off recipients only if asked for."""
        for number in range(keys.PARTITIONS):
            last = b"-"
            while True:
                place = keys.partition(number).customers
                page: list[bytes] = await ask(self._pipe, "ZRANGEBYLEX", place, last, "+", "LIMIT", 0, _PAGE)
                for name in page:
                    if one_off or not name.startswith(ONE_OFF.encode()):
                        yield name.decode()
                if len(page) < _PAGE:
                    break
                last = b"(" + page[-1]

    # Writing

    async def write(self, customer: Customer, expected: int | None, ledger: Sequence[ConsentEntry] = ()) -> int:
        """Store a record whole; its new version. Raises Conflict.

        `expected`: the version it must have; 0: it must be new; None: any. Consent entries are never taken away, and
        copies of address facts are kept in step, whatever `customer` says of them.
        """
        return (await self.upsert(customer.id, lambda _: (customer, ledger), expected)).version

    async def change(self, customer: str, fn: Callable[[Customer], Changed | None]) -> tuple[Customer, int]:
        """Change a record by a function that may run again; None from it: leave it as it is. Raises KeyError."""

        def known(current: Customer | None) -> Changed | None:
            if current is None:
                raise KeyError(customer)
            return fn(current)

        done = await self.upsert(customer, known)
        return done.customer, done.version

    async def upsert(
        self, customer: str, fn: Callable[[Customer | None], Changed | None], expected: int | None = None
    ) -> Written:
        """Change or create a record by a function of the current one; the function may run again.

        What comes out the same is not written. Raises Conflict when `expected` isn't the version (0: none yet), KeyError
        when the function makes nothing of nothing, and whatever the function raises.
        """
        hinted: Hints = {}
        try:
            while True:
                done = await self._attempt(customer, fn, expected, hinted)
                if done is not None:
                    break
        except StoreUnavailable:
            raise  # what the last write did is unknown, so the hints must stay
        except Exception:  # whatever it is goes on; nothing was written, so the hints must not stay
            await self._take_back(customer, hinted)
            raise
        bumped = await self._take_back(
            customer, {key: token for key, token in hinted.items() if key not in done.customer.keys.values()}
        )
        return msgspec.structs.replace(done, version=bumped) if bumped == done.version + 1 else done

    async def preview(self, customer: str, fn: Callable[[Customer | None], Changed | None]) -> tuple[Customer, int]:
        """What `upsert` would make now, and the version it would start from; nothing is stored."""
        current, version = await self._fetch(customer)
        wanted, ledger = fn(current) or (current, ())
        if wanted is None:
            raise KeyError(customer)
        address_keys = {address.value: self.address_key(address.value) for address in wanted.addresses}
        now = self._clock.now()
        facts = await self._addresses.facts([self._own_key(customer), *address_keys.values()], now)
        return _settled(current, wanted, ledger, facts, address_keys, now)[0], version

    async def _attempt(
        self, customer: str, fn: Callable[[Customer | None], Changed | None], expected: int | None, hinted: Hints
    ) -> Written | None:
        """One turn of the loop; None when somebody else was faster."""
        current, version = await self._fetch(customer)
        if expected is not None and expected != (version if current else 0):
            raise Conflict(customer)
        own = self._own_key(customer)
        now = self._clock.now()
        held = set(current.keys.values()) if current else set[str]()
        facts = await self._addresses.facts([own, *held], now) if current else {}
        result = fn(_absorbed(current, facts) if current else None)
        if result is None and current is None:
            raise KeyError(customer)
        wanted, ledger = result or (cast("Customer", current), ())
        address_keys = {address.value: self.address_key(address.value) for address in wanted.addresses}
        fresh = set(address_keys.values()) - held
        if fresh:
            hinted.update(await self._addresses.hint(fresh, customer))
        stale = await self._addresses.tokens(held - set(address_keys.values()), customer)
        # Only now: a withdrawal that comes after this reading finds the hints and bumps the version.
        facts |= await self._addresses.facts(fresh if current else {own, *fresh}, now)
        new, lines = _settled(current, wanted, ledger, facts, address_keys, now)
        if current is not None and new == current:
            # Whoever wrote it may not have seen it replicated; who asks for the same again wants to be sure.
            await self._scripts.confirm(keys.of_customer(customer))
            return Written(current, version, created=False)
        outcome, version = await self._scripts.put_customer(
            keys.of_customer(customer),
            customer,
            version,
            msgspec.msgpack.encode(new),
            [msgspec.msgpack.encode(line) for line in lines],
        )
        if outcome != "ok":
            return None
        await self._addresses.unhint(stale)
        return Written(new, version, created=current is None)

    async def _take_back(self, customer: str, hints: Hints) -> int:
        """Remove hints of addresses that did not become the customer's in the end; the version it took, or 0."""
        if not hints:
            return 0
        # The bump first: a write in flight that counts on one of these hints must lose its swap.
        current, bumped = await self._bumped(customer)
        held = set(current.keys.values()) if current else set[str]()
        await self._addresses.unhint({key: token for key, token in hints.items() if key not in held})
        return bumped

    async def _fetch(self, customer: str) -> tuple[Customer | None, int]:
        version, state = await ask(self._pipe, "HMGET", keys.of_customer(customer).customer(customer), "v", "s")
        return (_STATE.decode(state) if state else None), int(version or 0)

    async def _bumped(self, customer: str) -> tuple[Customer | None, int]:
        """The record after its version was raised to this: every write that had begun before begins again."""
        version = await ask(self._pipe, "HINCRBY", keys.of_customer(customer).customer(customer), "v", 1)
        return (await self._fetch(customer))[0], int(version)

    def _own_key(self, customer: str) -> str:
        """Where withdrawals of an erased customer wait for one of the same id."""
        return self._addresses.key(f"customer:{customer}")


def _absorbed(current: Customer, facts: Mapping[str, Facts]) -> Customer:
    """A copy of the record, free to be changed, with what is known of its addresses by now."""
    said = [entry for found in facts.values() for entry in found.consents]
    copy = _STATE.decode(msgspec.msgpack.encode(current))
    copy.consents = compacted([*current.consents, *news(current.consents, said)])
    return copy


def _settled(
    current: Customer | None,
    wanted: Customer,
    ledger: Sequence[ConsentEntry],
    facts: Mapping[str, Facts],
    address_keys: dict[str, str],
    now: int,
) -> tuple[Customer, list[ConsentEntry]]:
    """What is to be stored, and the lines for the ledger."""
    before = current.consents if current else ()
    absorbed = news(before, [entry for found in facts.values() for entry in found.consents])
    kept = [entry for entry in before if entry.way != OWNERS_WAY]
    health = {
        f"{channel}:{key}": state for key in address_keys.values() for channel, state in facts[key].health.items()
    }
    new = msgspec.structs.replace(
        wanted,
        keys=address_keys,
        health=health,
        consents=compacted([*kept, *absorbed, *wanted.consents, *ledger]),
        created_at=wanted.created_at or (current.created_at if current else now),
    )
    said = dict.fromkeys([*absorbed, *ledger, *wanted.consents])
    return new, [entry for entry in said if entry not in before and entry.way != OWNERS_WAY]
