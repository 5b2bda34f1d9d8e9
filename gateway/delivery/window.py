"""How many attempts may be under way at a provider: all that the settings allow, fewer while it asks to slow down.

Additive increase, multiplicative decrease, as TCP does it (RFC 5681): halved when throttled, one more after every
windowful that went well. Each process keeps its own; together they settle at what the provider bears.
"""

from __future__ import annotations


class Window:
    """Between 1 and `limit` attempts at a time, none where the limit is 0. Times in ms."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = limit
        self._cut_at = 0
        self._went_well = 0

    def allow(self, limit: int) -> None:
        """The settings' limit for this process has changed; 0: others use it up."""
        self.size = limit if not self.narrowed else max(min(self.size, limit), min(1, limit))
        self.limit = limit

    @property
    def narrowed(self) -> bool:
        """True while fewer may be under way than the settings allow."""
        return self.size < self.limit

    def throttled(self, sent_at: int, now: int) -> None:
        """The provider asks to slow down: halve, once for all that was sent before it was last halved."""
        if sent_at <= self._cut_at <= now:
            return
        self.size = max(min(1, self.limit), self.size // 2)
        self._cut_at, self._went_well = now, 0

    def went_well(self) -> None:
        """An attempt was taken: one more may be under way after a whole window of these."""
        if not self.narrowed:
            return
        self._went_well += 1
        if self._went_well >= self.size:
            self.size, self._went_well = self.size + 1, 0

    @property
    def kept(self) -> int:
        """How many of them are for critical messages alone: a quarter, at least one where there are two."""
        return max(1, self.size // 4) if self.size > 1 else 0
