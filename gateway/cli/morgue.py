"""`gateway morgue`: records that nobody could work off."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from gateway.cli.common import fail, opened, out, run, settings_for

if TYPE_CHECKING:
    from gateway.store.morgue import Buried, Morgue, Which

T = TypeVar("T")
app = typer.Typer(help="List, retry or discard records that could not be worked off.", no_args_is_help=True)
KINDS: Final = {"messages": "m", "inbound": "i"}
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which; without any, all that fit.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Only those with these words in the reason.")]
Kind = Annotated[str | None, typer.Option("--kind", help="Only `messages`, or only `inbound`: what people sent.")]
Since = Annotated[str | None, typer.Option("--since", help="Only those since a date, or the last 90m, 12h or 7d.")]
_SPAN: Final = re.compile(r"(\d{1,6})([mhd])")


@app.command("list")
def list_(
    ids: Ids = None,
    reason: Reason = None,
    kind: Kind = None,
    since: Since = None,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The oldest so many.")] = 200,
    full: Annotated[bool, typer.Option("--full", help="With tracebacks.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """The records in the morgue, oldest first, with the reason."""
    import msgspec

    which = _which(ids, reason, kind, since)

    async def work(morgue: Morgue) -> tuple[list[Buried], int]:
        return await morgue.listed(which, limit), await morgue.size()

    found, size = _with(work)
    if json:
        out.print_json(msgspec.json.encode(found).decode())
    elif full:
        for one in found:
            out.print(f"[bold]{one.member}[/]  since {_date(one.since)}", highlight=False)
            out.print(one.reason, markup=False, highlight=False)
    else:
        _table(found, size)


@app.command("retry")
def retry(ids: Ids = None, reason: Reason = None, kind: Kind = None, since: Since = None) -> None:
    """Put records back to work."""
    which = _which(ids, reason, kind, since)
    out.print(f"{_with(lambda morgue: morgue.retry(which))} put back to work.")


@app.command("discard")
def discard(
    ids: Ids = None,
    reason: Reason = None,
    kind: Kind = None,
    since: Since = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Discard them all.")] = False,
) -> None:
    """Delete records for good, with their content."""
    if not (everything or ids or reason or kind or since):
        fail("say which: ids, --reason, --kind, --since, or --all.", "`gateway morgue list` shows them.")
    which = _which(ids, reason, kind, since)
    out.print(f"{_with(lambda morgue: morgue.discard(which))} deleted.")


def _which(ids: list[str] | None, reason: str | None, kind: str | None, since: str | None) -> Which:
    from gateway.store.morgue import Which

    if kind is not None and kind not in KINDS:
        fail(f"--kind: {kind!r} is neither {' nor '.join(KINDS)}.")
    return Which(
        ids=frozenset(ids) if ids else None,
        reason=reason,
        kind=None if kind is None else KINDS[kind],
        since=None if since is None else _moment(since),
    )


def _moment(text: str) -> int:
    """Milliseconds since the epoch."""
    span = _SPAN.fullmatch(text)
    try:
        if span is not None:
            unit = {"m": "minutes", "h": "hours", "d": "days"}[span[2]]
            at = dt.datetime.now(dt.UTC) - dt.timedelta(**{unit: int(span[1])})
        else:
            at = dt.datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        fail(f"--since: {text!r} is neither a date such as 2027-01-31 nor a time such as 90m, 12h or 7d.")
    return int(at.timestamp() * 1000)


def _with(work: Callable[[Morgue], Awaitable[T]]) -> T:
    async def opens() -> T:
        from gateway.store.morgue import Morgue

        async with opened(settings_for("morgue")) as gateway:
            return await work(Morgue(gateway.scripts))

    return run(opens())


def _table(found: list[Buried], size: int) -> None:
    from rich.table import Table

    table = Table("id", "since", "reason")
    for one in found:
        table.add_row(one.member, _date(one.since), one.summary)
    out.print(table)
    if len(found) < size:
        out.print(f"{len(found)} of {size}.", style="dim")


def _date(at: int) -> str:
    return dt.datetime.fromtimestamp(at / 1000, dt.UTC).isoformat(timespec="seconds")
