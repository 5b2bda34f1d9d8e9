"""A wire between a channel and its carrier: it counts what the channel asks, and can be cut in the middle of an answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager

HOST = "127.0.0.1"


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncGenerator[int]:
    """A port of this machine where each connection is handled so; whatever becomes of them, all are closed at the end.

    A handler that is cut off with the event loop would leave its socket to a later test.
    """
    handled: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handled[task] = writer
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            await closed(writer)

    server = await asyncio.start_server(connected, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task, writer in handled.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*handled, return_exceptions=True)
        await server.wait_closed()


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close one end of a connection, and wait until it is; the other end may have gone before."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class Wire:
    """Passes everything on from its own port to the carrier's."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.upward = bytearray()
        self._target = target
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._cut: tuple[bytes, bytes, int] | None = None

    def cut(self, asked: bytes, after: bytes, more: int) -> None:
        """Cut the next answer to a request that holds `asked`: it ends `more` bytes after the first `after` in it."""
        self._cut = (asked, after, more)

    @property
    def whole(self) -> bool:
        """False while a cut is still to come."""
        return self._cut is None

    def asked(self, opening: bytes) -> int:
        """How often the channel has said this."""
        return self.upward.count(opening)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the channel."""
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            await self._carry(reader, writer)
        finally:
            del self._open[task]
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        said = bytearray()
        down = asyncio.create_task(self._down(far_reader, writer, said))
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    said += data
                    self.upward += data
                    far_writer.write(data)
                    await far_writer.drain()
        finally:
            down.cancel()
            await asyncio.gather(down, return_exceptions=True)
            await closed(far_writer)

    async def _down(self, far: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytearray) -> None:
        held = bytearray()
        with contextlib.suppress(OSError):
            while data := await far.read(65536):
                if self._cut is None or self._cut[0] not in said:
                    writer.write(data)
                    await writer.drain()
                    continue
                held += data
                _, after, more = self._cut
                end = held.find(after) + len(after) + more
                if after in held and len(held) >= end:
                    self._cut = None
                    writer.write(held[:end])
                    break
        writer.close()

    async def hang_up(self) -> None:
        """Drop every connection, and wait until they are gone."""
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*self._open)


@asynccontextmanager
async def wire_to(port: int) -> AsyncGenerator[Wire]:
    """A wire to a port of this machine."""
    made = Wire(port)
    server = await asyncio.start_server(made.connected, HOST, 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        async with asyncio.timeout(5):
            await made.hang_up()
            await server.wait_closed()
        assert made.whole, "a cut was asked for that never came"


@contextlib.contextmanager
def closed_port() -> Generator[int]:
    """A port at which nobody listens, and nobody else will meanwhile."""
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]
