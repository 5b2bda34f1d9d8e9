"""Answers to our questions, whichever way they come: found by what they fit, recorded with the message that asked."""

from __future__ import annotations

import msgspec

from gateway.channels.base import Inbound
from gateway.delivery.desk import Desk
from gateway.message import Message, Mode, Receipt
from gateway.news import absorb, final_verdict
from gateway.prompts import Answer, Prompt, read_answer, read_key
from gateway.store.clock import Clock

MOST_CHAINED = 50


class Answers:
    """Finds the question that words answer, and records the answer."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock

    async def asked(self, mode: Mode, inbound: Inbound, customer: str | None) -> list[str]:
        """The messages whose questions the words may answer, those that took an older one's place before it."""
        if inbound.message is not None:
            return await self._newest_of_thread(inbound.message)
        if customer is None:
            return []
        asked = await self._desk.messages.awaiting(mode, customer)
        chains = [await self._newest_of_thread(message_id) for message_id in asked]
        return list(dict.fromkeys(message_id for chain in chains for message_id in chain))

    async def open(self, asked: list[str]) -> bool:
        """Whether a question waits for its answer just now."""
        for message_id in asked:
            loaded = await self._desk.messages.load(message_id)
            message = loaded.message if loaded is not None else None
            if message is None or message.prompt is None or message.superseded_by is not None:
                continue
            if message.answer is None and not closed(message, message.prompt, self._clock.now()):
                return True
        return False

    async def gave(self, inbound: Inbound, ids: list[str], *, late: bool, texts: bool = True) -> bool:
        """Give the words to the first question they fit: of those still open, or of those that have closed.

        `texts` False: questions that any words fit are passed over.
        """
        at = inbound.at or self._clock.now()
        for message_id in ids:
            loaded = await self._desk.messages.load(message_id)
            prompt = loaded.message.prompt if loaded is not None else None
            if loaded is None or prompt is None or closed(loaded.message, prompt, at) is not late:
                continue
            if prompt.kind == "text" and (late or not texts):
                continue  # any words fit it: those of a new conversation, and keywords, too
            value = read_key(prompt, inbound.text) if inbound.kind == "key" else read_answer(prompt, inbound.text)
            if value is not None:
                answer = Answer(value=value, text=inbound.text, channel=inbound.channel, at=at)
                # An attempt's id means something within its own message alone.
                await self.answer(message_id, answer, inbound.attempt if message_id == inbound.message else None)
                return True
        return False

    async def _newest_of_thread(self, message_id: str) -> list[str]:
        """A message and those that took its place since, the newest first."""
        chain = [message_id]
        while len(chain) < MOST_CHAINED:
            loaded = await self._desk.messages.load(chain[0])
            if loaded is None or loaded.message.superseded_by is None:
                break
            chain.insert(0, loaded.message.superseded_by)
        return chain

    async def answer(self, message_id: str, answer: Answer, attempt_id: str | None) -> Message | None:
        """Record an answer: the first counts, later ones are kept beside it. None when the message is gone."""

        def told(message: Message, _now: int) -> None:
            if message.prompt is not None:
                _record(message, message.prompt, answer, attempt_id)

        case = await self._desk.update(message_id, told)
        return case.message if case is not None else None


def closed(message: Message, prompt: Prompt, at: int) -> bool:
    """Whether a question had closed at that time (ms)."""
    return at > message.due_at + prompt.closes_in * 1000


def _record(message: Message, prompt: Prompt, given: Answer, attempt_id: str | None) -> None:
    answer = msgspec.structs.replace(given, late=closed(message, prompt, given.at))
    known = [message.answer, *message.later_answers]
    if answer not in known:
        if message.answer is None:
            message.answer = answer
        else:
            message.later_answers.append(answer)
    attempts = [
        a for a in message.attempts if a.id == attempt_id or (attempt_id is None and a.channel == answer.channel)
    ]
    if attempts:
        engagement = "acknowledged" if prompt.kind == "acknowledge" else "answered"
        absorb(message, Receipt(attempt=attempts[-1].id, at=answer.at, engagement=engagement))
    elif message.acknowledged_at is None:
        message.acknowledged_at = answer.at
        if message.closing is not None:
            message.verdict = final_verdict(message)
