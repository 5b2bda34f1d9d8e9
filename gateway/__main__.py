"""``python -m gateway`` is the ``gateway`` command."""

from __future__ import annotations

from gateway.cli import app

app(prog_name="gateway")
