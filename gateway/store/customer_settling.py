"""What a customer's record becomes when it is written: with what is known of the addresses by then, and what of the
change is told in the person's timeline.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from gateway.customer import ConsentEntry, Customer
from gateway.preferences.consent import ANY
from gateway.store.addresses import Facts, compacted, news
from gateway.store.entries import Entry, encoded

OWNERS_WAY: Final = "owner_of_address"
"""The `way` of a withdrawal a one-off customer has from the person who owns the address; renewed at each use."""
STATE: Final = msgspec.msgpack.Decoder(Customer)
KEY_SHOWN: Final = 12
"""So much of an address's keyed hash tells it from the customer's others."""
MOST_NAMED: Final = 10
_PROFILE: Final = ("name", "locale", "time_zone")
_WISHES: Final = ("channels", "categories", "quiet_hours", "language")


def heard(before: Sequence[ConsentEntry], facts: Mapping[str, Facts], fresh: Collection[str]) -> list[ConsentEntry]:
    """What is known of addresses that a record doesn't say yet; `fresh`: the addresses that are new to it.

    A word for every channel binds the whole person who had the address when it was said. Whoever gets the address later
    is bound there alone, by an entry that names the address twice: what it binds, and where it was said.
    """
    found: list[ConsentEntry] = []
    for key, known in facts.items():
        for entry in news(before, known.consents):
            general = entry.channel == ANY and entry.address is None
            here = msgspec.structs.replace(entry, address=key, source=key) if general else entry
            if news(before, [here]):  # else they had it with the address
                found.append(here if key in fresh else entry)
    return found


def absorbed(current: Customer, facts: Mapping[str, Facts]) -> Customer:
    """A copy of the record, free to be changed, with what is known of its addresses by now."""
    copy = STATE.decode(msgspec.msgpack.encode(current))
    copy.consents = compacted([*current.consents, *heard(current.consents, facts, ())])
    return copy


def settled(
    current: Customer | None,
    wanted: Customer,
    ledger: Sequence[ConsentEntry],
    facts: Mapping[str, Facts],
    address_keys: dict[str, str],
    now: int,
) -> tuple[Customer, list[ConsentEntry]]:
    """What is to be stored, and the lines for the ledger."""
    before = current.consents if current else ()
    fresh = set(address_keys.values()) - (set(current.keys.values()) if current else set())
    told = heard(before, facts, fresh)
    kept = [entry for entry in before if entry.way != OWNERS_WAY]
    health = {
        f"{channel}:{key}": state for key in address_keys.values() for channel, state in facts[key].health.items()
    }
    new = msgspec.structs.replace(
        wanted,
        keys=address_keys,
        health=health,
        consents=compacted([*kept, *told, *wanted.consents, *ledger]),
        created_at=wanted.created_at or (current.created_at if current else now),
    )
    said = dict.fromkeys([*told, *ledger, *wanted.consents])
    return new, [entry for entry in said if entry not in before and entry.way != OWNERS_WAY]


def told_of(current: Customer, new: Customer) -> list[bytes]:
    """The lines a change adds to the timeline: which fields changed, which addresses came, went, or are in doubt."""
    lines: list[Entry] = []
    named = [name for name in _PROFILE if getattr(current, name) != getattr(new, name)]
    traits = current.attributes.keys() | new.attributes.keys()
    named += sorted(f"attributes.{one}" for one in traits if current.attributes.get(one) != new.attributes.get(one))
    if named:
        lines.append(Entry(kind="profile", facts={"changed": named[:MOST_NAMED]}))
    before, now = current.preferences, new.preferences
    wishes = [name for name in _WISHES if getattr(before, name) != getattr(now, name)]
    if wishes:
        lines.append(Entry(kind="preferences", facts={"changed": wishes, "by": new.preferences_by}))
    had = {(a.channel, current.keys.get(a.value, "")) for a in current.addresses}
    has = {(a.channel, new.keys.get(a.value, "")) for a in new.addresses}
    moved = [("removed", *one) for one in sorted(had - has)] + [("added", *one) for one in sorted(has - had)]
    for name in sorted(current.health.keys() | new.health.keys()):
        channel, _, key = name.partition(":")
        was, state = (of.health[name].state if name in of.health else "good" for of in (current, new))
        if state != was and (channel, key) in had & has:
            moved.append((state, channel, key))
    moved += [("confirmed", "", key) for key in sorted(new.confirmed.keys() - current.confirmed.keys())]
    for change, channel, key in moved:
        facts = {"change": change} | ({"channel": channel} if channel else {})
        lines.append(Entry(kind="address", of=key[:KEY_SHOWN], facts=facts))
    return [encoded(line) for line in lines]
