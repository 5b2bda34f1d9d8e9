"""What the tests of the routing rules are made of: people, messages, channels, and what becomes of an attempt.

Seconds in the scripts count from `T0`; everything inside is in ms, as in the gateway.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

from gateway.customer import Address, ConsentEntry, Customer, Preferences, QuietHours
from gateway.message import Fault, Message
from gateway.prompts import Prompt
from gateway.routing.policy import CATEGORIES
from gateway.routing.route import Rules
from gateway.routing.traits import Traits

T0: Final = 1_773_136_800_000
"""Tuesday 2026-03-10 10:00 UTC, noon in Athens, 19:00 in Tokyo."""
HOUR: Final = 3600
NEVER: Final = 10**10
MOBILE: Final = "+306912345678"
VALUES: Final = {"sms": MOBILE, "voice": MOBILE, "email": "ann@example.org", "wechat": "o-ann"}
TRAITS: Final = {
    "sms": Traits(proves=frozenset(("accepted", "delivered", "acknowledged")), finds=True),
    "wechat": Traits(proves=frozenset(("accepted", "delivered", "acknowledged")), finds=True),
    "email": Traits(proves=frozenset(("accepted", "acknowledged"))),
    "voice": Traits(proves=frozenset(("accepted", "delivered", "acknowledged")), finds=True, recalls=True, rings=180),
}  # fmt: skip - a table is read by its rows
RULES: Final = Rules(categories=CATEGORIES, quiet_hours=QuietHours("21:00", "08:00"), time_zone="UTC")

News = tuple[float, dict[str, Any]]


class Fate(NamedTuple):
    """What becomes of one attempt: the send's answer, the callbacks (seconds after it began), what asking would say."""

    answer: Literal["accepted", "sent", "delivered", "failed", "lost"] = "accepted"
    fault: Fault | None = None
    retry_after: int | None = None
    later: tuple[News, ...] = ()
    found: Literal["accepted", "absent", "unknown"] = "unknown"


def taken(*later: News) -> Fate:
    return Fate("accepted", later=later)


def refused(fault: Fault = Fault.BAD_ADDRESS, retry_after: int | None = None) -> Fate:
    return Fate("failed", fault, retry_after)


def lost(*later: News, found: Literal["accepted", "absent", "unknown"] = "unknown") -> Fate:
    return Fate("lost", later=later, found=found)


def news(after: float, **what: Any) -> News:
    return after, what


def delivered(after: float) -> News:
    return news(after, status="delivered")


def failed(after: float, fault: Fault = Fault.UNREACHABLE) -> News:
    return news(after, status="failed", fault=fault)


def read(after: float) -> News:
    return news(after, engagement="read")


def acked(after: float) -> News:
    return news(after, engagement="acknowledged")


SILENT: Final = taken()


class Shut(NamedTuple):
    """A channel takes nothing from `start` to `end` (s); probes are due every `probe` s."""

    start: float = 0
    end: float = NEVER
    why: Literal["channel_down", "paused"] = "channel_down"
    probe: int = 60


def person(*channels: str, **changes: Any) -> Customer:
    """A customer who prefers the channels in the order named, an address each; `channel:value` gives another address."""
    pairs = [(c.partition(":")[0], c.partition(":")[2] or VALUES[c.partition(":")[0]]) for c in channels]
    base: dict[str, Any] = {
        "id": "c-1",
        "time_zone": "Europe/Athens",
        "addresses": tuple(Address(channel, value) for channel, value in pairs),
        "preferences": Preferences(channels=tuple(dict.fromkeys(channel for channel, _ in pairs))),
        "keys": {value: f"key-of-{value}" for _, value in pairs},
    }
    return Customer(**(base | changes))


def withdrawn(channel: str = "*", category: str = "*", at: int = T0) -> ConsentEntry:
    return ConsentEntry(channel=channel, category=category, state="withdrawn", way="api", wording="no", at=at)


def granted(channel: str = "*", category: str = "*", at: int = T0) -> ConsentEntry:
    return ConsentEntry(channel=channel, category=category, state="granted", way="api", wording="yes", at=at)


def note(category: str = "outage", at: int = T0, **changes: Any) -> Message:
    """A message of a category; fields of its reach and of the record may be given side by side."""
    rules = CATEGORIES[category]
    fields = {f.name for f in msgspec.structs.fields(rules.reach())}
    if changes.get("mode") in ("live", "team", "test"):
        fields -= {"mode"}
    reach = msgspec.structs.replace(rules.reach(), **{k: v for k, v in changes.items() if k in fields})
    rest = {k: v for k, v in changes.items() if k not in fields}
    if reach.until == "acknowledged":
        rest.setdefault("prompt", Prompt(kind="acknowledge"))
    base: dict[str, Any] = {
        "id": "m-1",
        "mode": "live",
        "customer": "c-1",
        "category": category,
        "lane": rules.priority,
        "reach": reach,
        "created_at": at,
        "due_at": at,
    }  # fmt: skip - six short fields
    return Message(**(base | rest))
