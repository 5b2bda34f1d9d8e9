"""Files of customers as spreadsheets and other systems write them, read row by row, whatever their size.

CSV or NDJSON, plain or gzip, UTF-8 or UTF-16. Nothing is guessed that could change what a cell means: a number that a
spreadsheet has rounded is refused, and a byte that isn't of the encoding makes its row bad, not the file.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Final, Literal, cast

import msgspec

from gateway.people.cells import Cells, table_row

Kind = Literal["csv", "ndjson"]
Raw = tuple[int, Any, Any]
"""Number of a row's first line; the row, or a text that says why there is none; what stood there, for the rejects."""
REJECTED: Final = "_rejected"
"""Where a reject says why; ignored when it is read again."""
LINE_LIMIT: Final = 256 * 1024
_DELIMITERS: Final = ",;\t|"
_SNIFFED: Final = 4096
_ESCAPED: Final = re.compile("[\udc80-\udcff\ufffd]")
_64_BITS: Final = 2**64 - 1
_32_BITS: Final = 2**32 - 1
_BOMS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


class BadFile(Exception):
    """The file as a whole can't be read; the text says why and what to do."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is to be read. `columns`: what a column or field of the file is called here; `given`: what every row has
    that doesn't say otherwise.
    """

    kind: Kind
    encoding: str | None = None
    delimiter: str | None = None
    columns: Mapping[str, str] = {}
    given: Mapping[str, str] = {}


def rows_of(
    file: IO[bytes], how: Reading, channels: Sequence[str], header: Callable[[Sequence[str]], None] = lambda _: None
) -> Iterator[Raw]:
    """The rows of a file, each read when it is asked for; `header` is told the names of a table's columns.

    Raises BadFile and BadColumns, at the latest when the first row is asked for; EOFError, OSError and zlib.error for a
    gzip file that is damaged.
    """
    lines = _Lines(file, how.encoding)
    try:
        yield from (_table(lines, how, channels, header) if how.kind == "csv" else _objects(lines, how, channels))
    finally:
        lines.let_go()


def _objects(lines: _Lines, how: Reading, channels: Sequence[str]) -> Iterator[Raw]:
    for number, line in lines:
        text = line.strip().lstrip("\ufeff")
        if not text:
            continue
        fault = lines.fault(line)
        row = _object(text) if fault is None else fault
        if isinstance(row, dict):
            found = row
            known: Any = found.pop(REJECTED, None)
            if isinstance(known, dict) and "text" in known and not found:
                row = f"is still the text of a line that was no JSON object: {_object(cast('Any', known)['text'])}"
            else:
                row = table_row(found, how.columns, how.given, channels) if how.columns or how.given else found
            yield number, row, found or known
        else:
            yield number, row, text


def _object(text: str) -> dict[str, Any] | str:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as bad:
        return f"isn't a JSON object: {bad}"


def _table(
    lines: _Lines, how: Reading, channels: Sequence[str], header: Callable[[Sequence[str]], None]
) -> Iterator[Raw]:
    names, delimiter = _header(lines, how.delimiter)
    cells = Cells(names, how.columns, how.given, channels)
    header(names)
    records = _Records(lines, delimiter)
    for number, record, raw in records:
        if isinstance(record, str):
            yield number, record, raw.rstrip("\r\n").split(delimiter)
        elif any(cell.strip() for cell in record):
            fault = next((fault for cell in record if (fault := lines.fault(cell)) is not None), None)
            yield number, cells.row(record) if fault is None else fault, record


def _header(lines: _Lines, delimiter: str | None) -> tuple[list[str], str]:
    for _, line in lines:
        text = line.strip("\r\n").lstrip("\ufeff")
        if re.fullmatch("sep=.", text):  # Excel's own hint
            delimiter = delimiter or text[4]
        elif text.strip():
            if fault := lines.fault(line):
                raise BadFile(f"the header {fault}")
            plain = re.sub('"[^"]*"', "", text)
            found = delimiter or max(_DELIMITERS, key=plain.count)
            return next(csv.reader([text], delimiter=found)), found
    raise BadFile("the file is empty: its first line must name the columns")


class _Records:
    """The records of a table. A quotation mark that is never closed costs its own line, not those after it."""

    def __init__(self, lines: _Lines, delimiter: str) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._again: list[tuple[int, str]] = []
        self._taken: list[tuple[int, str]] = []

    def __iter__(self) -> Iterator[tuple[int, list[str] | str, str]]:
        while True:
            self._taken = []
            try:
                record: list[str] | str = next(csv.reader(self._source(), delimiter=self._delimiter, strict=True))
            except StopIteration:
                return
            except csv.Error as bad:
                # Only its first line is to blame: the others are read again, each as a record of its own.
                self._again = self._taken[1:] + self._again
                record = f"isn't a row of a table: {bad}"
            first, text = self._taken[0]
            if any(len(line) >= LINE_LIMIT for _, line in self._taken):
                record = f"is longer than {LINE_LIMIT} characters"
            yield first, record, text

    def _source(self) -> Iterator[str]:
        while True:
            taken = self._again.pop(0) if self._again else next(self._lines, None)
            if taken is None:
                return
            self._taken.append(taken)
            yield taken[1]


