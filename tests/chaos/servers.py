"""Machines in trouble: disks that fill, clocks that are wrong, networks that break. All of it needs root, as CI has.

Where the machine forbids it, the test is skipped with the reason (which CI counts as a failure).
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

import pytest

from gateway.store.data_dir import write_whole
from gateway.store.server_binary import find_binary
from tests.support.redis_nodes import Node

_names: Final = itertools.count(1)
_ends: Final = itertools.count(1)


def _run(*command: str) -> None:
    """Run a tool of the system; its own words in the error. Raises RuntimeError."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")


def needs(*tools: str) -> None:
    """Skip where these can't be run."""
    missing = [tool for tool in tools if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed")


class Disk:
    """A disk in memory, as small as the test wants it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def resize(self, kilobytes: int) -> None:
        """Make room, or take it."""
        _run("mount", "-o", f"remount,size={kilobytes}k", str(self.path))

    @property
    def free(self) -> int:
        """Bytes that still fit."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize


@contextlib.contextmanager
def small_disk(path: Path, kilobytes: int) -> Generator[Disk]:
    """A disk of that size, mounted at `path` for the block."""
    path.mkdir(exist_ok=True)
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=700", "tmpfs", str(path))
    except (RuntimeError, FileNotFoundError) as refused:
        pytest.skip(f"no disk can be mounted here: {refused}")
    try:
        yield Disk(path)
    finally:
        _run("umount", "--lazy", str(path))


class Fake:
    """A clock that can be set wrong: for a server by its program, for another process by its variables."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._offset = folder / "offset"
        self.variables = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            # Read again once a second: after every reading of the clock it would take most of the time.
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)
        self.program = folder / "server"
        given = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.variables.items())
        self.program.write_text(f'#!/bin/sh\nexec env {given} {shlex.quote(find_binary().path)} "$@"\n')
        self.program.chmod(0o755)

    def set(self, seconds: int) -> None:
        """So far ahead of the right time (negative: behind), within a second from now on."""
        write_whole(self._offset, f"{seconds:+d}\n")


def fake_clock(folder: Path) -> Fake:
    """A clock that is right until it is set; skips where Debian's package faketime is missing."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip("libfaketime: not installed")
    folder.mkdir(exist_ok=True)
    return Fake(folder, found[0])


class Cable:
    """A line between this machine and a network of its own in which a server stands. `near`, `far`: the ends' addresses."""

    def __init__(self, space: str, number: int) -> None:
        self.space = space
        self._end = f"gw{os.getpid():x}c{number}"
        # Networks of two addresses, out of the range that is kept for tests of devices (RFC 2544).
        base = int(ipaddress.ip_address("198.18.0.0")) + (os.getpid() * 8 + number) % 2**15 * 4
        self.near, self.far = str(ipaddress.ip_address(base + 1)), str(ipaddress.ip_address(base + 2))

    def lay(self) -> None:
        """Connect. Raises RuntimeError where that isn't allowed."""
        inside = ["ip", "-n", self.space]
        _run("ip", "link", "add", self._end, "type", "veth", "peer", "name", f"{self._end}p", "netns", self.space)
        _run("ip", "addr", "add", f"{self.near}/30", "dev", self._end)
        _run(*inside, "addr", "add", f"{self.far}/30", "dev", f"{self._end}p")
        _run("ip", "link", "set", self._end, "up")
        _run(*inside, "link", "set", f"{self._end}p", "up")

    def pull(self) -> None:
        """Unplug it: nothing comes through, and nobody is told."""
        _run("ip", "-n", self.space, "link", "set", f"{self._end}p", "down")

    def plug(self) -> None:
        """Plug it in again."""
        _run("ip", "-n", self.space, "link", "set", f"{self._end}p", "up")

    @contextlib.contextmanager
    def losing(self, share: float) -> Generator[None]:
        """That share of all packets is lost, in either direction."""
        rule = ["-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP"]
        ways = [("INPUT", "-i"), ("OUTPUT", "-o")]
        tables = ["ip", "netns", "exec", self.space, "iptables"]
        for chain, way in ways:
            _run(*tables, "-A", chain, way, f"{self._end}p", *rule)
        try:
            yield
        finally:
            for chain, way in ways:
                _run(*tables, "-D", chain, way, f"{self._end}p", *rule)


@contextlib.contextmanager
def network(cables: int) -> Generator[list[Cable]]:
    """A network of its own, reached over so many cables."""
    needs("ip", "iptables")
    space = f"gw-{os.getpid()}-{next(_names)}"
    try:
        _run("ip", "netns", "add", space)
    except RuntimeError as refused:
        pytest.skip(f"no network namespace can be made here: {refused}")
    try:
        # An end of the last network goes a moment after it: names and addresses are never used again.
        laid = [Cable(space, next(_ends)) for _ in range(cables)]
        for one in laid:
            one.lay()
        yield laid
    finally:
        _run("ip", "netns", "del", space)


class _Far(Node):
    """A server that isn't on this machine's loopback."""

    def __init__(self, folder: Path, cable: Cable) -> None:
        given = {"port": "6379", "bind": "0.0.0.0", "protected-mode": "no", "dir": str(folder), "save": ""}
        options = [part for name, value in given.items() for part in (f"--{name}", value)]
        super().__init__(folder, 6379, ["ip", "netns", "exec", cable.space, find_binary().path, *options])
        self._host = cable.far

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self._host, self.port), timeout=1):
            return True
        return False


@contextlib.contextmanager
def far_redis(folder: Path, cables: Sequence[Cable]) -> Generator[list[str]]:
    """A server at the far end of these cables; its URL over each."""
    server = _Far(folder, cables[0])
    server.start()
    try:
        yield [f"redis://{one.far}:{server.port}" for one in cables]
    finally:
        server.stop()
