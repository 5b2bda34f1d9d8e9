"""One person in an outage: which message to them is the newest."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.broadcasts.nouns import Broadcast
from gateway.broadcasts.records import message_id
from gateway.broadcasts.service import Broadcasts
from gateway.message import Message
from gateway.outages.board import Board
from gateway.outages.nouns import Outage
from gateway.store.messages import Messages


class Members:
    """Finds it. Methods raise StoreUnavailable."""

    def __init__(self, broadcasts: Broadcasts, board: Board, messages: Messages) -> None:
        self._broadcasts = broadcasts
        self._board = board
        self._messages = messages

    async def sent(self, outage: Outage) -> list[Broadcast]:
        """Its notices, updates and their repeats, the newest first; not the all-clear."""
        parts = [part for part in outage.parts if part.kind != "all_clear"]
        loaded = [await self._broadcasts.load(outage.mode, part.broadcast) for part in parts]
        found = [one for one in loaded if one is not None]
        found += await self._board.all_repeats(outage, outage.created_at)
        return sorted(found, key=lambda one: one.created_at, reverse=True)

    async def newest(self, sent: Sequence[Broadcast], customer: str) -> Message | None:
        """The newest message to a person among those of these broadcasts; None when there is none."""
        ids = [message_id(one, customer) for one in sent]
        loaded = await self._messages.load_many(ids)
        return next((one.message for one in loaded if one is not None and not one.message.erased), None)
