"""A provider's request, from signature to answer."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.channels.base import Callback, Channel, Reply
from gateway.delivery.inbound import Inbox
from gateway.delivery.receipts import Receipts
from gateway.delivery.sending import Sender
from gateway.message import Mode


class Callbacks:
    """Reads callbacks of one set of channels. What they say is durable before they are answered."""

    def __init__(
        self, mode: Mode, channels: Mapping[str, Channel], receipts: Receipts, inbox: Inbox, sender: Sender
    ) -> None:
        self._mode: Mode = mode
        self._channels = channels
        self._receipts = receipts
        self._inbox = inbox
        self._sender = sender

    def knows(self, channel: str) -> bool:
        """Whether callbacks of that channel have a reader."""
        return channel in self._channels

    async def handle(self, channel: str, call: Callback) -> Reply:
        """Take in one callback. Raises Forged, Malformed, KeyError for an unknown channel, StoreUnavailable."""
        reading = self._channels[channel].read(call)
        await self._receipts.read(channel, reading)
        for inbound in reading.inbound:
            await self._inbox.note(self._mode, inbound)
        spoken = await self._sender.speak(*reading.speaks) if reading.speaks is not None else None
        return reading.respond(spoken)
