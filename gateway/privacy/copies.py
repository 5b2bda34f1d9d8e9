"""The copies that providers have of what was sent: each provider is asked to delete its own, for days if need be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog

from gateway.channels.base import CannotErase, Channel, Erased, erase_copy
from gateway.message import Attempt, Mode
from gateway.privacy.certificate import Copy, Erasure
from gateway.store.clock import Clock
from gateway.store.erasing import Erasing

AT_ONCE: Final = 8
ANSWER_S: Final = 10.0
"""How long a provider may take to answer."""
FIRST_REST_MS: Final = 2_000
LONGEST_REST_MS: Final = 6 * 3_600_000
GIVEN_UP_MS: Final = 15 * 86_400_000
"""How long a provider is asked again that can't or won't delete its copy yet."""

log = structlog.get_logger()
_decoder: Final = msgspec.msgpack.Decoder(Copy)


class CopyEraser:
    """Has providers delete their copies. `channels` by mode."""

    def __init__(self, store: Erasing, channels: Mapping[Mode, Mapping[str, Channel]], clock: Clock) -> None:
        self._store = store
        self._channels = channels
        self._clock = clock

    async def __call__(self, job: Erasure) -> int | None:
        """Go on: when (ms) to ask again, None when every provider has deleted its copies or never will."""
        begun, later = self._clock.now(), list[int]()
        due: dict[str, Copy] = {}
        async for name, state in self._store.copies(job.id):
            copy = _decoder.decode(state)
            if copy.outcome != "pending":
                continue
            if copy.due > begun:
                later.append(copy.due)
            elif len(due) < AT_ONCE:
                due[name] = copy
            else:
                later.append(begun)
        if not due:
            return min(later, default=None)
        asked = await asyncio.gather(*(self._ask(job, name, copy) for name, copy in due.items()))
        await self._store.put_copies(job.id, {n: msgspec.msgpack.encode(c) for n, c in zip(due, asked, strict=True)})
        later += [copy.due for copy in asked if copy.outcome == "pending"]
        return min(later, default=None)

    async def _told(self, copy: Copy, attempt: Attempt) -> Erased | CannotErase:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await erase_copy(self._channels[copy.mode].get(copy.channel), attempt)
        except Exception as failed:  # a channel may be somebody else's; one that fails must not hold up the others
            log.exception("erase_failed", channel=copy.channel)
            return CannotErase(reason=f"The channel failed: {type(failed).__name__}.", later=True)

    async def _ask(self, job: Erasure, name: str, copy: Copy) -> Copy:
        attempt = Attempt(
            id=name.partition("/")[2], channel=copy.channel, address="", provider_id=copy.provider_id, status="sent"
        )
        told = await self._told(copy, attempt)
        now, tries = self._clock.now(), copy.tries + 1
        if isinstance(told, Erased):
            return Copy(mode=copy.mode, channel=copy.channel, outcome="erased", tries=tries)
        if not told.later:
            return Copy(
                mode=copy.mode,
                channel=copy.channel,
                outcome="not_possible",
                code=told.code,
                text=told.reason,
                tries=tries,
            )
        if now - job.requested_at > GIVEN_UP_MS:
            # Whoever has to delete it by hand needs the provider's id; it says nothing of the person.
            log.error("provider_copy_not_erased", erasure=job.id, channel=copy.channel, provider_id=copy.provider_id)
            text = f"Given up after 15 days: {told.reason}"
            return Copy(mode=copy.mode, channel=copy.channel, outcome="failed", code=told.code, text=text, tries=tries)
        rest = min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** min(tries - 1, 20))
        return msgspec.structs.replace(copy, code=told.code, text=told.reason, tries=tries, due=now + rest)
