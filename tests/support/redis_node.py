"""One server process on loopback that can be killed, frozen and started again in its folder."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Final, cast

from redis import Redis

# Tells the server's process id, then ends the server when our end of its standard input closes: also when pytest dies.
_KEEPER: Final = '"$@" >/dev/null 2>&1 & echo $!; exec >/dev/null 2>&1; read -r _; kill -9 $!; wait $!'
_PATIENCE_S: Final = 20.0


class Node:
    """One server process. It is started by the functions below; `stop` is for good unless `start` follows."""

    def __init__(self, folder: Path, port: int, command: Sequence[str]) -> None:
        self.folder = folder
        self.port = port
        self.pid = 0
        self.url = f"redis://127.0.0.1:{port}"
        self._command = list(command)
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process, with what its folder holds, and wait until it answers. Raises OSError when it doesn't."""
        keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "sh", *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._keeper = keeper
        assert keeper.stdout is not None
        self.pid = int(keeper.stdout.readline())
        try:
            wait_for(self._answers, f"no answer from the server in {self.folder}: {self.log()[-2000:]}")
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        if not _alive(self.pid):
            raise OSError(f"the server ended: {self.log()[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
            line.sendall(b"PING\r\n")
            return line.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def stop(self) -> None:
        """End the process at once (SIGKILL), frozen or not."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        keeper.stdin.close()
        keeper.stdout.close()
        keeper.wait()

    kill = stop
    """The same: a server here has no other way to go than `kill -9`."""

    def restart(self) -> None:
        """`kill -9` and start again in the same folder, on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_for(lambda: _state(self.pid) == "T", "the server does not stop")

    def thaw(self) -> None:
        """SIGCONT: what had arrived meanwhile is carried out."""
        os.kill(self.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self) -> Generator[None]:
        """Frozen for a while."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def ask(self, *command: Any) -> Any:
        """The answer to one command over a connection of its own. Raises redis' errors."""
        with self.client() as client:
            return client.execute_command(*command)

    def info(self, section: str = "replication") -> dict[str, Any]:
        """The server's INFO of one section."""
        with self.client() as client:
            return client.info(section)

    def client(self) -> Any:
        """A blocking client of this server; of type Any, since redis-py's own types are partly unknown."""
        return cast("Any", Redis(port=self.port, socket_timeout=5, decode_responses=True))

    def log(self) -> str:
        """What the server has logged."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""


def wait_for(condition: Callable[[], object], why: str, seconds: float = _PATIENCE_S) -> None:
    """Wait, blocking, until a condition holds. Raises AssertionError with `why`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, why
        select.select([], [], [], 0.01)


def _state(pid: int) -> str:
    """The process's state as the kernel calls it, "" when there is none (proc_pid_stat(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _alive(pid: int) -> bool:
    return _state(pid) not in ("", "Z")
