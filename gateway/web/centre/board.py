"""What the pages show of a person's wishes: ways in their order, kinds of messages with their switches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from gateway.customer import Address, AddressHealth, CategoryPreference, ConsentEntry
from gateway.routing.policy import DEFAULT_ORDER, Category
from gateway.web.centre import standing
from gateway.web.centre.visit import Visit

Switch = Literal["on", "off", "always", "agreed", "none", "stopped"]


class Way(msgspec.Struct, frozen=True):
    """A channel in an order. `place` from 1, None: not used; `usable`: it exists here."""

    name: str
    title: str
    place: int | None
    first: bool
    last: bool
    addresses: tuple[str, ...]
    usable: bool
    stop: standing.Stop | None


class Order(msgspec.Struct, frozen=True):
    """An order of channels: of a kind, or of all messages (`kind` empty). `own`: the person has set it."""

    kind: str
    used: tuple[Way, ...]
    unused: tuple[Way, ...]
    own: bool


class KindRow(msgspec.Struct, frozen=True):
    """A kind of messages. `ways`: its own order, if any; `by`: channels agreed to; `not_by`: channels stopped for it."""

    name: str
    title: str
    what: str
    switch: Switch
    ways: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    not_by: tuple[str, ...] = ()
    stopped_all: bool = False


class Consent(msgspec.Struct, frozen=True):
    """One channel of a kind that needs consent: the sentence, and the entry by which it stands agreed.

    `stop`: the whole channel is stopped, which comes first.
    """

    channel: str
    sentence: str
    entry: ConsentEntry | None
    stop: standing.Stop | None


class Held(msgspec.Struct, frozen=True):
    """An address, what it is called in paths and to people, the name of its channel unless it says that, its health."""

    address: Address
    ref: str
    name: str
    kind: str
    health: AddressHealth | None


def known_channels(visit: Visit) -> tuple[str, ...]:
    """The channels there are for this person: those that exist here, and those they have or named before."""
    customer = visit.customer
    here = visit.gateway.channels["live"]
    named = [*(customer.preferences.channels or ()), *(address.channel for address in customer.addresses)]
    order = [*(name for name in DEFAULT_ORDER if name in here), *sorted(here), *named]
    return tuple(dict.fromkeys(name for name in order if name in visit.gateway.known_channels))


def order_of(visit: Visit, kind: str = "") -> Order:
    """The order of all messages, or of a kind."""
    customer, all_of_them = visit.customer, known_channels(visit)
    general = customer.preferences.channels
    own = customer.preferences.categories.get(kind, CategoryPreference()).channels if kind else general
    listed = own or general
    used = tuple(name for name in listed if name in visit.gateway.known_channels) if listed else all_of_them
    used = used or all_of_them
    rest = tuple(name for name in all_of_them if name not in used)
    return Order(kind, _ways(visit, used, placed=True), _ways(visit, rest, placed=False), own is not None)


def _ways(visit: Visit, names: Sequence[str], *, placed: bool) -> tuple[Way, ...]:
    customer = visit.customer
    return tuple(
        Way(
            name=name,
            title=visit.texts.channel(name),
            place=number if placed else None,
            first=number == 1,
            last=number == len(names),
            addresses=tuple(shown(address) for address in customer.addresses if address.channel == name),
            usable=name in visit.gateway.channels["live"],
            stop=standing.of_channel(customer, name),
        )
        for number, name in enumerate(names, 1)
    )


def kinds(visit: Visit) -> list[KindRow]:
    """Every kind of messages; those that can't be switched come last."""
    rows = [kind_row(visit, name, category) for name, category in visit.gateway.rules.categories.items()]
    return sorted(rows, key=lambda row: row.switch == "always")


def kind_row(visit: Visit, name: str, category: Category) -> KindRow:
    """One kind of messages as it stands."""
    customer, words = visit.customer, visit.texts.kind_of(name)
    stopped_all = standing.everything(customer) is not None
    if category.consent == "asked":
        return KindRow(name, words.title, words.what, "always", stopped_all=stopped_all)
    choice = customer.preferences.categories.get(name, CategoryPreference())
    if stopped_all:
        by_name = not choice.enabled or standing.of_kind_by_name(customer, name) is not None
        state: Switch = "off" if by_name else "stopped"
        return KindRow(name, words.title, words.what, state, choice.channels or (), stopped_all=True)
    off = not choice.enabled or standing.of_kind(customer, name) is not None
    mine = _mine(visit)
    by: tuple[str, ...] = ()
    if category.consent == "opt_in":
        by = () if not choice.enabled else tuple(n for n in mine if standing.agreed_on(customer, name, n) is not None)
        switch: Switch = "agreed" if by else "none"
        return KindRow(name, words.title, words.what, switch, choice.channels or (), by)
    not_by = () if off else tuple(n for n in mine if standing.of_kind_on(customer, name, n) is not None)
    switch = "off" if off else "on"
    return KindRow(name, words.title, words.what, switch, choice.channels or (), by, not_by)


def consents(visit: Visit, kind: str) -> list[Consent]:
    """What the person may agree to, channel by channel, in the very words that are kept."""
    choice = visit.customer.preferences.categories.get(kind, CategoryPreference())
    return [
        Consent(
            channel=name,
            sentence=sentence(visit, kind, name),
            entry=standing.agreed_on(visit.customer, kind, name) if choice.enabled else None,
            stop=standing.of_channel(visit.customer, name),
        )
        for name in _mine(visit)
    ]


def sentence(visit: Visit, kind: str, channel: str) -> str:
    """What somebody agrees to."""
    brand, texts = visit.gateway.settings.brand.name, visit.texts
    words = texts.kind.agree_sentence if brand else texts.kind.agree_us
    return words.format(kind=texts.kind_of(kind).title, brand=brand, channel=texts.by(channel))


def _mine(visit: Visit) -> tuple[str, ...]:
    """The channels a person has an address for; all there are while they have none."""
    held = {address.channel for address in visit.customer.addresses}
    return tuple(name for name in known_channels(visit) if name in held) or known_channels(visit)


def addresses(visit: Visit) -> list[Held]:
    """The person's addresses, in their order."""
    now, nameless = visit.gateway.clock.now(), [one for one in visit.customer.addresses if not shown(one)]
    found: list[Held] = []
    for one in visit.customer.addresses:
        kind, name = visit.texts.channel(one.channel), shown(one)
        number = f" {nameless.index(one) + 1}" if not name and len(nameless) > 1 else ""
        health = visit.customer.health_of(one, now)
        found.append(Held(one, reference(visit, one), name or kind + number, kind if name else "", health))
    return found


def reference(visit: Visit, address: Address) -> str:
    """What an address is called in paths: nobody can read it from there."""
    return f"{address.channel}-{visit.gateway.customers.address_key(address.value)[:12]}"


def by_reference(visit: Visit, ref: str) -> Address | None:
    """The address of that name, if the person has it."""
    return next((one for one in visit.customer.addresses if reference(visit, one) == ref), None)


def shown(address: Address) -> str:
    """An address as its owner reads it; an openid says nothing to anybody."""
    return (address.label or "") if address.channel == "wechat" else address.value


def urgent_kinds(visit: Visit) -> str:
    """The kinds that quiet hours don't hold back, within a sentence."""
    passing: Iterable[str] = (
        visit.texts.kind_of(name).title
        for name, category in visit.gateway.rules.categories.items()
        if category.quiet_hours != "held"
    )
    return visit.texts.page.comma.join(passing)
