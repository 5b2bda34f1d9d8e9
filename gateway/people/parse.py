"""Customers, preferences and consent as callers write them: read with every problem at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

import msgspec

from gateway.customer import Address, CategoryPreference, ConsentEntry, Preferences, QuietHours
from gateway.numbers import normalise
from gateway.people.fields import CONTROL, Fields, Invalid, Known, Problem, escaped, listed, unstorable

__all__ = ["Invalid", "Known", "Problem", "Profile", "Reading"]

CUSTOMER_ID: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
MOST_NAME: Final = 200
MOST_LABEL: Final = 64
MOST_ADDRESSES: Final = 20
MOST_ATTRIBUTES: Final = 16_384
"""Bytes of the attributes as JSON."""
MOST_WAY: Final = 64
MOST_WORDING: Final = 4096
MOST_PROOF: Final = 1024
MOST_VERSION: Final = 64
PROFILE: Final = ("name", "locale", "time_zone", "addresses", "attributes")
_PREFERENCES: Final = ("channels", "categories", "quiet_hours", "language")
_CONSENT: Final = ("channel", "category", "state", "way", "wording", "version", "at", "proof")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may say of a customer beside preferences and consent."""

    name: str | None
    locale: str | None
    time_zone: str | None
    addresses: tuple[Address, ...]
    attributes: dict[str, Any]


