"""One channel's place on the switchboard: its limits, what is under way on it, and what all processes know of it."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from gateway.channels.base import Absent, Accepted, Channel, Outbound, Unknown
from gateway.delivery.breaker import Breaker, Turned
from gateway.delivery.window import Window
from gateway.message import LANES, Attempt, Lane
from gateway.routing.traits import ChannelState
from gateway.settings_types import ChannelSettings

CONCURRENCY: Final = {"sms": 64, "voice": 64, "email": 16, "wechat": 64}
"""Attempts at a time in one process when the settings say nothing; for calls see `Post.calls`."""
RATES: Final[dict[str, float]] = {"voice": 1.0}
"""Messages a second when the settings say nothing; a channel that isn't named here has no limit of its own."""
CALL_MS: Final = 60_000
"""How long a call is reckoned to take when the wait for one is estimated."""
PAUSE_LOOKS_AGAIN_MS: Final = 600_000
"""Those who stand in a paused channel's line need no waking: they go out when it is resumed."""
LEARNS: Final = 0.1
"""The weight of the newest attempt in the mean time that attempts take."""
ASKS_MOST: Final = 16
"""Questions about lost answers that one process puts to a provider at a time."""


class Pause(msgspec.Struct, frozen=True, omit_defaults=True):
    """An operator's pause: why, and who; None: it isn't paused. `resumed_at`: when it was last let go on, ms."""

    paused: str | None = None
    paused_by: str | None = None
    resumed_at: int = 0


class Permit:
    """The right to begin one attempt on a channel."""

    def __init__(self, post: Post, lane: Lane, seat: str | None, *, trial: bool) -> None:
        self.post = post
        self.lane = lane
        self.seat = seat
        """A seat kept for the call that may come of it; None once the call itself has it."""
        self.trial = trial
        """Given while the breaker is half-open."""
        self.probe = False
        """Its attempt is the one that decides whether the breaker closes."""
        self.sent_at: int | None = None


class Post:
    """One channel's place on the switchboard."""

    def __init__(self, name: str, line: str, channel: Channel, limits: ChannelSettings) -> None:
        self.name = name
        self.line = line
        self.channel = channel
        self.rate = limits.messages_per_second or RATES.get(name)
        self.limit = limits.concurrency
        """How many attempts at a time the settings allow, over all workers; None: nothing is said."""
        self.concurrency = limits.concurrency or CONCURRENCY.get(name, 16)
        self.window = Window(self.concurrency)
        self.breaker = Breaker()
        self.pause = Pause()
        self.throttled_until = 0
        self.in_flight = 0
        self.in_flight_other = 0
        self.trials = 0
        self.asks = 0
        self.takes_ms = 0.0
        self.critical_waiting = 0
        self.counted_at = 0
        self.seen_shut: tuple[object, ...] | None = None
        self.roused_for: int | None = None
        """The opening of the breaker (ms) for which this process last woke those in line."""
        self.known: dict[str, bytes] = {}
        """What this process last read or wrote of what all share, as stored."""
        self.passed_over = 0
        self.reserved: list[str] = []
        self.spare: list[str] = []
        """Seats kept for what may be taken now, and seats to give back."""

    def learn(self, name: str, value: bytes | None) -> None:
        """Take over what another process has written. What this one wrote itself is no news to it."""
        if not value or value == self.known.get(name):
            return
        self.known[name] = value
        if name == "pause":
            before, self.pause = self.pause, msgspec.msgpack.decode(value, type=Pause)
            if self.pause.resumed_at > before.resumed_at:
                self.throttled_until = 0
        else:
            self.breaker.follow(msgspec.msgpack.decode(value, type=Turned))

    @property
    def calls(self) -> int | None:
        """How many calls may be running at a time, over all workers; None where attempts aren't calls."""
        return self.concurrency if self.channel.traits.rings else None

    def share(self, place: int, workers: int) -> None:
        """Take this process's part of what the settings allow: it is the `place`th (from 0) of so many."""
        if self.limit is not None and not self.channel.traits.rings:
            self.window.allow(self.limit // workers + (place < self.limit % workers))

    @property
    def call_ms(self) -> int:
        """How long a call may take at most, from asking the provider for it."""
        return int(self.channel.traits.timeout * 1000) + self.channel.traits.rings * 1000

    @property
    def burst(self) -> int:
        """How many tokens the bucket holds: a third of a second's worth, as workers look four times a second at least."""
        return max(1, math.ceil((self.rate or 1) / 3))

    @property
    def full(self) -> bool:
        """True while every permit is out: more may go as soon as one comes back."""
        return self.in_flight >= self.window.size or self.trials > 0

    @property
    def scarce(self) -> bool:
        """True where messages may have to wait in line."""
        return self.rate is not None or self.calls is not None or self.window.narrowed or self.full

    def held_back(self, now: int) -> bool:
        """True while nothing at all may go out, though the provider is up: it was paused, or asked us to wait."""
        return self.pause.paused is not None or now < self.throttled_until

    def room(self, now: int) -> tuple[int, int]:
        """How many attempts may begin now, and how many of them may be other than critical."""
        if self.held_back(now) or self.breaker.shut(now):
            return 0, 0
        if not self.breaker.closed:
            return (0, 0) if self.trials else (1, 1)
        total = max(0, self.window.size - self.in_flight)
        return total, max(0, min(total, self.window.size - self.window.kept - self.in_flight_other))

    def state(self, now: int) -> ChannelState:
        """The channel as routing sees it."""
        traits = self.channel.traits
        if self.pause.paused is not None:
            return ChannelState(traits=traits, shut="paused", until=now + PAUSE_LOOKS_AGAIN_MS)
        if self.breaker.shut(now):
            return ChannelState(traits=traits, shut="channel_down", until=self.breaker.facts.open_until)
        waits: dict[Lane, int] = {"critical": self.wait_ms()} if self.critical_waiting else {}
        if now < self.throttled_until:
            waits = {lane: self.throttled_until - now + waits.get(lane, 0) for lane in LANES}
            return ChannelState(traits=traits, paced_until=self.throttled_until, waits=waits)
        return ChannelState(traits=traits, waits=waits)

    def wait_ms(self) -> int:
        """How long the last in the critical line is expected to wait, as far as this process can tell."""
        paces = [self.takes_ms / max(1, self.window.size)]
        if self.rate is not None:
            paces.append(1000 / self.rate)
        if self.calls is not None:
            paces.append(CALL_MS / self.calls)
        return int(self.critical_waiting * max(paces))

    async def find(self, out: Outbound, attempt: Attempt, now: int) -> Accepted | Absent | Unknown:
        """Ask the provider whether it took an attempt: later, if it is down, or so many questions are open that it hangs.

        A question holds no permit, so it must not use up the room for deciding.
        """
        if self.asks >= ASKS_MOST or self.breaker.shut(now):
            return Unknown(detail="not asked, for the provider does not answer")
        self.asks += 1
        try:
            return await self.channel.find(out, attempt)
        finally:
            self.asks -= 1

    def down(self) -> float:
        """1 while the breaker isn't closed, for the metrics."""
        return float(not self.breaker.closed)

    def width(self) -> float:
        """How many attempts may be under way at a time, for the metrics."""
        return float(self.window.size)

    def took(self, milliseconds: int) -> None:
        """An attempt took so long at the provider."""
        self.takes_ms += (milliseconds - self.takes_ms) * (LEARNS if self.takes_ms else 1)
