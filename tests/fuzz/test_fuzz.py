"""Parsers of what strangers write raise nothing but what they promise: known hostile inputs, random ones, guided ones."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, seeds

ROOT = Path(__file__).parent.parent.parent
EVERY = pytest.mark.parametrize("name", TARGETS)


@EVERY
def test_known_inputs(name: str) -> None:
    for one in seeds(name):
        TARGETS[name](one)


@EVERY
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_inputs_spoilt_at_random(name: str, data: st.DataObject) -> None:
    """Known inputs, cut and joined, with noise in between."""
    piece = st.sampled_from(list(seeds(name))) | st.binary(max_size=40) | st.text(max_size=20).map(str.encode)
    parts = data.draw(st.lists(st.tuples(piece, st.integers(0, 60), st.integers(0, 600)), min_size=1, max_size=4))
    TARGETS[name](b"".join(part[start : start + size] for part, start, size in parts))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this machine")
def test_inputs_found_by_coverage(tmp_path: Path) -> None:
    """All parsers side by side for a few seconds; `python -m tests.fuzz` takes longer."""
    options = ["--seconds", "5", "--jobs", str(len(TARGETS)), "--seed", "7", "--keep", str(tmp_path)]
    command = [sys.executable, "-m", "tests.fuzz", *options, *TARGETS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=180, check=False)
    said = done.stderr.decode(errors="replace")[-500:] + done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-6000:]
    assert said.count(": held") == len(TARGETS), said[-6000:]
