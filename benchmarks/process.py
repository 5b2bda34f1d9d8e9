"""Processes of the benchmark: started, spoken to, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
import uvloop
from aiohttp import web

T = TypeVar("T")
ROOT: Final = Path(__file__).resolve().parents[1]
HOST: Final = "127.0.0.1"
START_S: Final = 60.0
LOOK_S: Final = 0.02
_LONGEST_LINE: Final = 64 * 2**20


class BenchError(Exception):
    """A process of the benchmark did not do its part; the text says which and what it said."""


def fast(work: Coroutine[Any, Any, T]) -> T:
    """Run on the fastest event loop there is: what isn't measured should cost little, and limits should be limits."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def serve_forever(app: web.Application) -> None:
    """Serve on a free port, print the URL, end on SIGTERM."""

    async def serve() -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0, backlog=1024).start()
        print(f"http://{HOST}:{runner.addresses[0][1]}", flush=True)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await ended.wait()
        await runner.cleanup()

    fast(serve())


def cpu_of(pid: int) -> float:
    """Seconds of processor time a process has used; 0 where the kernel doesn't say (proc(5), stat: utime and stime)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> float:
    """MiB of memory a process holds; 0 where the kernel doesn't say (proc(5), statm: resident)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Child:
    """A process that was started. Its standard error is kept in `log`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def cpu(self) -> float:
        """Seconds of processor time it has used."""
        return cpu_of(self.pid)

    def freeze(self) -> None:
        """Stop the process in its tracks."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()

    def failed(self) -> BenchError:
        """An error with what the process said last."""
        tail = self.log.read_text(errors="replace")[-2000:]
        return BenchError(f"{self.name} ended or did not answer (status {self._process.returncode}):\n{tail}")

    async def line(self) -> str:
        """The first line it prints. Raises BenchError."""
        assert self._process.stdout is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                if said := await self._process.stdout.readline():
                    return said.decode().strip()
        raise self.failed()

    async def logged(self, event: str) -> dict[str, Any]:
        """The first JSON line of its log with that event. Raises BenchError."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                while self._process.returncode is None:
                    for line in self.log.read_text(errors="replace").splitlines():
                        if line.startswith("{") and f'"event": "{event}"' in line:
                            return msgspec.json.decode(line, type=dict[str, Any])
                    await asyncio.sleep(LOOK_S)
        raise self.failed()

    async def end(self) -> None:
        """SIGTERM, and SIGKILL for who doesn't obey."""
        if self._process.returncode is not None:
            return
        self.thaw()
        self._process.terminate()
        try:
            async with asyncio.timeout(10):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@contextlib.asynccontextmanager
async def child(
    name: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[Child]:
    """Run `python` with these arguments until the block ends."""
    log = folder / f"{name}.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            stderr=stderr,
        )
    running = Child(name, process, log)
    try:
        yield running
    finally:
        await running.end()


async def ask(session: aiohttp.ClientSession, url: str, body: object = None) -> bytes:
    """GET, or POST with a body. Raises BenchError when refused."""
    sent = None if body is None else msgspec.json.encode(body)
    async with session.request("GET" if body is None else "POST", url, data=sent) as answer:
        raw = await answer.read()
        if answer.status >= 300:
            raise BenchError(f"{url} answered {answer.status}: {raw[:500].decode(errors='replace')}")
        return raw
