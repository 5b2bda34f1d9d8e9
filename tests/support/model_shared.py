"""What the scripts of the store share: index, threads, counters; the model of `lib.lua`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from gateway.store.changes import Change
from gateway.store.keys import Partition
from tests.support.model_limits import Limits

THREAD_LIVES_MS: Final = 400 * 86_400_000
COUNTERS_LIVE_MS: Final = 8 * 86_400_000
RING_AHEAD_MS: Final = 50


class Shared(Limits):
    """Parts of scripts."""

    def apply(self, at: Partition, message: str, change: Change, minute: str, *, version: int) -> None:
        """Everything that follows from a new state."""
        wake = change.wake
        newer = None if change.order is None else self.claim(at, change, message)
        if newer is not None:
            self.hset(at.message(message), sup=newer)
            wake = self.now()
        lines = ",".join(key.split(":")[2] for key, score in change.places.items() if score is not None)
        self.index(f"m:{message}", at.agenda(change.lane), wake, change, f"{change.lane}:{at.number}:{lines}")
        for op in change.index:
            if op[0] == "+":
                self.zadd(op[1:], 0, message)
            else:
                self.zrem(op[1:], message)
        for kind in change.event.split():
            self.streams.setdefault(at.events, []).append(
                {"t": kind.encode(), "id": message.encode(), "v": b"%d" % version}
            )
        self.count(minute, change.counters)
        self.stand(message, change.stands, change.keep_stands)

    def stand(self, message: str, stands: Sequence[str], lives: int) -> None:
        """Where it stands in its broadcast."""
        for op in stands:
            key, _, field = op[1:].partition("#")
            if field:
                self.hincrby(key, field, 1 if op[0] == "+" else -1)
            elif op[0] == "+":
                self.zadd(key, 0, message)
            else:
                self.zrem(key, message)
            if -2 < self.pttl(key) < lives:
                self.expire(key, lives)

    def write_lines(self, timeline: str | None, lines: Sequence[bytes], lives: int | None) -> None:
        """Lines of a timeline; `lives` None: only of one that there is. Lines that are too old are not modelled."""
        if timeline is None or not lines or (lives is None and timeline not in self.streams):
            return
        self.streams.setdefault(timeline, []).extend({"e": line} for line in lines)
        if lives is not None:
            self.expire(timeline, lives)

    def index(self, member: str, agenda: str, wake: int | None, change: Change, bell: str) -> None:
        """Where a member stands in lines and agenda."""
        ring = False
        for line, score in change.places.items():
            if score is None:
                self.zrem(line, member)
            else:
                self.zadd(line, score, member)
                ring = True
        if wake is None:
            self.zrem(agenda, member)
        else:
            self.zadd(agenda, wake, member)
            ring = ring or wake <= self.now() + RING_AHEAD_MS
        if ring and bell:
            self.ring(bell)

    def claim(self, at: Partition, change: Change, message: str) -> str | None:
        """The message takes its place in its thread; the id of a newer one that has fallen due, if there is one."""
        thread, order = change.thread or f"{at.prefix}thread:none", float(change.order or 0)
        self.zadd(thread, order, message)
        self.expire(thread, THREAD_LIVES_MS)
        if change.joins:
            return None
        newest = self.zsets[thread].get("*")
        if newest is not None and newest > order:
            self.zrem(thread, message)
            return next((m for m in self.zbetween(thread, newest, newest) if m != "*"), None)
        for other in self.zbetween(thread, -math.inf, order):
            if other in ("*", message):
                continue
            facts = self.hashes.get(at.message(other), {})
            if "l" in facts and "d" not in facts:
                self.hsetnx(at.message(other), "sup", message)
                self.hincrby(at.message(other), "v")
                self.zadd(at.agenda(facts["l"].decode()), self.now(), f"m:{other}")
            self.zrem(thread, other)
        self.zadd(thread, order, "*")
        return None

    def count(self, minute: str, names: Sequence[str]) -> None:
        """Counters of a minute."""
        for counter in re.findall(r"\S+", " ".join(names)):
            self.hincrby(minute, counter)
        if names:
            self.expire(minute, COUNTERS_LIVE_MS)

    def forget(self, key: str, until: float) -> None:
        """Members of a sorted set up to a score go."""
        for member in self.zbetween(key, -math.inf, until):
            self.zrem(key, member)
