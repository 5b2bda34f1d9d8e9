"""A circuit breaker per provider: after a run of provider faults nothing goes out until a probe succeeds."""

from __future__ import annotations

from typing import Final

from gateway.channels.base import Accepted, Refused, Unknown
from gateway.message import Fault
from gateway.routing.retry import REMEDIES

FAULTS_IN_A_ROW: Final = 5
FIRST_REST_MS: Final = 2_000
LONGEST_REST_MS: Final = 60_000


class Breaker:
    """Closed, open until a time, or half-open: then one attempt at a time may try. Times in ms."""

    def __init__(self) -> None:
        self.open_until = 0
        self.opened_at: int | None = None
        self._faults = 0
        self._rest = FIRST_REST_MS
        self._probing = False

    @property
    def closed(self) -> bool:
        """True while nothing is wrong."""
        return self.opened_at is None

    def shut(self, now: int) -> bool:
        """True while not even a probe may go out."""
        return self.opened_at is not None and (now < self.open_until or self._probing)

    def probe(self, now: int) -> None:
        """An attempt goes out; while half-open it is the probe that decides. Those already under way decide nothing."""
        if self.opened_at is not None and now >= self.open_until:
            self._probing = True

    def hear(self, outcome: Accepted | Refused | Unknown, now: int) -> bool:
        """Take in how an attempt went; True if the breaker has just opened (after a probe: again) or closed."""
        fault = outcome.fault if isinstance(outcome, Refused) else None
        shuts = fault is not None and REMEDIES[fault].shuts
        if isinstance(outcome, Unknown) or shuts or fault is Fault.UNAVAILABLE:
            self._faults += 1
            if self.opened_at is not None and not self._probing:
                return False
            if shuts or self._probing or self._faults >= FAULTS_IN_A_ROW:
                return self._open(now)
            return False
        self._faults = 0
        was_open = self.opened_at is not None
        if was_open and (self._probing or isinstance(outcome, Accepted)):
            self.opened_at, self._probing, self._rest, self.open_until = None, False, FIRST_REST_MS, 0
            return True
        return False

    def forget(self, now: int) -> None:
        """A probe has ended without news: the channel rests before the next one."""
        if self._probing:
            self._open(now)

    def _open(self, now: int) -> bool:
        self.opened_at = self.opened_at or now
        self.open_until = now + self._rest
        self._rest = min(self._rest * 2, LONGEST_REST_MS)
        self._probing = False
        return True

    def follow(self, opened_at: int | None, open_until: int) -> None:
        """Take over what another process has found out."""
        if opened_at is None and self.opened_at is not None and not self._probing:
            self.opened_at, self.open_until, self._faults = None, 0, 0
        elif opened_at is not None and open_until > self.open_until:
            self.opened_at, self.open_until = opened_at, open_until
