"""`make prove`: switch off each mechanism in a copy of the tree, and see that the test that guards it fails.

`python -m tests.mutants [--jobs N] [WHICH …]`: WHICH is a promise ("G4"), or a part of what a row says; all without.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from tests.mutants.table import ROOT, Mutant, faults, mutants, without

LONGEST_S: Final = 120
GOODBYE_S: Final = 15
"""For the servers of a test that was interrupted to end."""
SKIPPED: Final = shutil.ignore_patterns(
    ".git", ".venv*", "var", "__pycache__", ".*_cache", ".hypothesis", "node_modules"
)
console: Final = Console(highlight=False, soft_wrap=True)


class Ended(msgspec.Struct, frozen=True):
    """How a test ended: pytest's exit status (0 well, 1 failed), its last line, and how long it took (s)."""

    status: int
    last: str
    seconds: float


class Proved(msgspec.Struct, frozen=True):
    """Why a mechanism counts as unguarded; None when its test fails without it, and only without it."""

    mutant: Mutant
    why: str | None
    seconds: float = 0.0


class Trees:
    """One copy of the tree for each job."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self._free: queue.SimpleQueue[Path] = queue.SimpleQueue()
        first = folder / "0"
        shutil.copytree(ROOT, first, ignore=SKIPPED)
        self._free.put(first)
        for n in range(1, jobs):
            self._free.put(Path(shutil.copytree(first, folder / str(n))))

    def passes(self, test: str) -> Ended:
        """Run a test on the tree as it is."""
        tree = self._free.get()
        try:
            return _run(tree, test)
        finally:
            self._free.put(tree)

    def fails(self, mutant: Mutant) -> Ended:
        """Run a mechanism's test without the mechanism."""
        tree = self._free.get()
        source = tree / mutant.file
        whole = source.read_text(encoding="utf-8")
        try:
            source.write_text(without(mutant, whole), encoding="utf-8")
            return _run(tree, mutant.test)
        finally:
            source.write_text(whole, encoding="utf-8")
            self._free.put(tree)


def _run(tree: Path, test: str) -> Ended:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=line", "-p", "no:cacheprovider", test]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "160"}
    began = time.monotonic()
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as said,
        subprocess.Popen(
            command, cwd=tree, env=environment, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        ) as running,
    ):
        try:
            status, late = running.wait(LONGEST_S), ""
        except subprocess.TimeoutExpired:
            _end(running)
            status, late = 1, f"no end within {LONGEST_S} s"
        said.seek(0)
        lines = [line for line in said.read().splitlines() if line.strip()]
    return Ended(status, late or (lines[-1] if lines else f"status {status}"), time.monotonic() - began)


def _end(running: subprocess.Popen[bytes]) -> None:
    """Interrupted, pytest still ends what its fixtures began; then whatever is left of its session goes."""
    running.send_signal(signal.SIGINT)
    try:
        running.wait(GOODBYE_S)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def _proved(mutant: Mutant, well: Ended, trees: Trees) -> Proved:
    if well.status != 0:
        return Proved(mutant, f"the test fails with the mechanism, too: {well.last}", well.seconds)
    off = trees.fails(mutant)
    why = {0: "the test goes well without it", 1: None}.get(off.status, f"pytest could not run it: {off.last}")
    return Proved(mutant, why, off.seconds)


def _chosen(which: Sequence[str]) -> list[Mutant]:
    return [
        one
        for one in mutants()
        if not which or any(w == one.promise or w in f"{one.mechanism} {one.file} {one.test}" for w in which)
    ]


def prove(chosen: Sequence[Mutant], jobs: int) -> int:
    """Prove mechanisms, `jobs` at a time; how many are unguarded."""
    began = time.monotonic()
    stale = {one.mechanism: "; ".join(found) for one in chosen if (found := faults(one))}
    proved = [_told(Proved(one, stale[one.mechanism])) for one in chosen if one.mechanism in stale]
    fresh = [one for one in chosen if one.mechanism not in stale]
    tests = sorted({one.test for one in fresh})
    with tempfile.TemporaryDirectory(prefix="gw-mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        trees = Trees(Path(folder), jobs)
        well = dict(zip(tests, pool.map(trees.passes, tests), strict=True))
        good = sum(ended.status == 0 for ended in well.values())
        console.print(f"With every mechanism in place {good} of {len(tests)} tests go well.")

        def prove_one(mutant: Mutant) -> Proved:
            return _proved(mutant, well[mutant.test], trees)

        proved += map(_told, pool.map(prove_one, fresh))
    _sum_up(proved, time.monotonic() - began)
    return sum(one.why is not None for one in proved)


def _told(one: Proved) -> Proved:
    sign = "[green]guarded[/]    " if one.why is None else "[bold red]NOT guarded[/]"
    console.print(f"{one.mutant.promise:4} {sign} {one.seconds:4.0f} s  {one.mutant.mechanism}")
    if one.why is not None:
        console.print(f"     {one.why} ({one.mutant.test})", markup=False)
    return one


def _sum_up(proved: Sequence[Proved], seconds: float) -> None:
    promises = sorted({one.mutant.promise for one in proved}, key=lambda name: int(name[1:]))
    for promise in promises:
        whys = [one.why for one in proved if one.mutant.promise == promise]
        console.print(f"{promise:4} {whys.count(None):3} of {len(whys):3} guarded")
    good = sum(one.why is None for one in proved)
    console.print(f"{good} of {len(proved)} guarded, in {seconds:.0f} s")
    for one in proved:
        if one.why is not None:
            console.print(f"  NOT guarded: {one.mutant.promise} {one.mutant.mechanism}", markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 when every chosen mechanism is guarded."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("which", nargs="*", help="a promise (G4), or a part of a mechanism's name, file or test")
    asked = parser.parse_args(arguments)
    chosen = _chosen(asked.which)
    if not chosen:
        parser.error("no such mechanism")
    return 1 if prove(chosen, max(1, asked.jobs)) else 0


if __name__ == "__main__":
    sys.exit(main())
