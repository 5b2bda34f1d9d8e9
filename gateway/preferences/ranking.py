"""Which of a person's addresses are tried, in which order, and why the others are not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from gateway.customer import Address, Preferences
from gateway.message import Skipped, Why


class Ranked(msgspec.Struct, frozen=True):
    """The addresses to try, best first, and the ones left out; each with its reason."""

    chosen: tuple[tuple[Address, Why], ...]
    skipped: tuple[Skipped, ...]


class _Order(msgspec.Struct, frozen=True):
    """An order of channels, whose it is, and whether channels outside of it are unwanted."""

    channels: tuple[str, ...]
    code: str
    complete: bool

    def why(self, channel: str, category: str) -> Why:
        place = f"Choice {self.channels.index(channel) + 1} in " if channel in self.channels else "Not named in "
        match self.code:
            case "customer_category_order":
                whose = f"the order the customer set for {category} messages."
            case "customer_order":
                whose = "the order the customer set for all messages."
            case _ if channel in self.channels:
                whose = f"the usual order for {category} messages; the customer has set none."
            case _:
                whose = f"the usual order for {category} messages, so it comes last."
        return Why(self.code, place + whose)


def rank(
    addresses: Sequence[Address],
    preferences: Preferences,
    category: str,
    category_order: Sequence[str],
    reach_channels: Sequence[str] | None,
    known_channels: Collection[str],
) -> Ranked:
    """Put a person's addresses in order.

    The customer's order for the category counts, else the customer's general one, else `category_order`. An order the
    customer set is complete: what it leaves out is not used. `reach_channels` (None: no limit) only narrows it, and
    `known_channels` are those that are configured here. Several addresses of a channel keep their stored order.
    """
    choice = preferences.categories.get(category)
    if choice is not None and not choice.enabled:
        off = Why("not_wanted", f"The customer has switched {category} messages off.")
        return Ranked((), tuple(Skipped(address.channel, off, address.value) for address in addresses))
    order = _order(preferences, category, category_order)
    chosen: list[tuple[Address, Why]] = []
    skipped: list[Skipped] = []
    for channel in _walk(order, addresses, reach_channels):
        found = [address for address in addresses if address.channel == channel]
        refusal = _refusal(channel, order, reach_channels, known_channels, has_address=bool(found))
        if refusal is not None:
            skipped.extend(Skipped(channel, refusal, address.value) for address in found)
            if not found:
                skipped.append(Skipped(channel, refusal))
            continue
        seen: set[str] = set()
        for address in found:
            if address.value in seen:
                text = f"The same {channel} address stands earlier in the list."
                skipped.append(Skipped(channel, Why("duplicate_address", text), address.value))
            else:
                chosen.append((address, order.why(channel, category)))
            seen.add(address.value)
    return Ranked(tuple(chosen), tuple(skipped))


def _order(preferences: Preferences, category: str, category_order: Sequence[str]) -> _Order:
    choice = preferences.categories.get(category)
    if choice is not None and choice.channels is not None:
        return _Order(_once(choice.channels), "customer_category_order", complete=True)
    if preferences.channels is not None:
        return _Order(_once(preferences.channels), "customer_order", complete=True)
    return _Order(_once(category_order), "category_order", complete=False)


def _once(channels: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(channels))


def _walk(order: _Order, addresses: Sequence[Address], reach_channels: Sequence[str] | None) -> Iterator[str]:
    """Every channel there is something to say about, once: the order's, then those with an address, then the caller's.

    Channels that only the caller names are told apart from the unwanted by the customer's order alone.
    """
    asked = (reach_channels or ()) if order.complete else ()
    yield from _once([*order.channels, *(address.channel for address in addresses), *asked])


def _refusal(
    channel: str,
    order: _Order,
    reach_channels: Sequence[str] | None,
    known_channels: Collection[str],
    *,
    has_address: bool,
) -> Why | None:
    if order.complete and channel not in order.channels:
        return Why("not_wanted", f"The customer's order of channels leaves {channel} out.")
    if reach_channels is not None and channel not in reach_channels:
        return Why("not_in_reach", f"The message is limited to other channels than {channel}.")
    if channel not in known_channels:
        return Why("no_channel", f"There is no channel {channel} here; its settings are missing.")
    if not has_address:
        return Why("no_address", f"The customer has no address for {channel}.")
    return None
