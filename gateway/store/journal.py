"""The journal of erasures: who was erased, in keyed hashes, so that a restored back-up doesn't bring them back.

It is a stream in Redis, and a file in the data directory of every host with a worker: what Redis loses, or an older
state of it has never known, the file still says. Lines are only ever added; of several with one id the later ones add to
the earlier ones. A line holds no name, no id and no address, only hashes keyed with a secret of the installation.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import hmac
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from gateway.customer import ConsentEntry
from gateway.store.keys import ERASURES
from gateway.store.pipe import Pipe

FILE: Final = "erasures.ndjson"
KEEP_MS: Final = 3 * 365 * 86_400_000
"""How long erasures are remembered, and their certificates kept: no older back-up may be restored."""
_PAGE: Final = 500
_TAIL: Final = 65_536
"""Bytes at the end of the file that hold its last line for certain."""

log = structlog.get_logger()


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered of an erasure. `at` in ms.

    `who`: the keyed hash of the customer's id. `withdrawals`: by keyed hash of an address or an id, what goes on
    binding it. `certificate`: as it was when the erasure had ended (msgpack). `n`: its place in the stream; `of`: the
    installation, without whose secret the hashes mean nothing.
    """

    id: str
    at: int
    who: str
    withdrawals: dict[str, list[ConsentEntry]] = {}
    certificate: bytes | None = None
    n: str = ""
    of: str = ""


def merged(lines: Iterable[Line]) -> dict[str, Line]:
    """The erasures by id, in order: what later lines say of one adds to what earlier ones did."""
    found: dict[str, Line] = {}
    for line in lines:
        known = found.get(line.id, line)
        found[line.id] = msgspec.structs.replace(
            line,
            withdrawals={**known.withdrawals, **line.withdrawals},
            certificate=line.certificate or known.certificate,
        )
    return found


class Journal:
    """The journal of one process, whose file is in `folder`. Raises StoreUnavailable where Redis is asked.

    `pepper` is what the hashes are keyed with: lines of another installation, which had another one, are passed over.
    """

    def __init__(self, pipe: Pipe, folder: Path, pepper: bytes) -> None:
        self._pipe = pipe
        self._file = folder / FILE
        self._of = hmac.digest(pepper, b"journal of erasures", hashlib.sha256).hex()[:16]

    async def add(self, line: Line) -> None:
        """Remember an erasure, in Redis and in the file."""
        oldest = max(0, line.at - KEEP_MS)
        state = msgspec.json.encode(msgspec.structs.replace(line, n="", of=self._of))
        await self._pipe.send("XADD", ERASURES, "MINID", "~", oldest, "*", "e", state, durable=True)
        await self.copy()

    async def in_redis(self) -> list[Line]:
        """The lines that Redis knows."""
        return [line async for line in self._after("-")]

    async def in_file(self) -> list[Line]:
        """The lines of this host's file."""
        return [line for line in await asyncio.to_thread(self._read) if line.of == self._of]

    async def copy(self) -> None:
        """Write into the file what is in Redis and not there yet. A file that can't be written is reported, no more."""
        try:
            last = await asyncio.to_thread(self._last)
            newest = await self._pipe.send("XREVRANGE", ERASURES, "+", "-", "COUNT", 1)
            if last and newest and _order(newest[0][0].decode()) < _order(last):
                last = ""  # the server's clock was set back, or another Redis is behind it
            new = [line async for line in self._after(f"({last}" if last else "-")]
            if new:
                await asyncio.to_thread(self._append, new)
        except OSError as unwritable:
            log.warning("erasure_journal_unwritable", file=str(self._file), error=str(unwritable))

    async def _after(self, start: str) -> AsyncIterator[Line]:
        while True:
            page: list[Any] = await self._pipe.send("XRANGE", ERASURES, start, "+", "COUNT", _PAGE)
            for number, fields in page:
                yield msgspec.structs.replace(msgspec.json.decode(fields[b"e"], type=Line), n=number.decode())
            if len(page) < _PAGE:
                return
            start = f"({page[-1][0].decode()}"

    def _read(self) -> list[Line]:
        if not self._file.exists():
            return []
        return list(_lines(self._file.read_bytes()))

    def _last(self) -> str:
        if not self._file.exists():
            return ""
        with self._file.open("rb") as file:
            file.seek(max(0, self._file.stat().st_size - _TAIL))
            newest = next(iter(_lines(b"\n".join(reversed(file.read().splitlines())))), None)
        return newest.n if newest is not None else ""

    def _append(self, lines: list[Line]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(self._file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            last = self._last()  # another process of this host may have been faster
            fresh = [
                line
                for line in lines
                if not last or _order(line.n) > _order(last) or _order(lines[-1].n) < _order(last)
            ]
            # One that was cut off by a power failure ends here, and is no line.
            file.write(b"\n" if last else b"")
            file.writelines(msgspec.json.encode(line) + b"\n" for line in fresh)
            file.flush()
            os.fsync(file.fileno())


def _lines(text: bytes) -> Iterable[Line]:
    """What can be read; a line that was cut off says nothing."""
    for raw in text.splitlines():
        try:
            if raw:
                yield msgspec.json.decode(raw, type=Line)
        except msgspec.DecodeError:
            log.warning("erasure_journal_line_unreadable")


def _order(number: str) -> tuple[int, int]:
    time, _, count = number.partition("-")
    return int(time), int(count or 0)
