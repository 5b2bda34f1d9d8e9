"""Where a provider's id meets our attempt, whichever comes first.

Some providers' callbacks carry nothing of ours but the id they gave the message, and may even come before we have
heard that id ourselves. Both sides leave a note under it; the second one finds the first.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.message import Receipt
from gateway.store.keys import provider_id
from gateway.store.scripts import Scripts

ORPHANS_LIVE_S: Final = 600
KNOWN_LIVE_S: Final = 3 * 86400


class Note(msgspec.Struct, omit_defaults=True):
    """What is known under a provider's id: our attempt, or news that came before it."""

    message: str = ""
    attempt: str = ""
    news: tuple[Receipt, ...] = ()


_encode = msgspec.msgpack.encode


class Meeting:
    """Introduces provider ids to attempts."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def introduce(self, channel: str, number: str, message: str, attempt: str) -> list[Receipt | None]:
        """Say whose id this is; news that came before is returned."""
        raw = await self._scripts.urgent.send(
            "SET", provider_id(channel, number), _encode(Note(message, attempt)), "EX", KNOWN_LIVE_S, "GET"
        )
        if raw is None:
            return []
        early = msgspec.msgpack.decode(raw, type=Note)
        return [msgspec.structs.replace(r, attempt=attempt) for r in early.news]

    async def whose(self, channel: str, number: str, news: Receipt) -> tuple[str, Receipt] | None:
        """The message that news under a provider's id belongs to; None: not known yet, the news is kept for ten minutes."""
        key = provider_id(channel, number)
        raw = await self._scripts.urgent.send(
            "SET", key, _encode(Note(news=(news,))), "EX", ORPHANS_LIVE_S, "NX", "GET"
        )
        if raw is None:
            return None
        note = msgspec.msgpack.decode(raw, type=Note)
        if note.message:
            return note.message, msgspec.structs.replace(news, attempt=note.attempt)
        both = _encode(Note(news=(*note.news, news)))
        swapped = await self._scripts.urgent.send("SET", key, both, "EX", ORPHANS_LIVE_S, "GET")
        late = msgspec.msgpack.decode(swapped, type=Note) if swapped is not None else note
        if late.message:
            await self._scripts.urgent.send("SET", key, swapped, "EX", KNOWN_LIVE_S)
            return late.message, msgspec.structs.replace(news, attempt=late.attempt)
        return None
