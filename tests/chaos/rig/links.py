"""A TCP link that can fail: it stands between two parties and cuts, delays, swallows or freezes what passes."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

import msgspec

from tests.support.running import HOST

Address = tuple[str, int] | str
"""A host and a port, or the path of a unix socket."""
CHUNK: Final = 256 * 1024


class Act(enum.Enum):
    """What becomes of a piece of a conversation. Every act but PASS, SWALLOW and STALL ends the connection at once."""

    PASS = "pass"
    CUT = "cut"  # nothing of it is forwarded
    HALF = "half"  # half of it is forwarded
    SWALLOW = "swallow"  # it is forwarded; when the answer comes, the connection ends instead
    STALL = "stall"  # it is forwarded; no answer ever comes through, and the connection stays open


class Talk:
    """One connection through a link."""

    def __init__(self) -> None:
        self.next_answer = Act.PASS
        self.writers: list[asyncio.StreamWriter] = []
        self.over = asyncio.Event()

    def abort(self) -> None:
        """End both halves without a farewell."""
        self.over.set()
        for writer in self.writers:
            writer.transport.abort()


class Link:
    """Listens on a loopback port of its own and forwards to the first of its targets that answers.

    `fault`, when set, is asked for every piece a client sends. `lag`: seconds that every piece of a request is delayed.
    """

    def __init__(self, targets: Callable[[], Sequence[Address]]) -> None:
        self._targets = targets
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._talks: set[Talk] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._turn = itertools.count()
        self.port = 0
        self.fault: Callable[[bytes], Act] | None = None
        self.lag = 0.0
        self.cuts = 0

    @property
    def url(self) -> str:
        """The link's own address, for a client that speaks HTTP."""
        return f"http://{HOST}:{self.port}"

    async def open(self) -> None:
        """Listen, on the same port as before after `shut`."""
        self._server = await asyncio.start_server(self._serve, HOST, self.port, limit=CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse connections and end those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        self._flows.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End every open connection."""
        self.cuts += len(self._talks)
        for talk in tuple(self._talks):
            talk.abort()

    def freeze(self) -> None:
        """Hold everything back, in both directions; new connections are taken and nothing comes of them."""
        self._flows.clear()

    def thaw(self) -> None:
        """Let everything flow again."""
        self._flows.set()

    async def asked(self, _talk: Talk, chunk: bytes) -> Act:
        """What becomes of a piece of a request."""
        return self.fault(chunk) if self.fault is not None else Act.PASS

    async def answered(self, talk: Talk, _chunk: bytes) -> Act:
        """What becomes of a piece of an answer."""
        return talk.next_answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        talk = self.talk()
        self._talks.add(talk)
        talk.writers.append(writer)
        try:
            await self._flows.wait()
            there = await self._reach()
            if there is None:
                return
            talk.writers.append(there[1])
            if talk.over.is_set():
                return
            await asyncio.gather(self._pump(talk, reader, there[1], out=True), self._pump(talk, there[0], writer))
        finally:
            talk.abort()
            self._talks.discard(talk)
            self._tasks.discard(task)

    def talk(self) -> Talk:
        """The state of a new connection."""
        return Talk()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        targets = list(self._targets())
        first = next(self._turn) % max(1, len(targets))
        for target in targets[first:] + targets[:first]:
            with contextlib.suppress(OSError):
                if isinstance(target, str):
                    return await asyncio.open_unix_connection(target, limit=CHUNK)
                return await asyncio.open_connection(*target, limit=CHUNK)
        return None

    async def _pump(
        self, talk: Talk, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, out: bool = False
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await source.read(CHUNK):
                await self._flows.wait()
                if out and self.lag:
                    await asyncio.sleep(self.lag)
                act = await (self.asked(talk, chunk) if out else self.answered(talk, chunk))
                if not await self._carry_out(act, talk, chunk, sink, out=out):
                    return
        if out and sink.can_write_eof() and not talk.over.is_set():
            with contextlib.suppress(OSError):
                sink.write_eof()
            return
        talk.abort()

    async def _carry_out(self, act: Act, talk: Talk, chunk: bytes, sink: asyncio.StreamWriter, *, out: bool) -> bool:
        """Forward a piece or not; False when the connection is over."""
        if act is Act.STALL and not out:
            await talk.over.wait()
            return False
        if act is Act.CUT or (act is Act.SWALLOW and not out):
            self.cuts += 1
            talk.abort()
            return False
        if act in (Act.SWALLOW, Act.STALL):
            talk.next_answer = act
        sink.write(chunk[: len(chunk) // 2] if act is Act.HALF else chunk)
        await sink.drain()
        if act is Act.HALF:
            self.cuts += 1
            # Let what was written leave before the connection goes.
            sink.close()
            talk.abort()
            return False
        return True


class Odds(msgspec.Struct):
    """A fault by lot: `roll` gives numbers from 0 to 1, `acts` how probable each act is for a piece of a request."""

    roll: Callable[[], float]
    acts: dict[Act, float]

    def __call__(self, _chunk: bytes) -> Act:
        left = self.roll()
        for act, share in self.acts.items():
            left -= share
            if left < 0:
                return act
        return Act.PASS


@contextlib.asynccontextmanager
async def opened(link: Link) -> AsyncGenerator[Link]:
    """A link that listens, shut afterwards."""
    await link.open()
    try:
        yield link
    finally:
        await link.shut()
