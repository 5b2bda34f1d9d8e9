"""Channels that other distributions bring, as `pip install` leaves them behind."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def install(site: Path, module: str, source: str | bytes, entry: str) -> None:
    """Put a distribution of one module into a folder of the import path. `entry`: its line in `gateway.channels`."""
    name = module.replace("_", "-")
    installed = site / f"{module}-1.0.dist-info"
    installed.mkdir(parents=True)
    (site / f"{module}.py").write_bytes(source.encode() if isinstance(source, str) else source)
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[gateway.channels]\n{entry}\n")


@contextmanager
def forgotten(*modules: str) -> Generator[None]:
    """Modules imported meanwhile are gone from this process afterwards."""
    try:
        yield
    finally:
        for module in modules:
            sys.modules.pop(module, None)
