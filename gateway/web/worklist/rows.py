"""What the attributes of people say of where they live."""

from __future__ import annotations

from typing import Any, cast

from gateway.outages.recipients import Recipient


def area_of(one: Recipient) -> str | None:
    """Their area."""
    return words(one.customer.attributes.get("area"))


def address_of(one: Recipient) -> str | None:
    """The door: the attribute `address`, be it one text, a list of lines, or an object of parts."""
    return words(one.customer.attributes.get("address"))


def words(value: Any) -> str | None:
    """A value of an attribute in words; None where there are none."""
    if isinstance(value, dict):
        return words(list(cast("dict[str, Any]", value).values()))
    if isinstance(value, list):
        parts = (words(part) for part in cast("list[Any]", value))
        return ", ".join(part for part in parts if part is not None) or None
    if value is None or isinstance(value, bool):
        return None
    return " ".join(str(value).split()) or None
