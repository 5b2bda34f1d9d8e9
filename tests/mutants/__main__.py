"""`make prove`: switch off each mechanism in a copy of the tree, and see that the test that guards it fails.

`python -m tests.mutants [G4 …]` takes the mechanisms of these promises alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.mutants.table import ROOT, Mutant, faults, mutants

LONGEST_S: Final = 300
SKIPPED: Final = shutil.ignore_patterns(
    ".git", ".venv*", "var", "__pycache__", ".*_cache", ".hypothesis", "node_modules"
)
console: Final = Console(highlight=False)


def survives(mutant: Mutant) -> str | None:
    """Why a mechanism counts as unguarded: its test goes well without it, or can't be run; None when it fails."""
    stale = faults(mutant)
    if stale:
        return "; ".join(stale)
    with tempfile.TemporaryDirectory(prefix="gw-mutant-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=SKIPPED)
        passed = _run(copy, mutant.test)
        if passed.returncode != 0:
            return f"the test fails with the mechanism, too: {_last(passed)}"
        source = copy / mutant.file
        source.write_text(source.read_text(encoding="utf-8").replace(mutant.find, mutant.replace), encoding="utf-8")
        without = _run(copy, mutant.test)
    if without.returncode == 1:
        return None
    return "the test goes well without it" if without.returncode == 0 else f"pytest could not run it: {_last(without)}"


def _run(tree: Path, test: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, f"no end within {LONGEST_S} s", "")


def _last(ended: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]
    return lines[-1] if lines else f"status {ended.returncode}"


def main(promises: list[str]) -> int:
    """Prove the mechanisms of these promises, or all; the number that are unguarded."""
    chosen = [one for one in mutants() if not promises or one.promise in promises]
    began, unguarded = time.monotonic(), 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for one, why in zip(chosen, pool.map(survives, chosen), strict=True):
            unguarded += why is not None
            sign = "[green]guarded[/]" if why is None else "[bold red]NOT guarded[/]"
            console.print(f"{one.promise:4} {sign}  {one.mechanism}" + (f": {why}" if why else ""))
    console.print(f"{len(chosen) - unguarded} of {len(chosen)} guarded, in {time.monotonic() - began:.0f} s")
    return unguarded


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
