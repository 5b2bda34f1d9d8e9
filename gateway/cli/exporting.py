"""The run of an export: every customer once, written as they are read, in the form that an import reads."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import gzip
import io
import os
import secrets
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

import msgspec

from gateway.cli.progress import shown
from gateway.people.cells import text_cell

if TYPE_CHECKING:
    from gateway.app import Gateway

_encode: Final = msgspec.json.encode
COLUMNS: Final = (
    "id",
    "name",
    "locale",
    "time_zone",
    "addresses",
    "attributes",
    "preferences",
    "preferences_by",
    "consents",
)


async def write_all(gateway: Gateway, path: Path | None, kind: str) -> int:
    """Write every customer; how many. `path` None: standard output. Raises OSError, StoreUnavailable."""
    about = max(1, await gateway.customers.count())
    form, count = (_csv if kind == "csv" else _ndjson), 0
    with _target(path) as file, shown("exporting", "customers") as progress:
        if kind == "csv":
            await asyncio.to_thread(file.write, b"\xef\xbb\xbf" + _line(COLUMNS))
        async for page in gateway.people.all_portable():
            await asyncio.to_thread(_write, file, page, form)
            count += len(page)
            progress(count, min(1.0, count / about))
        progress(count, 1.0)
    return count


def _write(file: IO[bytes], page: list[dict[str, Any]], form: Callable[[dict[str, Any]], bytes]) -> None:
    file.write(b"".join(map(form, page)))
    file.flush()


def _ndjson(row: dict[str, Any]) -> bytes:
    return _encode(row) + b"\n"


def _csv(row: dict[str, Any]) -> bytes:
    cells = (row.get(name) for name in COLUMNS)
    return _line(
        ["" if cell is None else text_cell(cell) if isinstance(cell, str) else _encode(cell).decode() for cell in cells]
    )


def _line(cells: Any) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


@contextlib.contextmanager
def _target(path: Path | None) -> Generator[IO[bytes]]:
    """What is written to. A file appears under its name when it is whole, for its owner alone (mode 0600)."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    raw = os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    try:
        with raw:
            if path.suffix.lower() == ".gz":
                with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=3) as packed:
                    yield cast("IO[bytes]", packed)
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
