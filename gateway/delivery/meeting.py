"""Where a provider's id meets our attempt, whichever comes first.

Some providers' callbacks carry nothing of ours but the id they gave the message, and may even come before we have
heard that id ourselves. Each side writes its own key first and reads the other's afterwards, so however they overtake
each other at least one of them sees both. News that both see is absorbed twice, which changes nothing.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from gateway.message import Receipt
from gateway.store.keys import early_news, provider_id
from gateway.store.scripts import Scripts

ORPHANS_LIVE_S: Final = 600
KNOWN_LIVE_S: Final = 3 * 86400


class Note(msgspec.Struct, frozen=True):
    """Whose a provider's id is."""

    message: str
    attempt: str


_encode = msgspec.msgpack.encode


class Meeting:
    """Introduces provider ids to attempts."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def introduce(self, channel: str, number: str, message: str, attempt: str) -> list[Receipt | None]:
        """Say whose id this is; news that came before is returned."""
        send = self._scripts.urgent.send
        await send("SET", provider_id(channel, number), _encode(Note(message, attempt)), "EX", KNOWN_LIVE_S)
        early: list[bytes] = await send("LRANGE", early_news(channel, number), 0, -1)
        return [msgspec.structs.replace(msgspec.msgpack.decode(r, type=Receipt), attempt=attempt) for r in early]

    async def whose(self, channel: str, number: str, news: Receipt) -> tuple[str, Receipt] | None:
        """The message that news under a provider's id belongs to; None: not known yet, the news is kept for ten minutes."""
        send, known, early = self._scripts.urgent.send, provider_id(channel, number), early_news(channel, number)
        raw = await send("GET", known)
        if raw is None:
            # Asked for together, so they leave together: no list without a lifetime, and the look comes last.
            *_, raw = await asyncio.gather(
                send("RPUSH", early, _encode(news)), send("EXPIRE", early, ORPHANS_LIVE_S), send("GET", known)
            )
        if raw is None:
            return None
        note = msgspec.msgpack.decode(raw, type=Note)
        return note.message, msgspec.structs.replace(news, attempt=note.attempt)
