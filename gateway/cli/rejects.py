"""The rejects of an import: the rows as they stood, each with the reason, in a file that can be mended and imported."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from gateway.people.fields import Problem
from gateway.people.files import REJECTED, Kind

LINE, REASON = "_line", "_reason"
_encode: Final = msgspec.json.encode


class Rejects:
    """Writes rejects of one kind; the file is made for its owner alone when the first one comes."""

    def __init__(self, path: Path, kind: Kind, start: int = 0) -> None:
        """`start`: how many bytes of an earlier part of the same import stay."""
        self.path = path
        self._header: Sequence[str] = ()
        self._dropped: frozenset[int] = frozenset()
        self._kind = kind
        self._start = start
        self._file: io.BufferedRandom | None = None
        if not start:
            path.unlink(missing_ok=True)

    def header(self, names: Sequence[str]) -> None:
        """The columns of the table. What an earlier import said of its rejects is not said again."""
        self._dropped = frozenset(place for place, name in enumerate(names) if name in (LINE, REASON))
        self._header = [name for name in names if name not in (LINE, REASON)]

    def add(self, line: int, raw: Any, problems: Sequence[Problem]) -> None:
        """Write one. Raises OSError."""
        reasons = [f"{pointer}: {detail}" if pointer else detail for pointer, detail in problems]
        if self._kind == "csv":
            cells = [cell for place, cell in enumerate(raw) if place not in self._dropped]
            cells += [""] * (len(self._header) - len(cells))
            self._opened().write(_csv([*cells, str(line), "; ".join(reasons)]))
            return
        why: dict[str, Any] = {"line": line, "reasons": reasons}
        row = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
        if isinstance(raw, str):
            why["text"] = raw.encode(errors="backslashreplace").decode()
        self._opened().write(_encode({**row, REJECTED: why}) + b"\n")

    def saved(self) -> int:
        """Everything so far is in the file: how many bytes. Raises OSError."""
        if self._file is None:
            return self._start
        self._file.flush()
        return self._file.tell()

    def close(self) -> None:
        """Nothing more comes."""
        if self._file is not None:
            self._file.close()

    def _opened(self) -> io.BufferedRandom:
        if self._file is None:
            made = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(made, self._start)
            os.lseek(made, 0, os.SEEK_END)
            self._file = os.fdopen(made, "r+b")
            self._file.seek(0, os.SEEK_END)
            if not self._start and self._kind == "csv":
                # The mark makes spreadsheets read it as UTF-8.
                self._file.write(b"\xef\xbb\xbf" + _csv([*self._header, LINE, REASON]))
        return self._file


def _csv(cells: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode(errors="backslashreplace")
