"""An outage: what happened, who is to know, and what has been sent about it."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final, Literal

import msgspec

from gateway.broadcasts.nouns import Audience
from gateway.message import Mode
from gateway.outages.counting import Counts
from gateway.prompts import Prompt

__all__ = ["MEDICAL", "Audience", "Kind", "Outage", "Part", "Said", "State", "Visit", "mark_of", "part_id", "thread_of"]

State = Literal["active", "resolving", "resolved"]
Kind = Literal["notice", "update", "all_clear"]

MOST_THREAD: Final = 128
MEDICAL: Final = "medical_priority"
"""The attribute of people for whom a failing supply is a danger; they come first and are tried three rounds."""


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be sent: a template with data, or content; `prompt` None: nothing is asked."""

    template: str | None = None
    content: dict[str, Any] | None = None
    data: dict[str, Any] = {}
    reach: dict[str, Any] = {}
    prompt: Prompt | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A notice, an update or the all-clear: one broadcast of the outage.

    `at`: when it was asked for, ms; each later than the one before. `mark`: of the request, so that its repeat is known.
    `said` stays until the broadcast exists, which then has it.
    """

    broadcast: str
    kind: Kind
    at: int
    mark: str = ""
    said: Said | None = None


class Outage(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One incident. `parts` in their order, the notice first. `shown`: the counts that were told of last, at `shown_at`.

    `reach`, `prompt`: of the notice, which updates share unless they say otherwise; `area`: where it is, in words. `roster`:
    the list of people, where the audience is one; it isn't in `audience` then, so that an erasure finds it (`store.rosters`).
    `cleared`: what was said before this time (ms) is over. `digest`: of what was asked for.
    """

    id: str
    mode: Mode
    title: str
    audience: Audience
    created_at: int
    by: str = ""
    reach: dict[str, Any] = {}
    prompt: Prompt | None = None
    area: str = ""
    roster: str | None = None
    state: State = "active"
    parts: tuple[Part, ...] = ()
    cleared: int = 0
    digest: bytes = b""
    resolved_at: int | None = None
    shown: Counts | None = None
    shown_at: int = 0

    @property
    def thread(self) -> str:
        """The thread of everything that is sent about it."""
        return thread_of(self.id)

    @property
    def newest(self) -> Part:
        """The newest notice or update."""
        return next(part for part in reversed(self.parts) if part.kind != "all_clear")

    @property
    def all_clear(self) -> Part | None:
        """The all-clear, once somebody has asked for it."""
        return next((part for part in self.parts if part.kind == "all_clear"), None)


class Visit(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Somebody knocked at a person's door, at `at` (ms); `first_at`: when somebody did for the first time."""

    outage: str
    mode: Mode
    customer: str
    by: str
    at: int
    first_at: int
    note: str | None = None


def thread_of(outage: str) -> str:
    """The thread of an outage; for the longest ids their digest stands in it."""
    whole = f"outage:{outage}"
    return (
        whole if len(whole) <= MOST_THREAD else f"outage:{hashlib.blake2b(outage.encode(), digest_size=16).hexdigest()}"
    )


def part_id(outage: str, seed: bytes) -> str:
    """The id of a broadcast of an outage: the same for the same request."""
    return f"b{hmac.digest(seed, outage.encode(), hashlib.sha256).hex()[:24]}"


def mark_of(seed: bytes) -> str:
    """What a request is known by when it is repeated."""
    return hashlib.blake2b(seed, digest_size=8).hexdigest()
