"""What businesses and people change about a customer: profile, preferences, consent; and how it is shown.

Each change is read whole first (every problem at once), then swapped in by version. A profile never touches consent,
health or preferences; what preferences do to consent stands in `people_wishes`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any, Literal

import msgspec

from gateway.customer import Customer
from gateway.people.fields import Invalid, Known, Problem
from gateway.people.importing import AT_ONCE, NEEDS_PROOF, Import, Told, portable
from gateway.people.parse import Profile, Reading
from gateway.people.rows import Rows
from gateway.people.views import customer_view, entry_view, merged, preferences_view, profile_form
from gateway.people.wishes import Said, agreed, own_word, switched, with_preferences
from gateway.preferences.consent import dated, effective, following
from gateway.store.addresses import needs_proof
from gateway.store.clock import Clock
from gateway.store.customers import Changed, Conflict, Customers, Written

__all__ = ["Conflict", "Invalid", "People", "Result", "Way"]

Way = Literal["api", "page", "keyword", "ivr", "wechat"]


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
        rouse: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`country` (ISO 3166): of telephone numbers that are written without one; None: these are refused.

        `rouse`: wakes a customer's held messages, so that what a change sets free doesn't wait.
        """
        self._customers = customers
        self._clock = clock
        self._rouse = rouse
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
        self,
        customer: str,
        raw: Any,
        expected: int | None = None,
        *,
        way: Way = "api",
        wording: str | None = None,
        version: str | None = None,
        by_person: bool = False,
    ) -> Result:
        """Replace the preferences. A category newly switched off is withdrawn on every channel.

        By any way but "api" it is the person who chose, and no import undoes that. `way`, `wording`, `version`: for the ledger, how it came and what they saw. `by_person`: the person did it, so a
        category newly switched on is agreed to; else what was withdrawn stays so.
        """
        reading = self._reading()
        preferences = reading.preferences(raw)
        reading.done()
        said = self._said(way, wording, version, by_person=by_person)

        def put(current: Customer | None) -> Changed | None:
            if current is None:
                raise KeyError(customer)
            return with_preferences(current, preferences, said)

        done = await self._customers.upsert(customer, put, expected)
        await self._freed(customer)
        return Result(preferences_view(done.customer.preferences), done.version)

    async def change_preferences(
        self,
        customer: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        way: Way,
        wording: str | None = None,
        by_person: bool = False,
    ) -> Result:
        """As `put_preferences`, of what a function makes of those that stand by then; it may run again.

        However many change them at once, each goes in, one after the other.
        """
        said = self._said(way, wording, None, by_person=by_person)

        def changed(current: Customer) -> Changed | None:
            reading = self._reading()
            preferences = reading.preferences(change(preferences_view(current.preferences)))
            reading.done()
            return with_preferences(current, preferences, said)

        done, number = await self._customers.change(customer, changed)
        await self._freed(customer)
        return Result(preferences_view(done.preferences), number)

    async def choose(
        self,
        customer: str,
        category: str,
        *,
        on: bool,
        way: Way,
        wording: str,
        version: str | None = None,
        at: int | None = None,
    ) -> Result:
        """The person switches one category on or off: the preferences, and the entries that say so.

        On lifts what was withdrawn of this category by name until then, not what STOP closed on a channel as a whole.
        `at`: when they said so (ms); None: now. Raises Invalid for an unknown category.
        """
        if category not in self._known.categories:
            raise Invalid([("/category", "is no category")])
        said = self._said(way, wording, version, by_person=True)
        if at is not None:
            said = msgspec.structs.replace(said, at=at)
        done, number = await self._customers.change(customer, lambda known: switched(known, category, said, on=on))
        await self._freed(customer)
        return Result(preferences_view(done.preferences), number)

    async def complaint(self, customer: str, *, open: bool) -> None:  # noqa: A002 - the plain word for it
        """Say that the person has a complaint open, or none any more: then the questions held for it go out at once."""

        def told(current: Customer) -> Changed | None:
            if current.complaint_open == open:
                return None
            return msgspec.structs.replace(current, complaint_open=open, changed_at=self._clock.now()), ()

        await self._customers.change(customer, told)
        await self._freed(customer)

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
        entry = given = reading.consent(raw)
        reading.done()

        def add(current: Customer) -> Changed | None:
            nonlocal entry
            held = current.consents
            entry = given if raw.get("at") is not None else following(held, dated(held, given))
            if entry in current.consents:
                return None
            if not by_person and needs_proof(current.consents, entry):
                raise Invalid([("/proof", NEEDS_PROOF)])
            lines = own_word(current, entry) if by_person and entry.state == "granted" else [entry]
            return agreed(current, entry, self._clock.now(), by_person=by_person), lines

        done, _ = await self._customers.change(customer, add)
        await self._freed(customer)
        return entry_view(entry, done)

    async def consents(
        self, customer: str, limit: int | None = None, cursor: str | None = None
    ) -> dict[str, Any] | None:
        """The ledger, newest first (`items`), where the next page begins (`next`), how things stand (`effective`).

        `limit` None: all of it. Raises ValueError for a cursor that isn't the `next` of an earlier page.
        """
        found = await self._customers.load(customer)
        if found is None:
            return None
        ledger, following = await self._customers.ledger_page(customer, limit, cursor)
        return {
            "items": [entry_view(entry, found[0]) for entry in ledger],
            "next": following,
            "effective": [entry_view(standing, found[0]) for standing in effective(found[0].consents)],
        }

    # In and out

    def import_rows(
        self, rows: Rows, at_once: int = AT_ONCE, *, dry_run: bool = False, overwrite: bool = False
    ) -> AsyncIterator[tuple[int, Told]]:
        """Take in rows of (line number, row), some of them at once; a row is as `portable` gives it.

        Yields every line's number, in order, with what came of it. A text in place of a row is the reason why there is
        none. The same rows again change nothing; of two rows with one id the later wins. `dry_run`: nothing is stored.
        `overwrite`: a row's preferences replace even those that people chose themselves.
        """
        incoming = Import(self._customers, self._clock, self._reading, self._with_profile)
        return incoming.rows(rows, at_once, dry_run=dry_run, overwrite=overwrite)

    async def portable(self, customer: str) -> dict[str, Any] | None:
        """A customer in the form that `import_rows` reads, with preferences and the consent ledger."""
        return next(iter(await portable(self._customers, [customer])), None)

    async def all_portable(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Every customer in that form, in pages."""
        async for ids in self._customers.id_pages():
            yield await portable(self._customers, ids)

    # Parts

    def _reading(self) -> Reading:
        return Reading(self._known, self._clock.now())

    def _said(self, way: Way, wording: str | None, version: str | None, *, by_person: bool) -> Said:
        chooser = "business" if way == "api" else "person"
        now = self._clock.now()
        return Said(way=way, at=now, wording=wording, version=version, by_person=by_person, chooser=chooser)

    async def _freed(self, customer: str) -> None:
        if self._rouse is not None:
            await self._rouse(customer)

    def _shown(self, done: Written) -> Result:
        return Result(customer_view(done.customer, self._clock.now()), done.version, done.created)

    def _with_profile(self, current: Customer, profile: Profile, *, new: bool) -> Changed | None:
        changes = {name: getattr(profile, name) for name in profile.__struct_fields__}
        if not new and all(getattr(current, name) == value for name, value in changes.items()):
            return None
        now = self._clock.now()
        return msgspec.structs.replace(current, **changes, profile_at=now, changed_at=now), ()
