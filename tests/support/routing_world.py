"""A small world in which one message lives: a virtual clock, scripted providers, the pure rules driven as a worker does."""

from __future__ import annotations

import copy
import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.customer import Customer
from gateway.message import Attempt, AttemptStatus, Fault, Lane, Message, Receipt, Verdict
from gateway.news import absorb, final_verdict
from gateway.routing.decide import apply, decide
from gateway.routing.fallback import ABSENT_AFTER_MS, CALLBACK_GRACE_MS, expire_leases
from gateway.routing.route import Rules
from gateway.routing.traits import ChannelState
from gateway.routing.view import Next, Turn, View, due_at
from tests.support.routing import NEVER, RULES, SILENT, T0, TRAITS, Fate, Shut


class World:
    """One message among its providers. `fates`: by channel, one for each attempt, the last one for all others."""

    def __init__(
        self,
        customer: Customer,
        message: Message,
        fates: Mapping[str, Sequence[Fate] | Fate] | None = None,
        *,
        shut: Mapping[str, Shut] | None = None,
        line: Mapping[str, float] | None = None,
        waits: Mapping[str, float] | None = None,
        cap_uses: Sequence[int] = (),
        rules: Rules = RULES,
        known: Sequence[str] = tuple(TRAITS),
        latency: int = 0,
        strict: bool = False,
        start: int | None = None,
    ) -> None:
        self.customer, self.message, self.rules, self.cap_uses = customer, message, rules, cap_uses
        self.fates = {c: [f] if isinstance(f, Fate) else list(f) for c, f in (fates or {}).items()}
        self.shut, self.line, self.waits, self.known = shut or {}, line or {}, waits or {}, known
        self.latency, self.strict = latency, strict
        self.now = message.created_at if start is None else start
        self.following = Next(status="queued", wake_at=None, deadline=0)
        self.began: list[tuple[str, float]] = []
        self.asked: list[float] = []
        self.done_at: float | None = None
        self.watch: Callable[[World, Turn], None] = lambda _world, _turn: None
        self._told: dict[str, Fate] = {}
        self._inbox: list[tuple[int, int, Callable[[World], None]]] = []
        self._number = -1
        message.due_at = due_at(message, customer, rules)

    def __repr__(self) -> str:
        return (
            f"World at {self.seconds} s: {self.customer}, {self.message}, fates={self.fates}, "
            f"shut={self.shut}, line={self.line}, latency={self.latency}, began={self.began}, next={self.following}"
        )

    @property
    def seconds(self) -> float:
        return (self.now - T0) / 1000

    @property
    def verdict(self) -> Verdict:
        return self.message.verdict

    @property
    def deadline(self) -> float:
        return (self.following.deadline - T0) / 1000

    @property
    def wake(self) -> float | None:
        return None if self.following.wake_at is None else (self.following.wake_at - T0) / 1000

    @property
    def held(self) -> str | None:
        return self.message.held.code if self.message.held is not None else None

    def view(self) -> View:
        return self._view(self.message)

    def _view(self, message: Message) -> View:
        uses = {one.key: self.cap_uses for one in self.rules.caps_of(message.category)}
        return View(message, self.customer, self.states(), self.rules, uses)

    def states(self) -> dict[str, ChannelState]:
        found: dict[str, ChannelState] = {}
        for channel in self.known:
            shut = self.shut.get(channel)
            waits: dict[Lane, int] = {"critical": int(self.waits.get(channel, 0) * 1000)}
            if shut is not None and shut.start <= self.seconds < shut.end:
                probe = T0 + int(min(shut.end, self.seconds // shut.probe * shut.probe + shut.probe) * 1000)
                found[channel] = ChannelState(traits=TRAITS[channel], shut=shut.why, until=probe, waits=waits)
            else:
                found[channel] = ChannelState(traits=TRAITS[channel], waits=waits)
        return found

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def at(self, seconds: float, change: Callable[[World], None]) -> World:
        """Something else happens then, and wakes the message."""
        heapq.heappush(self._inbox, (T0 + int(seconds * 1000), self._next_number(), change))
        return self

    def run(self, until: float = NEVER) -> World:
        """Live on until nothing more can happen, or to a moment (s), what falls due at it included."""
        end = T0 + int(until * 1000)
        for _ in range(5_000):
            self._settle()
            times = [t for t in (self.following.wake_at, self._ready()) if t is not None]
            times += [self._inbox[0][0]] if self._inbox else []
            times += self._openings()
            if not times or min(times) > end:
                self.now = max(self.now, end) if times else self.now
                return self
            assert min(times) > self.now, f"a busy loop: woken for {min(times)} at {self.now}"
            self.now = min(times)
        raise AssertionError("the message never ends")

    def decide(self) -> Next:
        """Decide as the worker does, and see that deciding changes nothing."""
        expire_leases(self.message, self.now)
        before = msgspec.msgpack.encode((self.message, self.customer))
        following = decide(self.view(), self.now)
        assert msgspec.msgpack.encode((self.message, self.customer)) == before, "decide changed its arguments"
        return following

    def _settle(self) -> None:
        for _ in range(200):
            while self._inbox and self._inbox[0][0] <= self.now:
                heapq.heappop(self._inbox)[2](self)
            self.following = self.decide()
            apply(self.message, self.following, self.now)
            if self.message.done and self.done_at is None:
                self.done_at = self.seconds
            if not self._answer_asks() and not self._take_turn():
                if self.strict:
                    self._assert_settled()
                return
        raise AssertionError(f"a busy loop at {self.seconds}: {self.following}")

    def _assert_settled(self) -> None:
        """The same decision once more, at the same moment, changes nothing."""
        again = copy.deepcopy(self.message)
        second = decide(self._view(again), self.now)
        apply(again, second, self.now)
        assert second == self.following
        assert again == self.message
        asleep = self.message.done and not any(a.status == "started" for a in self.message.attempts)
        assert asleep == (second.wake_at is None)
        assert self.message.done == (second.closing is not None)
        assert self.message.done == (self.verdict.state != "pending")
        assert self.message.done or self.following.deadline > self.now

    def _answer_asks(self) -> bool:
        for attempt_id in self.following.ask:
            attempt = self.message.attempt(attempt_id)
            assert attempt is not None
            attempt.asked_at, attempt.asked = self.now, attempt.asked + 1
            self.asked.append(self.seconds)
            found = self._told[attempt_id].found
            if found == "accepted":
                absorb(self.message, Receipt(attempt=attempt_id, at=self.now, status="accepted"))
            elif found == "absent" and self.now >= attempt.started_at + ABSENT_AFTER_MS:
                gone = Receipt(attempt=attempt_id, at=self.now, status="failed", fault=Fault.NOT_TAKEN)
                absorb(self.message, gone)
        return bool(self.following.ask)

    def _queued_until(self, turn: Turn) -> int:
        return self.message.turns[turn.channel] + int(self.line.get(turn.channel, 0) * 1000)

    def _ready(self) -> int | None:
        """When the next place in an open line comes to its head."""
        states = self.states()
        turns = [t for t in self.following.turns if states[t.channel].shut is None]
        return min((self._queued_until(t) for t in turns), default=None)

    def _openings(self) -> list[int]:
        """When shut channels open in whose lines the message stands: workers serve lines, whoever sleeps in them."""
        ends = (self.shut[t.channel].end for t in self.following.turns if t.channel in self.shut)
        return [T0 + int(end * 1000) for end in ends if end < NEVER and T0 + int(end * 1000) > self.now]

    def _take_turn(self) -> bool:
        states = self.states()
        for turn in self.following.turns:
            if states[turn.channel].shut is None and self._queued_until(turn) <= self.now:
                self._begin_if_still_right(turn)
                return True
        return False

    def _begin_if_still_right(self, turn: Turn) -> None:
        """A worker that takes a turn decides once more, and begins what the decision then says for that channel."""
        self.following = self.decide()
        still = next((t for t in self.following.turns if t.channel == turn.channel), None)
        if still is None:
            apply(self.message, self.following, self.now)
        else:
            self._begin(still)

    def _begin(self, turn: Turn) -> None:
        self.watch(self, turn)
        attempt = Attempt(
            id=f"a{len(self.message.attempts) + 1}",
            channel=turn.channel,
            address=turn.address.value,
            round=turn.round,
            lease_until=self.now + 20_000,
            times={"started": self.now},
        )
        self.began.append((turn.channel, self.seconds))
        self.message.attempts.append(attempt)
        self.message.turns.pop(turn.channel, None)
        script = self.fates.get(turn.channel, [SILENT])
        fate = self._told[attempt.id] = script[0] if len(script) == 1 else script.pop(0)
        self.at(self.seconds + self.latency / 1000, lambda world: world._answered(attempt.id, fate))
        for after, what in fate.later:
            self.at(self.seconds + after, lambda world, what=what: world.hear(attempt.id, **what))

    def _answered(self, attempt_id: str, fate: Fate) -> None:
        if fate.answer == "lost":
            attempt = self.message.attempt(attempt_id)
            if attempt is not None and attempt.status == "started":
                attempt.lease_until = min(attempt.lease_until, self.now + CALLBACK_GRACE_MS)
            return
        self.hear(attempt_id, status=fate.answer, fault=fate.fault, retry_after=fate.retry_after)

    def hear(self, attempt_id: str, **what: Any) -> None:
        """News of an attempt, now."""
        fields: dict[str, Any] = {"attempt": attempt_id, "at": self.now, **what}
        absorb(self.message, Receipt(**fields))

    def acknowledge(self) -> None:
        """Somebody says through the API that the person knows."""
        self.message.acknowledged_at = self.now
        if self.message.closing is not None:
            self.message.verdict = final_verdict(self.message)


def statuses(world: World) -> list[AttemptStatus]:
    return [a.status for a in world.message.attempts]
