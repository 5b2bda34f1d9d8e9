"""A Redis of the operator's own, as `REDIS_URL` names it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator
from pathlib import Path

from gateway.store.server_binary import find_binary
from tests.contract.waiting import eventually
from tests.support.ports import free_port

HOST = "127.0.0.1"
DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--save", "")


class OwnRedis:
    """A server on a port of its own, that can be stopped and started."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.folder, self.options = folder, options
        self.process: asyncio.subprocess.Process | None = None
        self.url = f"redis://{HOST}:{self.port}/0"

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            str(find_binary().path), "--port", str(self.port), "--bind", HOST, "--dir", str(self.folder), *DURABLE,
            *self.options, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await eventually(self.answers)

    async def answers(self) -> bool:
        with contextlib.suppress(OSError, AssertionError, asyncio.IncompleteReadError):
            return await self("PING") == "PONG"
        return False

    async def __call__(self, *command: str | bytes) -> str:
        """One command; a status, a number or a short text as its words, a bulk string whole."""
        words = [word.encode() if isinstance(word, str) else word for word in command]
        sent = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            # Somebody else may have been given the port in the meantime, and say nothing.
            async with asyncio.timeout(10):
                writer.write(sent)
                first = (await reader.readline()).decode().rstrip()
                assert first[:1] in {"+", ":", "$"}, first
                return first[1:] if first[0] != "$" else (await reader.readexactly(int(first[1:]))).decode()
        finally:
            # Closed hard: a server that is stopped beside must not wait for this end.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def memory(self) -> float:
        """Used memory as a part of the limit."""
        lines = (line.partition(":") for line in (await self("INFO", "memory")).split("\r\n"))
        shown = {name: value for name, _, value in lines}
        return int(shown["used_memory"]) / int(shown["maxmemory"])

    async def fill(self, part: float) -> None:
        """A ballast that fills memory up to such a part of the limit."""
        while await self.memory() < part:
            await self("APPEND", "ballast", b"x" * 100_000)

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@contextlib.asynccontextmanager
async def own_redis(folder: Path, *options: str) -> AsyncGenerator[OwnRedis]:
    await asyncio.to_thread(folder.mkdir)
    server = OwnRedis(folder, *options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
