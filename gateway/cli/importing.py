"""The run of an import: rows in, rejects out, and a small file beside them that says how far it came."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec

from gateway.cli.common import err
from gateway.cli.progress import shown
from gateway.cli.rejects import Rejects
from gateway.people.fields import Problem
from gateway.people.files import BadFile, Kind, Reading, Twice, kind_of, rows_of, unpacked
from gateway.people.people import People

READ_AT_ONCE: Final = 64
SAVE_EVERY_S: Final = 1.0
REPEATS_TOLD: Final = 100


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to import, and how. `source` None: standard input."""

    source: Path | None
    rejects: Path | None
    kind: str | None
    encoding: str | None
    delimiter: str | None
    columns: Mapping[str, str]
    given: Mapping[str, str]
    dry_run: bool
    from_start: bool
    overwrite_preferences: bool = False


class Repeat(msgspec.Struct, frozen=True):
    """An id that stood in an earlier line too."""

    line: int
    first: int


class Outcome(msgspec.Struct, kw_only=True):
    """What came of it. `rows` counts those of an earlier part of the same import, `resumed_after` says how many.

    `choices_kept`: of how many the person's own preferences stayed.
    """

    rows: int = 0
    kept: int = 0
    rejected: int = 0
    choices_kept: int = 0
    repeated: int = 0
    repeats: list[Repeat] = []
    resumed_after: int = 0
    dry_run: bool = False
    rejects: str | None = None
    seconds: float = 0.0
    rows_per_second: float = 0.0


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import of this very file came."""

    file: str
    rows: int
    rejected: int
    rejects_bytes: int
    choices_kept: int = 0


class _Counted(contextlib.AbstractContextManager["_Counted"]):
    """A file's bytes, and how much of it has been read."""

    def __init__(self, source: Path | None) -> None:
        self.raw = sys.stdin.buffer if source is None else source.open("rb")
        self.size = 0 if source is None else source.stat().st_size

    def done(self) -> float:
        return self.raw.tell() / self.size if self.size else 0.0

    def __exit__(self, *_: object) -> None:
        if self.size:
            self.raw.close()


async def carry_out(people: People, channels: Sequence[str], job: Job, told: Callable[[Outcome], None]) -> None:
    """Import a file; `told` is handed the outcome at the end. Raises BadFile, BadColumns, OSError, StoreUnavailable."""
    with _Counted(job.source) as counted:
        file = unpacked(counted.raw)
        kind = cast("Kind", job.kind) if job.kind else kind_of(job.source.name if job.source else "", file)
        how = Reading(kind=kind, encoding=job.encoding, delimiter=job.delimiter, columns=job.columns, given=job.given)
        path = job.rejects or _beside(job.source, f".rejects.{kind}")
        if job.source is not None and path.resolve() == job.source.resolve():
            raise BadFile("the rejects would overwrite it: name another file with --rejects")
        await _Run(job, path, how, channels).go(people, file, counted, told)


def _beside(source: Path | None, ending: str) -> Path:
    return Path(f"import{ending}") if source is None else source.with_name(source.name + ending)


