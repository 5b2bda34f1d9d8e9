"""Settings as a test gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings import BadSettings, Settings, load


def loaded(path: Path, toml: str = "", /, *, command: str = "serve", **given: str) -> Settings:
    """From a file with such words, and variables without their prefix."""
    if toml:
        (path / "gateway.toml").write_text(toml, encoding="utf-8")
    return load({f"GATEWAY_{name}": value for name, value in given.items()}, path, command=command, plugins=("pigeon",))


def problems(path: Path, toml: str = "", /, **given: str) -> list[str]:
    """What is wrong with them."""
    with pytest.raises(BadSettings) as refused:
        loaded(path, toml, **given)
    return refused.value.problems
