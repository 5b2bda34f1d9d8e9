"""A person we write to: addresses, preferences, what was agreed to, and how healthy the addresses are.

The whole of it is one record with one version, so a send can be refused when anything in it has changed since the
decision was taken.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

HealthState = Literal["good", "suspect", "suppressed"]
Chooser = Literal["person", "business"]


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
    """One line of the append-only ledger. `channel` and `category` may be "*"; `at` in ms.

    `wording`: the very words that were shown or written, `version`: of the page, form or template they stood in. `way`:
    by what it came; `proof`: where the evidence lies. `address` (a keyed hash): the entry binds that address alone,
    whoever owns it; `source` (a keyed hash): the address it was said from where it binds the whole person.
    """

    channel: str
    category: str
    state: Literal["granted", "withdrawn"]
    way: str
    wording: str
    at: int
    proof: str | None = None
    address: str | None = None
    version: str | None = None
    source: str | None = None


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that taught us something of an address on a channel.

    `ref`: the attempt, as "<message>/<attempt>". `fault`: a `message.Fault`, or ALIVE: it was reached after all. `at` in
    ms. `provider_code` as the provider gave it, `bounce`: the id of the returned mail, as the log has it.
    """

    ref: str
    at: int
    fault: str
    provider_code: str | None = None
    bounce: str | None = None


class AddressHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an address is doubted or no longer used; "good" while there are doubts, too few to matter.

    `reason` is a sentence for people, `code` the fault it speaks of. `at`: since when, `until`: it lapses then (None:
    not before it is lifted), `count`: how many attempts say so, `evidence`: the newest of them, `refs`: all of them.
    `proved_at`: the last proof of life since the first doubt.
    """

    state: HealthState
    reason: str
    at: int
    until: int | None = None
    count: int = 1
    code: str = ""
    evidence: Evidence | None = None
    refs: tuple[str, ...] = ()
    proved_at: int | None = None


class Customer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything a routing decision needs to know about a person.

    `keys` maps each address value to its keyed hash; `health` is keyed "<channel>:<keyed hash>"; `wrote_at` says when
    the person last wrote to us on a channel (ms), which opens WeChat's reply window; `used_at` when a one-off recipient
    was last addressed, to the day (ms); `confirmed` (by keyed hash) when the person proved by a code that an address is
    theirs (ms); `preferences_by`: who chose the preferences last.
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
    confirmed: dict[str, int] = {}
    preferences_by: Chooser = "business"

    def health_of(self, address: Address, now: int) -> AddressHealth | None:
        """The current doubt about an address, if any that has not lapsed by `now`."""
        found = self.watched(address.channel, address.value)
        doubted = found is not None and found.state != "good" and (found.until is None or found.until > now)
        return found if doubted else None

    def watched(self, channel: str, value: str) -> AddressHealth | None:
        """What is held against an address, however little or old; None: nothing."""
        return self.health.get(f"{channel}:{self.keys.get(value, '')}")