class _Run:
    def __init__(self, job: Job, path: Path, how: Reading, channels: Sequence[str]) -> None:
        self._job = job
        self._how = how
        self._channels = channels
        self._place = path.with_name(path.name + ".state")
        self._state = None if job.source is None or job.from_start or job.dry_run else self._known(job.source)
        start = self._state.rejects_bytes if self._state and path.exists() else 0
        self._rejects = Rejects(path, how.kind, start)
        self._twice = Twice()
        self._raws: dict[int, Any] = {}
        self._saved_at = time.monotonic()
        self.outcome = Outcome(dry_run=job.dry_run)

    async def go(self, people: People, file: IO[bytes], counted: _Counted, told: Callable[[Outcome], None]) -> None:
        outcome, began, kind = self.outcome, time.monotonic(), self._how.kind
        if self._state is not None:
            outcome.resumed_after = outcome.rows = self._state.rows
            outcome.rejected, outcome.kept = self._state.rejected, self._state.rows - self._state.rejected
            outcome.choices_kept = self._state.choices_kept
            err.print(f"Going on after row {outcome.rows:,} of an import that was stopped.", highlight=False)
        finished = False
        try:
            with shown("checking" if self._job.dry_run else "importing", "rows") as progress:
                rows = self._rows(file) if self._job.source is not None else _awaited(self._rows(file))
                taken = people.import_rows(rows, dry_run=self._job.dry_run, overwrite=self._job.overwrite_preferences)
                async for line, told_of in taken:
                    problems = told_of.problems
                    outcome.rows += 1
                    outcome.rejected += bool(problems)
                    outcome.kept += not problems
                    outcome.choices_kept += told_of.choices_kept
                    raw, made = self._raws.pop(line)
                    if problems:
                        self._rejects.add(line, raw, _by_column(problems, made) if kind == "csv" else problems)
                    progress(outcome.rows, counted.done())
                    if time.monotonic() - self._saved_at > SAVE_EVERY_S:
                        await asyncio.to_thread(self._save)
                progress(outcome.rows, 1.0)
            finished = True
        finally:
            if finished:
                self._place.unlink(missing_ok=True)
            else:
                self._save()
            self._rejects.close()
        outcome.seconds = round(time.monotonic() - began, 3)
        outcome.rows_per_second = round((outcome.rows - outcome.resumed_after) / max(outcome.seconds, 0.001), 1)
        outcome.rejects = str(self._rejects.path) if outcome.rejected else None
        told(outcome)

    def _rows(self, file: IO[bytes]) -> Iterator[tuple[int, Any]]:
        skipped = self._state.rows if self._state is not None else 0
        count = 0
        rows = rows_of(file, self._how, self._channels, self._rejects.header)
        try:
            for line, row, raw in rows:
                count += 1
                if isinstance(row, dict) and isinstance(name := cast("dict[str, Any]", row).get("id"), str):
                    self._seen(name, line)
                if count <= skipped:
                    continue
                self._raws[line] = raw, row
                yield line, row
        except (EOFError, zlib.error) as damaged:
            raise BadFile(
                f"the gzip file is damaged after row {count:,} ({damaged}); the rows before it are kept"
            ) from None

    def _seen(self, name: str, line: int) -> None:
        first = self._twice.first(name, line)
        if first is not None:
            self.outcome.repeated += 1
            if len(self.outcome.repeats) < REPEATS_TOLD:
                self.outcome.repeats.append(Repeat(line, first))

    def _mark(self, source: Path) -> str:
        """What tells this file and this way of reading it from any other."""
        facts = source.stat()
        options = self._how, self._job.overwrite_preferences
        how = msgspec.json.encode([*options, facts.st_size, facts.st_mtime_ns, source.name])
        return hashlib.blake2b(how, digest_size=16).hexdigest()

    def _known(self, source: Path) -> State | None:
        try:
            state = msgspec.json.decode(self._place.read_bytes(), type=State)
        except (OSError, msgspec.DecodeError):
            return None
        return state if state.rows and state.file == self._mark(source) else None

    def _save(self) -> None:
        """How far everything is: rows are counted in their order, so none before is missing."""
        self._saved_at = time.monotonic()
        if self._job.source is None or self._job.dry_run:
            return
        state = State(
            file=self._mark(self._job.source),
            rows=self.outcome.rows,
            rejected=self.outcome.rejected,
            rejects_bytes=self._rejects.saved(),
            choices_kept=self.outcome.choices_kept,
        )
        draft = self._place.with_name(self._place.name + ".new")
        draft.write_bytes(msgspec.json.encode(state))
        draft.replace(self._place)


def _by_column(problems: Sequence[Problem], made: Any) -> list[Problem]:
    """Problems by the columns of a table: what is wrong with the first address is wrong with `sms`."""
    listed = cast("dict[str, Any]", made).get("addresses", ()) if isinstance(made, dict) else ()

    def column(pointer: str) -> str:
        parts = pointer.split("/")[1:]
        if parts[:1] == ["addresses"] and len(parts) > 1 and int(parts[1]) < len(listed):
            return str(listed[int(parts[1])].get("channel"))
        return ".".join(parts)

    return [(column(pointer), detail) for pointer, detail in problems]


async def _awaited(rows: Iterator[tuple[int, Any]]) -> AsyncIterator[tuple[int, Any]]:
    """Rows of a pipe that may be silent for long, while answers from Redis are waited for."""
    while some := await asyncio.to_thread(list, itertools.islice(rows, READ_AT_ONCE)):
        for row in some:
            yield row
