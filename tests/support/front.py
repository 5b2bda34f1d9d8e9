"""The public listener as strangers meet it: raw bytes in, raw bytes out, and what the store and the memory made of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import web
from redis.asyncio import Redis

from gateway.app import Gateway
from gateway.store.api_keys import SCOPES
from gateway.web.server import build_public_app, runner
from tests.support.wire import closed

HOST: Final = "127.0.0.1"
PATIENCE: Final = 8.0


class Front:
    """One public listener, with a live key of every scope."""

    def __init__(self, gateway: Gateway, port: int, key: str, store: Redis) -> None:
        self.gateway = gateway
        self.port = port
        self.key = key
        self._store = cast("Any", store)

    async def talk(self, sent: bytes | AsyncIterable[bytes], seconds: float = PATIENCE) -> bytes:
        """Everything the listener answers until it closes the connection; fails if that takes more than `seconds`."""
        return await talk(self.port, sent, seconds)

    async def post(self, path: str, body: bytes, *headers: str) -> int:
        """The status of one POST, sent with these header lines and closed after it."""
        head = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", "Connection: close", *headers]
        return status(await self.talk("\r\n".join((*head, "", "")).encode("latin-1") + body))

    @property
    def bearer(self) -> str:
        """The header line of the key."""
        return f"Authorization: Bearer {self.key}"

    async def stored(self) -> dict[bytes, bytes]:
        """Everything Redis holds, byte for byte."""
        keys: list[bytes] = await self._store.keys("*")
        return {key: await self._store.dump(key) for key in keys}

    async def alive(self) -> bool:
        """Whether an honest request is still answered."""
        return status(await self.talk(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) == 200


async def talk(port: int, sent: bytes | AsyncIterable[bytes], seconds: float = PATIENCE) -> bytes:
    """As `Front.talk`, for any port of this machine."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(HOST, port)
        answer = asyncio.create_task(_all(reader))
        try:
            with contextlib.suppress(ConnectionError):
                async for part in _once(sent) if isinstance(sent, bytes) else sent:
                    if answer.done():
                        break
                    writer.write(part)
                    await writer.drain()
            return await answer
        finally:
            answer.cancel()
            await closed(writer)


async def _once(sent: bytes) -> AsyncIterator[bytes]:
    yield sent


async def _all(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65536):
            parts.append(part)
    return b"".join(parts)


def status(answer: bytes) -> int:
    """The status of the first answer; 0 when the connection was closed without one."""
    words = answer.split(b" ", 2)
    return int(words[1]) if answer.startswith(b"HTTP/1.") and len(words) > 1 else 0


def statuses(answer: bytes) -> list[int]:
    """The statuses of all answers on one connection."""
    return [int(one) for one in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def memory() -> int:
    """What this process occupies, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.asynccontextmanager
async def front(gateway: Gateway, store: Redis) -> AsyncGenerator[Front]:
    """The public listener of a gateway, as the service opens it."""
    serving = runner(build_public_app(gateway))
    await serving.setup()
    try:
        await web.TCPSite(serving, HOST, 0).start()
        _, key = await gateway.api_keys.create("front", "live", SCOPES)
        yield Front(gateway, serving.addresses[0][1], key, store)
    finally:
        await serving.cleanup()
