"""Rounds: the order of addresses, gone through once or several times."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.message import Message
from gateway.routing.fallback import PERMANENT, Step
from gateway.routing.limits import Limits
from gateway.routing.route import Candidate


class Rounds:
    """What each round of a message may still begin. `number`: the round that is on; it may be moved on."""

    def __init__(self, message: Message, usable: Sequence[Candidate], steps: Sequence[Step], limits: Limits) -> None:
        self._most = message.reach.rounds
        self._usable = usable
        self._steps = steps
        self._limits = limits
        self.number = max((s.round for s in steps), default=1)

    def left(self) -> list[Candidate]:
        """What may still begin in this round; what a limit bars is passed over."""
        return self._limits.open(self._unused(self.number))

    def following(self) -> list[Candidate]:
        """What may begin in the next round, if there is one."""
        return self._limits.open(self._unused(self.number + 1))

    def waiting(self, before: int) -> list[Candidate]:
        """What a limit bars in this round or the next, and no more by then (ms); the soonest first."""
        return self._limits.waits([*self._unused(self.number), *self._unused(self.number + 1)], before)

    def _unused(self, number: int) -> list[Candidate]:
        if number > max(self._most, self.number):
            return []
        used = {s.key for s in self._steps if s.round == number}
        spoilt = {s.key for s in self._steps if s.attempts[-1].fault in PERMANENT and s.attempts[-1].status == "failed"}
        return [c for c in self._usable if c.key not in used and (number == 1 or c.key not in spoilt)]
