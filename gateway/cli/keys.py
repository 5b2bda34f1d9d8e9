"""`gateway keys`: who may use the API."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gateway.cli.common import fail, opened, out, run, settings_for

if TYPE_CHECKING:
    from gateway.store.api_keys import ApiKey, Scope

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Option(help="Who it is for, so that it can be told from others.")],
    scopes: Annotated[str, typer.Option(help="Comma-separated: send, read, customers, operate, admin.")],
    mode: Annotated[str, typer.Option(help="live, team (only TEAM_ADDRESSES) or test (nothing leaves).")] = "live",
    rate: Annotated[int | None, typer.Option(help="Requests a second at most.", min=1)] = None,
    expires: Annotated[str | None, typer.Option(help="A date (2027-01-31) or days from now (90d).")] = None,
    *,
    json: Json = False,
) -> None:
    """Make a key. This is the only time it is seen."""
    import msgspec

    from gateway.store.api_keys import SCOPES

    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        fail(f"--scopes: {', '.join(unknown) or 'none given'}; choose from {', '.join(SCOPES)}.")
    if mode not in ("live", "team", "test"):
        fail(f"--mode must be live, team or test, not {mode!r}.")
    ends = _expiry(expires)

    async def work() -> tuple[ApiKey, str]:
        async with opened(settings_for("keys")) as gateway:
            return await gateway.api_keys.create(name, mode, cast("list[Scope]", wanted), rate=rate, expires_at=ends)

    key, text = run(work())
    if json:
        out.print_json(msgspec.json.encode({"id": key.id, "key": text, "scopes": wanted, "mode": mode}).decode())
    else:
        out.print(f"[bold]{text}[/]", highlight=False, soft_wrap=True)
        out.print("Keep it now: it is not stored and can't be shown again.", style="dim")


def _expiry(text: str | None) -> int | None:
    """Milliseconds since the epoch."""
    if text is None:
        return None
    try:
        if text.endswith("d"):
            at = dt.datetime.now(dt.UTC) + dt.timedelta(days=int(text[:-1]))
        else:
            at = dt.datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    except ValueError:
        fail(f"--expires: {text!r} is neither a date such as 2027-01-31 nor days such as 90d.")
    return int(at.timestamp() * 1000)


@app.command("list")
def list_(*, json: Json = False) -> None:
    """Every key, without its secret."""
    import msgspec
    from rich.table import Table

    async def work() -> list[ApiKey]:
        async with opened(settings_for("keys")) as gateway:
            return await gateway.api_keys.listed()

    found = run(work())
    if json:
        rows = [{"id": k.id, "name": k.name, "scopes": list(k.scopes), "mode": k.mode} for k in found]
        out.print_json(msgspec.json.encode(rows).decode())
        return
    table = Table("id", "name", "mode", "scopes")
    for key in found:
        table.add_row(key.id, key.name, key.mode, ", ".join(key.scopes))
    out.print(table)


@app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """End a key at once."""

    async def work() -> bool:
        async with opened(settings_for("keys")) as gateway:
            return await gateway.api_keys.revoke(key_id)

    if not run(work()):
        fail(f"there is no key {key_id!r}; `gateway keys list` shows them.")
    out.print(f"Revoked {key_id}.")
