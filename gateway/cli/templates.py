"""`gateway templates`: check what will be sent before it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.common import fail, out

app = typer.Typer(help="Check templates.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Check templates."""


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR")] = Path("templates"),
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Compile every template in every locale: missing variables, SMS segments, missing locales."""
    import msgspec
    from rich.table import Table

    from gateway.channels.registry import names
    from gateway.content.check import check_folder

    try:
        report = check_folder(folder, names())
    except OSError as unreadable:
        fail(f"{folder} can't be read: {unreadable}", "Name a directory that holds <template>/<locale>.toml.")
    if json:
        out.print_json(msgspec.json.encode(report).decode())
    else:
        table = Table("template", "locale", "needs", "SMS segments")
        for row in report.rows:
            units = "" if row.units is None else f"{row.units} ({row.encoding})"
            table.add_row(row.template, row.locale, ", ".join(row.needs), units)
        out.print(table)
        for finding in report.findings:
            place = f"{finding.template}/{finding.locale}" if finding.locale else finding.template
            colour = "red" if finding.severity == "fault" else "yellow"
            out.print(f"[{colour}]{finding.severity}[/] {place}: {finding.text}", highlight=False)
    if report.faults:
        raise typer.Exit(1)
