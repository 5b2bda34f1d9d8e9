"""The switchboard: which channels are open, and how much may go out on each right now.

One switchboard per set of providers (live and team share one, test has its own). Concurrency is counted per process,
messages per second in Redis for all workers together, breakers are found out locally and shared. A quarter of every
channel's permits is for critical messages alone, and of the rest a quarter is kept for bulk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from gateway.channels.base import Accepted, Channel, Refused, Unknown
from gateway.delivery.breaker import Breaker
from gateway.message import LANES, Fault, Lane
from gateway.routing.traits import ChannelState
from gateway.settings_types import ChannelSettings
from gateway.store.clock import Clock
from gateway.store.keys import CHANNELS, PARTITIONS, partition, rate
from gateway.store.pipe import StoreUnavailable
from gateway.store.scripts import Scripts

CONCURRENCY: Final = {"sms": 64, "voice": 32, "email": 16, "wechat": 64}
RATES: Final[dict[str, float]] = {"voice": 1.0}
"""Messages a second when the settings say nothing; a channel that isn't named here has no limit of its own."""
PAUSE_LOOKS_AGAIN_MS: Final = 5_000

log = structlog.get_logger()


class Shared(msgspec.Struct, omit_defaults=True):
    """What all processes know of a channel. Stored in two halves, so that a breaker that turns undoes nobody's pause."""

    paused: str | None = None
    paused_by: str | None = None
    opened_at: int | None = None
    open_until: int = 0


