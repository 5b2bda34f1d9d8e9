"""`gateway customers`: in and out, as files."""

from __future__ import annotations

import asyncio
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from gateway.cli.common import err, fail, opened, out, run, settings_for

if TYPE_CHECKING:
    from gateway.app import Gateway

app = typer.Typer(help="Import and export customers.", no_args_is_help=True)
__all__ = ["app"]
_TRUTH: Final[dict[str, bool]] = {"true": True, "false": False}
_encode = msgspec.json.encode


def rows_of(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Line number and row, read as they are asked for; a text is the reason why a line is no row. CSV: a column for each
    channel, and `id name locale time_zone`; every other column becomes an attribute.
    """
    from gateway.channels.registry import names

    with path.open(encoding="utf-8-sig", newline="") as lines:
        if path.suffix.lower() == ".csv":
            reader, channels = csv.DictReader(lines), names()
            for row in reader:
                yield reader.line_num, _from_csv(row, channels)
            return
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, _from_json(line)


def _from_json(line: str) -> dict[str, Any] | str:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as bad:
        return f"not a JSON object: {bad}"


def _from_csv(row: dict[str | None, Any], channels: Sequence[str]) -> dict[str, Any] | str:
    if None in row:
        return "has more cells than the header has columns"
    cells = {str(k).strip(): v.strip() for k, v in row.items() if v is not None and v.strip()}
    made: dict[str, Any] = {name: cells.pop(name) for name in ("id", "name", "locale", "time_zone") if name in cells}
    found = [{"channel": c, "value": v} for c in channels if c in cells for v in cells.pop(c).split(";")]
    return {**made, "addresses": found, "attributes": {k: _TRUTH.get(v.lower(), v) for k, v in cells.items()}}


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV (by its ending) or NDJSON.")],
    rejects: Annotated[Path | None, typer.Option(help="Where bad rows go; by default FILE.rejects.ndjson.")] = None,
) -> None:
    """Read customers from a file. Bad rows go to a rejects file with the reason; running it again is harmless."""
    target = rejects or file.with_name(file.name + ".rejects.ndjson")
    kept, bad = run(_import(file, target))
    out.print(f"{kept} customers kept, {bad} rows rejected{f', see {target}' if bad else ''}.", highlight=False)
    if bad:
        raise typer.Exit(1)


async def _import(file: Path, target: Path) -> tuple[int, int]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    kept = bad = 0
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    async with opened(settings_for("customers")) as gateway:
        lines = await asyncio.to_thread(_count, file)
        rejected = await asyncio.to_thread(target.open, "wb")
        try:
            with Progress(*columns, console=err, disable=not sys.stderr.isatty()) as progress:
                task = progress.add_task("customers", total=lines)
                async for number, reasons in gateway.people.import_rows(rows_of(file)):
                    if reasons:
                        rejected.write(_encode({"line": number, "reasons": reasons}) + b"\n")
                    bad += bool(reasons)
                    kept += not reasons
                    progress.advance(task)
        finally:
            rejected.close()
    if not bad:
        await asyncio.to_thread(target.unlink)
    return kept, bad


def _count(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="Where to write NDJSON; - for standard output.")],
) -> None:
    """Write all customers as NDJSON, in the form that `import` reads."""

    async def work() -> int:
        async with opened(settings_for("customers")) as gateway:
            return await _export(gateway, file)

    count = run(work())
    err.print(f"{count} customers written.", highlight=False)


async def _export(gateway: Gateway, file: Path) -> int:
    count = 0
    target = sys.stdout.buffer if str(file) == "-" else await asyncio.to_thread(file.open, "wb")
    try:
        async for customer_id in gateway.customers.all_ids():
            found = await gateway.people.portable(customer_id)
            if found is not None:
                target.write(_encode(found) + b"\n")
                count += 1
    except OSError as full:
        fail(f"{file} can't be written: {full}")
    finally:
        if target is not sys.stdout.buffer:
            target.close()
    return count
