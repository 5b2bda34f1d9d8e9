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
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, cast

import msgspec

from gateway.customer import ConsentEntry, Customer
from gateway.store import keys
from gateway.store.addresses import Addresses, Facts, Hints, ask
from gateway.store.clock import Clock
from gateway.store.customer_settling import STATE, absorbed, settled, told_of
from gateway.store.entries import DAY_MS, TIMELINE_DAYS
from gateway.store.pipe import StoreUnavailable
from gateway.store.scripts import Scripts
from gateway.store.steps import Confirm, Put, Steps, alone, together

ONE_OFF: Final = "~"
"""What the id of a customer begins with that was made for a one-off recipient; callers can't choose such an id."""
_PAGE: Final = 500
_MANY: Final = 1000
_CURSOR: Final = re.compile(r"[0-9]{1,16}-[0-9]{1,16}")
_ENTRY: Final = msgspec.msgpack.Decoder(ConsentEntry)

Changed = tuple[Customer, Sequence[ConsentEntry]]
Change = Callable[[Customer | None], Changed | None]


class Conflict(Exception):
    """The record isn't of the expected version any more (or not of version 0: it exists)."""


class Written(msgspec.Struct, frozen=True):
    """A record as it stands after a write. `version` is its ETag, `created`: it was not there before."""

    customer: Customer
    version: int
    created: bool


