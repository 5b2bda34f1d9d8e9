"""Processes of the gateway without the two seconds that importing it takes: forked from one that has done so.

What runs afterwards is `gateway serve` as ever, in a process of its own with its own environment, folder and pid. The
zygote ends with whoever started it, and then ends all that it forked.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Final

import msgspec

_MOST: Final = 65_536
_ROOT: Final = Path(__file__).parents[2]
FORKS_S: Final = 60.0
"""How long a fork may take; the first one waits for the imports."""
EXITED: Final = "exited with status "
"""What a process that ends by itself writes last."""


class Order(msgspec.Struct, frozen=True):
    """What is to run, where, with which variables; `program`: another than the gateway."""

    arguments: list[str]
    folder: str
    variables: dict[str, str]
    program: str = ""


class Zygote:
    """The parent of the gateway's processes."""

    def __init__(self) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.zygote"], stdin=its.fileno(), stdout=subprocess.DEVNULL, cwd=_ROOT
            )
        ours.settimeout(FORKS_S)
        self._line = ours
        self._one = threading.Lock()

    def fork(self, order: Order, error: int) -> int:
        """Start a process whose standard error is the descriptor `error`; its pid. Blocks: for a thread."""
        with self._one:
            socket.send_fds(self._line, [msgspec.msgpack.encode(order)], [error])
            return int(self._line.recv(_MOST))

    def end(self) -> None:
        """End it, and all that it forked."""
        self._line.close()
        self._process.wait(FORKS_S)


@functools.cache
def zygote() -> Zygote:
    """The zygote of this process; it ends when the process does."""
    made = Zygote()
    atexit.register(made.end)
    return made


async def fork(order: Order, error: int) -> int:
    """Start a process as `Zygote.fork` does."""
    return await asyncio.to_thread(zygote().fork, order, error)


def _main() -> None:
    importlib.import_module("gateway.cli.serve_run")

    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    line = socket.socket(fileno=0)
    born: list[int] = []
    while True:
        order, descriptors, _, _ = socket.recv_fds(line, _MOST, 1)
        if not order:
            break
        pid = os.fork()
        if pid == 0:
            _become(msgspec.msgpack.decode(order, type=Order), descriptors[0], line)
        os.close(descriptors[0])
        born.append(pid)
        line.send(str(pid).encode())
    for pid in born:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _become(order: Order, error: int, line: socket.socket) -> None:
    """Be that process; never returns."""
    status: object = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        line.detach()
        for target, source in enumerate((nothing, error if order.program else nothing, error)):
            os.dup2(source, target)
        os.closerange(3, 256)
        os.chdir(order.folder)
        if order.program:
            os.execve(order.program, [order.program, *order.arguments], order.variables)  # noqa: S606 - nothing for a shell to read
        os.environ.clear()
        os.environ.update(order.variables)
        sys.argv = ["gateway", *order.arguments]
        from gateway.cli import app

        app()
    except SystemExit as ended:
        status = ended.code or 0
    except BaseException:  # noqa: BLE001 - it must never return into the zygote's loop
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os.write(2, f"{EXITED}{status}\n".encode())
        os._exit(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    _main()
