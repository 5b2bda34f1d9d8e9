"""A circuit breaker per provider: after a run of faults nothing goes out until a probe succeeds.

A pure object: it is told what happened and when. What it knows is a value (`Turned`) that all processes share.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.channels.base import Accepted, Refused, Unknown
from gateway.message import Fault
from gateway.routing.retry import REMEDIES

FAULTS_IN_A_ROW: Final = 5
FIRST_REST_MS: Final = 2_000
LONGEST_REST_MS: Final = 60_000
FARTHEST_MS: Final = 300_000
"""A rest that ends later than this was written before the server's clock was set back, and is over."""


class Turned(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a breaker stands, since when, and until when it rests (ms). `rest`: how long it rests when it opens next."""

    opened_at: int | None = None
    open_until: int = 0
    rest: int = FIRST_REST_MS
    turned_at: int = 0


class Breaker:
    """Closed, resting, or half-open: then whoever claims the probe may try. Times in ms."""

    def __init__(self) -> None:
        self.facts = Turned()
        self._faults = 0

    @property
    def closed(self) -> bool:
        """True while nothing is wrong."""
        return self.facts.opened_at is None

    def shut(self, now: int) -> bool:
        """True while not even a probe may go out: the provider rests, or a probe's answer is awaited."""
        return not self.closed and now < self.facts.open_until <= now + FARTHEST_MS

    def probing(self, now: int, answer_within: int) -> Turned:
        """How it stands once a probe is under way. If its answer is lost, the next one may try after `answer_within` ms."""
        return msgspec.structs.replace(self.facts, open_until=now + min(answer_within, FARTHEST_MS))

    def follow(self, facts: Turned) -> None:
        """Take over what another process has found out."""
        if facts.turned_at != self.facts.turned_at:
            self._faults = 0
        self.facts = facts

    def hear(self, outcome: Accepted | Refused | Unknown, now: int, *, sent_at: int, probe: bool = False) -> bool:
        """Take in how an attempt went; True if the breaker has just opened (after a probe: again) or closed.

        Faults of attempts that were sent before it last turned say nothing about now; that one was taken always does.
        """
        fault = outcome.fault if isinstance(outcome, Refused) else None
        shuts = fault is not None and REMEDIES[fault].shuts
        if not (isinstance(outcome, Unknown) or shuts or fault is Fault.UNAVAILABLE):
            self._faults = 0
            if self.closed or not (probe or isinstance(outcome, Accepted)):
                return False
            self.facts = Turned(turned_at=now)
            return True
        if probe:
            return self._open(now)
        if not self.closed or sent_at < self.facts.turned_at <= now:
            return False
        self._faults += 1
        return self._open(now) if shuts or self._faults >= FAULTS_IN_A_ROW else False

    def _open(self, now: int) -> bool:
        self._faults = 0
        self.facts = Turned(
            opened_at=self.facts.opened_at or now,
            open_until=now + self.facts.rest,
            rest=min(self.facts.rest * 2, LONGEST_REST_MS),
            turned_at=now,
        )
        return True
