"""The table of mechanisms: for each, how to switch it off, and the test that must notice."""

from __future__ import annotations

import ast
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


def without(mutant: Mutant, source: str) -> str:
    """The text of its file without the mechanism."""
    return source.replace(mutant.find, mutant.replace)


def faults(mutant: Mutant, root: Path = ROOT) -> list[str]:
    """What in an entry is out of date, for people."""
    found: list[str] = []
    file, test = root / mutant.file, root / mutant.test.partition("::")[0]
    source = file.read_text(encoding="utf-8") if file.is_file() else ""
    times = source.count(mutant.find)
    if times != 1:
        found.append(f"{mutant.file} holds {mutant.find!r} {times} times, not once")
    elif file.suffix == ".py" and not _parses(without(mutant, source)):
        found.append(f"{mutant.file} is no Python any more with {mutant.replace!r}")
    name = mutant.test.partition("::")[2].partition("[")[0]
    if not test.is_file() or f"def {name}(" not in test.read_text(encoding="utf-8"):
        found.append(f"there is no test {mutant.test}")
    return found


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True
