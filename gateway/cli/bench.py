"""`gateway bench`: the benchmarks, which live in the work tree beside the package."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.common import err, fail, log_to_stderr, out

ROOT = Path(__file__).resolve().parents[2]


def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything: under a minute.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure this machine: accepting, sending, latency and memory, beside the limits of the libraries underneath."""
    if not (ROOT / "benchmarks" / "run.py").is_file():
        fail("the benchmarks are not installed with the package.", "Run `make bench` in the work tree.")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    import msgspec
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    # The benchmarks import the gateway, not the other way round; only this command knows them.
    from benchmarks.plan import DEFAULT, QUICK, STEPS_BESIDE, STEPS_OF_A_ROUND
    from benchmarks.process import BenchError
    from benchmarks.report import table
    from benchmarks.run import run

    log_to_stderr(level=logging.WARNING, json=False)
    scale = QUICK if quick else DEFAULT
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("starting", total=STEPS_BESIDE + scale.rounds * STEPS_OF_A_ROUND)

        def report(what: str) -> None:
            progress.update(task, description=what, advance=1)

        try:
            result = asyncio.run(run(scale, report))
        except BenchError as broken:
            fail(str(broken))
    if json:
        print(msgspec.json.encode(result).decode())
    else:
        out.print(table(result))
        out.print(f"Took {result.seconds:.0f} s.", style="dim")
