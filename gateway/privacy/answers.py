"""What was answered to a person's business and is kept for repeats, and codes that are out for them."""

from __future__ import annotations

import functools

from gateway.message import Mode
from gateway.privacy.certificate import Erasure
from gateway.privacy.scrubbing import scrubbed_answer
from gateway.store import keys
from gateway.store.erasing import Erasing
from gateway.store.idempotency import Idempotency


class AnswerEraser:
    """Strips kept answers of the person they speak of; repeats are still recognised, so nothing is made twice."""

    def __init__(self, store: Erasing, idempotency: Idempotency) -> None:
        self._store = store
        self._idempotency = idempotency

    async def __call__(self, job: Erasure) -> int | None:
        """All at once: there are as many as were asked for within a day."""
        redacted = functools.partial(scrubbed_answer, nobody=job.nobody)
        count = 0
        for record in await self._store.handed(job.id, "asked"):
            count += await self._idempotency.redact(record, redacted)
        await self._store.count(job.id, "kept answers", count)
        await self._store.drop_codes(job.id)
        return None

    async def late(self, mode: Mode, key: str, customer: str) -> None:
        """Strip an answer that was just kept if its person went meanwhile: their erasure may be past all answers.

        Whoever goes after this look has the answer handed over, since it was noted before it was kept.
        """
        if await self._store.is_gone(customer):
            redacted = functools.partial(scrubbed_answer, nobody=self._store.nobody(customer))
            await self._idempotency.redact(keys.idempotency(mode, key), redacted)
