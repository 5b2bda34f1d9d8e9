"""After the storm: does what was promised agree with what happened?"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from gateway.message import Attempt, Message
from gateway.news import final_verdict, level_of
from gateway.routing.fallback import steps_of
from gateway.routing.view import deadline_of
from tests.simulation.sayings import Sayings
from tests.simulation.storm import Storm, storm
from tests.simulation.world import CATEGORIES
from tests.support.virtual import EPOCH_MS

PUNCTUAL_MS: Final = 1_000
UNHURRIED_MS: Final = 15_000
"""How late things may be where providers answer slowly and channels rest."""
AFTER_TROUBLE_MS: Final = 26_000
"""A lease of a decision (10 s), a time-out of the store (5 s), a sweep, and then it once more for the attempt's own."""
_message: Final = msgspec.msgpack.Decoder(Message)


def audit(made: Storm) -> list[str]:
    """Everything that is wrong; empty when all promises were kept."""
    book = _Ledger(made, made.world.store.records())
    found = list(made.world.store.broken)
    for check in (
        book.bugs,
        book.all_ended,
        book.copies,
        book.wishes,
        book.caps,
        book.threads,
        book.verdicts,
        book.punctual,
    ):  # fmt: skip - a list of checks
        found += check()
    return found


def outcome(seed: int) -> tuple[int, int, list[str]]:
    """A storm's seed, how many messages it had, and what was wrong."""
    made = storm(seed)
    return seed, len(made.accepted), audit(made)


