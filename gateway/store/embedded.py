"""The embedded Redis: a real server under DATA_DIR that the gateway starts first, watches, and stops last.

Its life: `start` takes `gateway.lock`, then `lock`. If `lock` is held, a server outlived its gateway and is taken over;
else a new one is started, which inherits `lock`. A supervisor restarts it with growing pauses whenever it goes (with
`appendfsync always` a full disk makes it go). `stop` ends it with SIGTERM, which writes and syncs what is left. The
server has a session of its own, so a Ctrl-C in the terminal reaches the gateway alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import structlog

from gateway.store.data_dir import DataDir, DataDirInUseError, Purpose, ask, attach, socket_url, write_whole
from gateway.store.server_binary import Binary, NoServerError, configuration, find_binary, half_of_memory

__all__ = ["DataDirInUseError", "EmbeddedRedis", "EmbeddedRedisError", "NoServerError", "attach", "embedded"]

_log = structlog.get_logger()

_POLL: Final = 0.05
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_SETTLED: Final = 30.0  # a server that lived so long had no trouble starting
_ORPHAN_SECONDS: Final = 15.0
_COMMAND_SECONDS: Final = 5.0
_HANGS_AFTER: Final = 5.0


class EmbeddedRedisError(Exception):
    """The embedded server can't be brought up; the text says why and the remedy."""