class _Lines:
    """The lines of a file with their numbers, decoded, none longer than the limit held in memory."""

    def __init__(self, file: IO[bytes], encoding: str | None) -> None:
        start = _peeked(file)
        self.encoding = encoding or _encoding(start)
        errors = "surrogateescape" if self.encoding in ("utf-8", "utf-8-sig") else "replace"
        try:
            self._text = io.TextIOWrapper(file, encoding=self.encoding, errors=errors, newline="")
        except LookupError:
            raise BadFile(f"{encoding!r} is no encoding that is known here") from None
        self._number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> tuple[int, str]:
        line = self._text.readline(LINE_LIMIT)
        if not line:
            raise StopIteration
        self._number += 1
        if len(line) == LINE_LIMIT and not line.endswith("\n"):
            while (rest := self._text.readline(LINE_LIMIT)) and not rest.endswith("\n"):
                pass
        return self._number, line

    def let_go(self) -> None:
        """The file is its owner's again, to close."""
        if not self._text.closed:
            self._text.detach()

    def fault(self, text: str) -> str | None:
        """Why a text can't be used, or None."""
        if len(text) >= LINE_LIMIT:
            return f"is longer than {LINE_LIMIT} characters"
        bad = _ESCAPED.search(text)
        if bad is None:
            return None
        what = f" (byte 0x{ord(bad[0]) - 0xDC00:02X})" if bad[0] < "\ue000" else ""
        return f"isn't {self.encoding.upper()}{what}: save the file as UTF-8, or say --encoding"


def _peeked(file: IO[bytes]) -> bytes:
    peek = cast("Callable[[int], bytes] | None", getattr(file, "peek", None))
    return b"" if peek is None else peek(_SNIFFED)[:_SNIFFED]


def _encoding(start: bytes) -> str:
    for bom, name in _BOMS:
        if start.startswith(bom):
            return "utf-8-sig" if name == "utf-8" else name
    zeros = start[:200].count(0)
    if zeros > len(start[:200]) // 4:
        raise BadFile("the file looks like UTF-16 without its mark: say --encoding utf-16-le (or utf-16-be)")
    if zeros:
        raise BadFile("the file holds null bytes: it is neither CSV nor NDJSON; export it as one of them")
    return "utf-8"


def unpacked(file: IO[bytes]) -> IO[bytes]:
    """The file itself, or what is in it if it is gzip (RFC 1952), whatever its name."""
    if _peeked(file)[:2] != b"\x1f\x8b":
        return file
    return cast("IO[bytes]", io.BufferedReader(cast("Any", gzip.GzipFile(fileobj=file))))


def kind_of(name: str, file: IO[bytes]) -> Kind:
    """What a file holds: by its name, else by its first character."""
    plain = name.lower().removesuffix(".gz")
    if plain.endswith((".csv", ".tsv", ".txt")):
        return "csv"
    if plain.endswith((".ndjson", ".jsonl", ".json")):
        return "ndjson"
    start = _peeked(file).replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \r\n\t")
    return "ndjson" if start.startswith(b"{") else "csv"


class Twice:
    """Finds ids that stand twice in a file of any length: 12 bytes a row, at most half full, by 64-bit hashes."""

    def __init__(self) -> None:
        self._size = 1024
        self._hashes, self._lines = array("Q", [0]) * self._size, array("I", [0]) * self._size
        self._count = 0

    def first(self, name: str, line: int) -> int | None:
        """The line where the id stood first; None: this is the first."""
        if 2 * self._count >= self._size:
            self._grow()
        wanted = hash(name) & _64_BITS or 1
        place = self._place(wanted)
        if self._hashes[place]:
            return self._lines[place]
        self._hashes[place], self._lines[place] = wanted, min(line, _32_BITS)
        self._count += 1
        return None

    def _place(self, wanted: int) -> int:
        place = wanted % self._size
        while self._hashes[place] not in (0, wanted):
            place = (place + 1) % self._size
        return place

    def _grow(self) -> None:
        hashes, lines = self._hashes, self._lines
        self._size *= 2
        self._hashes, self._lines = array("Q", [0]) * self._size, array("I", [0]) * self._size
        for one, line in zip(hashes, lines, strict=True):
            if one:
                place = self._place(one)
                self._hashes[place], self._lines[place] = one, line
