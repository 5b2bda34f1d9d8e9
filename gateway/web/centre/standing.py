"""What a person's ledger means for the page: what is stopped, since when, and what would lift it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal

import msgspec

from gateway.customer import ConsentEntry, Customer
from gateway.preferences.consent import ANY, LIFTED, applies, lifts, permission, says, where_said

NONE: Final = "\0"
"""A channel or category that nothing is called: only entries for all of them speak of it."""
PAGE: Final = "page"
LIFTED_BY_PAGE: Final = f"{LIFTED}{PAGE}"
Remedy = Literal["button", "sms", "voice", "wechat", "chat"]
_PHONES: Final = ("sms", "voice")


class Stop(msgspec.Struct, frozen=True):
    """A withdrawal in force, and how it is lifted: here, by START from the phone or in the chat, by following again."""

    entry: ConsentEntry
    remedy: Remedy


def binding(
    entries: Iterable[ConsentEntry], channel: str, category: str, address_key: str | None
) -> ConsentEntry | None:
    """The newest withdrawal in force that applies; a word goes before a mere leaving, which says less of what lifts it."""
    found = [entry for entry in entries if applies(entry, channel, category, address_key)]
    grants = [entry for entry in found if entry.state == "granted"]
    withdrawn = [
        e for e in found if e.state == "withdrawn" and not any(lifts(grant, e, address_key) for grant in grants)
    ]
    return max(withdrawn, key=lambda entry: (says(entry) != "left", entry.at), default=None)


def everything(customer: Customer) -> ConsentEntry | None:
    """The withdrawal of all messages on every channel."""
    return binding(customer.consents, NONE, NONE, None)


def of_kind(customer: Customer, kind: str) -> ConsentEntry | None:
    """The withdrawal of a kind on every channel, or of everything."""
    return binding(customer.consents, NONE, kind, None)


def of_kind_by_name(customer: Customer, kind: str) -> ConsentEntry | None:
    """The withdrawal of a kind on every channel."""
    own = [entry for entry in customer.consents if entry.category == kind or entry.state == "granted"]
    return binding(own, NONE, kind, None)


def said_here(stop: ConsentEntry | None) -> bool:
    """Whether a withdrawal is the person's own word on the page: said again it would say no more."""
    return stop is not None and stop.way == PAGE


def of_channel(customer: Customer, channel: str) -> Stop | None:
    """The withdrawal of all messages on a channel, at each address of it there is."""
    return _everywhere(customer, channel, lambda entry: entry.channel == channel)


def of_kind_on(customer: Customer, kind: str, channel: str) -> Stop | None:
    """The withdrawal of one kind on one channel."""
    return _everywhere(
        customer, channel, lambda entry: entry.category == kind and entry.channel == channel, category=kind
    )


def agreed_on(customer: Customer, kind: str, channel: str) -> ConsentEntry | None:
    """The consent by which a kind that needs one may come by a channel."""
    for key in _keys(customer, channel):
        if permission(customer.consents, channel, kind, key, "opt_in").allowed:
            grants = [
                entry
                for entry in customer.consents
                if entry.state == "granted" and applies(entry, channel, kind, key) and not entry.way.startswith(LIFTED)
            ]
            return max(grants, key=lambda entry: entry.at, default=None)
    return None


def _keys(customer: Customer, channel: str) -> list[str | None]:
    """The keyed hashes of a channel's addresses; None alone where there is no address."""
    found = [customer.keys.get(one.value) for one in customer.addresses if one.channel == channel]
    return [*found] or [None]


def _everywhere(
    customer: Customer, channel: str, named: Callable[[ConsentEntry], bool], category: str = ANY
) -> Stop | None:
    """What closes every address of a channel: of the withdrawals that are `named`, and of those said at the address.

    A phone that stopped all messages, or all of a category, everywhere is opened from that phone alone.
    """
    found: list[ConsentEntry] = []
    for key in _keys(customer, channel):
        there = [
            entry
            for entry in customer.consents
            if entry.state == "granted"
            or named(entry)
            or (entry.category == category and key is not None and where_said(entry) == key)
        ]
        stop = binding(there, channel, NONE if category == ANY else category, key)
        if stop is None:
            return None
        found.append(stop)
    return Stop(found[-1], _remedy(found[-1], channel))


def _remedy(entry: ConsentEntry, channel: str) -> Remedy:
    """What was said from a phone or in WeChat is lifted from there: it may be another's, and the provider blocks it."""
    if entry.address is None and where_said(entry) is None:
        return "button"
    if channel in _PHONES:
        return "sms" if channel == "sms" else "voice"
    if channel == "wechat":
        return "chat" if entry.way.endswith("_keyword") else "wechat"
    return "button"
