"""What a change of wishes writes into the consent ledger.

Switching a category off is a withdrawal, whoever does it. Switching it on again lifts nothing by itself: only the person
gives consent back, and then every withdrawal that names the category is lifted, on each channel that it names. What a
STOP closed on a channel as a whole stays closed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.customer import CategoryPreference, ConsentEntry, Customer, Preferences
from gateway.preferences.consent import ANY, dated, in_force


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """How a change came: its way, the words that were shown with their version, when (ms), and whether by the person."""

    way: str
    at: int
    wording: str | None = None
    version: str | None = None
    by_person: bool = False


def with_preferences(
    current: Customer, preferences: Preferences, said: Said
) -> tuple[Customer, list[ConsentEntry]] | None:
    """The customer with other preferences, and the lines for the ledger; None when nothing changes."""
    if preferences == current.preferences:
        return None
    before = current.preferences.categories
    lines: list[ConsentEntry] = []
    for name, choice in preferences.categories.items():
        was_on = before.get(name, CategoryPreference()).enabled
        if not choice.enabled and (was_on or not _withdrawn(current.consents, name)):
            lines.append(_off(current.consents, name, said))
        elif choice.enabled and not was_on and said.by_person:
            lines += _on(current.consents, name, said)
    for name, choice in before.items():
        if name not in preferences.categories and not choice.enabled and said.by_person:
            lines += _on(current.consents, name, said)
    new = msgspec.structs.replace(current, preferences=preferences, preferences_at=said.at, changed_at=said.at)
    return new, lines


def switched(current: Customer, category: str, said: Said, *, on: bool) -> tuple[Customer, list[ConsentEntry]]:
    """The customer after they switched one category on or off themselves, and the lines for the ledger."""
    lines = _on(current.consents, category, said) if on else [_off(current.consents, category, said)]
    return _turned(current, category, said.at, on=on), lines


def agreed(current: Customer, entry: ConsentEntry, now: int) -> Customer:
    """The customer after a grant: a category it names isn't switched off any more, since the grant is the newer word."""
    return _turned(current, entry.category, now, on=True) if entry.state == "granted" else current


def _turned(current: Customer, category: str, now: int, *, on: bool) -> Customer:
    wishes = current.preferences
    choice = wishes.categories.get(category, CategoryPreference())
    if choice.enabled == on:
        return current
    chosen = {**wishes.categories, category: msgspec.structs.replace(choice, enabled=on)}
    wishes = msgspec.structs.replace(wishes, categories=chosen)
    return msgspec.structs.replace(current, preferences=wishes, preferences_at=now, changed_at=now)


def _withdrawn(entries: Sequence[ConsentEntry], category: str) -> bool:
    return any(one.channel == ANY and one.category == category and one.address is None for one in in_force(entries))


def _off(entries: Sequence[ConsentEntry], category: str, said: Said) -> ConsentEntry:
    wording = said.wording or f"{category} messages switched off in the preferences."
    return dated(entries, ConsentEntry(ANY, category, "withdrawn", said.way, wording, said.at, version=said.version))


def _on(entries: Sequence[ConsentEntry], category: str, said: Said) -> list[ConsentEntry]:
    """Grants for the category everywhere, and by name on each channel where it was withdrawn by name."""
    named = [one.channel for one in in_force(entries) if one.category == category]
    wording = said.wording or f"{category} messages switched on in the preferences."
    return [
        ConsentEntry(channel, category, "granted", said.way, wording, said.at, version=said.version)
        for channel in dict.fromkeys([ANY, *named])
    ]
