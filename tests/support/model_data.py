"""A server's keys as plain Python data: the ground the model of the store stands on.

Everything is synchronous: a command happens whole, at one moment, as it does on a server with one thread.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final

INFINITY: Final = {"-inf": float("-inf"), "+inf": float("inf"), b"-inf": float("-inf"), b"+inf": float("inf")}


def raw(value: Any) -> bytes:
    """A value as the server keeps it."""
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else repr(value)).encode()


def name(value: Any) -> str:
    """A key, a field or a member."""
    return value.decode() if isinstance(value, bytes) else str(value)


def number(value: Any) -> float:
    """A score or a bound."""
    known = INFINITY.get(value)
    return float(value) if known is None else known


class Data:
    """Keys and what they hold. `now`: the server's time, ms."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.hashes: dict[str, dict[str, bytes]] = {}
        self.strings: dict[str, bytes] = {}
        self.zsets: dict[str, dict[str, float]] = {}
        self.lists: dict[str, list[bytes]] = {}
        self.streams: dict[str, list[dict[str, bytes]]] = {}
        self.ends: dict[str, int] = {}
        self._soonest: list[tuple[int, str]] = []
        self.bells: list[str] = []
        self.ring: Callable[[str], None] = self.bells.append

    # Keys

    def lapse(self) -> None:
        """Keys whose time is over go."""
        while self._soonest and self._soonest[0][0] <= self.now():
            at, key = heapq.heappop(self._soonest)
            if self.ends.get(key) == at:
                self.delete(key)

    def expire(self, key: str, lives: int) -> None:
        """PEXPIRE: a key goes in `lives` ms."""
        if self.exists(key):
            self.ends[key] = self.now() + lives
            heapq.heappush(self._soonest, (self.ends[key], key))

    def pttl(self, key: str) -> int:
        """How long a key still lives, ms; -1: for ever, -2: there is none."""
        if not self.exists(key):
            return -2
        return self.ends[key] - self.now() if key in self.ends else -1

    def exists(self, key: str) -> bool:
        """Whether there is such a key."""
        return any(key in kind for kind in (self.hashes, self.strings, self.zsets, self.lists, self.streams))

    def delete(self, key: str) -> None:
        """DEL."""
        for kind in (self.hashes, self.strings, self.zsets, self.lists, self.streams, self.ends):
            kind.pop(key, None)

    # Sorted sets

    def zadd(self, key: str, score: float, member: str) -> None:
        """ZADD of one member."""
        self.zsets.setdefault(key, {})[member] = float(score)

    def zrem(self, key: str, member: str) -> bool:
        """ZREM of one member; whether it was there."""
        members = self.zsets.get(key)
        if members is None or members.pop(member, None) is None:
            return False
        if not members:
            self.delete(key)
        return True

    def zrange(self, key: str) -> list[tuple[str, float]]:
        """All members in order: by score, then by name."""
        return sorted(self.zsets.get(key, {}).items(), key=lambda item: (item[1], item[0]))

    def zbetween(self, key: str, low: float, high: float) -> list[str]:
        """Members by score, in order."""
        return [member for member, score in self.zrange(key) if low <= score <= high]

    # Hashes

    def hset(self, key: str, **fields: Any) -> None:
        """HSET."""
        self.hashes.setdefault(key, {}).update({field: raw(value) for field, value in fields.items()})

    def hsetnx(self, key: str, field: str, value: Any) -> bool:
        """HSETNX; whether it was set."""
        fields = self.hashes.setdefault(key, {})
        if field in fields:
            return False
        fields[field] = raw(value)
        return True

    def hdel(self, key: str, *fields: str) -> None:
        """HDEL."""
        held = self.hashes.get(key)
        if held is not None:
            for field in fields:
                held.pop(field, None)
            if not held:
                self.delete(key)

    def hincrby(self, key: str, field: str, by: int = 1) -> int:
        """HINCRBY; the new value."""
        fields = self.hashes.setdefault(key, {})
        value = int(fields.get(field, b"0")) + by
        fields[field] = b"%d" % value
        return value

    def hget(self, key: str, field: str) -> bytes | None:
        """HGET."""
        return self.hashes.get(key, {}).get(field)
