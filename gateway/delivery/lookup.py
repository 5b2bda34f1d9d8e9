"""Who is calling: whose an address is, and what whoever answers should know before the first word."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from babel import Locale, UnknownLocaleError

from gateway.customer import Customer
from gateway.delivery.inbox import InboundItems, Listed
from gateway.delivery.thread import Post, Threads
from gateway.message import Mode, Why
from gateway.numbers import normalise
from gateway.preferences.consent import ANY, permission
from gateway.store.clock import Clock
from gateway.store.customers import ONE_OFF, Customers
from gateway.text import mask

LookupPart = Callable[[Mode, Customer], Awaitable[Sequence[Mapping[str, Any]]]]
"""What a service has open for a customer, the newest first: small objects as its own API shows them. It must find them by
index, for whoever answers the telephone waits for it."""

CONTACTS: Final = 5
RECENT: Final = 10
SPOKEN_OF: Final = ("message", "answer", "inbound", "note")
_KINDS: Final = ("sms", "email", "wechat")
_DIALLED: Final = re.compile(r"[\d\s()./-]{4,}")
_NAMES: Final = {"sms": "SMS", "email": "e-mail", "wechat": "WeChat", "voice": "calls"}


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has the address. `parts`: what services have open for them, by name."""

    customer: Customer
    hints: tuple[Why, ...]
    contacts: tuple[Post, ...]
    parts: dict[str, tuple[Mapping[str, Any], ...]]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody who has an address; `recent`: what came from there lately and belongs to nobody yet."""

    address: str
    customers: tuple[Known, ...]
    recent: tuple[Listed, ...]


class Lookup:
    """Looks people up by address. `parts`: who else knows something of a customer. Raises StoreUnavailable."""

    def __init__(
        self,
        customers: Customers,
        threads: Threads,
        items: InboundItems,
        parts: Mapping[str, LookupPart],
        clock: Clock,
    ) -> None:
        self._customers = customers
        self._threads = threads
        self._items = items
        self._parts = parts
        self._clock = clock

    async def by_address(self, mode: Mode, address: str) -> Found:
        """Whose an address is. Raises ValueError, with a sentence, for what can't be one."""
        values = candidates(address)
        owners = [name for value in values for name in await self._customers.owners(value)]
        names = [name for name in owners if not name.startswith(ONE_OFF)]
        if not names:
            linked = [await self._items.linked_to(value, renew=False) for value in values]
            names = [name for name in linked if name is not None]
        loaded = await self._customers.load_many(list(dict.fromkeys(names)))
        people = [one[0] for one in loaded if one is not None]
        known = await asyncio.gather(*(self._known(mode, person) for person in people))
        recent = await asyncio.gather(*(self._items.unlinked_from(mode, value, RECENT) for value in values))
        return Found(address=values[0], customers=tuple(known), recent=tuple(one for some in recent for one in some))

    async def _known(self, mode: Mode, person: Customer) -> Known:
        contacts, parts = await asyncio.gather(
            self._threads.newest(person, mode, SPOKEN_OF, CONTACTS),
            asyncio.gather(*(part(mode, person) for part in self._parts.values())),
        )
        return Known(
            customer=person,
            hints=tuple(hints(person, self._clock.now())),
            contacts=tuple(contacts),
            parts={name: tuple(found) for name, found in zip(self._parts, parts, strict=True)},
        )


def candidates(address: str) -> list[str]:
    """The normalised addresses a text may stand for. Raises ValueError when there is none.

    A plus sign arrives as a blank when whoever wrote the link forgot to escape it.
    """
    text = f"+{address.strip()}" if address.startswith(" ") else address.strip()
    kinds = ("email",) if "@" in text else ("sms",) if text.startswith("+") or _DIALLED.fullmatch(text) else _KINDS
    found: list[str] = []
    wrong = "isn't an address."
    for kind in kinds:
        try:
            found.append(normalise(kind, text))
        except ValueError as bad:
            wrong = str(bad)
    if not found:
        raise ValueError(wrong)
    return list(dict.fromkeys(found))


def hints(person: Customer, now: int) -> list[Why]:
    """What to know before speaking, the gravest first."""
    found: list[Why] = []
    if person.attributes.get("medical_priority") is True:
        found.append(Why("medical_priority", "Depends on the service for medical reasons: serve them first."))
    if person.complaint_open:
        found.append(Why("complaint_open", "A complaint is open: don't sell anything."))
    found += _closed(person)
    for address in person.addresses:
        doubt = person.health_of(address, now)
        if doubt is not None:
            where = f"{_NAMES.get(address.channel, address.channel)} to {mask(address.channel, address.value)}"
            code, state = (
                f"address_{doubt.state}",
                "is no longer used" if doubt.state == "suppressed" else "is in doubt",
            )
            found.append(Why(code, f"{where[0].upper()}{where[1:]} {state}: {doubt.reason}"))
    wishes = person.preferences
    if wishes.channels:
        found.append(Why("prefers_channel", f"Prefers {_NAMES.get(wishes.channels[0], wishes.channels[0])}."))
    language = wishes.language or person.locale
    if language is not None:
        found.append(Why("language", f"Speaks {_language(language)}."))
    return found


def _closed(person: Customer) -> list[Why]:
    """What they don't want to hear, and where."""

    def shut(channel: str, category: str) -> bool:
        return not permission(person.consents, channel, category, None, "opt_out").allowed

    channels = tuple(dict.fromkeys(address.channel for address in person.addresses))
    closed = [
        channel
        for channel in channels
        if all(
            not permission(person.consents, channel, ANY, person.keys.get(a.value), "opt_out").allowed
            for a in person.addresses
            if a.channel == channel
        )
    ]
    if channels and len(closed) == len(channels):
        return [Why("do_not_contact", "Has opted out of everything: don't write or call, unless they ask for it.")]
    found = [Why("opted_out", f"Has opted out of {_NAMES.get(channel, channel)}.") for channel in closed]
    left = [channel for channel in channels if channel not in closed]
    if left and all(shut(channel, "marketing") for channel in left):
        found.append(Why("no_marketing", "Doesn't want offers."))
    if left and all(shut(channel, "survey") for channel in left):
        found.append(Why("no_surveys", "Doesn't want to be asked for their opinion."))
    return found


def _language(tag: str) -> str:
    try:
        name = Locale.parse(tag, sep="-").get_display_name("en")
    except (UnknownLocaleError, ValueError):
        return tag
    return f"{name} ({tag})" if name else tag