class Records:
    """Customers' records and consent ledgers; `store.customers.Customers` adds what is asked by address."""

    def __init__(self, scripts: Scripts, clock: Clock, pepper: bytes, *, keep_timeline: int = TIMELINE_DAYS) -> None:
        """`pepper` keys the hashes of addresses; with another one no withdrawal is found again. `keep_timeline` in days."""
        self._keep_told = keep_timeline * DAY_MS
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

    async def ledgers(self, ids: Sequence[str]) -> list[list[ConsentEntry]]:
        """As `ledger`, for many, in their order."""
        return [] if not ids else await asyncio.gather(*map(self.ledger, ids))

    async def ledger(self, customer: str) -> list[ConsentEntry]:
        """The whole consent ledger, in the order it was written."""
        lines = await ask(self._pipe, "XRANGE", keys.of_customer(customer).ledger(customer), "-", "+")
        return [_ENTRY.decode(fields[b"e"]) for _, fields in lines]

    async def ledger_page(
        self, customer: str, limit: int | None, cursor: str | None
    ) -> tuple[list[ConsentEntry], str | None]:
        """At most `limit` lines of the ledger (None: all), newest first, and the cursor of the next page.

        New lines don't move a cursor. Raises ValueError for one that no page gave.
        """
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise ValueError("must be the `next` of an earlier page.")
        place, first = keys.of_customer(customer).ledger(customer), "+" if cursor is None else f"({cursor}"
        most = () if limit is None else ("COUNT", limit + 1)
        lines = await ask(self._pipe, "XREVRANGE", place, first, "-", *most)
        page = lines if limit is None else lines[:limit]
        following = page[-1][0].decode() if len(page) < len(lines) else None
        return [_ENTRY.decode(fields[b"e"]) for _, fields in page], following

    async def all_ids(self, *, one_off: bool = False) -> AsyncIterator[str]:
        """Every customer, each once, unmoved by what is added meanwhile; one-off recipients only if asked for."""
        async for page in self.id_pages(one_off=one_off):
            for name in page:
                yield name

    async def id_pages(self, *, one_off: bool = False) -> AsyncIterator[list[str]]:
        """As `all_ids`, in pages."""
        for number in range(keys.PARTITIONS):
            last = b"-"
            while True:
                place = keys.partition(number).customers
                page: list[bytes] = await ask(self._pipe, "ZRANGEBYLEX", place, last, "+", "LIMIT", 0, _PAGE)
                yield [name.decode() for name in page if one_off or not name.startswith(ONE_OFF.encode())]
                if len(page) < _PAGE:
                    break
                last = b"(" + page[-1]

    async def count(self) -> int:
        """How many customers there are, one-off recipients included."""
        places = [keys.partition(number).customers for number in range(keys.PARTITIONS)]
        return sum(await asyncio.gather(*(ask(self._pipe, "ZCARD", place) for place in places)))

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

    async def upsert(self, customer: str, fn: Change, expected: int | None = None) -> Written:
        """Change or create a record by a function of the current one; the function may run again.

        What comes out the same is not written. Raises Conflict when `expected` isn't the version (0: none yet), KeyError
        when the function makes nothing of nothing, and whatever the function raises.
        """
        return await alone(self._pipe, self._swapped(customer, fn, expected))

    async def upsert_many(self, changes: Sequence[tuple[str, Change]]) -> list[Written | Exception]:
        """As `upsert`, for many customers whose commands leave together; of each what it raised, if it did.

        Raises ValueError when an id stands twice, for the swaps of one would wait for each other.
        """
        if len({customer for customer, _ in changes}) < len(changes):
            raise ValueError("a customer is changed twice at once")
        return await together(self._pipe, [self._swapped(customer, fn, None) for customer, fn in changes])

    async def rehint(self, people: Sequence[Customer]) -> None:
        """Complete what is derived from records that are there: the indexes, and the copies of what addresses know."""
        await asyncio.gather(*(self._listed(person) for person in people))
        for done in await self.upsert_many([(name, _as_it_is) for name in {person.id for person in people}]):
            if isinstance(done, Exception) and not isinstance(done, KeyError):
                raise done

    async def _listed(self, person: Customer) -> None:
        await ask(self._pipe, "ZADD", keys.of_customer(person.id).customers, 0, person.id)
        wanted = set(person.keys.values())
        known = await self._addresses.tokens(wanted, person.id)
        await self._addresses.hint(wanted - known.keys(), person.id)

    def _swapped(self, customer: str, fn: Change, expected: int | None) -> Steps[Written]:
        hinted: Hints = {}
        try:
            while True:
                done = yield from self._attempt(customer, fn, expected, hinted)
                if done is not None:
                    break
        except StoreUnavailable:
            raise  # what the last write did is unknown, so the hints must stay
        except Exception:  # whatever it is goes on; nothing was written, so the hints must not stay
            yield from self._take_back(customer, hinted)
            raise
        bumped = yield from self._take_back(
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
        facts = await self._addresses.facts([self.own_key(customer), *address_keys.values()], now)
        return settled(current, wanted, ledger, facts, address_keys, now)[0], version

    def _attempt(self, customer: str, fn: Change, expected: int | None, hinted: Hints) -> Steps[Written | None]:
        """One turn of the loop; None when somebody else was faster."""
        current, version = yield from self._fetched(customer)
        if expected is not None and expected != (version if current else 0):
            raise Conflict(customer)
        own = self.own_key(customer)
        now = self._clock.now()
        held = set(current.keys.values()) if current else set[str]()
        facts: dict[str, Facts] = {}
        if current:
            facts = yield from self._addresses.fact_steps([own, *held], now)
        result = fn(absorbed(current, facts) if current else None)
        if result is None and current is None:
            raise KeyError(customer)
        wanted, ledger = result or (cast("Customer", current), ())
        address_keys = {address.value: self.address_key(address.value) for address in wanted.addresses}
        fresh = set(address_keys.values()) - held
        if fresh:
            hinted.update((yield from self._addresses.hint_steps(fresh, customer)))
        gone = held - set(address_keys.values())
        stale = (yield from self._addresses.token_steps(gone, customer)) if gone else {}
        # Only now: a withdrawal that comes after this reading finds the hints and bumps the version.
        if fresh or not current:
            facts |= yield from self._addresses.fact_steps(fresh if current else {own, *fresh}, now)
        new, lines = settled(current, wanted, ledger, facts, address_keys, now)
        if current is not None and new == current and not lines:
            # Whoever wrote it may not have seen it replicated; who asks for the same again wants to be sure.
            if self._pipe.replicated:
                yield [Confirm(self._scripts, keys.of_customer(customer))]
            return Written(current, version, created=False)
        state, entries = msgspec.msgpack.encode(new), [msgspec.msgpack.encode(line) for line in lines]
        told = [] if current is None else told_of(current, new)
        at, kept = keys.of_customer(customer), self._keep_told
        put = Put(self._scripts, at, customer, version, state, entries, told, kept)
        ((outcome, version),) = yield [put]
        if outcome != "ok":
            return None
        if stale:
            yield from self._addresses.unhint_steps(stale)
        return Written(new, version, created=current is None)

    def _take_back(self, customer: str, hints: Hints) -> Steps[int]:
        """Remove hints of addresses that did not become the customer's in the end; the version it took, or 0."""
        if not hints:
            return 0
        # The bump first: a write in flight that counts on one of these hints must lose its swap.
        current, bumped = yield from self._bump_steps(customer)
        held = set(current.keys.values()) if current else set[str]()
        yield from self._addresses.unhint_steps({key: token for key, token in hints.items() if key not in held})
        return bumped

    def _fetched(self, customer: str) -> Steps[tuple[Customer | None, int]]:
        ((version, state),) = yield [("HMGET", keys.of_customer(customer).customer(customer), "v", "s")]
        return (STATE.decode(state) if state else None), int(version or 0)

    async def _fetch(self, customer: str) -> tuple[Customer | None, int]:
        return await alone(self._pipe, self._fetched(customer))

    def _bump_steps(self, customer: str) -> Steps[tuple[Customer | None, int]]:
        """The record after its version was raised to this: every write that had begun before begins again."""
        (version,) = yield [("HINCRBY", keys.of_customer(customer).customer(customer), "v", 1)]
        current, _ = yield from self._fetched(customer)
        return current, int(version)

    async def _bumped(self, customer: str) -> tuple[Customer | None, int]:
        return await alone(self._pipe, self._bump_steps(customer))

    def own_key(self, customer: str) -> str:
        """Where withdrawals of an erased customer wait for one of the same id."""
        return self._addresses.key(f"customer:{customer}")


def _as_it_is(_current: Customer | None) -> None:
    """A change that changes nothing: what has become known of the addresses is taken in all the same."""
