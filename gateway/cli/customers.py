"""`gateway customers`: in and out, as files."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from gateway.cli.common import err, fail, opened, out, run, settings_for

if TYPE_CHECKING:
    from gateway.cli.importing import Outcome

app = typer.Typer(help="Import and export customers.", no_args_is_help=True)
__all__ = ["app"]
REJECTED: Final = 3
"""The status of an import that went through, with rows rejected."""
INTERRUPTED: Final = 130
Json = Annotated[bool, typer.Option("--json", help="Print a summary for programs.")]


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="CSV or NDJSON, also gzip; - for standard input.")],
    rejects: Annotated[
        Path | None, typer.Option(help="Where bad rows go; by default FILE.rejects.csv or .ndjson.")
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help='What columns are called here: "Phone No=sms,E-Mail=email,Kunde=id".'),
    ] = None,
    map_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The same, a line for each.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="What rows have that don't say: locale=el. May be repeated.")
    ] = None,
    format_: Annotated[str | None, typer.Option("--format", help="csv or ndjson, where the name doesn't say.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Such as cp1253 or gb18030; by default UTF-8 or UTF-16.")] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Of a CSV; by default found in its header: , ; tab or |.")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check: nothing is stored.")] = False,
    from_start: Annotated[bool, typer.Option("--from-start", help="Don't go on where a stopped import ended.")] = False,
    overwrite_preferences: Annotated[
        bool, typer.Option("--overwrite-preferences", help="Replace even what people chose themselves.")
    ] = False,
    json: Json = False,
) -> None:
    """Read customers from a file.

    Good rows are kept. Bad rows go to a rejects file with the reason, to be mended and imported again. An import that was
    stopped goes on where it ended; running it again is harmless. Preferences that people chose themselves stay as they
    are. Status 0: every row is kept, 3: some were rejected.
    """
    from gateway.cli.importing import Job, carry_out
    from gateway.people.cells import BadColumns
    from gateway.people.files import BadFile

    source = None if file == "-" else Path(file)
    if source is not None and not source.is_file():
        fail(f"{file}: there is no such file.")
    if format_ not in (None, "csv", "ndjson"):
        fail(f"--format: {format_!r} is neither csv nor ndjson.")
    columns = _pairs("--map", [*_lines(map_file), *(map_ or ())])
    job = Job(
        source=source,
        rejects=rejects,
        kind=format_,
        encoding=encoding,
        delimiter={"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter) if delimiter else None,
        columns=columns,
        given=_pairs("--set", set_ or ()),
        dry_run=dry_run,
        from_start=from_start,
        overwrite_preferences=overwrite_preferences,
    )
    outcome: list[Outcome] = []

    async def work() -> None:
        async with opened(settings_for("customers")) as gateway:
            await carry_out(gateway.people, gateway.known_channels, job, outcome.append)

    try:
        run(work())
    except (BadFile, BadColumns) as bad:
        fail(f"{file}: {bad}")
    except OSError as broken:
        fail(f"{broken.filename or file}: {broken.strerror or broken}", "What was read before is kept; run it again.")
    except KeyboardInterrupt:
        err.print("Stopped. What was read is kept; the same command goes on from there.", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    told(outcome[0], json=json)
    raise typer.Exit(REJECTED if outcome[0].rejected else 0)


def told(done: Outcome, *, json: bool) -> None:
    """Print what came of an import."""
    if json:
        print(msgspec.json.encode(done).decode())
        return
    verb = "would be kept" if done.dry_run else "kept"
    see = f", see {done.rejects}" if done.rejects else ""
    out.print(
        f"{done.kept} customers {verb}, {done.rejected} rows rejected{see}. "
        f"{done.seconds:.1f} s, {done.rows_per_second:.0f} rows/s.",
        highlight=False,
        soft_wrap=True,
    )
    if done.choices_kept:
        own = "person's own choices" if done.choices_kept == 1 else "people's own choices"
        verb = "Would keep" if done.dry_run else "Kept"
        out.print(f"{verb} {done.choices_kept} {own}.", highlight=False, soft_wrap=True)
    if done.repeated:
        some = ", ".join(f"line {one.line} repeats line {one.first}" for one in done.repeats[:5])
        more = ", …" if done.repeated > 5 else ""
        out.print(
            f"{done.repeated} ids stand twice; the later row counts: {some}{more}.", highlight=False, soft_wrap=True
        )


def _lines(file: Path | None) -> list[str]:
    try:
        text = "" if file is None else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as bad:
        fail(f"--map-file: {bad}")
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """What stands on the left, by what it is on the right; commas and line ends between pairs."""
    import csv

    found: dict[str, str] = {}
    for text in given:
        for pair in next(csv.reader([text], skipinitialspace=True)):
            left, equals, right = pair.rpartition("=") if option == "--map" else pair.partition("=")
            if not equals or not left.strip() or not right.strip():
                fail(f'{option}: {pair!r} is not of the form "name=value".')
            found[left.strip()] = right.strip()
    return found


@app.command("export")
def export(
    file: Annotated[str, typer.Argument(help="Where to write; - for standard output.")],
    format_: Annotated[str | None, typer.Option("--format", help="csv or ndjson, where the name doesn't say.")] = None,
    *,
    json: Json = False,
) -> None:
    """Write all customers as NDJSON or CSV (also .gz), in a form that `import` reads without loss."""
    from gateway.cli.exporting import write_all

    if format_ not in (None, "csv", "ndjson"):
        fail(f"--format: {format_!r} is neither csv nor ndjson.")
    kind = format_ or ("csv" if file.lower().removesuffix(".gz").endswith(".csv") else "ndjson")

    async def work() -> int:
        async with opened(settings_for("customers")) as gateway:
            return await write_all(gateway, None if file == "-" else Path(file), kind)

    try:
        count = run(work())
    except BrokenPipeError:
        # Whoever read has seen enough; Python must not complain about it again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except OSError as full:
        fail(f"{file} can't be written: {full.strerror or full}")
    if json and file != "-":
        print(msgspec.json.encode({"customers": count, "file": file}).decode())
    else:
        err.print(f"{count} customers written.", highlight=False)
