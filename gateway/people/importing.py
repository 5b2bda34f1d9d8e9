"""Customers in and out by the thousand: rows are read, then swapped in together; a row comes out as it would go in."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from gateway.customer import ConsentEntry, Customer
from gateway.people.fields import Invalid, Problem
from gateway.people.parse import Profile, Reading
from gateway.people.rows import Row, Rows, read_row, taken_in
from gateway.people.views import entry_view, preferences_view, profile_form
from gateway.people.wishes import Said, with_preferences
from gateway.store.addresses import needs_proof, news, scope
from gateway.store.clock import Clock
from gateway.store.customers import Change, Changed, Customers

NEEDS_PROOF: Final = (
    "is needed: the person has withdrawn this, and only their own later consent, with its proof, lifts that"
)
AT_ONCE: Final = 128
READ_AT_ONCE: Final = 16
"""Rows read without a break: 16 of them take about 5 ms."""


class Told(msgspec.Struct, frozen=True):
    """What came of a row: its problems (none: it was kept), and whether the person's own preferences stayed instead."""

    problems: list[Problem]
    choices_kept: bool = False


class WithProfile(Protocol):
    """The customer with another profile; None when nothing changes."""

    def __call__(self, current: Customer, profile: Profile, *, new: bool) -> Changed | None:
        """`new`: they were not there before."""
        ...


class Import:
    """Takes rows in. `reading` makes a fresh reading of one body."""

    def __init__(
        self, customers: Customers, clock: Clock, reading: Callable[[], Reading], with_profile: WithProfile
    ) -> None:
        self._customers = customers
        self._clock = clock
        self._reading = reading
        self._with_profile = with_profile

    def rows(self, rows: Rows, at_once: int, *, dry_run: bool, overwrite: bool) -> AsyncIterator[tuple[int, Told]]:
        """As `People.import_rows`."""
        return taken_in(rows, functools.partial(self._take, dry_run=dry_run, overwrite=overwrite), at_once)

    async def _take(self, raws: Sequence[Any], *, dry_run: bool, overwrite: bool) -> list[Told]:
        """Take rows of different ids in together; what came of each."""
        problems: list[list[Problem]] = [[] for _ in raws]
        rows: dict[int, Row] = {}
        for place, raw in enumerate(raws):
            try:
                rows[place] = self._read(raw)
            except Invalid as bad:
                problems[place] = bad.problems
            if place % READ_AT_ONCE == READ_AT_ONCE - 1:
                await asyncio.sleep(0)
        known = await asyncio.gather(*map(self._known, rows.values()))
        own: set[str] = set()
        swaps = [
            functools.partial(self._with_row, row, *said, None if overwrite else own)
            for row, said in zip(rows.values(), known, strict=True)
        ]
        changes = list(zip((row.id for row in rows.values()), swaps, strict=True))
        if dry_run:
            done = await asyncio.gather(
                *(self._tried(row, swap) for row, swap in zip(rows.values(), swaps, strict=True))
            )
        else:
            done = await self._customers.upsert_many(changes)
        for (place, row), said, result in zip(rows.items(), known, done, strict=True):
            if isinstance(result, Invalid):
                problems[place] = result.problems
            elif isinstance(result, Exception):
                raise result
            elif not dry_run:
                await self._follow_addresses(row, said[0])
        return [
            Told(found, choices_kept=not found and place in rows and rows[place].id in own)
            for place, found in enumerate(problems)
        ]

    def _read(self, raw: Any) -> Row:
        if isinstance(raw, str):
            raise Invalid([("", raw)])
        return read_row(self._reading(), raw, self._customers.address_key)

    async def _known(self, row: Row) -> tuple[Sequence[ConsentEntry], Sequence[ConsentEntry]]:
        """What the addresses and the ledger say already; of interest only where the row itself says something."""
        if not row.consents:
            return (), ()
        bound = await self._customers.bound((address.value for address in row.profile.addresses), row.id)
        return bound, await self._customers.ledger(row.id)

    async def _tried(self, row: Row, swap: Change) -> Exception | None:
        """What would be wrong with a row; one that says nothing of wishes and consents can't clash with what is stored."""
        try:
            if row.consents or row.preferences is not None:
                await self._customers.preview(row.id, swap)
        except Invalid as bad:
            return bad
        return None

    async def _follow_addresses(self, row: Row, bound: Sequence[ConsentEntry]) -> None:
        """Withdrawals that bind an address are stored with it too."""
        for address in row.profile.addresses if row.consents else ():
            said = [entry for entry in row.consents if entry.address == self._customers.address_key(address.value)]
            if news(bound, said):
                await self._customers.withdraw(address.channel, address.value, said)

    def _with_row(
        self,
        row: Row,
        bound: Sequence[ConsentEntry],
        ledger: Sequence[ConsentEntry],
        own: set[str] | None,
        current: Customer | None,
    ) -> Changed | None:
        """The customer as the row has them. `own` takes the ids of those whose own choices stay; None: none do."""
        held = [*bound, *(current.consents if current else ())]
        known = {(*scope(entry), entry.at) for entry in (*ledger, *held)}
        fresh = [entry for entry in row.consents if (*scope(entry), entry.at) not in known]
        wrong = [
            (f"/consents/{row.consents.index(entry)}/proof", NEEDS_PROOF) for entry in fresh if needs_proof(held, entry)
        ]
        if wrong:
            raise Invalid(wrong)
        person = current or Customer(id=row.id)
        changed = self._with_profile(person, row.profile, new=current is None)
        person = changed[0] if changed else person
        withdrawn: list[ConsentEntry] = []
        if row.preferences is not None and not _stays(person, row, own):
            said = Said(way="import", at=self._clock.now(), chooser=row.chooser)
            chosen = with_preferences(person, row.preferences, said)
            person, withdrawn = (chosen[0], [*chosen[1]]) if chosen else (person, [])
        # What an imported ledger says already isn't said again by the preferences beside it.
        closed = {(entry.channel, entry.category) for entry in row.consents if entry.state == "withdrawn"}
        return person, [*fresh, *(entry for entry in withdrawn if (entry.channel, entry.category) not in closed)]


def _stays(person: Customer, row: Row, own: set[str] | None) -> bool:
    """Whether the preferences that are there stay, since the person chose them; the id is noted where a row differs."""
    if own is None:
        return False
    own.discard(row.id)
    if person.preferences_by == "person" and person.preferences != row.preferences:
        own.add(row.id)
    return person.preferences_by == "person"


async def portable(customers: Customers, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Customers in the form that is read, with preferences and consent ledgers; those that are gone are left out."""
    loaded, ledgers = await asyncio.gather(customers.load_many(ids), customers.ledgers(ids))
    return [_row(found[0], ledger) for found, ledger in zip(loaded, ledgers, strict=True) if found is not None]


def _row(customer: Customer, ledger: Sequence[ConsentEntry]) -> dict[str, Any]:
    held = set(customer.keys.values())
    # An entry bound to an address that is gone speaks of nobody here.
    consents = [entry_view(entry, customer) for entry in ledger if entry.address is None or entry.address in held]
    preferences = preferences_view(customer.preferences)
    chosen = customer.preferences_by == "person"
    return {
        "id": customer.id,
        **profile_form(customer),
        **({"preferences": preferences} if preferences or chosen else {}),
        **({"preferences_by": "person"} if chosen else {}),
        **({"consents": consents} if consents else {}),
    }
