"""What a change of wishes writes into the consent ledger.

Switching a category off is a withdrawal, whoever does it. Switching it on again lifts nothing by itself: only the person
gives consent back, and then every withdrawal that names the category is lifted, on each channel that it names. What a
STOP closed on a channel as a whole stays closed.

The preferences remember who chose them last, so that no file undoes what people chose themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.customer import CategoryPreference, Chooser, ConsentEntry, Customer, Preferences
from gateway.preferences.consent import ANY, LIFTED, dated, following, in_force, lifts, names, of_person


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """How a change came: its way, the words that were shown with their version, when (ms), and who chose.

    `by_person`: they meant consent by it too, so what they switch on is agreed to.
    """

    way: str
    at: int
    wording: str | None = None
    version: str | None = None
    by_person: bool = False
    chooser: Chooser = "business"


def with_preferences(
    current: Customer, preferences: Preferences, said: Said
) -> tuple[Customer, list[ConsentEntry]] | None:
    """The customer with other preferences, and the lines for the ledger; None when nothing changes."""
    if preferences == current.preferences and said.chooser == current.preferences_by:
        return None
    before = current.preferences.categories
    lines: list[ConsentEntry] = []
    for name, choice in preferences.categories.items():
        was_on = before.get(name, CategoryPreference()).enabled
        if not choice.enabled and (was_on or not _withdrawn(current.consents, name)):
            lines.append(_off(current.consents, name, said))
        elif choice.enabled and not was_on and said.by_person:
            lines += _on(current, name, said)
    for name, choice in before.items():
        if name not in preferences.categories and not choice.enabled and said.by_person:
            lines += _on(current, name, said)
    new = msgspec.structs.replace(
        current, preferences=preferences, preferences_by=said.chooser, preferences_at=said.at, changed_at=said.at
    )
    return new, lines


def switched(current: Customer, category: str, said: Said, *, on: bool) -> tuple[Customer, list[ConsentEntry]] | None:
    """The customer after they switched one category on or off themselves, and the lines for the ledger.

    None when they have switched it off since they asked for it.
    """
    if on and any(
        one.at >= said.at and one.category == category for one in current.consents if one.state == "withdrawn"
    ):
        return None
    lines = _on(current, category, said) if on else [_off(current.consents, category, said)]
    return msgspec.structs.replace(
        _turned(current, category, max(said.at, current.changed_at), on=on), preferences_by=said.chooser
    ), lines


def agreed(current: Customer, entry: ConsentEntry, now: int, *, by_person: bool) -> Customer:
    """The customer after a grant: a category it names isn't switched off any more, since the grant is the newer word."""
    new = _turned(current, entry.category, now, on=True) if entry.state == "granted" else current
    return msgspec.structs.replace(new, preferences_by="person") if by_person and new is not current else new


def own_word(current: Customer, grant: ConsentEntry) -> list[ConsentEntry]:
    """A grant by the person, as it is to be written: it opens nothing that it doesn't name.

    Where all of a channel, or everything, is stopped too, it only takes back what names the same; it is a consent for
    those addresses alone that aren't stopped.
    """
    general = of_person(current.consents)
    bound = [(one, None if one in general else one.address or one.source) for one in in_force(current.consents)]
    held = {current.keys[one.value] for one in current.addresses if grant.channel in (ANY, one.channel)}
    wider = [(one, at) for one, at in bound if lifts(grant, one, at) and not names(grant, one)]
    shut = {at for _, at in wider if at is None or at in held}
    if not shut:
        return [grant]
    open_still = [] if None in shut or grant.channel == ANY else sorted(held - shut)
    taken_back = msgspec.structs.replace(grant, way=f"{LIFTED}{grant.way.removeprefix(LIFTED)}")
    return [taken_back, *(msgspec.structs.replace(grant, address=key) for key in open_still)]


def _turned(current: Customer, category: str, now: int, *, on: bool) -> Customer:
    wishes = current.preferences
    choice = wishes.categories.get(category, CategoryPreference())
    if choice.enabled == on:
        return current
    chosen = {**wishes.categories, category: msgspec.structs.replace(choice, enabled=on)}
    wishes = msgspec.structs.replace(wishes, categories=chosen)
    return msgspec.structs.replace(current, preferences=wishes, preferences_at=now, changed_at=now)


def _withdrawn(entries: Sequence[ConsentEntry], category: str) -> bool:
    return any(one.channel == ANY and one.category == category for one in of_person(entries))


def _off(entries: Sequence[ConsentEntry], category: str, said: Said) -> ConsentEntry:
    wording = said.wording or f"{category} messages switched off in the preferences."
    return dated(entries, ConsentEntry(ANY, category, "withdrawn", said.way, wording, said.at, version=said.version))


def _on(current: Customer, category: str, said: Said) -> list[ConsentEntry]:
    """Grants for the category everywhere, and by name on each channel where it was withdrawn by name."""
    named = [one.channel for one in in_force(current.consents) if one.category == category]
    wording = said.wording or f"{category} messages switched on in the preferences."
    grants = [
        ConsentEntry(channel, category, "granted", said.way, wording, said.at, version=said.version)
        for channel in dict.fromkeys([ANY, *named])
    ]
    return [line for grant in grants for line in own_word(current, following(current.consents, grant))]