class Post:
    """One channel's place on the switchboard."""

    def __init__(self, name: str, line: str, channel: Channel, limits: ChannelSettings) -> None:
        self.name = name
        self.line = line
        self.channel = channel
        self.concurrency = limits.concurrency or CONCURRENCY.get(name, 16)
        self.rate = limits.messages_per_second or RATES.get(name)
        self.breaker = Breaker()
        self.shared = Shared()
        self.in_flight = 0
        self.in_flight_other = 0
        self.throttled_until = 0
        self.seen_shut = False
        self.waits: dict[Lane, int] = {}

    @property
    def burst(self) -> int:
        """How many tokens the bucket holds: one second's worth."""
        return max(1, math.ceil(self.rate or 1))

    @property
    def full(self) -> bool:
        """True while every permit is out: more may go as soon as one comes back."""
        return self.in_flight >= self.concurrency

    def room(self, now: int) -> tuple[int, int]:
        """How many attempts may begin now, and how many of them may be other than critical."""
        if self.shared.paused is not None or now < self.throttled_until or self.breaker.shut(now):
            return 0, 0
        if not self.breaker.closed:
            return (1, 1) if self.in_flight == 0 else (0, 0)
        total = self.concurrency - self.in_flight
        others = self.concurrency - max(1, self.concurrency // 4) - self.in_flight_other
        return max(0, total), max(0, min(total, others if self.concurrency > 1 else total))

    def state(self, now: int) -> ChannelState:
        """The channel as routing sees it."""
        if self.shared.paused is not None:
            return ChannelState(traits=self.channel.traits, shut="paused", until=now + PAUSE_LOOKS_AGAIN_MS)
        if self.breaker.shut(now):
            until = max(self.breaker.open_until, now + 200)
            return ChannelState(traits=self.channel.traits, shut="channel_down", until=until)
        waits: dict[Lane, int] = dict(self.waits)
        if now < self.throttled_until:
            waits = {lane: max(self.throttled_until - now, waits.get(lane, 0)) for lane in LANES}
        return ChannelState(traits=self.channel.traits, waits=waits)


class Switchboard:
    """All posts of one set of providers."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        limits: Mapping[str, ChannelSettings],
        scripts: Scripts,
        clock: Clock,
        suffix: str,
    ) -> None:
        self._scripts = scripts
        self._clock = clock
        self.suffix = suffix
        self.posts = {
            name: Post(name, name + suffix, channel, limits.get(name, ChannelSettings()))
            for name, channel in channels.items()
        }

    def states(self) -> dict[str, ChannelState]:
        """Every channel as routing sees it."""
        now = self._clock.now()
        return {name: post.state(now) for name, post in self.posts.items()}

    async def granted(self, post: Post) -> tuple[int, int]:
        """Permits and rate tokens to begin with: how many in all, how many for other than critical messages."""
        total, others = post.room(self._clock.now())
        if total == 0 or post.rate is None:
            return total, others
        key = rate(post.line)
        plain, _ = await self._scripts.tokens(key, post.rate, post.burst, others, critical=False) if others else (0, 0)
        more = 0
        if total > plain:
            more, _ = await self._scripts.tokens(key, post.rate, post.burst, total - plain, critical=True)
        return plain + more, plain

    async def give_back(self, post: Post, unused: int) -> None:
        """Return tokens nobody used."""
        if unused > 0 and post.rate is not None:
            await self._scripts.tokens(rate(post.line), post.rate, post.burst, -unused, critical=True)

    def began(self, post: Post, lane: Lane) -> None:
        """An attempt has been given a permit."""
        post.in_flight += 1
        post.in_flight_other += lane != "critical"

    def ended(self, post: Post, lane: Lane) -> None:
        """A permit comes back."""
        post.in_flight -= 1
        post.in_flight_other -= lane != "critical"

    async def heard(self, post: Post, outcome: Accepted | Refused | Unknown) -> bool:
        """Take in how an attempt went; True if the breaker has just opened or closed."""
        now = self._clock.now()
        if isinstance(outcome, Refused) and outcome.fault is Fault.THROTTLED:
            post.throttled_until = max(post.throttled_until, now + 1000 * (outcome.retry_after or 1))
        was = post.breaker.open_until
        turned = post.breaker.hear(outcome, now)
        if turned or post.breaker.open_until != was:
            log.warning("breaker", channel=post.line, open=not post.breaker.closed, until=post.breaker.open_until)
            post.shared.opened_at, post.shared.open_until = post.breaker.opened_at, post.breaker.open_until
            half = Shared(opened_at=post.shared.opened_at, open_until=post.shared.open_until)
            try:
                await self._share(post, "breaker", half)
            except (StoreUnavailable, RedisError) as away:  # the others will find out for themselves
                log.warning("redis_unavailable", channel=post.line, error=str(away))
        return turned

    async def pause(self, name: str, reason: str | None, by: str | None) -> None:
        """Pause a channel (reason) or let it go on (None), for all processes. Raises KeyError."""
        post = self.posts[name]
        post.shared.paused, post.shared.paused_by = reason, by
        await self._share(post, "pause", Shared(paused=reason, paused_by=by))

    async def _share(self, post: Post, name: str, half: Shared) -> None:
        await self._scripts.urgent.send("HSET", CHANNELS, f"{post.line}:{name}", msgspec.msgpack.encode(half))

    async def refresh(self) -> list[Post]:
        """Take over what other processes found out, and measure the lines of paced channels; posts just shut."""
        if not self.posts:
            return []
        halves = [f"{post.line}:{name}" for post in self.posts.values() for name in ("pause", "breaker")]
        facts: list[bytes | None] = await self._scripts.urgent.send("HMGET", CHANNELS, *halves)
        now = self._clock.now()
        shut: list[Post] = []
        for post, pause, turned in zip(self.posts.values(), facts[::2], facts[1::2], strict=True):
            if pause is not None:
                half = msgspec.msgpack.decode(pause, type=Shared)
                post.shared.paused, post.shared.paused_by = half.paused, half.paused_by
            if turned is not None:
                half = msgspec.msgpack.decode(turned, type=Shared)
                post.shared.opened_at, post.shared.open_until = half.opened_at, half.open_until
                post.breaker.follow(half.opened_at, half.open_until)
            # Compared with the last look, not with a moment ago: this process may have paused the channel itself.
            before, post.seen_shut = post.seen_shut, post.state(now).shut is not None
            if post.seen_shut and not before:
                shut.append(post)
            if post.rate is not None:
                await self._measure(post, post.rate)
        return shut

    async def _measure(self, post: Post, per_second: float) -> None:
        waiting = 0
        for number in range(PARTITIONS):
            waiting += await self._scripts.urgent.send("ZCARD", partition(number).line(post.line, "critical"))
        post.waits = {"critical": int(1000 * waiting / per_second)}
