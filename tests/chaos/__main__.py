"""`python -m tests.chaos --minutes 30 --seed 1 --report chaos.md`: a long run under load while everything goes wrong.

Ends with status 1 when a message was lost, hung, or was copied without an explanation. The same seed gives the same
schedule of faults.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.longrun import Plan, long_run


def _plan(arguments: list[str] | None = None) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long it is loaded and broken (%(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the schedule and of the load")
    parser.add_argument("--report", type=Path, help="where the table of figures is written, in Markdown")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (%(default)s)")
    parser.add_argument("--apis", type=int, default=2, help="processes of the API (%(default)s)")
    parser.add_argument("--callers", type=int, default=6, help="callers at once (%(default)s)")
    parser.add_argument(
        "--pause", type=float, default=15.0, help="seconds between two faults, on the average (%(default)s)"
    )
    parser.add_argument("--schedule", action="store_true", help="print the schedule of faults, and end")
    return Plan(**vars(parser.parse_args(arguments)))


def main() -> int:
    """Run it; the status of the process."""
    plan = _plan()
    if plan.schedule:
        for fault in plan.faults():
            sys.stdout.write(
                f"{fault.at:8.1f} s  {fault.kind} {fault.target} for {fault.seconds:.1f} s, {fault.step}\n"
            )
        return 0
    with tempfile.TemporaryDirectory(prefix="gw-chaos-") as folder:
        return asyncio.run(long_run(plan, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
