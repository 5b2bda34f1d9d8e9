"""What a decision looks at, what it says, and the message's clocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.customer import Address, Customer
from gateway.message import Held, Message, RouteStep, Skipped, Status, Verdict
from gateway.numbers import is_phone_channel
from gateway.preferences.quiet_hours import next_local, zones
from gateway.routing.policy import Category
from gateway.routing.route import Rules
from gateway.routing.traits import ChannelState, Traits

MOVING: Final = frozenset(("quiet_hours", "legal_window"))
"""Holds that move the deadline on."""
_NO_TRAITS: Final = Traits(proves=frozenset())


class Turn(msgspec.Struct, frozen=True):
    """A place in a channel's line: the attempt that begins when it is this message's turn."""

    channel: str
    address: Address
    round: int


class Next(msgspec.Struct, kw_only=True):
    """What to do. `wake_at` (ms) is None only when the message is done and no attempt is without an outcome; `ask`: attempts to
    reconcile with the provider; `later`: what will hold a message once it falls due, as far as that is known.
    """

    status: Status
    wake_at: int | None
    deadline: int
    turns: tuple[Turn, ...] = ()
    ask: tuple[str, ...] = ()
    held: Held | None = None
    later: Held | None = None
    closing: Verdict | None = None
    skipped: tuple[Skipped, ...] = ()
    route: tuple[RouteStep, ...] = ()


class View(msgspec.Struct, frozen=True):
    """Everything a decision looks at. `cap_uses`: by a cap's key, when (ms) earlier messages counted against it.

    `halted`: nothing of the message's broadcast may begin.
    """

    message: Message
    customer: Customer
    channels: Mapping[str, ChannelState]
    rules: Rules
    cap_uses: Mapping[str, Sequence[int]] = {}
    halted: bool = False

    @property
    def category(self) -> Category:
        """The rules of the message's category. Raises KeyError when the settings no longer know it."""
        return self.rules.categories[self.message.category]

    def traits(self, channel: str) -> Traits:
        """What a channel can do; one that is gone can do nothing."""
        state = self.channels.get(channel)
        return state.traits if state is not None else _NO_TRAITS


def zones_of(customer: Customer, address: Address | None, default: str) -> tuple[str, ...]:
    """The zones a person may be in: the stored one, else those of this address's number, else of any number they have."""
    numbers = [a for a in (address, *customer.addresses) if a is not None and is_phone_channel(a.channel)]
    first = numbers[0] if numbers else Address("", "")
    return zones(customer.time_zone, first.value, first.channel, default)


def due_at(message: Message, customer: Customer, rules: Rules) -> int:
    """When the message falls due, ms: the later of acceptance and `send_at`, or the person's next `send_at_local`."""
    if message.send_at_local is not None:
        given = message.addresses[0] if message.addresses else None
        found = zones_of(customer, Address(*given) if given else None, rules.time_zone)
        return next_local(message.created_at, message.send_at_local, found)
    return max(message.created_at, message.send_at or 0)


def deadline_of(message: Message, now: int) -> int:
    """When the message is given up, ms, as things stand; a hold that is still on keeps moving it."""
    moved = message.held_ms
    if message.held is not None and message.held.code in MOVING:
        moved += max(0, now - message.held.since)
    deadline = message.due_at + message.reach.within * 1000 + moved
    return deadline if message.expires_at is None else min(deadline, message.expires_at)
