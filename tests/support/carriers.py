"""For each channel: how it is built against its scripted carrier, how that carrier is told each situation, and callbacks.

What every channel must do in these situations stands in `tests/integration/test_channel_contract.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from redis.asyncio import Redis

from gateway.channels.base import Callback, Channel, Deps, Outbound, Refused, Unknown
from gateway.message import Fault
from tests.support import twilio_carrier
from tests.support.twilio_carrier import NOW, PERSON, TOKEN, Answer
from tests.support.wire import Wire, wire_to

DEEP = '{"x":' + "[" * 100_000


class Case(msgspec.Struct, frozen=True):
    """What the carrier is told, and what a send must come to: `ends` a fault, Unknown, or None for Accepted."""

    told: Any
    ends: Fault | type[Unknown] | None = None
    retry_after: int | None = None

    def fits(self, result: object) -> bool:
        if isinstance(result, Refused):
            return (result.fault, result.retry_after) == (self.ends, self.retry_after)
        return isinstance(result, Unknown) if self.ends is Unknown else self.ends is None


class Driver:
    """One channel and its carrier.

    `opening`: what each request for a hand-over holds. `end`: what the channel says right before the answer that
    counts, where that isn't the answer to `opening`. `head` and
    `body`: where that answer may be cut, so many bytes after a mark in it.
    """

    name: ClassVar[str]
    opening: ClassVar[bytes]
    end: ClassVar[bytes] = b""
    head: ClassVar[tuple[bytes, int]] = (b"HTTP/1.1 ", 2)
    body: ClassVar[tuple[bytes, int]] = (b"\r\n\r\n", 5)
    private: ClassVar[tuple[str, ...]]
    cases: ClassVar[Mapping[str, Case]]
    wire: Wire

    async def open(self, stack: AsyncExitStack, redis: Redis, folder: Path) -> None:
        """Start the carrier."""
        self.folder, self.redis = folder, redis
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        self.deps = Deps(session, redis, lambda: NOW)
        self.wire = await stack.enter_async_context(wire_to(await self.serve(stack)))

    async def serve(self, stack: AsyncExitStack) -> int:
        raise AssertionError(self.name)

    def channel(self, port: int, timeout: float) -> Channel:
        raise AssertionError(self.name)

    def script(self, *told: Any) -> None:
        raise AssertionError(self.name)

    def taken(self, count: int) -> Sequence[Any]:
        """So many successes, each with an id of its own."""
        raise AssertionError(self.name)

    def had(self) -> int:
        """How many hand-overs have reached the carrier whole."""
        raise AssertionError(self.name)

    def unused(self) -> object:
        """What was scripted and never asked for."""
        raise AssertionError(self.name)

    def release(self) -> None:
        """Let go of whatever hangs."""
        raise AssertionError(self.name)

    def outbound(self, number: int = 1) -> Outbound:
        raise AssertionError(self.name)


class CallsBack(Driver):
    """A carrier that reports by HTTP."""

    paths: ClassVar[tuple[str, ...]]

    def signed(self, body: bytes, path: str, nonce: str = "n1") -> Callback:
        """Whatever body, with a genuine signature."""
        raise AssertionError(self.name)

    def forged(self) -> list[Callback]:
        """Callbacks that somebody else made."""
        raise AssertionError(self.name)

    def news(self) -> list[Callback]:
        """Everything the carrier may say about one attempt that ends delivered, failures included."""
        raise AssertionError(self.name)

    def odd(self) -> list[Callback]:
        """News in words that didn't exist when the channel was written."""
        raise AssertionError(self.name)


def posted(path: str, url: str, body: bytes, headers: Mapping[str, str], **query: str) -> Callback:
    return Callback(method="POST", path=path, url=url, headers=headers, query=query, body=body, now=NOW)


class Scripted(CallsBack):
    """Carriers behind the scripted HTTP server."""

    private = (PERSON, PERSON[1:], TOKEN, "Kypseli")

    async def serve(self, stack: AsyncExitStack) -> int:
        self.carrier = await stack.enter_async_context(twilio_carrier.carrier())
        return urlsplit(self.carrier.url).port or 0

    def script(self, *told: Answer) -> None:
        self.carrier.script(*told)

    def had(self) -> int:
        return len(self.carrier.asked)

    def unused(self) -> object:
        return self.carrier.answers

    def release(self) -> None:
        self.carrier.released.set()

    def outbound(self, number: int = 1) -> Outbound:
        return twilio_carrier.outbound(attempt=f"a{number}", token=f"token-{number}")
