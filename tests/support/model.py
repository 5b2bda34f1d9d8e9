"""The store's scripts, once more and in Python: what they promise, said a second time by other means.

`tests/integration/test_scripts_machine.py` holds the scripts on a real server against it; the simulation runs the whole
delivery core on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.message import LANES, Lane
from gateway.store.changes import Change, Haul, Outcome, Taken
from gateway.store.clock import MOST_SKEW_MS
from gateway.store.keys import Partition, partition
from tests.support.model_people import People

QUESTIONS_KNOWN_MS: Final = 60 * 86_400_000
SHORTEST_QUESTION_MS: Final = 60_000
WORKED: Final = ("by", "t", "f")
"""What a result wipes off a record."""


class Model(People):
    """A server that knows the gateway's scripts, with the methods of `gateway.store.scripts.Scripts`."""

    # Messages

    def accept(self, at: Partition, message: str, change: Change, body: bytes, minute: str) -> Outcome:
        """Let a message in."""
        self.lapse()
        record = at.message(message)
        if record in self.hashes:
            return "exists"
        if change.customer is not None and self.hget(change.customer, "s") is None:
            return "customer"
        self.hset(record, v=1, s=change.state, l=change.lane)
        if body:
            self.strings[at.body(message)] = body
            self.expire(at.body(message), change.keep_body)
        if change.done:
            self.hset(record, d=1)
            self.expire(record, change.keep_record)
        self.apply(at, message, change, minute, version=1)
        self.write_lines(change.timeline, change.told, change.keep_told)
        return "ok"

    def commit(self, at: Partition, message: str, version: int, change: Change, minute: str) -> tuple[Outcome, int]:
        """Compare the version, swap the state, apply what follows."""
        self.lapse()
        record, body = at.message(message), at.body(message)
        known = self.hget(record, "v")
        if known is None:
            self.zrem(at.agenda(change.lane), f"m:{message}")
            return "gone", version
        if int(known) != version:
            return "conflict", version
        new = self.hincrby(record, "v")
        self.hset(record, s=change.state)
        self.hdel(record, *WORKED)
        if change.done and self.hsetnx(record, "d", 1):
            self.expire(record, change.keep_record)
            if self.pttl(body) == -1 or self.pttl(body) > change.keep_body:
                self.expire(body, change.keep_body)
        self.apply(at, message, change, minute, version=new)
        self.write_lines(change.timeline, change.told, None)
        return "ok", new

    def begin(
        self,
        at: Partition,
        message: str,
        versions: tuple[int, int],
        change: Change,
        *,
        keys: tuple[str, str],
        caps: Sequence[tuple[str, int, int]],
        open_until: int | None,
        channel: str,
        minute: str,
    ) -> tuple[Outcome, int]:
        """Record an attempt, if neither message nor customer has changed and every cap has room."""
        self.lapse()
        record, (customer, awaiting), now = at.message(message), keys, self.now()
        known = self.hget(record, "v")
        if known is None:
            return "gone", versions[0]
        if int(known) != versions[0] or self.hget(record, "d") is not None:
            return "conflict", versions[0]
        if int(self.hget(customer, "v") or 0) != versions[1]:
            return "customer", versions[0]
        fresh = [one for one in caps if message not in self.zsets.get(one[0], {})]
        for capped, limit, window in fresh:
            self.forget(capped, now - window)
            if len(self.zsets.get(capped, {})) >= limit:
                return "cap", versions[0]
        for capped, _, window in fresh:
            self.zadd(capped, now, message)
            self.expire(capped, window)
        new = self.hincrby(record, "v")
        self.hset(record, s=change.state)
        self.hdel(record, *WORKED)
        if customer in self.hashes:
            self.hashes[customer][f"w:{channel}"] = b"%d" % now
        if open_until is not None:
            self.forget(awaiting, now - QUESTIONS_KNOWN_MS)
            self.zadd(awaiting, now, message)
            left = max(open_until - now, SHORTEST_QUESTION_MS)
            if left > self.pttl(awaiting):
                self.expire(awaiting, left)
        self.index(f"m:{message}", at.agenda(change.lane), change.wake, change, bell="")
        self.count(minute, change.counters)
        return "ok", new

    def cancel(self, at: Partition, message: str, now: int) -> Outcome:
        """Mark a message cancelled and wake it."""
        self.lapse()
        record = at.message(message)
        lane = self.hget(record, "l")
        if lane is None:
            return "gone"
        if self.hget(record, "d") is not None:
            return "done"
        self.hsetnx(record, "can", now)
        self.hincrby(record, "v")
        self.zadd(at.agenda(lane.decode()), self.now(), f"m:{message}")
        return "ok"

    # Handing out

    def take(
        self,
        number: int,
        lease: int,
        due: Mapping[Lane, int],
        permits: Mapping[str, tuple[int, int, int]],
        *,
        wall: int | None = None,
        taker: str = "",
    ) -> Haul:
        """Hand out what a partition has ready: critical wakes, critical lines, other wakes, other lines by weight."""
        self.lapse()
        if wall is not None and abs(self.now() - wall) > MOST_SKEW_MS:
            return Haul(self.now(), None, ())
        gone = 0
        at, now, out = partition(number), self.now(), list[Taken]()
        if wall is not None and abs(now - wall) > MOST_SKEW_MS:
            return Haul(now, None, ())
        gone = 0

        def hand(member: str, lane: Lane, channel: str | None) -> None:
            nonlocal gone
            gone += self._hand(at, member, lane, lease, channel, taker, out)

        def woken(lane: Lane) -> None:
            for member in self.zbetween(at.agenda(lane), -math.inf, now)[: due.get(lane, 0)]:
                hand(member, lane, None)

        def served(channel: str, lane: Lane, want: int) -> int:
            nonlocal gone
            line = at.line(channel, lane)
            members = [member for member, _ in self.zrange(line)[: max(0, want)]]
            for member in members:
                self.zrem(line, member)
                hand(member, lane, channel)
            return len(members)

        woken("critical")
        left = {c: min(total - served(c, "critical", total), rest) for c, (total, rest, _) in permits.items()}
        woken("normal")
        woken("bulk")
        for channel, (_, _, reserve) in permits.items():
            rest = left[channel]
            rest -= served(channel, "normal", rest - reserve)
            rest -= served(channel, "bulk", rest)
            served(channel, "normal", rest)
        heads = [min(scores.values()) for lane in LANES if (scores := self.zsets.get(at.agenda(lane)))]
        return Haul(now, int(min(heads)) if heads else None, tuple(out), gone)

    def _hand(
        self, at: Partition, member: str, lane: Lane, lease: int, channel: str | None, taker: str, out: list[Taken]
    ) -> bool:
        """Hand out one member; True when its record is gone."""
        record, agenda = at.member(member), at.agenda(lane)
        facts = self.hashes.get(record, {})
        if "s" not in facts or "why" in facts:
            self.zrem(agenda, member)
            return "s" not in facts
        if "d" in facts and channel is not None:
            return False
        self.zadd(agenda, self.now() + lease, member)
        abandoned = int(facts.get("t", b"0"))
        if facts.get("by") != taker.encode():
            if "by" in facts:
                abandoned += 1
                self.hset(record, t=abandoned)
            self.hset(record, by=taker)
        version = facts.get("v", b"")
        out.append(
            Taken(
                member,
                int(version) if version.isdigit() else -1,
                facts["s"],
                facts.get("sup", b"").decode(),
                facts.get("can", b"").decode(),
                abandoned,
                channel,
            )
        )
        return False

    def failed(self, at: Partition, member: str, again: int) -> int:
        """Count that work on a record has failed."""
        self.lapse()
        record = at.member(member)
        if record not in self.hashes:
            return 0
        self.hdel(record, "by")
        failures = self.hincrby(record, "f")
        for agenda in map(at.agenda, LANES):
            if member in self.zsets.get(agenda, {}):
                self.zadd(agenda, self.now() + again, member)
        return failures

    def rouse(self, at: Partition, channel: str, lane: Lane, members: Sequence[str], beyond: int = 0) -> int:
        """Wake those who still stand in a line and would look by themselves only later."""
        self.lapse()
        line, agenda, woken = self.zsets.get(at.line(channel, lane), {}), at.agenda(lane), 0
        for member in members:
            wake = self.zsets.get(agenda, {}).get(member)
            if member in line and (wake is None or wake > beyond):
                self.zadd(agenda, self.now(), member)
                woken += 1
        if woken:
            self.ring(f"{lane}:{at.number}:")
        return woken

    # Inbound items, morgue

    def note(self, at: Partition, item: str, state: bytes, keep: int) -> Outcome:
        """Keep something that came in, once."""
        self.lapse()
        if at.seen(item) in self.strings:
            return "seen"
        self.strings[at.seen(item)] = b"1"
        self.expire(at.seen(item), keep)
        self.hset(at.member(f"i:{item}"), v=1, s=state)
        self.zadd(at.agenda("critical"), self.now(), f"i:{item}")
        self.ring(f"critical:{at.number}:")
        return "ok"

    def settle(self, at: Partition, member: str, state: bytes, keep: int) -> None:
        """An inbound item has been worked off."""
        self.lapse()
        self.zrem(at.agenda("critical"), member)
        if at.member(member) in self.hashes:
            self.hset(at.member(member), s=state, d=1)
            self.hdel(at.member(member), *WORKED)
            self.expire(at.member(member), keep)

    def bury(self, at: Partition, member: str, reason: str) -> None:
        """Put a record into the morgue."""
        self.lapse()
        if at.member(member) in self.hashes:
            self.hset(at.member(member), why=reason)
            for lane in LANES:
                self.zrem(at.agenda(lane), member)
            self.zadd(at.morgue, self.now(), member)

    def exhume(
        self, at: Partition, member: str, *, retry: bool, stands: Sequence[str] = (), keep_stands: int = 0
    ) -> Outcome:
        """Take a record out of the morgue."""
        self.lapse()
        if not self.zrem(at.morgue, member) or at.member(member) not in self.hashes:
            return "gone"
        if retry:
            lane = (self.hget(at.member(member), "l") or b"critical").decode()
            self.hdel(at.member(member), "why", *WORKED)
            self.zadd(at.agenda(lane), self.now(), member)
        else:
            self.delete(at.member(member))
            self.delete(at.body(member.partition(":")[2]))
            self.stand(member.partition(":")[2], stands, keep_stands)
        return "ok"
