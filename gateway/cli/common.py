"""What the commands share: settings, logs, a gateway to work with, and errors that say what to do next."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncGenerator, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer
from rich.console import Console

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.settings_types import Settings

T = TypeVar("T")
out = Console()
err = Console(stderr=True)


def fail(text: str, *more: str) -> NoReturn:
    """Say what is wrong on standard error and end with status 1."""
    err.print(f"[bold red]Error:[/] {text}", highlight=False)
    for line in more:
        err.print(f"  {line}", highlight=False, markup=False)
    raise typer.Exit(1)


def settings_for(command: str) -> Settings:
    """The settings of this machine; ends the command with one line per fault."""
    from gateway.channels.registry import names
    from gateway.settings import load
    from gateway.settings_types import BadSettings

    log_by_default()
    try:
        return load(os.environ, Path.cwd(), command=command, plugins=names())
    except BadSettings as bad:
        fail("the settings can't be used.", *bad.problems)


def log_to_stderr(*, level: int, json: bool) -> None:
    """Logs from `level` on go to standard error, so that standard output stays a command's own."""
    import structlog

    # Tracebacks without local variables: those hold addresses and words.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    render: Any = structlog.processors.JSONRenderer() if json else console
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if json else []),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def log_by_default() -> None:
    """What every command does unless it has set up a log of its own: standard output is for its result alone."""
    import structlog

    if not structlog.is_configured():
        log_to_stderr(level=logging.WARNING, json=False)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; what a person can mend is said in one line."""
    from redis.exceptions import RedisError

    from gateway.settings_types import BadSettings
    from gateway.store.embedded import DataDirInUseError, EmbeddedRedisError, NoServerError
    from gateway.store.pipe import StoreUnavailable

    try:
        if sys.platform == "win32":
            return asyncio.run(work)
        import uvloop  # there is none on Windows

        return uvloop.run(work)
    except BadSettings as bad:
        fail("the settings can't be used.", *bad.problems)
    except (DataDirInUseError, EmbeddedRedisError, NoServerError) as bad:
        fail(str(bad))
    except (RedisError, StoreUnavailable) as away:
        fail(f"Redis can't be used: {away}", "Is it running? `gateway check` says more.")


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Gateway]:
    """A gateway to work with, beside a running one if there is one."""
    from gateway.app import Gateway
    from gateway.store.embedded import embedded

    async with contextlib.AsyncExitStack() as stack:
        url = settings.redis_url or await stack.enter_async_context(embedded(settings.data_dir))
        gateway = await Gateway.open(settings, url)
        try:
            yield gateway
        finally:
            await gateway.close()
