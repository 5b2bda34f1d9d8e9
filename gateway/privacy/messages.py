"""The messages of a person who is erased: ended, told of to their providers, and stripped of whatever names anybody."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog

from gateway.delivery.desk import Desk
from gateway.message import Attempt, Message, Mode, Verdict
from gateway.privacy.certificate import BUDGET_MS, Copy, Erasure
from gateway.privacy.scrubbing import scrubbed
from gateway.store.clock import Clock
from gateway.store.erasing import MODES, Erasing
from gateway.store.ids import place_of
from gateway.store.keys import Partition, line_name
from gateway.store.messages import Loaded

PAGE: Final = 50
"""Messages worked on together."""
TRIES: Final = 20
NO_ID: Final = "no_id"

log = structlog.get_logger()


class MessageEraser:
    """Goes through every message of a person, in all modes."""

    def __init__(self, store: Erasing, desk: Desk, clock: Clock) -> None:
        self._store = store
        self._desk = desk
        self._clock = clock

    async def __call__(self, job: Erasure) -> int | None:
        """Go on: when (ms) to look again, None when no message names the person any more."""
        begun, later = self._clock.now(), list[int]()
        for mode in MODES:
            after = ""
            while page := await self._store.messages(job.id, mode, after, PAGE):
                waits = await asyncio.gather(*(self._message(job, mode, one) for one in page))
                later += [wait for wait in waits if wait is not None]
                after = page[-1]
                if self._clock.now() - begun > BUDGET_MS:
                    return self._clock.now()
        return min(later, default=None)

    async def _message(self, job: Erasure, mode: Mode, message_id: str) -> int | None:
        """Erase what one message says; when (ms) to come back while an attempt is under way."""
        place = place_of(message_id)
        if place is not None:
            wait = await self._erase(job, place[1], message_id)
            if wait is not None:
                return wait
        await self._store.through(job.id, mode, message_id)
        return None

    async def _erase(self, job: Erasure, at: Partition, message_id: str) -> int | None:
        for _ in range(TRIES):
            loaded = await self._load(message_id)
            if loaded is None:
                # Gone, or nobody can read it: then nobody can say what is in it.
                await self._store.scrub(job.id, at, message_id, None, b"")
                return None
            message = loaded.message
            if message.erased:
                return None
            if not message.done and message.category in self._desk.rules.categories:
                # As an operator's cancelling would, so that calls are ended and the outcome is told.
                await self._desk.update(message_id, _cancelled)
                continue
            busy = [one.lease_until for one in message.attempts if one.status == "started"]
            if max(busy, default=0) > self._clock.now():
                return min(max(busy), self._clock.now() + 1_000)
            await self._store.new_copies(job.id, _copies(message))
            if await self._scrub(job, at, loaded) == "ok":
                return None
        return self._clock.now() + 1_000

    async def _load(self, message_id: str) -> Loaded | None:
        try:
            return await self._desk.messages.load(message_id)
        except msgspec.DecodeError:
            log.warning("unreadable_message_erased", message=message_id)
            return None

    async def _scrub(self, job: Erasure, at: Partition, loaded: Loaded) -> str:
        message = loaded.message
        if not message.done:
            message.closing = message.verdict = Verdict(state="cancelled", at=self._clock.now())
        thread = at.thread(message.mode, job.customer or "", message.thread) if message.thread else None
        filed = [at.line(line_name(message.mode, channel), message.lane) for channel in message.turns]
        filed.append(at.index(message.mode, "held"))
        if message.reference is not None:
            filed.append(at.index(message.mode, "reference", message.reference))
        state = msgspec.msgpack.encode(scrubbed(message, job.nobody))
        return await self._store.scrub(job.id, at, message.id, loaded.version, state, thread=thread, filed=filed)


def _cancelled(message: Message, now: int) -> None:
    if message.cancelled_at is None:
        message.cancelled_at = now


def _copies(message: Message) -> dict[str, bytes]:
    """What providers have of a message, by attempt."""
    return {
        f"{message.id}/{one.id}": msgspec.msgpack.encode(_copy(message.mode, one))
        for one in message.attempts
        if one.provider_id is not None or one.status != "failed"
    }


def _copy(mode: Mode, attempt: Attempt) -> Copy:
    if attempt.provider_id is None and attempt.status in ("started", "unknown"):
        text = "The provider's answer was lost: if it has a copy, nobody knows under which id."
        return Copy(mode=mode, channel=attempt.channel, outcome="failed", code=NO_ID, text=text)
    return Copy(mode=mode, channel=attempt.channel, provider_id=attempt.provider_id)
