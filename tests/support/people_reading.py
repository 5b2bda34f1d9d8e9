"""How tests read what callers say of people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.people.fields import Known
from gateway.people.parse import Reading

EMPTY: list[Any] = []
NOW = 1_795_000_000_000
KNOWN = Known(channels=("sms", "email", "wechat", "voice", "pager"), categories=("outage", "survey"))


def reading() -> Reading:
    return Reading(KNOWN, NOW)


def pointers(read: Callable[[Reading], Any]) -> list[str]:
    made = reading()
    read(made)
    assert all(detail for _, detail in made.problems)
    return [pointer for pointer, _ in made.problems]


def refused(**fields: Any) -> list[str]:
    return pointers(lambda made: made.profile(fields))
