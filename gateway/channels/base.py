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
from typing import Any, Literal, Protocol, runtime_checkable

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
    "CannotErase",
    "Channel",
    "Deps",
    "Dialled",
    "Forged",
    "Inbound",
    "Line",
    "Malformed",
    "Outbound",
    "Reading",
    "Refused",
    "Rendered",
    "Reply",
    "Speech",
    "Traits",
    "Unknown",
    "WeChatTemplate",
    "erase_copy",
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


class Erased(msgspec.Struct, frozen=True):
    """The provider has deleted its copy of an attempt, or has none."""


class CannotErase(msgspec.Struct, frozen=True, kw_only=True):
    """The provider keeps its copy. `reason` for people; `later`: it may be otherwise when asked again."""

    reason: str
    code: str | None = None
    later: bool = False


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


InboundKind = Literal["text", "key", "opt_out", "opt_in", "help", "follow", "unfollow", "scan", "call", "ivr"]


class Inbound(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something a person did: wrote, pressed a key, followed, left.

    `id` is the provider's own id, for de-duplication. `sender` is the normalised address. `message` and `attempt` are
    known when the channel knows what is being answered (a pressed key, a link). `opens`: for how many seconds it lets us
    answer freely, where that is shorter than after a text (a WeChat menu); None: as long as the channel's window.
    """

    id: str
    channel: str
    sender: str
    kind: InboundKind = "text"
    text: str = ""
    to: str = ""
    at: int = 0
    message: str | None = None
    attempt: str | None = None
    opens: int | None = None
    raw: dict[str, Any] = {}


class Line(msgspec.Struct, frozen=True):
    """One thing to be spoken, in its language (BCP 47)."""

    language: str
    text: str


class Dialled(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who called us and waits to hear something.

    `caller`: their number (E.164), None where it is withheld; `trusted` False where the network says that it is not
    theirs. `state` is what the last `Speech` of this call had, "" when it begins; `keys` what was pressed since. `at` in ms.
    """

    call: str
    caller: str | None
    at: int
    state: str = ""
    keys: str = ""
    trusted: bool = True


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """What to say to a caller: then wait for `keys` keys and come back with `state`, or hang up where it is None."""

    lines: tuple[Line, ...]
    keys: int = 1
    state: str | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a callback said.

    `receipts` are (message id, receipt); `by_provider_id` are (provider id, receipt without attempt) for providers whose
    callbacks carry nothing of ours. `respond` makes the answer; it is given the attempt's `Outbound` when `speaks`
    names a (message id, attempt id), else None. `dialled` is a caller who waits; `speak` puts what they are to hear
    into an answer. `once` is (mark, digest of the body) where the provider's signature leaves the body out: a mark that
    has come before with another body makes the callback a forged one.
    """

    receipts: tuple[tuple[str, Receipt], ...] = ()
    by_provider_id: tuple[tuple[str, Receipt], ...] = ()
    inbound: tuple[Inbound, ...] = ()
    speaks: tuple[str, str] | None = None
    once: tuple[str, bytes] | None = None
    dialled: Dialled | None = None
    speak: Callable[[Speech], Reply] = lambda _speech: Reply()
    respond: Callable[[Outbound | None], Reply] = lambda _out: Reply()
    say: Callable[[str], Reply] | None = None


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


@runtime_checkable
class Erases(Protocol):
    """A channel whose provider deletes its copies of what was sent, or says why it doesn't. A channel need not be one."""

    async def erase(self, attempt: Attempt) -> Erased | CannotErase:
        """Have the provider delete what it holds of an attempt that has ended. Safe to repeat."""
        ...


async def erase_copy(channel: Channel | None, attempt: Attempt) -> Erased | CannotErase:
    """Have a provider delete its copy of an attempt, if its channel can."""
    if channel is None:
        return CannotErase(reason="The channel isn't set up any more.", code="no_channel")
    if isinstance(channel, Erases):
        return await channel.erase(attempt)
    return CannotErase(reason="This channel has no way to delete what it has handed over.", code="no_way")
