"""A run of the benchmarks, from nothing to figures."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.plan import Report, Scale, measure
from benchmarks.report import Result, machine, versions
from benchmarks.world import world


async def run(scale: Scale, report: Report) -> Result:
    """Start everything, measure, end everything. Raises BenchError."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gw-bench-") as folder:
        report("starting")
        async with world(Path(folder), scale.customers) as running:
            figures = await measure(running, scale, report)
            server = await running.server()
    return Result(
        machine=machine(),
        versions=versions(server),
        seconds=round(time.monotonic() - began, 1),
        figures=figures,
    )
