"""`gateway serve` at work: one process or several, until a signal ends them."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import subprocess
import sys
from typing import Final

import structlog

from gateway.cli.common import err, fail
from gateway.service import Service
from gateway.settings_types import Role, Settings
from gateway.store.embedded import EmbeddedRedis
from gateway.store.wait import wait_for_redis

log = structlog.get_logger()
_CHILD: Final = "_GATEWAY_CHILD_OF"
STUCK_S: Final = 60
"""A process whose event loop stands still for so long ends, with its stacks on standard error: somebody restarts it."""


async def serve(settings: Settings, roles: tuple[Role, ...], processes: int) -> None:
    """Everything that `roles` need, in `processes` processes; the embedded Redis too, if no other is set."""
    stopped = stop_signal()
    if _CHILD in os.environ:
        _stop_with_parent(stopped)
    async with contextlib.AsyncExitStack() as stack:
        url: str | None = os.environ.get(_CHILD) or settings.redis_url
        if url is None:
            server = EmbeddedRedis(settings.data_dir)
            url = await server.start()
            stack.push_async_callback(server.stop)
        else:
            await wait_for_redis(url, stopped)
            if stopped.is_set():
                return
        service = Service(settings, url, roles, reuse_port=processes > 1 or _CHILD in os.environ)
        try:
            await service.start()
        except OSError as taken:
            fail(
                f"a port can't be opened: {taken}",
                "Set GATEWAY_HTTP_PORT, GATEWAY_CONSOLE_PORT or GATEWAY_BOUNCE_PORT.",
            )
        children = [_Child(url, roles) for _ in range(processes - 1)]
        alive = asyncio.create_task(watched())
        try:
            err.print(
                f"Serving {service.public_url or 'no HTTP'} with {', '.join(roles)}. Ctrl-C stops it.", highlight=False
            )
            good = await service.ended(stopped)
        finally:
            alive.cancel()
            faulthandler.cancel_dump_traceback_later()
            for child in children:
                child.end()
            await service.stop()
            await asyncio.gather(*(child.ended() for child in children))
        if not good:
            fail("the worker died of a bug; the log says which. Start the gateway again: nothing accepted is lost.")


async def watched(seconds: float = STUCK_S) -> None:
    """Put off this process's end for as long as its event loop turns.

    The timer is one of faulthandler's own, outside the interpreter: a loop inside a C library can't hold it up.
    """
    while True:
        faulthandler.dump_traceback_later(seconds, exit=True)
        await asyncio.sleep(min(1.0, seconds / 4))


RESTART_PAUSE_S: Final = 1
"""Between a child's death and its next start, so that one that can't start doesn't take the machine with it."""


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
        return subprocess.Popen(self._command, env=self._environment, stdin=subprocess.PIPE)

    async def _keep(self) -> None:
        while not self._stopping:
            code = await asyncio.to_thread(self._process.wait)
            if self._process.stdin is not None:
                self._process.stdin.close()
            if not self._stopping:
                log.error("process_died", status=code)
                await asyncio.sleep(RESTART_PAUSE_S)
                if not self._stopping:
                    self._process = self._start()

    def end(self) -> None:
        """Ask it to stop."""
        self._stopping = True
        self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> None:
        """Wait until it has."""
        await self._watch


def _stop_with_parent(stopped: asyncio.Event) -> None:
    """Stop when the first process is gone, however it went: then the pipe on standard input ends.

    Left alone, this one would hold the shared ports and answer 503 for ever.
    """
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(0)
        stopped.set()

    loop.add_reader(0, ended)


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and Ctrl-C set."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    return event
