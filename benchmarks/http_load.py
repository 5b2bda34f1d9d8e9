"""A load generator that costs little: HTTP/1.1 over plain asyncio, one request at a time on each connection.

The machine is shared by everything that is measured, so what the generator saves, the measured process can use.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import cast
from urllib.parse import urlsplit

import msgspec

Body = Callable[[int], bytes]
"""Makes the body of the n-th request."""


class Sample(msgspec.Struct):
    """What a run of requests came to. Times in ns of the monotonic clock, which all processes share."""

    seconds: float = 0.0
    statuses: dict[int, int] = {}
    numbers: list[int] = []
    began: list[int] = []
    took: list[int] = []
    refused: str = ""
    """One answer that was not wanted, so that a failed run explains itself."""


class Line(asyncio.Protocol):
    """One connection: sends a request, gives status and body of the answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio's Protocol."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Part of asyncio's Protocol."""
        self._received += data
        head, gap, body = self._received.partition(b"\r\n\r\n")
        if not gap or self._answer is None or self._answer.done():
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) >= int(length or 0):
            self._received = b""
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio's Protocol."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the server closed the connection"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request and wait for its answer. Raises OSError when the connection breaks."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Give the connection back."""
        if self._transport is not None:
            self._transport.close()


class Target:
    """A URL to POST JSON to, with its fixed headers made once."""

    def __init__(self, url: str, key: str = "") -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json"]
        lines += [f"Authorization: Bearer {key}"] if key else []
        self._head = ("\r\n".join(lines) + "\r\nContent-Length: ").encode()

    def request(self, body: bytes) -> bytes:
        """A request with that body."""
        return b"%s%d\r\n\r\n%s" % (self._head, len(body), body)

    async def lines(self, count: int) -> list[Line]:
        """Open connections."""
        loop = asyncio.get_running_loop()
        return [(await loop.create_connection(Line, self.host, self.port))[1] for _ in range(count)]


async def closed_loop(target: Target, body: Body, numbers: Iterator[int], connections: int, seconds: float) -> Sample:
    """Every connection sends its next request as soon as it has the answer, for `seconds` or until no number is left."""
    sample = Sample()
    lines = await target.lines(connections)
    start = time.monotonic_ns()
    end = start + int(seconds * 1e9)

    async def run(line: Line) -> None:
        while time.monotonic_ns() < end:
            number = next(numbers, None)
            if number is None:
                return
            await _one(line, number, target.request(body(number)), sample)

    await asyncio.gather(*(run(line) for line in lines))
    sample.seconds = (time.monotonic_ns() - start) / 1e9
    for line in lines:
        line.close()
    return sample


async def paced(target: Target, body: Body, numbers: Iterator[int], per_second: float, connections: int) -> Sample:
    """Requests leave at a steady rate, whether or not earlier ones were answered."""
    sample = Sample()
    free: asyncio.Queue[Line] = asyncio.Queue()
    for line in await target.lines(connections):
        free.put_nowait(line)
    start = time.monotonic_ns()

    async def run(number: int) -> None:
        line = await free.get()
        await _one(line, number, target.request(body(number)), sample)
        free.put_nowait(line)

    running: list[asyncio.Task[None]] = []
    for turn, number in enumerate(numbers):
        await asyncio.sleep(max(0.0, start / 1e9 + turn / per_second - time.monotonic_ns() / 1e9))
        running.append(asyncio.create_task(run(number)))
    await asyncio.gather(*running)
    sample.seconds = (time.monotonic_ns() - start) / 1e9
    while not free.empty():
        free.get_nowait().close()
    return sample


async def _one(line: Line, number: int, request: bytes, sample: Sample) -> None:
    began = time.monotonic_ns()
    status, answer = await line.ask(request)
    sample.numbers.append(number)
    sample.began.append(began)
    sample.took.append(time.monotonic_ns() - began)
    sample.statuses[status] = sample.statuses.get(status, 0) + 1
    if (status >= 300 or b'"problem":{' in answer) and not sample.refused:
        sample.refused = answer[:500].decode(errors="replace")
