"""`gateway bounce`: a returned mail on standard input, for mail servers that deliver to a command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gateway.cli.common import opened, out, run, settings_for


def bounce(
    recipient: Annotated[
        str | None, typer.Option(help="The address it was delivered to, if the mail server tells.")
    ] = None,
) -> None:
    """Take in one returned mail from standard input and say what it was."""
    from gateway.delivery.returns import Returns

    raw = sys.stdin.buffer.read()

    async def work() -> str:
        settings = settings_for("bounce")
        async with opened(settings) as gateway:
            returns = Returns(settings, gateway.receipts, gateway.messages, gateway.customers, gateway.clock)
            return await returns.take(raw, [recipient] if recipient else [])

    out.print(run(work()))
