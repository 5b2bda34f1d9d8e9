"""Lost answers: providers are asked whether they took an attempt."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.channels.base import Absent, Accepted, Unknown
from gateway.delivery.desk import Case, Desk
from gateway.delivery.gate import Gate
from gateway.delivery.meeting import Meeting
from gateway.delivery.pacing import Switchboard
from gateway.delivery.speaking import Speaker
from gateway.message import Attempt, Fault, Message, Mode, Receipt
from gateway.news import absorb
from gateway.routing.fallback import ABSENT_AFTER_MS
from gateway.routing.view import Next
from gateway.store.clock import Clock


class Asker:
    """Asks providers, and writes down what they say."""

    def __init__(
        self,
        desk: Desk,
        speaker: Speaker,
        boards: Mapping[Mode, Switchboard],
        meeting: Meeting,
        clock: Clock,
        gate: Gate,
    ) -> None:
        self._desk = desk
        self._speaker = speaker
        self._boards = boards
        self._meeting = meeting
        self._clock = clock
        self._gate = gate

    async def ask(self, case: Case, following: Next) -> None:
        """Ask providers whether they took attempts whose answers were lost."""
        found: dict[str, tuple[Accepted | Absent | Unknown, list[Receipt | None]]] = {}
        for attempt_id in following.ask:
            attempt = case.message.attempt(attempt_id)
            post = self._boards[case.message.mode].posts.get(attempt.channel) if attempt is not None else None
            out = await self._speaker.speak(case.message.id, attempt_id)
            if attempt is not None and post is not None and out is not None:
                with self._gate.away():
                    answer = await post.find(out, attempt, self._clock.now())
                found[attempt_id] = await self._recognised(case.message, attempt, answer)

        def told(message: Message, now: int) -> None:
            for attempt_id in following.ask:
                attempt = message.attempt(attempt_id)
                if attempt is not None:
                    answer, early = found.get(attempt_id, (Unknown(), []))
                    _hear_answer(message, attempt, answer, now)
                    for receipt in filter(None, early):
                        absorb(message, receipt)

        await self._desk.settle(case, told)

    async def _recognised(
        self, message: Message, attempt: Attempt, found: Accepted | Absent | Unknown
    ) -> tuple[Accepted | Absent | Unknown, list[Receipt | None]]:
        """An answer, with news that came under its provider id; what turns out to be another attempt's is no answer."""
        if not isinstance(found, Accepted) or found.provider_id is None:
            return found, []
        early = await self._meeting.recognise(attempt.channel, found.provider_id, message.id, attempt.id)
        return (found, early) if early is not None else (Unknown(detail="known as another attempt's"), [])


def _hear_answer(message: Message, attempt: Attempt, found: Accepted | Absent | Unknown, now: int) -> None:
    attempt.asked_at, attempt.asked = now, attempt.asked + 1
    if isinstance(found, Accepted):
        absorb(message, Receipt(attempt=attempt.id, at=now, status=found.status, provider_id=found.provider_id))
    elif isinstance(found, Absent) and now >= attempt.started_at + ABSENT_AFTER_MS:
        absorb(message, Receipt(attempt=attempt.id, at=now, status="failed", fault=Fault.NOT_TAKEN))
