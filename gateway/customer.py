"""A person we write to: addresses, preferences, what was agreed to, and how healthy the addresses are.

The whole of it is one record with one version, so a send can be refused when anything in it has changed since the
decision was taken.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

HealthState = Literal["suspect", "suppressed"]


class Address(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way to reach a person on one channel. `value` is normalised: E.164, a normalised e-mail, an openid."""

    channel: str
    value: str
    label: str | None = None


class QuietHours(msgspec.Struct, frozen=True):
    """Local times "HH:MM" between which nothing is sent; may cross midnight."""

    start: str
    end: str


class CategoryPreference(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the customer chose for one category of messages."""

    channels: tuple[str, ...] | None = None
    enabled: bool = True


class Preferences(msgspec.Struct, frozen=True, omit_defaults=True):
    """Order of channels, by category if wanted; quiet hours (absent: the default; None: none); language (BCP 47)."""

    channels: tuple[str, ...] | None = None
    categories: dict[str, CategoryPreference] = {}
    quiet_hours: QuietHours | msgspec.UnsetType | None = msgspec.UNSET
    language: str | None = None


class ConsentEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the append-only ledger. `channel` and `category` may be "*"; `address` is a keyed hash or None.

    An entry with `address` binds that address alone, whoever owns it.
    """

    channel: str
    category: str
    state: Literal["granted", "withdrawn"]
    way: str
    wording: str
    at: int
    proof: str | None = None
    address: str | None = None


class AddressHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an address is doubted or no longer used. `until` None: until lifted."""

    state: HealthState
    reason: str
    at: int
    until: int | None = None
    count: int = 1


class Customer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything a routing decision needs to know about a person.

    `keys` maps each address value to its keyed hash; `health` is keyed "<channel>:<keyed hash>"; `wrote_at` says when
    the person last wrote to us on a channel (ms), which opens WeChat's reply window; `used_at` when a one-off recipient
    was last addressed, to the day (ms).
    """

    id: str
    name: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    addresses: tuple[Address, ...] = ()
    attributes: dict[str, Any] = {}
    preferences: Preferences = msgspec.field(default_factory=Preferences)
    consents: tuple[ConsentEntry, ...] = ()
    keys: dict[str, str] = {}
    health: dict[str, AddressHealth] = {}
    wrote_at: dict[str, int] = {}
    complaint_open: bool = False
    created_at: int = 0
    changed_at: int = 0
    profile_at: int = 0
    preferences_at: int = 0
    used_at: int = 0

    def health_of(self, address: Address, now: int) -> AddressHealth | None:
        """The current doubt about an address, if any that has not lapsed by `now`."""
        found = self.health.get(f"{address.channel}:{self.keys.get(address.value, '')}")
        return found if found is not None and (found.until is None or found.until > now) else None
