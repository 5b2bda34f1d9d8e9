"""`gateway dev`: everything on this machine, with carriers that are look-alikes and customers that are samples."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from gateway.cli.common import fail, log_to_stderr, run, settings_for


def dev(
    *,
    show_tour: Annotated[bool, typer.Option("--tour", help="Play the power cut and show each route live.")] = False,
    leave: Annotated[
        bool, typer.Option("--exit", help="End after the tour; status 0 only if every outcome was right.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the log.")] = False,
) -> None:
    """Start everything on this machine: embedded Redis, API, worker, console, sandbox carriers, sample customers."""
    if leave and not show_tour:
        fail("--exit goes with --tour.")
    log_to_stderr(level=logging.INFO if verbose else logging.ERROR, json=False)
    from gateway.cli import dev_run

    if not run(dev_run.dev(settings_for("dev"), show_tour=show_tour, leave=leave)):
        raise typer.Exit(1)
