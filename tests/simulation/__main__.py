"""Storms from the command line: one with its log, or many.

python -m tests.simulation 4711                    one storm, its log, and what was wrong
python -m tests.simulation --storms 5000 --from 1  many storms on all processors; the seeds that failed
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time

from tests.simulation.ledger import audit, outcome
from tests.simulation.storm import storm


def one(seed: int) -> int:
    """Show a storm."""
    made = storm(seed)
    wrong = audit(made)
    sys.stdout.write(made.log())
    sys.stdout.write("".join(f"WRONG: {text}\n" for text in wrong) or "All promises were kept.\n")
    return int(bool(wrong))


def many(first: int, count: int, jobs: int) -> int:
    """Run storms; the first line of each that failed, and the rate."""
    began, failed, messages = time.monotonic(), 0, 0
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for done, (seed, size, wrong) in enumerate(pool.imap_unordered(outcome, range(first, first + count), 16), 1):
            messages += size
            if wrong:
                failed += 1
                sys.stdout.write(
                    f"seed {seed}: {wrong[0]}" + (f" (and {len(wrong) - 1} more)\n" if wrong[1:] else "\n")
                )
            if done % 500 == 0 or done == count:
                rate = 60 * done / (time.monotonic() - began)
                sys.stdout.write(f"{done} storms, {messages} messages, {failed} failed, {rate:.0f} storms a minute\n")
            sys.stdout.flush()
    return int(bool(failed))


def main() -> int:
    """Run what the command line asks for."""
    asked = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    asked.add_argument("seed", type=int, nargs="?", help="show this storm")
    asked.add_argument("--storms", type=int, default=1000, help="how many")
    asked.add_argument("--from", type=int, default=1, dest="first", help="the first seed")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes; all processors")
    given = asked.parse_args()
    return one(given.seed) if given.seed is not None else many(given.first, given.storms, given.jobs)


if __name__ == "__main__":
    sys.exit(main())
