"""What a person's ledger means for the page: what is stopped, since when, and what would lift it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from gateway.customer import ConsentEntry, Customer
from gateway.preferences.consent import LIFTED, applies, lifts, permission

NONE: Final = "\0"
"""A channel or category that nothing is called: only entries for all of them speak of it."""
PAGE: Final = "page"
LIFTED_BY_PAGE: Final = f"{LIFTED}{PAGE}"
Remedy = Literal["button", "sms", "wechat"]


class Stop(msgspec.Struct, frozen=True):
    """A withdrawal in force, and how it is lifted: here, by START from the phone, by following the account again."""

    entry: ConsentEntry
    remedy: Remedy


def binding(
    entries: Iterable[ConsentEntry], channel: str, category: str, address_key: str | None
) -> ConsentEntry | None:
    """The newest withdrawal in force that applies."""
    found = [entry for entry in entries if applies(entry, channel, category, address_key)]
    grants = [entry for entry in found if entry.state == "granted"]
    withdrawn = [e for e in found if e.state == "withdrawn" and not any(lifts(grant, e) for grant in grants)]
    return max(withdrawn, key=lambda entry: entry.at, default=None)


def everything(customer: Customer) -> ConsentEntry | None:
    """The withdrawal of all messages on every channel."""
    return binding(customer.consents, NONE, NONE, None)


def of_kind(customer: Customer, kind: str) -> ConsentEntry | None:
    """The withdrawal of a kind on every channel, or of everything."""
    return binding(customer.consents, NONE, kind, None)


def of_channel(customer: Customer, channel: str) -> Stop | None:
    """The withdrawal of all messages on a channel, at each address of it there is."""
    own = [entry for entry in customer.consents if entry.channel == channel or entry.state == "granted"]
    return _everywhere([binding(own, channel, NONE, key) for key in _keys(customer, channel)])


def of_kind_on(customer: Customer, kind: str, channel: str) -> Stop | None:
    """The withdrawal of one kind on one channel."""
    narrow = [
        entry
        for entry in customer.consents
        if entry.state == "granted" or (entry.channel == channel and entry.category == kind)
    ]
    return _everywhere([binding(narrow, channel, kind, key) for key in _keys(customer, channel)])


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


def _everywhere(stops: Sequence[ConsentEntry | None]) -> Stop | None:
    found = [entry for entry in stops if entry is not None]
    return Stop(found[-1], _remedy(found[-1])) if found and len(found) == len(stops) else None


def _remedy(entry: ConsentEntry) -> Remedy:
    """What was said from a phone or in WeChat is lifted from there: the provider blocks it, too."""
    if entry.address is not None and entry.channel == "sms":
        return "sms"
    return "wechat" if entry.address is not None and entry.channel == "wechat" else "button"
