"""What stands in DATA_DIR, who holds it, and how to talk to the server in it.

Two locks, because two things have lives of their own. `gateway.lock` is held by the gateway (or command) that looks
after the server; it falls when that process ends, however it ends. `lock` is inherited by the server and by nobody
else, so it is held exactly as long as the server lives. A server whose gateway was killed is thus recognised (`lock`
held, `gateway.lock` free) and taken over.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import stat
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

_LOG_BYTES: Final = 16 * 2**20
_ROOM_BYTES: Final = 64 * 2**10
Purpose = Literal["gateway", "command"]

# sun_path holds 108 bytes on Linux, 104 on macOS, with the closing zero.
_LONGEST_SOCKET_PATH: Final = 100
_SHORT_ROOT: Final = Path("/tmp")  # noqa: S108 - only ever a directory of our own, mode 0700, checked below


class Holder(NamedTuple):
    """Who looks after a DATA_DIR."""

    pid: int
    purpose: Purpose


class DataDirInUseError(Exception):
    """Another gateway or command looks after this DATA_DIR."""

    def __init__(self, data_dir: Path, holder: Holder, why: str | None = None) -> None:
        """`holder`: who it is; pid 0 when it hasn't written its name yet. `why`: what else to say than that."""
        process = f" (process {holder.pid})" if holder.pid else ""
        super().__init__(
            why
            or f"{data_dir} is in use by another {holder.purpose}{process}. Stop that one, or give this "
            "gateway a directory of its own with GATEWAY_DATA_DIR. Commands such as `gateway keys` work beside it."
        )
        self.holder = holder
        self._data_dir = data_dir

    def after(self, seconds: float) -> DataDirInUseError:
        """What to tell a command that has waited so long: beside a gateway only a server that doesn't answer is in the way."""
        home = DataDir(self._data_dir)
        if self.holder.purpose != "gateway" or not home.server_lives():
            return self
        why = (
            f"The Redis of the gateway (process {self.holder.pid}) in {home.path} runs, but has not answered for "
            f"{seconds:g} s. It may be stopped, short of CPU or disk, or still loading its data: {home.log} and the state "
            f"of process {home.server_pid() or '(unknown)'} tell. `kill -CONT` wakes a stopped one; if it hangs, kill it: "
            "the gateway starts it again, and nothing that was accepted is lost."
        )
        return DataDirInUseError(self._data_dir, self.holder, why)


class DataDir:
    """The paths in a DATA_DIR and its locks."""

    def __init__(self, path: Path) -> None:
        """`path` need not exist yet."""
        self.path = path.resolve()
        self.config = self.path / "valkey.conf"
        self.log = self.path / "valkey.log"
        self.pid_file = self.path / "valkey.pid"
        self._pointer = self.path / "socket"

    def prepare(self) -> str:
        """Makes the directory and the socket's, writes the pointer to the socket, returns the socket's path."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        wanted = self.path / "valkey.sock"
        if len(os.fsencode(wanted)) > _LONGEST_SOCKET_PATH:
            wanted = _short_dir(self.path) / "valkey.sock"
        write_whole(self._pointer, f"{wanted}\n")
        return str(wanted)

    def socket(self) -> str | None:
        """The server's socket as the last start noted it; None if there was none."""
        try:
            return self._pointer.read_text(encoding="utf-8", errors="surrogateescape").strip() or None
        except FileNotFoundError:
            return None

    def open_log(self) -> int:
        """The server's log, open for appending; an overlong one is put aside first."""
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        return os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def last_words(self) -> str:
        """The end of the server's log, on one line."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace")[-4096:].splitlines()
        except OSError:
            return "it can't be read"
        return " | ".join(line.strip() for line in lines[-3:] if line.strip()) or "nothing"

    def shortage(self) -> str:
        """What to add to the reason of a failure when it is the disk; empty while there is room."""
        try:
            disk = os.statvfs(self.path)
        except OSError:
            return ""
        return "; its disk is full" if disk.f_bavail * disk.f_frsize < _ROOM_BYTES else ""

    def claim(self, purpose: Purpose) -> int:
        """Takes `gateway.lock`; close the descriptor to give it back. Raises DataDirInUseError."""
        descriptor = _locked(self.path / "gateway.lock")
        if descriptor is None:
            raise DataDirInUseError(self.path, self._holder())
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {purpose}\n".encode(), 0)
        return descriptor

    def _holder(self) -> Holder:
        # Only read while the lock is held; for a moment after it is taken the line is empty or the last holder's.
        pid, _, purpose = (self.path / "gateway.lock").read_text(encoding="ascii").strip().partition(" ")
        return Holder(int(pid) if pid.isdigit() else 0, "command" if purpose == "command" else "gateway")

    def server_pid(self) -> int | None:
        """The server's process, as it noted it itself."""
        try:
            return int(self.pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def server_lock(self) -> int | None:
        """Takes `lock`, to be inherited by a new server; None while a server lives."""
        return _locked(self.path / "lock")

    def server_lives(self) -> bool:
        """True while some server holds `lock`."""
        descriptor = self.server_lock()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False


def ask(path: str, command: str, *, seconds: float = 2.0) -> str | None:
    """One inline command to the server at a socket; its whole simple or bulk answer, or None when there is none.

    Blocks for at most about `seconds`; coroutines call it in a thread.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(seconds)
            link.connect(path)
            link.sendall(f"{command}\r\n".encode())
            with link.makefile("rb") as stream:
                head = stream.readline().decode("utf-8", "replace").rstrip()
                if not head.startswith("$"):
                    return head or None
                return stream.read(int(head[1:]) + 2).decode("utf-8", "replace").rstrip()
    except OSError:
        return None


def attach(data_dir: Path) -> str | None:
    """The URL of the embedded Redis that runs in `data_dir`, or None when none answers there.

    Blocks for at most about two seconds.
    """
    path = DataDir(data_dir).socket()
    if path is None or ask(path, "PING") != "+PONG":
        return None
    return socket_url(path)


def socket_url(path: str) -> str:
    """The `unix://` URL of a socket, for `connect`."""
    return f"unix://{quote(path)}"


def write_whole(path: Path, content: str) -> None:
    """Writes a file so that nobody ever sees half of it. Raises OSError, and then nothing has changed."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(content, encoding="utf-8", errors="surrogateescape")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _locked(path: Path) -> int | None:
    """An open descriptor that holds an exclusive lock on `path`, or None when another holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _short_dir(data_dir: Path) -> Path:
    """A directory with a short name, ours alone, for the socket of a DATA_DIR whose own name is too long."""
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    path = _SHORT_ROOT / f"gateway-{os.getuid()}-{digest}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{path} belongs to somebody else: remove it, or use a shorter GATEWAY_DATA_DIR")
    return path
