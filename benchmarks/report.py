"""What a run found, for people and for programs."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Final

import msgspec
from rich.table import Table

from benchmarks.plan import Figure

LIBRARIES: Final = ("aiohttp", "redis", "hiredis", "msgspec", "twilio", "uvloop")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. `seconds`: how long it took."""

    machine: str
    versions: dict[str, str]
    seconds: float
    figures: list[Figure]


def machine() -> str:
    """This machine in one line."""
    model = next((line.split(":")[1].strip() for line in _cpu() if line.startswith("model name")), platform.processor())
    return f"{os.cpu_count()} cores ({model or platform.machine()}), {platform.system()}, Python {platform.python_version()}"


def _cpu() -> list[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as facts:  # noqa: PTH123 - a kernel's file
            return facts.readlines()
    except OSError:
        return []


def versions(server: str) -> dict[str, str]:
    """What was measured with."""
    return {"server": server, **{name: version(name) for name in LIBRARIES}}


def table(result: Result) -> Table:
    """The figures, beside their limits."""
    made = Table(title=f"{result.machine}, {result.versions['server']}", title_justify="left")
    for heading in ("", "median", "spread", "rounds", "unit", "share of the limit"):
        made.add_column(heading, justify="right" if heading in ("median", "spread", "rounds") else "left")
    for one in result.figures:
        share = "" if one.ratio is None else f"{one.ratio:.2f} of {one.limit}"
        made.add_row(
            one.name,
            _number(one.median),
            f"{_number(one.least)} - {_number(one.most)}",
            str(len(one.rounds)),
            one.unit,
            share,
        )
    return made


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