class _Ledger:
    def __init__(self, made: Storm, records: dict[str, Message]) -> None:
        self.storm = made
        self.events = made.events
        self.carriers = made.world.carriers
        self.records = records
        self.begun = [
            (place, event, _message.decode(event.state).attempts[-1])
            for place, event in enumerate(self.events)
            if event.what == "begin" and event.outcome == "ok"
        ]

    def bugs(self) -> Iterator[str]:
        """Exceptions that the code took for bugs."""
        for entry in self.storm.said:
            if "exc_info" in entry or entry.get("event") in ("morgue", "work_failed"):
                yield f"a bug was logged: {entry.get('event')} {entry.get('member', '')}"

    def all_ended(self) -> Iterator[str]:
        """G3: whatever was accepted has ended, by its deadline and a bound."""
        now = EPOCH_MS + self.storm.world.loop.ms()
        for key, members in self.storm.world.store.zsets.items():
            if ":agenda:" in key:
                yield f"{key} still holds {sorted(members)}"
        for message_id in self.storm.accepted:
            message = self.records.get(message_id)
            if message is None:
                yield f"{message_id} was accepted and is gone"
            elif not message.done:
                yield f"{message_id} has not ended: {message.status} {message.held}"
            else:
                ended = next(e.at for e in self.events if e.about == message_id and "done" in e.detail.split())
                deadline = deadline_of(message, now) - EPOCH_MS
                late = ended - deadline
                if late > self._allowed(deadline, ended):
                    yield f"{message_id} ended {late} ms after its deadline"

    def _allowed(self, since: int, until: int) -> int:
        """How late something may be that fell due at `since` and happened at `until`, ms since the storm began."""
        # Whatever goes wrong shortly before may have left a lease behind.
        shaken = [at for at in self.storm.world.network.moments if since - AFTER_TROUBLE_MS <= at <= until]
        ends = [min(at, self.storm.healed_ms) - since + AFTER_TROUBLE_MS for at in shaken]
        return max(PUNCTUAL_MS if self.storm.calm else UNHURRIED_MS, *ends, 0)

    def copies(self) -> Iterator[str]:
        """G4: a provider has no more copies than one and those that the record calls unknown or failed."""
        for (message_id, attempt_id), count in Counter(self.carriers.handed).items():
            message = self.records.get(message_id)
            if count > 1:
                yield f"{message_id}/{attempt_id} was handed over {count} times"
            if message is None or message.attempt(attempt_id) is None:
                yield f"{message_id}/{attempt_id} was handed over and is not on record"
        taken = Counter((c.message, c.channel, c.to, c.round) for c in self.carriers.taken)
        for (message_id, channel, to, number), count in taken.items():
            message = self.records.get(message_id)
            attempts = message.attempts if message else []
            step = [a for a in attempts if (a.channel, a.address, a.round) == (channel, to, number)]
            excused = sum("unknown" in a.times or "failed" in a.times for a in step)
            if count > 1 + excused:
                yield f"{message_id} was taken {count} times on {channel}, with {excused} lost or failed"

    def wishes(self) -> Iterator[str]:
        """Nothing begins against a wish that was acknowledged before: STOP, off, moved, cancelled, known."""
        ends: dict[str, str] = {}
        off: dict[tuple[str, str], int] = {}
        left: set[tuple[str, str]] = set()
        sayings = Sayings(self.events, self.storm.wrote)
        attempts = {place: attempt for place, _, attempt in self.begun}
        for place, event in enumerate(self.events):
            if event.what == "told":
                sayings.told(event.about)
            elif (event.what, event.outcome) == ("cancel", "ok") or event.what == "knows":
                ends.setdefault(event.about, event.what)
            elif event.what == "refused":
                off[event.about, event.outcome] = int(event.detail)
            elif event.what == "moved":
                left.add((event.about, event.outcome))
            elif place in attempts:
                attempt, message = attempts[place], self.records.get(event.about)
                if event.about in ends:
                    yield f"{event.about}/{attempt.id} began after {ends[event.about]}"
                if message is None:
                    continue
                if (text := sayings.forbids(message, attempt)) is not None:
                    yield f"{event.about}/{attempt.id} began after {text!r}"
                wish = message.customer, message.category
                if wish in off and not sayings.switched_on(*wish, since=off[wish]):
                    yield f"{event.about}/{attempt.id} began in a category that was switched off"
                # An answer goes to where the text came from, whoever's that is by now.
                if (message.customer, attempt.address) in left and "automatic" not in message.metadata:
                    yield f"{event.about}/{attempt.id} began to an address that was given up"

    def caps(self) -> Iterator[str]:
        """No more messages begin within a window than the cap allows."""
        first: dict[str, int] = {}
        for _, event, _ in self.begun:
            first.setdefault(event.about, event.at)
        uses: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for message_id, at in first.items():
            message = self.records.get(message_id)
            if message is not None:
                uses[message.customer, message.category].append(at)
        for (customer, category), times in uses.items():
            cap = CATEGORIES[category].get("cap", {"survey": {"limit": 1, "window": 2_592_000}}.get(category))
            cap = cap or {"marketing": {"limit": 2, "window": 604_800}}.get(category)
            if cap is None:
                continue
            times.sort()
            for early, late in zip(times, times[cap["limit"] :], strict=False):
                if late - early < cap["window"] * 1000:
                    yield f"{customer} had more than {cap['limit']} of {category} within {cap['window']} s"

    def threads(self) -> Iterator[str]:
        """Once a newer message of a thread has fallen due, no attempt of an older one begins."""
        newest: dict[tuple[str, str], int] = {}
        attempts = {place: attempt for place, _, attempt in self.begun}
        for place, event in enumerate(self.events):
            claims = event.outcome == "ok" and "claims" in event.detail.split()
            if not claims and place not in attempts:
                continue
            message = _message.decode(event.state)
            if message.thread is None:
                continue
            key = message.customer, message.thread
            if claims:
                newest[key] = max(newest.get(key, 0), message.order)
            elif message.order < newest.get(key, 0):
                yield f"{event.about}/{attempts[place].id} began after a newer one of its thread had fallen due"

    def verdicts(self) -> Iterator[str]:
        """G8: what was heard is on record, and the verdict is what the record proves."""
        heard: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for body in self.storm.world.acked:
            for message_id, receipt in self.carriers.readings[body].receipts:
                proves = "delivered" if receipt.heard and receipt.answered_by == "human" else receipt.status
                heard[message_id, receipt.attempt].add("read" if receipt.engagement != "none" else proves)
        taken = {(c.message, c.channel) for c in self.carriers.taken}
        for message_id, message in self.records.items():
            if message.done and message.verdict != final_verdict(message):
                yield f"{message_id} has the verdict {message.verdict}, and the record proves {final_verdict(message)}"
            by = message.verdict.channel
            answered = message.answer is not None  # people answer what they were asked elsewhere, too
            if message.verdict.state == "reached" and by and not answered and (message_id, by) not in taken:
                yield f"{message_id} was reached by {by}, which no provider has taken"
            for attempt in message.attempts:
                yield from self._forgotten(message_id, attempt, heard[message_id, attempt.id])

    @staticmethod
    def _forgotten(message_id: str, attempt: Attempt, heard: set[str]) -> Iterator[str]:
        for what in heard - set(attempt.times) - {"started", "read"}:
            yield f"{message_id}/{attempt.id}: {what} was acknowledged to the provider and is not on record"
        if "read" in heard and level_of(attempt) not in ("read", "acknowledged"):
            yield f"{message_id}/{attempt.id}: read was acknowledged to the provider and is not on record"

    def punctual(self) -> Iterator[str]:
        """G6: a critical message falls back within a second of its time."""
        if not self.storm.calm:
            return
        for message_id, message in self.records.items():
            if message.lane != "critical" or message.reach.mode != "in_turn" or message.reach.step is None:
                continue
            steps = steps_of(message)
            for step, following in itertools.pairwise(steps):
                last = step.attempts[-1]
                if step.channel == "voice" or len(step.attempts) > 1:
                    continue  # a call that rings moves the end of its step
                end = step.began + message.reach.step * 1000
                if last.status == "failed":
                    end = min(end, last.times["failed"])
                late = following.began - end
                if late > self._allowed(end - EPOCH_MS, following.began - EPOCH_MS):
                    yield f"{message_id} fell back from {step.channel} to {following.channel} {late} ms late"
