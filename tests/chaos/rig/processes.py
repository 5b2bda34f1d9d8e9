"""Real processes that are started, killed, frozen and started again: members of the gateway, and Redis."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gateway.store.data_dir import ask
from gateway.store.server_binary import configuration, find_binary
from tests.chaos.zygote import EXITED, Order, fork
from tests.support.running import until

SAID_LINES: Final = 2_000
START_SECONDS: Final = 90.0
LAST_WORDS_S: Final = 0.2


def resident_mb(pid: int) -> float:
    """Memory a process really holds, MB; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(watch, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(watch)
        os.close(watch)


class Member:
    """One `gateway serve` process. It is started again whenever it dies, until `end`.

    `warm`: it is forked from a process that has imported everything, which saves two seconds of a processor's time.
    `deaths`: when it was killed (monotonic seconds). `exits`: how each of its lives ended, -9 for a violent end.
    """

    def __init__(self, name: str, roles: str, folder: Path, variables: Mapping[str, str], *, warm: bool = True) -> None:
        self.name = name
        self.pid = 0
        self.said: deque[str] = deque(maxlen=SAID_LINES)
        self.deaths: list[float] = []
        self.exits: list[int] = []
        self.starts = 0
        self.ready = asyncio.Event()
        self._arguments = ["serve", "--roles", roles]
        self._folder = folder
        self._variables = dict(variables)
        self._warm = warm
        self._stopping = False
        self._status = -9
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and look after it; `wait_ready` says when it works."""
        self._stopping = False
        self._keeper = asyncio.create_task(self._keep(), name=f"keeper-{self.name}")

    async def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until it has started."""
        try:
            await asyncio.wait_for(self.ready.wait(), seconds)
        except TimeoutError:
            raise AssertionError(f"{self.name} did not start: {self.last_words()}") from None

    async def _keep(self) -> None:
        while not self._stopping:
            await self._live()

    async def _live(self) -> None:
        """One life, from start to end."""
        here, there = os.pipe()
        reader = asyncio.StreamReader(limit=2**20)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(here, "rb")
        )
        try:
            process = None if self._warm else self._spawned(there)
            self.pid = process.pid if process is not None else await self._forked(there)
        finally:
            os.close(there)
        self.starts += 1
        self._status = -9
        listening = asyncio.create_task(self._listen(reader))
        # Its end is seen by its pid: what it has started may hold its standard error open for longer.
        await gone(self.pid)
        self.ready.clear()
        await asyncio.wait([listening], timeout=LAST_WORDS_S)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        transport.close()
        self.pid = 0
        self.exits.append(self._status if process is None else await asyncio.to_thread(process.wait))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        async for raw in reader:
            line = raw.decode(errors="replace").rstrip()
            self.said.append(line)
            if '"event": "started"' in line:
                self.ready.set()
            if line.startswith(EXITED):
                self._status = int(line.removeprefix(EXITED))

    async def _forked(self, error: int) -> int:
        return await fork(Order(self._arguments, str(self._folder), self._variables), error)

    def _spawned(self, error: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "gateway", *self._arguments],
            cwd=self._folder,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=error,
        )

    def _signal(self, number: int) -> bool:
        if self.pid == 0:
            return False
        os.kill(self.pid, number)
        return True

    def kill(self) -> bool:
        """`kill -9`; False when it was dead already."""
        if not self._signal(signal.SIGKILL):
            return False
        self.ready.clear()
        self.deaths.append(time.monotonic())
        return True

    def freeze(self) -> bool:
        """SIGSTOP: it does nothing, and its connections stay open."""
        return self._signal(signal.SIGSTOP)

    def thaw(self) -> bool:
        """SIGCONT."""
        return self._signal(signal.SIGCONT)

    def terminate(self) -> bool:
        """SIGTERM: finish and go."""
        self.ready.clear()
        return self._signal(signal.SIGTERM)

    async def end(self, seconds: float = 40.0) -> int:
        """Ask it to stop for good, and wait; its status. Killed (-9) when it takes longer than `seconds`."""
        self._stopping = True
        self.thaw()
        self.terminate()
        if self._keeper is not None:
            try:
                await asyncio.wait_for(asyncio.shield(self._keeper), seconds)
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await self._keeper
        return self.exits[-1] if self.exits else 0

    def memory_mb(self) -> float:
        """Memory it holds, MB."""
        return resident_mb(self.pid)

    def bugs(self) -> list[str]:
        """Lines of its log that say something went wrong inside."""
        signs = (
            '"event": "work_failed"',
            '"event": "worker_died"',
            '"event": "morgue"',
            "Traceback",
            "never retrieved",
        )
        return [line for line in self.said if any(sign in line for sign in signs)]

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join([*self.said][-15:])


class StoreServer:
    """A Redis of the rig's own, configured as the embedded one is: every answered write is on disk."""

    def __init__(self, max_memory: int = 512 * 2**20) -> None:
        # Not pytest's own directories: their paths can be longer than a socket's may be.
        self.home = Path(tempfile.mkdtemp(prefix="gw-chaos-"))
        self.socket = str(self.home / "s")
        self.deaths: list[float] = []
        self.pid = 0
        self._max_memory = max_memory

    async def start(self) -> None:
        """Start it on what is on disk, and wait until everything is loaded."""
        config = self.home / "conf"
        config.write_text(
            configuration(
                data_dir=self.home, socket=self.socket, pid_file=self.home / "pid", max_memory=self._max_memory
            )
        )
        order = Order([str(config)], str(self.home), {"LC_ALL": "C"}, find_binary().path)
        with (self.home / "log").open("ab") as log:
            self.pid = await fork(order, log.fileno())

        async def answers() -> bool:
            return await asyncio.to_thread(ask, self.socket, "PING") == "+PONG"

        await until(answers, START_SECONDS, lambda: (self.home / "log").read_text(errors="replace"))

    async def kill(self) -> None:
        """`kill -9`."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.deaths.append(time.monotonic())
            await gone(self.pid)
            self.pid = 0

    def freeze(self) -> None:
        """SIGSTOP: it answers nobody, and connections stay open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        # Pid 0 would mean all of our own group.
        if self.pid:
            os.kill(self.pid, number)

    async def end(self) -> None:
        """End it and remove what it left."""
        await self.kill()
        await asyncio.to_thread(shutil.rmtree, self.home, ignore_errors=True)


class Fleet:
    """The gateway's processes: `apis` take requests and callbacks, `workers` send."""

    def __init__(self, apis: Sequence[Member], workers: Sequence[Member]) -> None:
        self.apis = list(apis)
        self.workers = list(workers)

    @property
    def members(self) -> list[Member]:
        """All processes."""
        return [*self.apis, *self.workers]

    async def start(self) -> None:
        """Start all of them at once, and wait."""
        for member in self.members:
            await member.start()
        await asyncio.gather(*(member.wait_ready() for member in self.members))

    async def end(self) -> list[int]:
        """Ask all of them to stop; their statuses."""
        return list(await asyncio.gather(*(member.end() for member in self.members)))

    def bugs(self) -> list[str]:
        """What went wrong inside, by their own logs."""
        return [f"{member.name}: {line}" for member in self.members for line in member.bugs()]
