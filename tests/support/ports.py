"""Ports for servers in processes of their own, which open them a moment after they are chosen.

A port that the system picks may be some connection's own by then. These lie below those the system picks from
(`net.ipv4.ip_local_port_range`, ip(7)), each worker of a run has a share of its own, and none is given twice in a row.
"""

from __future__ import annotations

import os
import random
import socket
from typing import Final

HOST: Final = "127.0.0.1"
_LOWEST: Final = 10_240
_SHARES: Final = 8
_SHARE: Final = (32_000 - _LOWEST) // _SHARES


def _share() -> int:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return int(worker) % _SHARES if worker.isdigit() else 0


class _Walk:
    def __init__(self) -> None:
        self._first = _LOWEST + _share() * _SHARE
        self._step = random.randrange(_SHARE)

    def next(self) -> int:
        for _ in range(_SHARE):
            self._step = (self._step + 1) % _SHARE
            port = self._first + self._step
            with socket.socket() as probe:
                try:
                    probe.bind((HOST, port))
                except OSError:
                    continue
                return port
        raise RuntimeError("no free port in this worker's share")


_walk: Final = _Walk()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, nor is given before long."""
    return [_walk.next() for _ in range(count)]


def free_port() -> int:
    """One of them."""
    return _walk.next()
