"""`gateway check`: what is wrong with this installation, and the mend."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.common import log_by_default, out

if TYPE_CHECKING:
    from gateway.check import Finding

_STYLE = {"ok": "green", "warn": "yellow", "fault": "bold red"}


def check(*, json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False) -> None:
    """Check settings, Redis, provider credentials and the public address. Ends with status 1 on any fault."""
    import msgspec
    from rich.table import Table

    log_by_default()
    found = asyncio.run(_findings())
    if json:
        out.print_json(msgspec.json.encode(found).decode())
    else:
        table = Table("", "what", "found", "what to do", box=None, pad_edge=False)
        for finding in found:
            mark = f"[{_STYLE[finding.result]}]{finding.result}[/]"
            table.add_row(mark, finding.name, finding.detail, finding.remedy or "")
        out.print(table)
    if any(finding.result == "fault" for finding in found):
        raise typer.Exit(1)


async def _findings() -> list[Finding]:
    from gateway.app import rules_of
    from gateway.channels.registry import names
    from gateway.check import faults_of, run_checks
    from gateway.settings import load
    from gateway.settings_types import BadSettings
    from gateway.store.embedded import DataDirInUseError, EmbeddedRedisError, NoServerError, embedded

    try:
        settings = load(os.environ, Path.cwd(), command="check", plugins=names())
        rules_of(settings)
    except BadSettings as bad:
        return faults_of(bad.problems)
    clock = lambda: int(time.time() * 1000)  # noqa: E731 - the wall clock is what is compared with the server's
    async with contextlib.AsyncExitStack() as stack:
        url = settings.redis_url
        if url is None:
            try:
                url = await stack.enter_async_context(embedded(settings.data_dir))
            except (DataDirInUseError, EmbeddedRedisError, NoServerError) as bad:
                return faults_of([str(bad)])
        return await run_checks(settings, redis_url=url, clock=clock)
