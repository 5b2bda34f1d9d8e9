"""The switchboard: which channels are open, and how much may go out on each right now.

One switchboard per set of providers (live and team share one, test has its own). Attempts under way are counted per
process; messages per second, running calls, pauses, breakers and providers' requests to wait are shared by all. A
quarter of every channel's permits is for critical messages alone, and of the rest a quarter is kept for bulk.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog
from redis.exceptions import RedisError

from gateway.channels.base import Accepted, Channel, Refused, Unknown
from gateway.delivery.breaker import Turned
from gateway.delivery.post import Pause, Permit, Post
from gateway.message import Fault, Lane, Message
from gateway.routing.traits import ChannelState
from gateway.settings_types import ChannelSettings
from gateway.store.clock import Clock
from gateway.store.keys import CHANNELS, PARTITIONS, THROTTLED, calls, partition, rate
from gateway.store.pipe import StoreUnavailable
from gateway.store.scripts import Scripts

SEAT_KEPT_MS: Final = 10_000
"""How long a seat is kept for a call that is being decided on: as long as the lease of a decision."""
LONGEST_WAIT_MS: Final = 300_000
"""The longest a provider may tell all messages of a channel to wait; a moment further ahead than that is no such moment."""
PROBE_MARGIN_MS: Final = 1_000
COUNT_EVERY_MS: Final = 100
PASSED_OVER_MOST: Final = 100

log = structlog.get_logger()


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
        self._seats = (f"{uuid.uuid4().hex}:{n}" for n in itertools.count())
        self.posts = {
            name: Post(name, name + suffix, channel, limits.get(name, ChannelSettings()))
            for name, channel in channels.items()
        }

    def states(self) -> dict[str, ChannelState]:
        """Every channel as routing sees it."""
        now = self._clock.now()
        return {name: post.state(now) for name, post in self.posts.items()}

    # Permits

    async def granted(self, post: Post) -> tuple[int, int]:
        """Permits to begin with: how many in all, how many for other than critical messages.

        Tokens and seats are taken along. What isn't used must be given back. Raises StoreUnavailable, RedisError.
        """
        total, others = post.room(self._clock.now())
        if total and post.rate is not None:
            total, others = await self._tokens(post, post.rate, total, others)
        if total and post.calls is not None:
            wanted = total
            total, others = await self._reserve(post, post.calls, total, others)
            if post.rate is not None and wanted > total:
                await self._scripts.tokens(rate(post.line), post.rate, post.burst, total - wanted, critical=True)
        if others and total < PARTITIONS:
            # Fewer than there are partitions: what a critical message in one of them needs isn't given away in another.
            await self._count(post)
            others = max(0, min(others, total - post.critical_waiting))
        return total, others

    async def give_back(self, post: Post, unused: int) -> None:
        """Return what nobody used. Raises StoreUnavailable, RedisError."""
        post.spare += post.reserved
        post.reserved = []
        if post.spare and post.calls is not None:
            await self._sit(post, post.calls, [], 0, SEAT_KEPT_MS)
        if unused > 0 and post.rate is not None:
            await self._scripts.tokens(rate(post.line), post.rate, post.burst, -unused, critical=True)

    async def _tokens(self, post: Post, per_second: float, total: int, others: int) -> tuple[int, int]:
        key, plain, more = rate(post.line), 0, 0
        if others:
            plain, _ = await self._scripts.tokens(key, per_second, post.burst, others, critical=False)
        if total > plain:
            more, _ = await self._scripts.tokens(key, per_second, post.burst, total - plain, critical=True)
        return plain + more, plain

    async def _reserve(self, post: Post, limit: int, total: int, others: int) -> tuple[int, int]:
        post.spare += post.reserved  # of a round that broke off
        names = list(itertools.islice(self._seats, total))
        total, others = await self._sit(post, limit, names, others, SEAT_KEPT_MS)
        post.reserved = names[:total]
        return total, others

    async def _sit(self, post: Post, limit: int, names: list[str], others: int, lease: int) -> tuple[int, int]:
        """Take seats for running calls, and give back the spare ones."""
        back, post.spare = post.spare, []
        try:
            kept = limit // 4 or int(limit > 1)
            return await self._scripts.seats(
                calls(post.line), (limit, kept), names, others, lease=lease, longest=post.call_ms, back=back
            )
        except (StoreUnavailable, RedisError):
            post.spare += back
            raise

    def began(self, post: Post, lane: Lane) -> Permit:
        """Hand out one of the permits that were granted."""
        seat = post.reserved.pop() if post.reserved else None
        permit = Permit(post, lane, seat, trial=not post.breaker.closed)
        post.in_flight += 1
        post.in_flight_other += lane != "critical"
        post.trials += permit.trial
        return permit

    def ended(self, permit: Permit) -> None:
        """A permit comes back."""
        post = permit.post
        post.in_flight -= 1
        post.in_flight_other -= permit.lane != "critical"
        post.trials -= permit.trial
        if permit.seat is not None:
            post.spare.append(permit.seat)

    # Attempts

    async def starts(self, permit: Permit, message: str, attempt: str) -> bool:
        """The provider is about to be called. False: the channel has been shut meanwhile, or is full of calls.

        While the breaker is half-open, one attempt of all workers starts and is the probe. A call takes its seat.
        """
        post, now = permit.post, self._clock.now()
        permit.sent_at = now
        if post.held_back(now) or not (post.breaker.closed or await self._probes(permit, now)):
            return False
        return post.calls is None or await self._calls(permit, post.calls, f"{message}:{attempt}")

    async def _probes(self, permit: Permit, now: int) -> bool:
        post = permit.post
        if post.breaker.shut(now):
            return False
        facts = post.breaker.probing(now, int(post.channel.traits.timeout * 1000) + PROBE_MARGIN_MS)
        field, value = f"{post.line}:breaker", msgspec.msgpack.encode(facts)
        try:
            permit.probe, held = await self._scripts.swap(CHANNELS, field, post.known.get("breaker", b""), value)
        except (StoreUnavailable, RedisError) as away:
            log.warning("redis_unavailable", channel=post.line, error=str(away))
            return False
        post.learn("breaker", held)
        post.passed_over = 0
        return permit.probe or post.breaker.closed

    async def _calls(self, permit: Permit, limit: int, name: str) -> bool:
        post, seat = permit.post, permit.seat
        permit.seat = None
        post.spare += [] if seat is None else [seat]
        try:
            granted, _ = await self._sit(post, limit, [name], 0, post.call_ms)
        except (StoreUnavailable, RedisError) as away:
            # The attempt is on record: better one call too many for a moment than one that isn't made for want of a count.
            log.warning("redis_unavailable", channel=post.line, error=str(away))
            return True
        return granted == 1

    async def heard(self, permit: Permit, outcome: Accepted | Refused | Unknown) -> bool:
        """Take in how an attempt went; True if the breaker has just opened or closed."""
        post, now = permit.post, self._clock.now()
        sent_at = permit.sent_at if permit.sent_at is not None else now
        if isinstance(outcome, Accepted):
            post.window.went_well()
            post.took(now - sent_at)
        was = post.breaker.facts
        turned = post.breaker.hear(outcome, now, sent_at=sent_at, probe=permit.probe)
        try:
            if isinstance(outcome, Refused) and outcome.fault is Fault.THROTTLED:
                post.window.throttled(sent_at, now)
                until = now + min(1000 * (outcome.retry_after or 1), LONGEST_WAIT_MS)
                post.throttled_until = max(post.throttled_until, until)
                log.warning("throttled", channel=post.line, window=post.window.size, until=until)
                await self._scripts.urgent.send("ZADD", THROTTLED, "GT", until, post.line)
            if post.breaker.facts != was:
                log.warning(
                    "breaker", channel=post.line, open=not post.breaker.closed, until=post.breaker.facts.open_until
                )
                await self._share(post, "breaker", post.breaker.facts)
        except (StoreUnavailable, RedisError) as away:  # the others will find out for themselves
            log.warning("redis_unavailable", channel=post.line, error=str(away))
        return turned

    async def over(self, message: Message) -> None:
        """Calls of this message that have ended make room for others."""
        for post in self.posts.values():
            if post.calls is None:
                continue
            ended = [a for a in message.attempts if a.channel == post.name and (a.ended or a.status == "failed")]
            if ended:
                try:
                    await self._scripts.urgent.send("ZREM", calls(post.line), *(f"{message.id}:{a.id}" for a in ended))
                except (StoreUnavailable, RedisError) as away:  # their time will be up
                    log.warning("redis_unavailable", message=message.id, error=str(away))

    async def others_wait(self, post: Post) -> bool:
        """Whether a message whose lost answer harms it more than others should let one of these be the probe."""
        if post.passed_over >= PASSED_OVER_MOST:
            return False
        waiting = await self._waiting(post, "critical") or await self._waiting(post, "normal")
        post.passed_over += bool(waiting)
        return bool(waiting)

    # What all share

    async def pause(self, name: str, reason: str | None, by: str | None) -> None:
        """Pause a channel (reason) or let it go on (None), for all processes. Raises KeyError, StoreUnavailable.

        To let it go on lifts a provider's request to wait, too: whoever resumes has settled it with them.
        """
        post, now = self.posts[name], self._clock.now()
        pause = Pause(reason, by, 0 if reason is not None else now)
        if reason is None:
            # First, so that whoever learns of the resumption doesn't find the old moment.
            await self._scripts.urgent.send("ZREM", THROTTLED, post.line)
            post.throttled_until = 0
        await self._share(post, "pause", pause)
        post.pause = pause

    async def _share(self, post: Post, name: str, half: Pause | Turned) -> None:
        """Stored in two halves, so that a breaker that turns undoes nobody's pause."""
        value = msgspec.msgpack.encode(half)
        await self._scripts.urgent.send("HSET", CHANNELS, f"{post.line}:{name}", value)
        post.known[name] = value

    async def refresh(self) -> list[Post]:
        """Take over what other processes found out, and count those who wait; posts that have been shut since."""
        if not self.posts:
            return []
        halves = [f"{post.line}:{name}" for post in self.posts.values() for name in ("pause", "breaker")]
        lines = [post.line for post in self.posts.values()]
        facts: list[bytes | None] = await self._scripts.urgent.send("HMGET", CHANNELS, *halves)
        throttled: list[Any] = await self._scripts.urgent.send("ZMSCORE", THROTTLED, *lines)
        now = self._clock.now()
        shut: list[Post] = []
        for post, pause, turned, until in zip(self.posts.values(), facts[::2], facts[1::2], throttled, strict=True):
            post.learn("pause", pause)
            post.learn("breaker", turned)
            await self._throttle(post, int(float(until or 0)), now)
            # Compared with the last look, not with a moment ago: this process may have paused the channel itself.
            before, post.seen_shut = post.seen_shut, _shut(post, now)
            if post.seen_shut is not None and post.seen_shut != before:
                shut.append(post)
            if post.scarce:
                await self._count(post)
        return shut

    async def _throttle(self, post: Post, until: int, now: int) -> None:
        if until > now + LONGEST_WAIT_MS:  # the server's clock has been set back since
            await self._scripts.urgent.send("ZREM", THROTTLED, post.line)
            until = 0
        post.throttled_until = (
            until if post.throttled_until > now + LONGEST_WAIT_MS else max(post.throttled_until, until)
        )

    async def _count(self, post: Post) -> None:
        now = self._clock.now()
        if not 0 <= now - post.counted_at < COUNT_EVERY_MS:
            post.critical_waiting, post.counted_at = await self._waiting(post, "critical"), now

    async def _waiting(self, post: Post, lane: Lane) -> int:
        keys = [partition(number).line(post.line, lane) for number in range(PARTITIONS)]
        return sum(await asyncio.gather(*(self._scripts.urgent.send("ZCARD", key) for key in keys)))


def _shut(post: Post, now: int) -> tuple[object, ...] | None:
    """What shuts a post, and since when: a new value means that those in its line have to decide anew."""
    if post.state(now).shut is None:
        return None
    return post.pause.paused, post.breaker.facts.turned_at, post.breaker.facts.open_until
