"""How customers are shown to those who may see addresses, and merged with a patch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from gateway.customer import Address, AddressHealth, ConsentEntry, Customer, Evidence, Preferences
from gateway.people.fields import wire_time
from gateway.preferences.consent import Standing


def profile_form(customer: Customer) -> dict[str, Any]:
    """The profile in the form of its PUT, without what isn't set."""
    told = {"name": customer.name, "locale": customer.locale, "time_zone": customer.time_zone}
    return {
        **{name: value for name, value in told.items() if value is not None},
        "addresses": [_address(address) for address in customer.addresses],
        "attributes": customer.attributes,
    }


def customer_view(customer: Customer, now: int) -> dict[str, Any]:
    """The customer object; `health` of an address only while there is a doubt at `now` (ms)."""
    return {
        "id": customer.id,
        "name": customer.name,
        "locale": customer.locale,
        "time_zone": customer.time_zone,
        "addresses": [
            {**_address(address), **({"health": health_view(health)} if health else {})}
            for address, health in ((a, customer.health_of(a, now)) for a in customer.addresses)
        ],
        "attributes": customer.attributes,
        "created_at": wire_time(customer.created_at),
        "changed_at": wire_time(customer.changed_at or customer.created_at),
    }


def preferences_view(preferences: Preferences) -> dict[str, Any]:
    """The preferences in the form of their PUT."""
    return msgspec.json.decode(msgspec.json.encode(preferences), type=dict[str, Any])


def entry_view(entry: ConsentEntry | Standing, customer: Customer) -> dict[str, Any]:
    """A line of the ledger. `address`: what it is bound to, `source`: where it was said; null: theirs no more."""
    values = {key: value for value, key in customer.keys.items()}
    return {
        "channel": entry.channel,
        "category": entry.category,
        "state": entry.state,
        "way": entry.way,
        "wording": entry.wording,
        "at": wire_time(entry.at),
        **({"version": entry.version} if entry.version is not None else {}),
        **({"proof": entry.proof} if entry.proof is not None else {}),
        **({"address": values.get(entry.address)} if entry.address is not None else {}),
        **({"source": values.get(entry.source)} if entry.source is not None else {}),
    }


def merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch applied (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    result: dict[str, Any] = dict(cast("Mapping[str, Any]", target)) if isinstance(target, Mapping) else {}
    for name, value in cast("Mapping[str, Any]", patch).items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _address(address: Address) -> dict[str, Any]:
    return cast("dict[str, Any]", msgspec.to_builtins(address))


def health_view(health: AddressHealth) -> dict[str, Any]:
    """Why an address is doubted or no longer used, what taught us, and the last proof of life."""
    times = {"until": health.until, "last_proof": health.proved_at}
    return {
        "state": health.state,
        "reason": {"code": health.code or "unexplained", "text": health.reason},
        "at": wire_time(health.at),
        "count": health.count,
        **{name: wire_time(at) for name, at in times.items() if at is not None},
        **({"evidence": _evidence(health.evidence)} if health.evidence is not None else {}),
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    message, _, attempt = evidence.ref.rpartition("/")
    told = {"provider_code": evidence.provider_code, "bounce": evidence.bounce}
    seen = {"message": message, "attempt": attempt, "at": wire_time(evidence.at)}
    return seen | {name: value for name, value in told.items() if value is not None}
