"""A provider's request, from signature to answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.channels.base import Callback, Channel, Forged, Reply
from gateway.delivery.inbound import Inbox
from gateway.delivery.receipts import Receipts
from gateway.delivery.sending import Sender
from gateway.message import Mode
from gateway.store.keys import callback_mark
from gateway.store.scripts import Scripts

MARKED_S: Final = 900
"""Longer than a signed time may lie before our clock and after it, taken together."""


class Callbacks:
    """Reads callbacks of one set of channels. What they say is durable before they are answered."""

    def __init__(
        self,
        mode: Mode,
        channels: Mapping[str, Channel],
        receipts: Receipts,
        inbox: Inbox,
        sender: Sender,
        scripts: Scripts,
    ) -> None:
        self._mode: Mode = mode
        self._channels = channels
        self._receipts = receipts
        self._inbox = inbox
        self._sender = sender
        self._pipe = scripts.pipe

    def knows(self, channel: str) -> bool:
        """Whether callbacks of that channel have a reader."""
        return channel in self._channels

    async def handle(self, channel: str, call: Callback) -> Reply:
        """Take in one callback. Raises Forged, Malformed, KeyError for an unknown channel, StoreUnavailable."""
        reading = self._channels[channel].read(call)
        if reading.once is not None:
            await self._check_once(channel, *reading.once)
        await self._receipts.read(channel, reading)
        for inbound in reading.inbound:
            await self._inbox.note(self._mode, inbound)
        spoken = await self._sender.speak(*reading.speaks) if reading.speaks is not None else None
        return reading.respond(spoken)

    async def _check_once(self, channel: str, mark: str, digest: bytes) -> None:
        """Raise Forged for a mark that has come with another body, to whichever process."""
        key = callback_mark(self._mode, channel, mark)
        before = await self._pipe.send("SET", key, digest, "NX", "GET", "EX", MARKED_S)
        if before not in (None, digest):
            raise Forged("a nonce used before with another body")
