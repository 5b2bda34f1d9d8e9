"""What a customer's record becomes when it is written: with what is known of the addresses by then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.customer import ConsentEntry, Customer
from gateway.store.addresses import Facts, compacted, news

OWNERS_WAY: Final = "owner_of_address"
"""The `way` of a withdrawal a one-off customer has from the person who owns the address; renewed at each use."""
STATE: Final = msgspec.msgpack.Decoder(Customer)


def absorbed(current: Customer, facts: Mapping[str, Facts]) -> Customer:
    """A copy of the record, free to be changed, with what is known of its addresses by now."""
    said = [entry for found in facts.values() for entry in found.consents]
    copy = STATE.decode(msgspec.msgpack.encode(current))
    copy.consents = compacted([*current.consents, *news(current.consents, said)])
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
