"""Addresses that a limit on texts and calls keeps from being used: passed over, and waited for when nothing else is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.message import Limited, Message, Skipped, Why
from gateway.numbers import is_phone_channel
from gateway.routing.holds import Hold
from gateway.routing.route import Candidate


class Limits:
    """What limits mean for the usable addresses of one message at `now` (ms)."""

    def __init__(self, message: Message, usable: Iterable[Candidate], now: int) -> None:
        self._met: dict[tuple[str, str], tuple[Candidate, Limited]] = {}
        for candidate in usable:
            met = message.limited.get(candidate.address.value) if is_phone_channel(candidate.address.channel) else None
            if met is not None and met.until > now:
                self._met[candidate.key] = candidate, met

    def skipped(self) -> list[Skipped]:
        """The addresses passed over."""
        return [Skipped(c.address.channel, Why("cap", _text(met)), c.address.value) for c, met in self._met.values()]

    def wakes(self) -> list[int]:
        """When (ms) each of them may be tried again."""
        return [met.until for _, met in self._met.values()]

    def open(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those that no limit bars, in the same order."""
        return [c for c in candidates if c.key not in self._met]

    def hold(self, candidate: Candidate) -> Hold | None:
        """What keeps this address waiting; None: no limit does."""
        found = self._met.get(candidate.key)
        return None if found is None else Hold("cap", found[1].until, _text(found[1]))

    def waits(self, candidates: Sequence[Candidate], before: int) -> list[Candidate]:
        """Those for which there will be room before a time (ms), the soonest first."""
        held = [(self._met[c.key][1].until, n, c) for n, c in enumerate(candidates) if c.key in self._met]
        return [c for until, _, c in sorted(held, key=lambda one: one[:2]) if until < before]


def _text(met: Limited) -> str:
    return f"The limit {met.limit} on texts and calls is used up for now."
