"""What businesses and people change about a customer: profile, preferences, consent; and how it is shown.

Each change is read whole first (every problem at once), then swapped in by version. A profile never touches consent,
health or preferences; preferences touch consent in one way only: switching a category off is a withdrawal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any, Final, Literal

import msgspec

from gateway.customer import CategoryPreference, ConsentEntry, Customer, Preferences
from gateway.delivery.people_fields import Invalid, Known, Problem
from gateway.delivery.people_parse import Profile, Reading
from gateway.delivery.people_rows import Row, Rows, read_row, taken_in
from gateway.delivery.people_views import customer_view, entry_view, merged, preferences_view, profile_form
from gateway.preferences.consent import ANY, effective
from gateway.store.addresses import needs_proof, news, scope
from gateway.store.clock import Clock
from gateway.store.customers import Changed, Conflict, Customers, Written

__all__ = ["Conflict", "Invalid", "People", "Result"]

Way = Literal["api", "page"]
NEEDS_PROOF: Final = (
    "is needed: the person has withdrawn this, and only their own later consent, with its proof, lifts that"
)


class Result(msgspec.Struct, frozen=True):
    """What a change or a look gives: the JSON form, the version (its ETag), whether it was made new."""

    view: dict[str, Any]
    version: int
    created: bool = False


class People:
    """The service behind `/v1/customers` and `gateway customers`.

    Methods raise Invalid (with all problems), KeyError for an unknown customer, Conflict when `expected` is given and
    isn't the version (0: must not exist), StoreUnavailable.
    """

    def __init__(
        self,
        customers: Customers,
        clock: Clock,
        *,
        known_channels: Collection[str],
        categories: Collection[str],
        country: str | None = None,
    ) -> None:
        """`country` (ISO 3166): of telephone numbers that are written without one; None: these are refused."""
        self._customers = customers
        self._clock = clock
        self._known = Known(channels=known_channels, categories=categories, country=country)

    # Profiles

    async def put(self, customer: str, raw: Any, expected: int | None = None) -> Result:
        """Create or replace a profile."""
        reading = self._reading()
        reading.customer_id("/id", customer)
        profile = reading.profile(raw)
        reading.done()

        def put(current: Customer | None) -> Changed | None:
            return self._with_profile(current or Customer(id=customer), profile, new=current is None)

        return self._shown(await self._customers.upsert(customer, put, expected))

    def profile_problems(self, raw: Any) -> list[Problem]:
        """Everything that is wrong with the body of a PUT, nothing stored."""
        reading = self._reading()
        reading.profile(raw)
        return reading.problems

    def preference_problems(self, raw: Any) -> list[Problem]:
        """Everything that is wrong with a person's preferences as given, nothing stored."""
        reading = self._reading()
        reading.preferences(raw)
        return reading.problems

    async def patch(self, customer: str, raw: Any, expected: int | None = None) -> Result:
        """Change a profile by a JSON merge patch (RFC 7396)."""

        def patch(current: Customer | None) -> Changed | None:
            if current is None:
                raise KeyError(customer)
            reading = self._reading()
            profile = reading.profile(merged(profile_form(current), raw))
            reading.done()
            return self._with_profile(current, profile, new=False)

        return self._shown(await self._customers.upsert(customer, patch, expected))

    async def view(self, customer: str) -> Result | None:
        """A customer as shown to those who may see addresses."""
        found = await self._customers.load(customer)
        return None if found is None else Result(customer_view(found[0], self._clock.now()), found[1])

    # Preferences

    async def put_preferences(
        self, customer: str, raw: Any, expected: int | None = None, *, way: Way = "api", wording: str | None = None
    ) -> Result:
        """Replace the preferences. A category newly switched off is withdrawn on every channel.

        `way`, `wording`: for the ledger, who did it and what they saw.
        """
        reading = self._reading()
        preferences = reading.preferences(raw)
        reading.done()

        def put(current: Customer | None) -> Changed | None:
            if current is None:
                raise KeyError(customer)
            return self._with_preferences(current, preferences, way, wording)

        done = await self._customers.upsert(customer, put, expected)
        return Result(preferences_view(done.customer.preferences), done.version)

    async def preferences(self, customer: str) -> Result | None:
        """The preferences as they were put."""
        found = await self._customers.load(customer)
        return None if found is None else Result(preferences_view(found[0].preferences), found[1])

    # Consent

    async def add_consent(self, customer: str, raw: Any, *, by_person: bool = False) -> dict[str, Any]:
        """Add an entry to the ledger; the entry as shown.

        A grant that lifts a withdrawal needs `proof`, unless the person gives it (`by_person`: on a page, by a reply).
        """
        reading = self._reading()
        entry = reading.consent(raw)
        reading.done()

        def add(current: Customer) -> Changed | None:
            if entry in current.consents:
                return None
            if not by_person and needs_proof(current.consents, entry):
                raise Invalid([("/proof", NEEDS_PROOF)])
            return current, [entry]

        done, _ = await self._customers.change(customer, add)
        return entry_view(entry, done)

    async def consents(self, customer: str) -> dict[str, Any] | None:
        """The ledger, newest first (`items`), and how things stand (`effective`)."""
        found = await self._customers.load(customer)
        if found is None:
            return None
        ledger = await self._customers.ledger(customer)
        return {
            "items": [entry_view(entry, found[0]) for entry in reversed(ledger)],
            "effective": [entry_view(standing, found[0]) for standing in effective(found[0].consents)],
        }

    # In and out

    def import_rows(self, rows: Rows, at_once: int = 32) -> AsyncIterator[tuple[int, list[Problem]]]:
        """Take in rows of (line number, row), some of them at once; a row is as `portable` gives it.

        Yields every line's number, in order, with its problems: none for a row that was kept. A text in place of a row
        is the reason why there is none. The same rows again change nothing; of two rows with one id the later wins.
        """
        return taken_in(rows, self._take, at_once)

    async def portable(self, customer: str) -> dict[str, Any] | None:
        """A customer in the form that `import_rows` reads, with preferences and the consent ledger."""
        found = await self._customers.load(customer)
        if found is None:
            return None
        held = set(found[0].keys.values())
        # An entry bound to an address that is gone speaks of nobody here.
        consents = [
            entry_view(entry, found[0])
            for entry in await self._customers.ledger(customer)
            if entry.address is None or entry.address in held
        ]
        preferences = preferences_view(found[0].preferences)
        return {
            "id": customer,
            **profile_form(found[0]),
            **({"preferences": preferences} if preferences else {}),
            **({"consents": consents} if consents else {}),
        }

    async def _take(self, raw: Any) -> None:
        row = read_row(self._reading(), raw, self._customers.address_key)
        bound = await self._customers.bound((address.value for address in row.profile.addresses), row.id)
        ledger = await self._customers.ledger(row.id) if row.consents else []

        def take(current: Customer | None) -> Changed | None:
            return self._with_row(current, row, [*bound, *(current.consents if current else ())], ledger)

        await self._customers.upsert(row.id, take)
        for address in row.profile.addresses:
            said = [entry for entry in row.consents if entry.address == self._customers.address_key(address.value)]
            if news(bound, said):
                await self._customers.withdraw(address.channel, address.value, said)

    def _with_row(
        self, current: Customer | None, row: Row, held: list[ConsentEntry], ledger: list[ConsentEntry]
    ) -> Changed | None:
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
        if row.preferences is not None:
            chosen = self._with_preferences(person, row.preferences, "import", None)
            person, withdrawn = (chosen[0], [*chosen[1]]) if chosen else (person, [])
        # What an imported ledger says already isn't said again by the preferences beside it.
        closed = {(entry.channel, entry.category) for entry in row.consents if entry.state == "withdrawn"}
        return person, [*fresh, *(entry for entry in withdrawn if (entry.channel, entry.category) not in closed)]

    # Parts

    def _reading(self) -> Reading:
        return Reading(self._known, self._clock.now())

    def _shown(self, done: Written) -> Result:
        return Result(customer_view(done.customer, self._clock.now()), done.version, done.created)

    def _with_profile(self, current: Customer, profile: Profile, *, new: bool) -> Changed | None:
        changes = {name: getattr(profile, name) for name in profile.__struct_fields__}
        if not new and all(getattr(current, name) == value for name, value in changes.items()):
            return None
        now = self._clock.now()
        return msgspec.structs.replace(current, **changes, profile_at=now, changed_at=now), ()

    def _with_preferences(
        self, current: Customer, preferences: Preferences, way: str, wording: str | None
    ) -> Changed | None:
        if preferences == current.preferences:
            return None
        now = self._clock.now()
        before = current.preferences.categories
        off = [
            ConsentEntry(
                ANY, name, "withdrawn", way, wording or f"{name} messages switched off in the preferences.", now
            )
            for name, choice in preferences.categories.items()
            if not choice.enabled and before.get(name, CategoryPreference()).enabled
        ]
        new = msgspec.structs.replace(current, preferences=preferences, preferences_at=now, changed_at=now)
        return new, off
