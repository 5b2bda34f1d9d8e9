"""Providers driven by a seed: they take, refuse, hang, lose answers, and tell the truth late, twice, early or never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from gateway.channels.base import Absent, Accepted, Callback, Outbound, Reading, Refused, Unknown
from gateway.message import Attempt, Fault, Level, Receipt
from gateway.routing.retry import REMEDIES
from gateway.routing.traits import Traits
from tests.simulation.watched import Watched
from tests.support.virtual import VirtualLoop

Answer = Accepted | Refused | Unknown
LOUD: Final = frozenset((Fault.THROTTLED, Fault.UNAVAILABLE, Fault.NOT_TAKEN)) | {
    f for f, r in REMEDIES.items() if r.shuts
}
"""Faults after which the channel rests or the attempt is repeated."""
QUIET: Final = tuple(sorted(set(Fault) - LOUD))
LEVELS: Final[dict[str, tuple[Level, ...]]] = {
    "sms": ("accepted", "delivered", "read", "acknowledged"),
    "email": ("accepted", "read", "acknowledged"),
    "wechat": ("accepted", "delivered", "read", "acknowledged"),
    "voice": ("accepted", "delivered", "read", "acknowledged"),
}


class Habits(msgspec.Struct, kw_only=True):
    """How carriers behave, as probabilities. `loud`: whether faults that shut a channel happen at all."""

    refuses: float = 0.15
    loud: bool = True
    vanishes: float = 0.05
    unheard: float = 0.05
    silent: float = 0.2
    contradicts: float = 0.1
    repeats: float = 0.2
    slow: float = 0.3


class Copy(msgspec.Struct, frozen=True):
    """What a provider has taken."""

    message: str
    attempt: str
    channel: str
    to: str
    round: int


class Carriers:
    """All providers of a storm. `post`: brings a callback (channel, body) to the gateway."""

    def __init__(
        self,
        loop: VirtualLoop,
        random: Random,
        habits: Habits,
        store: Watched,
        post: Callable[[str, bytes], None],
    ) -> None:
        self.loop = loop
        self.random = random
        self.habits = habits
        self.store = store
        self.post = post
        self.taken: list[Copy] = []
        self.handed: list[tuple[str, str]] = []
        self.refused: dict[tuple[str, str], Fault] = {}
        self.readings: dict[bytes, Reading] = {}
        # Calls cost most: whoever counts them asks the store all the time.
        without = "voice" if random.random() < 0.5 else ""
        self.channels = {name: Line(name, self) for name in LEVELS if name != without}

    def receive(self, out: Outbound, channel: str, number: str, answer: asyncio.Future[Answer]) -> None:
        """A request comes in, whatever has become of its sender."""
        self.handed.append((out.message, out.attempt))
        dice, h = self.random.random(), self.habits
        if dice < h.vanishes:
            self._say(channel, out, "vanished")
            return
        if dice < h.vanishes + h.refuses:
            faults = QUIET + tuple(sorted(LOUD)) * 2 if h.loud else QUIET
            fault = self.random.choice(faults)
            self.refused[out.message, out.attempt] = fault
            self._say(channel, out, f"refused:{fault}")
            retry = self.random.choice((None, 1, 3)) if fault is Fault.THROTTLED else None
            self._answer(answer, Refused(fault=fault, code="123", retry_after=retry))
            return
        self.taken.append(Copy(out.message, out.attempt, channel, out.to, out.round))
        heard = self.random.random() >= h.unheard
        self._say(channel, out, "taken" if heard else "taken, answer lost")
        if heard:
            self._answer(answer, Accepted(provider_id=number))
        self._tell(out, channel, number)

    def _say(self, channel: str, out: Outbound, outcome: str) -> None:
        self.store.note_down(channel, "provider", f"{out.message}/{out.attempt}", outcome)

    def _answer(self, answer: asyncio.Future[Answer], outcome: Answer) -> None:
        def arrive() -> None:
            if not answer.done():
                answer.set_result(outcome)

        self.loop.call_later(self.random.random() * self.habits.slow, arrive)

    def _tell(self, out: Outbound, channel: str, number: str) -> None:
        """Plan the receipts of a copy: some, in some order, some of them twice."""
        h, told = self.habits, list[Receipt]()
        if self.random.random() < h.silent:
            return
        news = [Receipt(attempt=out.attempt, at=1, status="sent")]
        ok = Receipt(attempt=out.attempt, at=1, status="delivered")
        bad = Receipt(attempt=out.attempt, at=1, status="failed", fault=self.random.choice(QUIET))
        if channel == "voice":
            ok = Receipt(attempt=out.attempt, at=1, answered_by="human", heard=True, ended=True)
            bad = Receipt(attempt=out.attempt, at=1, status="failed", fault=Fault.NO_ANSWER, ended=True)
        if channel != "email":
            news.append(ok if self.random.random() < 0.75 else bad)
        if self.random.random() < h.contradicts:
            news += [bad, ok] if channel != "email" else [bad]
        if self.random.random() < 0.1:
            news.append(Receipt(attempt=out.attempt, at=1, engagement="read"))
        for receipt in news:
            told += [receipt] * (1 + (self.random.random() < h.repeats))
        self.random.shuffle(told)
        for receipt in told:
            after = self.random.choice((0.0, 0.05, 1.0, 4.0, 12.0)) * self.random.random()
            self.loop.call_later(after, self._send_news, channel, out.message, number, receipt)

    def _send_news(self, channel: str, message: str, number: str, receipt: Receipt) -> None:
        dated = msgspec.structs.replace(receipt, at=self.loop.server_ms())
        body = b"%d" % len(self.readings)
        if channel == "wechat":
            anonymous = msgspec.structs.replace(dated, attempt="")
            self.readings[body] = Reading(by_provider_id=((number, anonymous),))
        else:
            self.readings[body] = Reading(receipts=((message, dated),))
        self.post(channel, body)


class Line:
    """One provider as the gateway's channel."""

    def __init__(self, name: str, carriers: Carriers) -> None:
        self.name = name
        self._carriers = carriers
        self.traits = Traits(
            proves=frozenset(LEVELS[name]),
            timeout=2.0,
            finds=name == "sms",
            recalls=name == "voice",
            rings=6 if name == "voice" else 0,
        )

    async def send(self, out: Outbound) -> Answer:
        """Hand it over; the answer may never come."""
        carriers = self._carriers
        number = f"{self.name}-{len(carriers.handed)}-{out.message[-4:]}"
        answer: asyncio.Future[Answer] = carriers.loop.create_future()
        carriers.loop.call_later(
            carriers.random.random() * carriers.habits.slow, carriers.receive, out, self.name, number, answer
        )
        try:
            async with asyncio.timeout(self.traits.timeout):
                return await answer
        except TimeoutError:
            return Unknown(detail="no answer in time")

    async def find(self, out: Outbound, attempt: Attempt) -> Accepted | Absent | Unknown:
        """Whether it took the attempt; sometimes it can't say."""
        await asyncio.sleep(self._carriers.random.random() * self._carriers.habits.slow)
        if self._carriers.random.random() < 0.3:
            return Unknown()
        took = any((c.message, c.attempt) == (out.message, attempt.id) for c in self._carriers.taken)
        return Accepted(provider_id=None) if took else Absent()

    async def recall(self, attempt: Attempt) -> None:
        """The call stops ringing."""

    def read(self, call: Callback) -> Reading:
        """What a callback says."""
        return self._carriers.readings[call.body]

    async def close(self) -> None:
        """Nothing is open."""