class Reading(Fields):
    """One body being read. Problems collect in `problems`; after a method, `done()` raises them all."""

    def customer_id(self, pointer: str, raw: Any) -> str:
        """A customer's id as callers may choose it."""
        if isinstance(raw, str) and CUSTOMER_ID.fullmatch(raw):
            return raw
        self.wrong(pointer, "must be 1 to 128 letters, digits and . _ : @ -")
        return ""

    def profile(self, raw: Any, at: str = "") -> Profile:
        """The body of PUT /v1/customers/{id}."""
        body = self.object(at, raw, PROFILE)
        return Profile(
            name=self._text(f"{at}/name", body.get("name"), MOST_NAME),
            locale=self._locale(f"{at}/locale", body.get("locale")),
            time_zone=self._zone(f"{at}/time_zone", body.get("time_zone")),
            addresses=self._addresses(f"{at}/addresses", body.get("addresses")),
            attributes=self._attributes(f"{at}/attributes", body.get("attributes")),
        )

    def preferences(self, raw: Any, at: str = "") -> Preferences:
        """The body of PUT /v1/customers/{id}/preferences."""
        body = self.object(at, raw, _PREFERENCES)
        categories: dict[str, CategoryPreference] = {}
        given = body.get("categories")
        for name, choice in (self.object(f"{at}/categories", given, None) if given is not None else {}).items():
            place = f"{at}/categories/{escaped(name)}"
            if name not in self.known.categories:
                self.wrong(place, f"is no category: there are {listed(self.known.categories)}")
            categories[name] = self._category(place, choice)
        return Preferences(
            channels=self._channels(f"{at}/channels", body.get("channels")),
            categories=categories,
            quiet_hours=self._quiet(f"{at}/quiet_hours", body["quiet_hours"])
            if "quiet_hours" in body
            else msgspec.UNSET,
            language=self._locale(f"{at}/language", body.get("language")),
        )

    def consent(self, raw: Any, at: str = "", *, needs_at: bool = False, addresses: bool = False) -> ConsentEntry:
        """The body of POST /v1/customers/{id}/consents. `at` absent: now; `addresses`: may name them (as their values)."""
        body = self.object(at, raw, (*_CONSENT, "address", "source") if addresses else _CONSENT)
        state = body.get("state")
        if state not in ("granted", "withdrawn"):
            self.wrong(f"{at}/state", 'must be "granted" or "withdrawn"')
        if needs_at and body.get("at") is None:
            self.wrong(f"{at}/at", "is needed here, or the same entry would be added again by every import")
        return ConsentEntry(
            channel=self._name(f"{at}/channel", body.get("channel"), self.known.channels, "channel"),
            category=self._name(f"{at}/category", body.get("category"), self.known.categories, "category"),
            state=cast("Literal['granted', 'withdrawn']", state),
            way=self._needed(f"{at}/way", body.get("way"), MOST_WAY),
            wording=self._needed(f"{at}/wording", body.get("wording"), MOST_WORDING, lines=True),
            at=self._moment(f"{at}/at", body.get("at")),
            proof=self._text(f"{at}/proof", body.get("proof"), MOST_PROOF, lines=True),
            address=self._text(f"{at}/address", body.get("address"), MOST_WORDING),
            version=self._text(f"{at}/version", body.get("version"), MOST_VERSION),
            source=self._text(f"{at}/source", body.get("source"), MOST_WORDING),
        )

    def _addresses(self, at: str, raw: Any) -> tuple[Address, ...]:
        if raw is None:
            return ()
        if not isinstance(raw, list):
            self.wrong(at, "must be a list of addresses")
            return ()
        items = cast("list[Any]", raw)
        if len(items) > MOST_ADDRESSES:
            self.wrong(at, f"may hold {MOST_ADDRESSES} addresses")
            return ()
        found: dict[tuple[str, str], Address] = {}
        for index, item in enumerate(items):
            address = self._address(f"{at}/{index}", item)
            if address is None:
                continue
            if (address.channel, address.value) in found:
                self.wrong(f"{at}/{index}/value", f"stands in the list twice for {address.channel}")
            found[address.channel, address.value] = address
        return tuple(found.values())

    def _address(self, at: str, raw: Any) -> Address | None:
        count = len(self.problems)
        body = self.object(at, raw, ("channel", "value", "label"))
        if not isinstance(raw, Mapping):
            return None
        channel = self._channel(f"{at}/channel", body.get("channel"))
        label = self._text(f"{at}/label", body.get("label"), MOST_LABEL)
        value = body.get("value")
        if not isinstance(value, str) or CONTROL.search(value):
            self.wrong(f"{at}/value", "is needed: the number, address or openid as a text")
        elif channel is not None:
            try:
                value = normalise(channel, value, self.known.country)
            except ValueError as bad:
                self.wrong(f"{at}/value", str(bad))
        return Address(channel, str(value), label) if len(self.problems) == count and channel is not None else None

    def _attributes(self, at: str, raw: Any) -> dict[str, Any]:
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            self.wrong(at, "must be a JSON object")
            return {}
        attributes = cast("dict[str, Any]", raw)
        fault = unstorable(attributes, 1)
        if fault is not None:
            self.wrong(at, fault)
        elif len(msgspec.json.encode(attributes)) > MOST_ATTRIBUTES:
            self.wrong(at, f"may take {MOST_ATTRIBUTES} bytes as JSON")
        return attributes if fault is None else {}

    def _category(self, at: str, raw: Any) -> CategoryPreference:
        body = self.object(at, raw, ("channels", "enabled"))
        enabled = body.get("enabled", True)
        if not isinstance(enabled, bool):
            self.wrong(f"{at}/enabled", "must be true or false")
        return CategoryPreference(self._channels(f"{at}/channels", body.get("channels")), enabled is not False)

    def _quiet(self, at: str, raw: Any) -> QuietHours | None:
        if raw is None:
            return None
        body = self.object(at, raw, ("start", "end"))
        if not isinstance(raw, Mapping):
            return None
        for name in ("start", "end"):
            value = body.get(name)
            if not isinstance(value, str) or not _CLOCK.fullmatch(value):
                self.wrong(f"{at}/{name}", 'must be a time of day from "00:00" to "23:59"')
        if body.get("start") is not None and body.get("start") == body.get("end"):
            self.wrong(f"{at}/end", "must differ from start; null stands for no quiet hours")
        return QuietHours(str(body.get("start")), str(body.get("end")))
