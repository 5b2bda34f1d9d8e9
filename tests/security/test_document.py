"""The page on security names only tests that exist, and every threat has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| threat", "| ---"))]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize("file, name", NAMED)
def test_a_named_test_exists(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name or 'test_'}", (ROOT / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("row", ROWS)
def test_every_threat_has_a_test(row: str) -> None:
    threat, defence, tests = (cell.strip() for cell in row.strip("| ").split(" | "))
    assert threat
    assert defence
    assert "`tests/" in tests
