"""The scripts that share out what is scarce: rate tokens, seats for calls, and who may write a shared fact."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.support.model_meeting import Meetings


class Limits(Meetings):
    """Tokens, seats, uses, swaps."""

    def tokens(self, key: str, rate: float, burst: int, wanted: int, *, critical: bool) -> tuple[int, int]:
        """A token bucket; a quarter of it is for critical messages alone."""
        self.lapse()
        fields, now = self.hashes.get(key, {}), self.now()
        held, at = float(fields.get("n", burst)), int(fields.get("at", now))
        held = min(burst, held + max(0, now - at) * rate / 1000)
        floor = 0.0 if critical or burst < 4 else burst / 4
        granted = wanted if wanted < 0 else max(0, min(wanted, math.floor(held - floor)))
        held = min(burst, held - granted)
        self.hset(key, n=held, at=now)
        self.expire(key, math.ceil(burst / rate * 1000) + 60000)
        missing = floor + 1 - held
        return granted, math.ceil(missing / rate * 1000) if missing > 0 else 0

    def seats(
        self,
        key: str,
        limits: tuple[int, int],
        names: Sequence[str],
        others: int,
        *,
        lease: int,
        longest: int,
        back: Sequence[str] = (),
    ) -> tuple[int, int]:
        """Seats that all workers share; each is given back or lapses."""
        self.lapse()
        limit, kept = limits
        now = self.now()
        for name in back:
            self.zrem(key, name)
        for name, until in list(self.zsets.get(key, {}).items()):
            if until <= now or until > now + longest:
                self.zrem(key, name)
        free = limit - len(self.zsets.get(key, {}))
        granted = max(0, min(len(names), free))
        for name in names[:granted]:
            self.zadd(key, now + lease, name)
        self.expire(key, longest + 60000)
        return granted, max(0, min(others, granted, free - kept))

    def use(self, key: str, limit: int, window: int, who: str) -> int | None:
        """Count a use if there is room for it; else when there is."""
        self.lapse()
        now = self.now()
        for member in self.zbetween(key, -math.inf, now - window):
            self.zrem(key, member)
        times = sorted(self.zsets.get(key, {}).values())
        if len(times) >= limit:
            return int(times[len(times) - limit]) + window
        self.zadd(key, now, who)
        self.expire(key, window)
        return None

    def unuse(self, key: str, who: str) -> None:
        """Take a use back."""
        self.lapse()
        self.zrem(key, who)

    def swap(self, key: str, field: str, old: bytes, new: bytes) -> tuple[bool, bytes]:
        """Put a value into a field if it still holds the old one."""
        self.lapse()
        held = self.hget(key, field) or b""
        if held != old:
            return False, held
        self.hset(key, **{field: new})
        return True, new
