"""Customers and what they said, for tests of the store that keeps them."""

from __future__ import annotations

from typing import Any, Literal

from gateway.customer import Address, ConsentEntry, Customer
from gateway.preferences.consent import permission
from gateway.store.customers import Customers

STATES: tuple[Literal["granted", "withdrawn"], ...] = ("granted", "withdrawn")
PEPPER = b"pepper of the tests"
MOBILE, LANDLINE, MAIL = "+306900000001", "+302100000001", "ana@example.org"


def ana(**more: Any) -> Customer:
    more.setdefault("addresses", (Address("sms", MOBILE), Address("voice", MOBILE), Address("email", MAIL)))
    return Customer(id="ana", **more)


def entry(
    state: Literal["granted", "withdrawn"],
    at: int,
    *,
    channel: str = "sms",
    category: str = "*",
    wording: str = "STOP",
    **more: Any,
) -> ConsentEntry:
    return ConsentEntry(channel, category, state, "w", wording, at, **more)


async def got(store: Customers, customer: str) -> Customer:
    found = await store.load(customer)
    assert found is not None
    return found[0]


def allowed(customer: Customer, channel: str, value: str, category: str = "marketing") -> bool:
    return permission(customer.consents, channel, category, customer.keys.get(value), "opt_out").allowed
