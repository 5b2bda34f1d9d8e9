"""The seam between the gateway and a provider: one class, four verbs and a close.

A send returns a closed result, never a boolean and never an exception for what a provider said:

    Accepted   the provider has taken it (not: delivered)
    Refused    the provider has definitely not taken it; a named `Fault` says why
    Unknown    the answer was lost; the provider may have taken it

Exceptions that leave a channel are bugs, except `Forged` and `Malformed` from `read`, which the callback endpoint
answers with 403 and 400.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import aiohttp
import msgspec
from redis.asyncio import Redis

from gateway.content.words import Attachment, Rendered, WeChatTemplate
from gateway.message import Attempt, Cost, Fault, Mode, Receipt
from gateway.prompts import Prompt
from gateway.routing.traits import Traits

__all__ = [
    "Absent",
    "Accepted",
    "Attachment",
    "Callback",
    "Channel",
    "Deps",
    "Forged",
    "Inbound",
    "Malformed",
    "Outbound",
    "Reading",
    "Refused",
    "Rendered",
    "Reply",
    "Traits",
    "Unknown",
    "WeChatTemplate",
]


class Deps(msgspec.Struct, frozen=True):
    """What channels share: one HTTP session, Redis (tokens only), the clock (ms since the epoch)."""

    session: aiohttp.ClientSession
    redis: Redis
    clock: Callable[[], int]


class Outbound(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt, ready to be handed over.

    `token` is the same for every repeat of a (message, channel, address, round), so a provider that can recognise a repeat does.
    `valid_for`: seconds until the message is of no use. `callback_base`: where the provider reports to, without a
    trailing slash. `unsubscribe_url`: the one-click link (e-mail), None where the category carries none.
    """

    message: str
    attempt: str
    mode: Mode
    round: int
    token: str
    to: str
    category: str
    words: Rendered
    valid_for: int
    callback_base: str
    prompt: Prompt | None = None
    unsubscribe_url: str | None = None
    in_window: bool = False


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The provider took it. `status` is "sent" where acceptance already means that it left (SMTP)."""

    provider_id: str | None
    status: Literal["accepted", "sent", "delivered"] = "accepted"
    units: int | None = None
    cost: Cost | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The provider did not take it. `code` is its own code, `retry_after` in seconds, `detail` safe to log."""

    fault: Fault
    detail: str = ""
    retry_after: int | None = None
    code: str | None = None


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """The answer was lost after the request may have been taken. `detail` is safe to log."""

    detail: str = ""


class Absent(msgspec.Struct, frozen=True):
    """Asked afterwards, the provider knows nothing of the attempt."""


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request from a provider, untouched.

    `path` is what follows `/callbacks/<channel>/`; `url` the public URL it was called by (PUBLIC_URL + raw path and
    query, as signatures need it); `headers` have lower-case names.
    """

    method: str
    path: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    now: int


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What to answer the provider's request with."""

    status: int = 200
    content_type: str = "text/plain"
    body: str = ""


class Inbound(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something a person did: wrote, pressed a key, followed, left.

    `id` is the provider's own id, for de-duplication. `sender` is the normalised address. `message` and `attempt` are
    known when the channel knows what is being answered (a pressed key, a link).
    """

    id: str
    channel: str
    sender: str
    kind: Literal["text", "key", "opt_out", "opt_in", "follow", "unfollow", "scan", "call"] = "text"
    text: str = ""
    to: str = ""
    at: int = 0
    message: str | None = None
    attempt: str | None = None
    raw: dict[str, Any] = {}


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a callback said.

    `receipts` are (message id, receipt); `by_provider_id` are (provider id, receipt without attempt) for providers whose
    callbacks carry nothing of ours. `respond` makes the answer; it is given the attempt's `Outbound` when `speaks`
    names a (message id, attempt id), else None. `once` is (mark, digest of the body) where the provider's signature
    leaves the body out: a mark that has come before with another body makes the callback a forged one.
    """

    receipts: tuple[tuple[str, Receipt], ...] = ()
    by_provider_id: tuple[tuple[str, Receipt], ...] = ()
    inbound: tuple[Inbound, ...] = ()
    speaks: tuple[str, str] | None = None
    once: tuple[str, bytes] | None = None
    respond: Callable[[Outbound | None], Reply] = lambda _out: Reply()


class Forged(Exception):
    """The callback's signature is missing or wrong."""


class Malformed(Exception):
    """The callback is genuine or unsigned, but can't be read."""


class Channel(Protocol):
    """One way to reach people. Both halves of a provider, sending and reading its callbacks, live in one file."""

    name: str
    traits: Traits

    async def send(self, out: Outbound) -> Accepted | Refused | Unknown:
        """Hand one attempt to the provider, at most once."""
        ...

    async def find(self, out: Outbound, attempt: Attempt) -> Accepted | Absent | Unknown:
        """Ask the provider whether it took an attempt whose answer was lost."""
        ...

    async def recall(self, attempt: Attempt) -> None:
        """End an attempt that is still ringing; does nothing where that can't be."""
        ...

    def read(self, call: Callback) -> Reading:
        """Verify, then parse a callback. Raises Forged or Malformed."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
