"""`gateway serve`: production."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from typing import Annotated, cast

import structlog
import typer

from gateway.cli.common import err, fail, log_to_stderr, run, settings_for
from gateway.service import ROLES, Role, Service
from gateway.settings_types import Settings
from gateway.store.embedded import EmbeddedRedis

log = structlog.get_logger()
_CHILD = "_GATEWAY_CHILD_OF"


def serve(
    roles: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(ROLES)}.")] = ",".join(ROLES),
    processes: Annotated[int, typer.Option(help="How many processes share the API and the work.", min=1, max=64)] = 1,
) -> None:
    """Run the gateway; every role can run alone on its own host."""
    wanted = tuple(role.strip() for role in roles.split(",") if role.strip())
    unknown = [role for role in wanted if role not in ROLES]
    if unknown or not wanted:
        fail(f"--roles: {', '.join(unknown) or 'none given'}; choose from {', '.join(ROLES)}.")
    log_to_stderr(level=logging.INFO, json=not sys.stderr.isatty())
    settings = settings_for("serve")
    if settings.sandbox:
        fail("SANDBOX is on: `gateway serve` would send nothing. Use `gateway dev`, or set GATEWAY_SANDBOX=false.")
    run(_serve(settings, cast("tuple[Role, ...]", wanted), processes))


async def _serve(settings: Settings, roles: tuple[Role, ...], processes: int) -> None:
    stopped = stop_signal()
    async with contextlib.AsyncExitStack() as stack:
        url: str | None = os.environ.get(_CHILD) or settings.redis_url
        if url is None:
            server = EmbeddedRedis(settings.data_dir)
            url = await server.start()
            stack.push_async_callback(server.stop)
        service = Service(settings, url, roles, reuse_port=processes > 1 or _CHILD in os.environ)
        try:
            await service.start()
        except OSError as taken:
            fail(
                f"a port can't be opened: {taken}",
                "Set GATEWAY_HTTP_PORT, GATEWAY_CONSOLE_PORT or GATEWAY_BOUNCE_PORT.",
            )
        children = [_Child(url, roles) for _ in range(processes - 1)]
        try:
            err.print(
                f"Serving {service.public_url or 'no HTTP'} with {', '.join(roles)}. Ctrl-C stops it.", highlight=False
            )
            await stopped.wait()
        finally:
            for child in children:
                child.end()
            await service.stop()
            await asyncio.gather(*(child.ended() for child in children))


class _Child:
    """Another process with the same roles, without the listeners that only one can have. Restarted when it dies."""

    def __init__(self, url: str, roles: tuple[Role, ...]) -> None:
        shared = [role for role in roles if role != "console"]
        self._command = [sys.executable, "-m", "gateway", "serve", "--roles", ",".join(shared)]
        self._environment = {**os.environ, _CHILD: url}
        self._stopping = False
        self._process: subprocess.Popen[bytes] = self._start()
        self._watch = asyncio.create_task(self._keep())

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, env=self._environment, stdin=subprocess.DEVNULL)

    async def _keep(self) -> None:
        while not self._stopping:
            code = await asyncio.to_thread(self._process.wait)
            if not self._stopping:
                log.error("process_died", status=code)
                await asyncio.sleep(1)
                self._process = self._start()

    def end(self) -> None:
        """Ask it to stop."""
        self._stopping = True
        self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> None:
        """Wait until it has."""
        await self._watch


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and Ctrl-C set."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    return event
