"""The table of mechanisms: for each, how to switch it off, and the test that must notice."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parents[2]


class Mutant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One mechanism switched off. `find` occurs exactly once in `file`; `test` is a pytest node id."""

    promise: str
    mechanism: str
    file: str
    find: str
    replace: str
    test: str


def mutants() -> list[Mutant]:
    """All of them, in the order of the promises."""
    raw = tomllib.loads((Path(__file__).parent / "mechanisms.toml").read_text(encoding="utf-8"))
    return msgspec.convert(raw["mutant"], list[Mutant])


def faults(mutant: Mutant, root: Path = ROOT) -> list[str]:
    """What in an entry is out of date, for people."""
    found: list[str] = []
    source, test = root / mutant.file, root / mutant.test.partition("::")[0]
    times = source.read_text(encoding="utf-8").count(mutant.find) if source.is_file() else 0
    if times != 1:
        found.append(f"{mutant.file} holds {mutant.find!r} {times} times, not once")
    name = mutant.test.partition("::")[2].partition("[")[0]
    if not test.is_file() or f"def {name}(" not in test.read_text(encoding="utf-8"):
        found.append(f"there is no test {mutant.test}")
    return found
