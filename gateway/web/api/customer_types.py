"""What customers, preferences and consent look like on the wire."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.web.api.ids import END
from gateway.web.api.inbound import InboundOut
from gateway.web.api.thread_types import TimelineItem
from gateway.web.api.types import AddressIn, ChannelName
from gateway.web.api.types_out import MessageOut, WhyOut

Locale = Annotated[str, Meta(min_length=2, max_length=35, description="BCP 47.")]
Zone = Annotated[str, Meta(min_length=1, max_length=64, description="IANA name.")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
ClockTime = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]" + END, description="HH:MM, local.")]
Addresses = Annotated[tuple[AddressIn, ...], Meta(max_length=20)]


class _In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request body: what it doesn't know, it refuses."""


class ProfileIn(_In, frozen=True, kw_only=True):
    """A customer as a whole. Consent, preferences and the health of addresses are kept apart and stay as they are."""

    name: Name | None = None
    locale: Locale | None = None
    time_zone: Zone | None = None
    addresses: Addresses | None = None
    attributes: dict[str, Any] | None = None


class ProfilePatch(ProfileIn, frozen=True, kw_only=True):
    """A JSON merge patch (RFC 7396): null takes a field away, attributes are merged, lists are replaced."""


class EvidenceOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest attempt that speaks against the address. `bounce`: the returned mail, as the log calls it."""

    message: str
    attempt: str
    at: dt.datetime
    provider_code: str | None = None
    bounce: str | None = None


class HealthOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an address is doubted or no longer used.

    `at`: since when; `until`: then it is used again (absent: once it is lifted); `count`: attempts that say so;
    `last_proof`: when it last proved alive, if it has since the first doubt.
    """

    state: Literal["suspect", "suppressed"]
    reason: WhyOut
    at: dt.datetime
    count: int
    until: dt.datetime | None = None
    evidence: EvidenceOut | None = None
    last_proof: dt.datetime | None = None


class AddressOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One address, in its normal form."""

    channel: str
    value: str
    label: str | None = None
    health: HealthOut | None = None


class CustomerOut(msgspec.Struct, frozen=True, kw_only=True):
    """A person we write to."""

    id: str
    name: str | None
    locale: str | None
    time_zone: str | None
    addresses: tuple[AddressOut, ...]
    attributes: dict[str, Any]
    created_at: dt.datetime
    changed_at: dt.datetime


class QuietHoursIO(_In, frozen=True, kw_only=True):
    """Local times between which nothing is sent; may cross midnight."""

    start: ClockTime
    end: ClockTime


class CategoryChoice(_In, frozen=True, kw_only=True):
    """The wishes for one kind of messages. `enabled: false` is a withdrawal of consent."""

    channels: Annotated[tuple[ChannelName, ...], Meta(min_length=1)] | None = None
    enabled: bool = True


class PreferencesIO(_In, frozen=True, kw_only=True):
    """How a person wants to be reached. A listed order of channels is complete: others aren't used."""

    channels: Annotated[tuple[ChannelName, ...], Meta(min_length=1)] | None = None
    categories: dict[str, CategoryChoice] = {}
    quiet_hours: QuietHoursIO | UnsetType | None = UNSET
    language: Locale | None = None


class ConsentOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the consent ledger.

    `address`: the one it is bound to; `source`: the one it was said from where it binds the whole person; null when the
    customer has it no more.
    """

    channel: str
    category: str
    state: Literal["granted", "withdrawn"]
    way: str
    wording: str
    at: dt.datetime
    version: str | None = None
    proof: str | None = None
    address: str | None = None
    source: str | None = None


class ConsentsOut(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger, newest first, and how things stand today. `next`: the cursor of the next page, null on the last."""

    items: tuple[ConsentOut, ...]
    effective: tuple[ConsentOut, ...]
    next: str | None = None


class KeptFor(msgspec.Struct, frozen=True):
    """Something that is held, why, and how long."""

    what: str
    why: str
    how_long: str


class ExportOut(msgspec.Struct, frozen=True, kw_only=True):
    """Everything held on the person."""

    exported_at: dt.datetime
    customer: CustomerOut
    preferences: PreferencesIO
    consents: ConsentsOut
    messages: tuple[MessageOut, ...]
    contents: Annotated[
        dict[str, Any], Meta(description="By message: the template with its data, or the words, while they are kept.")
    ]
    inbound: Annotated[tuple[InboundOut, ...], Meta(description="What came in from the person, while it is kept.")]
    timeline: Annotated[tuple[TimelineItem, ...], Meta(description="What happened, newest first, in all modes.")]
    records: Annotated[
        dict[str, list[dict[str, Any]]], Meta(description="What else speaks of the person: cases, survey responses …")
    ]
    kept_for: tuple[KeptFor, ...]


class LiftIn(_In, frozen=True, kw_only=True):
    """An address that may be used again, and why you are sure."""

    channel: ChannelName
    value: Annotated[str, Meta(min_length=1, max_length=320)]
    reason: Annotated[str, Meta(min_length=1, max_length=512)]


class LiftOut(msgspec.Struct, frozen=True):
    """The address in its normal form, and whose it is."""

    channel: str
    value: str
    customers: tuple[str, ...]
