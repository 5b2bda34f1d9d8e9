r"""The file of a back-up: a header that can be read at once, then every key compressed, then a checksum of all of it.

`GATEWAY BACKUP 1\n`, a line of JSON (`Header`), a zlib stream (RFC 1950) of frames, the SHA-256 of everything before it.
A frame is its length (4 bytes, big-endian) and msgpack: a list of [key, ms since the epoch when it ends (0: never), value
as DUMP gives it]. An empty frame ends the stream, and the last list has the number of keys alone.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

MAGIC: Final = b"GATEWAY BACKUP "
FORMAT: Final = 1
_CHUNK: Final = 256 * 1024
_DIGEST: Final = hashlib.sha256().digest_size
_LONGEST_HEADER: Final = 64 * 1024
_LEVEL: Final = 3
"""Of zlib: higher ones take three times as long for a tenth less."""

Entry = tuple[bytes, int, bytes]
"""A key, when it ends (ms since the epoch; 0: never), its value as DUMP gives it."""


class BadBackup(Exception):
    """The file is no back-up that can be restored here; the text says why and what to do."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a back-up says of itself. `at`: when it was begun (ms); `pepper`: of the installation, sealed with SECRET_KEY.

    `schema`: of message records; `keys`: about how many there are.
    """

    gateway: str
    schema: int
    partitions: int
    at: int
    keys: int
    server: str
    pepper: bytes


class Writer:
    """Writes a back-up beside its place, and puts it there when it is whole. Nobody else can read it (mode 0600)."""

    def __init__(self, path: Path, header: Header) -> None:
        """Raises OSError."""
        self._path = path
        self._draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        self._file = os.fdopen(os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._digest = hashlib.sha256()
        self._zlib = zlib.compressobj(_LEVEL)
        self.keys = 0
        self._write(MAGIC + b"%d\n" % FORMAT + msgspec.json.encode(header) + b"\n")

    def add(self, entries: Sequence[Entry]) -> None:
        """Write some keys. Raises OSError."""
        if entries:
            self.keys += len(entries)
            self._frame(msgspec.msgpack.encode(entries))

    def close(self) -> int:
        """The file is whole: put it where it belongs; its size. Raises OSError."""
        self._frame(b"")
        self._frame(msgspec.msgpack.encode(self.keys))
        self._write(self._zlib.flush())
        self._file.write(self._digest.digest())
        self._file.flush()
        os.fsync(self._file.fileno())
        size = self._file.tell()
        self._file.close()
        self._draft.replace(self._path)
        return size

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._draft.unlink(missing_ok=True)

    def _frame(self, data: bytes) -> None:
        self._write(self._zlib.compress(len(data).to_bytes(4, "big") + data))

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)


class Backup:
    """A back-up that is there. Raises BadBackup, and OSError when the file can't be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size
        with path.open("rb") as file:
            self.header = _header(file)

    def verify(self, seen: Callable[[int], None] = lambda _: None) -> int:
        """Read all of it and compare the checksum; how many keys it holds. `seen` is told the bytes read so far."""
        digest, left = hashlib.sha256(), self.size - _DIGEST
        with self._path.open("rb") as file:
            while left > 0 and (chunk := file.read(min(_CHUNK, left))):
                digest.update(chunk)
                left -= len(chunk)
                seen(self.size - _DIGEST - left)
            if digest.digest() != file.read():
                raise BadBackup("the checksum does not fit: the file is damaged or was cut off. Take another back-up")
        return sum(len(entries) for entries in self.entries())

    def entries(self, seen: Callable[[int], None] = lambda _: None) -> Iterator[list[Entry]]:
        """The keys, in the order in which they were written."""
        count = 0
        with self._path.open("rb") as file:
            _header(file)
            frames = _frames(file, seen)
            for frame in frames:
                if not frame:
                    break
                found = msgspec.msgpack.decode(frame, type=list[Entry])
                count += len(found)
                yield found
            if count != msgspec.msgpack.decode(next(frames, b"\xc0"), type=int | None):
                raise BadBackup("the file does not hold as many keys as it says. Take another back-up")


def _header(file: IO[bytes]) -> Header:
    first = file.readline(len(MAGIC) + 10)
    if not first.startswith(MAGIC):
        raise BadBackup("the file is no back-up of a gateway")
    if first[len(MAGIC) :].strip() != b"%d" % FORMAT:
        raise BadBackup(
            f"the back-up has the format {first[len(MAGIC) :].strip().decode(errors='replace')}, which only a "
            "newer release of the gateway can read"
        )
    try:
        return msgspec.json.decode(file.readline(_LONGEST_HEADER), type=Header)
    except msgspec.DecodeError:
        raise BadBackup("the header is damaged. Take another back-up") from None


def _frames(file: IO[bytes], seen: Callable[[int], None]) -> Iterator[bytes]:
    stream, buffer = zlib.decompressobj(), bytearray()
    while True:
        while len(buffer) >= 4 and len(buffer) >= 4 + (size := int.from_bytes(buffer[:4], "big")):
            frame = bytes(buffer[4 : 4 + size])
            del buffer[: 4 + size]
            yield frame
        chunk = file.read(_CHUNK)
        if not chunk or stream.eof:
            return
        seen(file.tell())
        buffer += stream.decompress(chunk)
