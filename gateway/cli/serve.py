"""`gateway serve`: production."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, cast

import typer

from gateway.cli.common import fail, log_to_stderr, run, settings_for
from gateway.settings_types import ROLES, Role


def serve(
    roles: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(ROLES)}.")] = ",".join(ROLES),
    processes: Annotated[int, typer.Option(help="How many processes share the API and the work.", min=1, max=64)] = 1,
) -> None:
    """Run the gateway; every role can run alone on its own host."""
    wanted = tuple(role.strip() for role in roles.split(",") if role.strip())
    unknown = [role for role in wanted if role not in ROLES]
    if unknown or not wanted:
        fail(f"--roles: {', '.join(unknown) or 'none given'}; choose from {', '.join(ROLES)}.")
    log_to_stderr(level=logging.INFO, json=not sys.stderr.isatty())
    settings = settings_for("serve")
    if settings.sandbox:
        fail("SANDBOX is on: `gateway serve` would send nothing. Use `gateway dev`, or set GATEWAY_SANDBOX=false.")
    from gateway.cli import serve_run

    run(serve_run.serve(settings, cast("tuple[Role, ...]", wanted), processes))
