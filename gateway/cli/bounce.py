"""`gateway bounce`: a returned mail on standard input, for mail servers that deliver to a command."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Final

import typer

from gateway.cli.common import opened, out, run, settings_for

READ_MOST: Final = 1_000_000
"""Bytes: a report stands at the beginning, before the original it returns."""


def bounce(
    recipient: Annotated[
        str | None,
        typer.Option(
            help="The address it was delivered to, if the mail server tells.",
            envvar=["ORIGINAL_RECIPIENT", "RECIPIENT"],
        ),
    ] = None,
) -> None:
    """Take in one returned mail from standard input and say what it was.

    Ends with 75 (EX_TEMPFAIL) whenever the mail could not be taken in, so that the mail server keeps it and tries again.
    """
    from gateway.delivery.returns import Returns

    raw = sys.stdin.buffer.read(READ_MOST)
    while sys.stdin.buffer.read(READ_MOST):
        pass  # to its end, or the mail server takes the closed pipe for a failure

    async def work() -> str:
        settings = settings_for("bounce")
        async with opened(settings) as gateway:
            returns = Returns(settings, gateway.receipts, gateway.messages, gateway.customers, gateway.metrics)
            return await returns.take(raw, [recipient] if recipient else [], gateway.clock.now())

    try:
        out.print(run(work()))
    except typer.Exit:
        # Said on standard error already; any other status would have the mail server throw the mail away.
        raise typer.Exit(getattr(os, "EX_TEMPFAIL", 75)) from None