class _Server:
    """One running server: a child of ours, or (no `child`) one taken over, known by its pid and by `lock`."""

    def __init__(self, home: DataDir, pid: int, child: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
        self.child = child
        self._home = home

    def alive(self) -> bool:
        return self._home.server_lives() if self.child is None else self.child.poll() is None

    async def gone(self) -> None:
        while self.alive():  # noqa: ASYNC110 - another process's end sets no event of ours
            await asyncio.sleep(_POLL)

    def ended(self) -> str:
        if self.child is None or self.child.returncode is None:
            return "ended"
        code = self.child.returncode
        return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"


class EmbeddedRedis:
    """Starts, watches and stops the server of one DATA_DIR. `restarts` counts how often it had to be started again."""

    def __init__(
        self,
        data_dir: Path,
        *,
        purpose: Purpose = "gateway",
        max_memory: int | None = None,
        binary: Binary | None = None,
        grace: float = 120.0,
    ) -> None:
        """`max_memory`: bytes, else half of what the machine has. `grace`: seconds from SIGTERM to SIGKILL."""
        self.restarts = 0
        self._home = DataDir(data_dir)
        self._purpose: Purpose = purpose
        self._max_memory = max_memory
        self._binary = binary
        self._grace = grace
        self._socket = ""
        self._claim: int | None = None
        self._server: _Server | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._down = asyncio.Event()
        self._up = asyncio.Event()
        self._why = "it hasn't been started"

    @property
    def running(self) -> bool:
        """True from the server's first answer until it is seen to be gone."""
        return self._up.is_set()

    @property
    def pid(self) -> int | None:
        """The server's process, while there is one."""
        return self._server.pid if self._server else None

    async def start(self) -> str:
        """Brings the server up, waits until its data is loaded, returns its `unix://` URL.

        Raises DataDirInUseError, NoServerError or EmbeddedRedisError.
        """
        try:
            self._socket = self._home.prepare()
            self._claim = await self._claimed()
            await self._launch()
        except OSError as refused:
            await self.stop()
            raise EmbeddedRedisError(
                f"{self._home.path} can't be written ({refused.strerror}). Make room, let this user write there, "
                "or name another directory with GATEWAY_DATA_DIR."
            ) from refused
        except BaseException:
            await self.stop()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="embedded-redis")
        return socket_url(self._socket)

    async def stop(self) -> None:
        """Ends the server, waits for its last sync, gives DATA_DIR back. Repeats are harmless."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        try:
            await self._end()
        finally:
            self._fell("it was stopped")
            if self._claim is not None:
                os.close(self._claim)
                self._claim = None

    async def wait_running(self) -> None:
        """Returns as soon as the server answers."""
        await self._up.wait()

    async def wait_failed(self) -> str:
        """Returns as soon as the server is down, with the reason; the supervisor goes on bringing it back."""
        await self._down.wait()
        return self._why

    async def _claimed(self) -> int:
        """Takes the gateway's lock. A command holds it only briefly, so a gateway that starts waits for one."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + _COMMAND_SECONDS
        while True:
            try:
                return self._home.claim(self._purpose)
            except DataDirInUseError as used:
                if self._purpose == "command" or used.holder.purpose == "gateway" or loop.time() > latest:
                    raise
            await asyncio.sleep(_POLL)

    async def _launch(self) -> None:
        loop = asyncio.get_running_loop()
        latest = loop.time() + _ORPHAN_SECONDS
        while (lock := self._home.server_lock()) is None:
            if (pid := await self._found_pid()) is not None:
                _log.info("redis_taken_over", pid=pid)
                self._server = _Server(self._home, pid, None)
                break
            if loop.time() > latest:
                raise EmbeddedRedisError(
                    f"A Redis server of an earlier gateway still holds {self._home.path} and doesn't answer. "
                    f"Find it by `fuser {self._home.path / 'lock'}`, stop it with SIGTERM, and start again."
                )
            await asyncio.sleep(_POLL)
        if lock is not None:
            try:
                self._server = self._spawned(lock)
            finally:
                os.close(lock)
        await self._ready()

    async def _found_pid(self) -> int | None:
        told = await asyncio.to_thread(ask, self._socket, "INFO server")
        for line in (told or "").splitlines():
            if line.startswith("process_id:"):
                return int(line.partition(":")[2])
        return None

    def _spawned(self, lock: int) -> _Server:
        home = self._home
        self._binary = self._binary or find_binary()
        max_memory = self._max_memory or half_of_memory()
        write_whole(
            home.config,
            configuration(data_dir=home.path, socket=self._socket, pid_file=home.pid_file, max_memory=max_memory),
        )
        log = home.open_log()
        try:
            child = subprocess.Popen(
                [self._binary.path, str(home.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=home.path,
                # The gateway's environment holds secrets that are none of the server's business.
                env={"LC_ALL": "C"},
                pass_fds=(lock,),
                start_new_session=True,
            )
        finally:
            os.close(log)
        _log.info("redis_started", pid=child.pid, version=".".join(map(str, self._binary.version)))
        return _Server(home, child.pid, child)

    async def _ready(self) -> None:
        """Waits for the first PONG; a large file may take minutes to load, so only the server's end ends the wait."""
        server = self._server
        while server is not None and server.alive():
            if await asyncio.to_thread(ask, self._socket, "PING") == "+PONG":
                self._down.clear()
                self._up.set()
                return
            await asyncio.sleep(_POLL)
        how = server.ended() if server else "ended"
        self._server = None
        raise EmbeddedRedisError(
            f"The embedded Redis {how} before it answered. {self._home.log} says why: {self._home.last_words()}"
        )

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        while True:
            born = loop.time()
            if self._server is not None:
                await self._server.gone()
                self._fell(f"the server {self._server.ended()}{self._home.shortage()}")
                self._server = None
                _log.error("redis_gone", why=self._why)
                if loop.time() - born > _SETTLED:
                    pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            self.restarts += 1
            try:
                await self._launch()
            except (EmbeddedRedisError, NoServerError, OSError) as failed:
                self._fell(f"{failed}{self._home.shortage()}")
                _log.error("redis_restart_failed", why=self._why)

    def _fell(self, why: str) -> None:
        self._why = why
        self._up.clear()
        self._down.set()

    async def _end(self) -> None:
        server = self._server
        if server is None:
            return
        # One that hangs will not write anything more, and what it has answered is on the disk.
        answers = await asyncio.to_thread(ask, self._socket, "PING", seconds=_HANGS_AFTER) is not None
        grace = self._grace if answers else min(self._grace, _HANGS_AFTER)
        if server.child is not None:
            server.child.terminate()
        else:
            # By its socket, not its pid: a number read earlier may be another process's by now.
            await asyncio.to_thread(ask, self._socket, "SHUTDOWN NOSAVE", seconds=grace)
        try:
            async with asyncio.timeout(grace):
                await server.gone()
        except TimeoutError:
            _log.error("redis_killed", pid=server.pid, grace=grace)
            with contextlib.suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGKILL)
            await server.gone()
        self._server = None


@contextlib.asynccontextmanager
async def embedded(data_dir: Path, *, patience: float = 10.0) -> AsyncGenerator[str]:
    """For commands: the URL of the server that a gateway runs in `data_dir`, else of one started for this block.

    Waits up to `patience` seconds for a gateway that is just starting, or for another command. Raises as `start`.
    """
    loop = asyncio.get_running_loop()
    latest = loop.time() + patience
    own = EmbeddedRedis(data_dir, purpose="command")
    while True:
        url: str | None = None
        try:
            url = await own.start()
        except DataDirInUseError as used:
            if used.holder.purpose == "gateway":
                url = await asyncio.to_thread(attach, data_dir)
            if url is None and loop.time() > latest:
                raise used.after(patience) from used
        if url is not None:
            break
        await asyncio.sleep(_POLL)
    try:
        yield url
    finally:
        await own.stop()
