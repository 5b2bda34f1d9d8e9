"""A provider's request, from signature to answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from gateway.channels.base import Callback, Channel, Dialled, Forged, Reading, Reply, Speech
from gateway.delivery.inbound import Inbox
from gateway.delivery.receipts import Receipts
from gateway.delivery.speaking import Speaker
from gateway.message import Mode
from gateway.store.keys import callback_mark
from gateway.store.pipe import StoreUnavailable
from gateway.store.scripts import Scripts

MARKED_S: Final = 900
"""Longer than a signed time may lie before our clock and after it, taken together."""


class Answering(Protocol):
    """Who speaks to people that call our number."""

    async def answer(self, mode: Mode, dialled: Dialled) -> Speech:
        """What somebody on the line hears next; never fails for want of Redis."""
        ...

    def later(self, dialled: Dialled) -> Speech:
        """What they hear when nothing can be done now."""
        ...


class Callbacks:
    """Reads callbacks of one set of channels. What they say is durable before they are answered."""

    def __init__(
        self,
        mode: Mode,
        channels: Mapping[str, Channel],
        receipts: Receipts,
        inbox: Inbox,
        speaker: Speaker,
        scripts: Scripts,
        answering: Answering,
    ) -> None:
        self._mode: Mode = mode
        self._channels = channels
        self._receipts = receipts
        self._inbox = inbox
        self._speaker = speaker
        self._pipe = scripts.pipe
        self._answering = answering

    def knows(self, channel: str) -> bool:
        """Whether callbacks of that channel have a reader."""
        return channel in self._channels

    async def handle(self, channel: str, call: Callback) -> Reply:
        """Take in one callback. Raises Forged, Malformed, KeyError for an unknown channel, StoreUnavailable."""
        reading = self._channels[channel].read(call)
        if reading.once is not None:
            await self._check_once(channel, *reading.once)
        if reading.dialled is not None:
            return reading.speak(await self._talk(reading, reading.dialled))
        await self._receipts.read(channel, reading)
        words: str | None = None
        for inbound in reading.inbound:
            await self._inbox.note(self._mode, inbound)
            words = await self._inbox.at_once(self._mode, inbound) or words
        if words is not None and reading.say is not None:
            return reading.say(words)
        spoken = await self._speaker.speak(*reading.speaks) if reading.speaks is not None else None
        return reading.respond(spoken)

    async def _talk(self, reading: Reading, dialled: Dialled) -> Speech:
        """Whoever waits on the line is always answered: a provider's own words for an error would be all they hear."""
        try:
            for inbound in reading.inbound:
                await self._inbox.note(self._mode, inbound)
        except StoreUnavailable:
            return self._answering.later(dialled)
        return await self._answering.answer(self._mode, dialled)

    async def _check_once(self, channel: str, mark: str, digest: bytes) -> None:
        """Raise Forged for a mark that has come with another body, to whichever process."""
        key = callback_mark(self._mode, channel, mark)
        before = await self._pipe.send("SET", key, digest, "NX", "GET", "EX", MARKED_S)
        if before not in (None, digest):
            raise Forged("a nonce used before with another body")
