"""`gateway morgue`: records that nobody could work off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.common import opened, out, run, settings_for

if TYPE_CHECKING:
    from gateway.store.morgue import Buried

app = typer.Typer(help="List, retry or discard records that could not be worked off.", no_args_is_help=True)
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which; without any, all of them.")]


@app.command("list")
def list_(*, json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False) -> None:
    """Every record in the morgue, with the reason."""
    import msgspec
    from rich.table import Table

    from gateway.store.morgue import Morgue

    async def work() -> list[Buried]:
        async with opened(settings_for("morgue")) as gateway:
            return await Morgue(gateway.scripts).listed()

    found = run(work())
    if json:
        out.print_json(msgspec.json.encode(found).decode())
        return
    table = Table("id", "since", "reason")
    for one in found:
        table.add_row(one.member, str(one.since), one.reason.strip().splitlines()[-1] if one.reason.strip() else "")
    out.print(table)


@app.command("retry")
def retry(ids: Ids = None) -> None:
    """Put records back to work."""
    from gateway.store.morgue import Morgue

    async def work() -> int:
        async with opened(settings_for("morgue")) as gateway:
            return await Morgue(gateway.scripts).retry(ids)

    out.print(f"{run(work())} put back to work.")


@app.command("discard")
def discard(ids: Ids = None) -> None:
    """Delete records for good."""
    from gateway.store.morgue import Morgue

    async def work() -> int:
        async with opened(settings_for("morgue")) as gateway:
            return await Morgue(gateway.scripts).discard(ids)

    out.print(f"{run(work())} deleted.")
