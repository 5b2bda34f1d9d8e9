"""Where a provider's id meets our attempt, whichever comes first.

Some providers' callbacks carry nothing of ours but the id they gave the message, and may even come before we have
heard that id ourselves. Each side looks and leaves its own word in one step, so whichever comes second sees the other's.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.message import Receipt
from gateway.store.keys import early_news, provider_id
from gateway.store.lua_source import ALLOW_OOM
from gateway.store.scripts import Scripts

ORPHANS_LIVE_S: Final = 600
KNOWN_LIVE_S: Final = 3 * 86400

_INTRODUCE: Final = (
    ALLOW_OOM
    + """-- KEYS: 1 whose the id is 2 early news   ARGV: 1 our note 2 lifetime s 3 '1': only if nobody else has the id
local known = redis.call('GET', KEYS[1])
if ARGV[3] == '1' and known and known ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return redis.call('LRANGE', KEYS[2], 0, -1)
"""
)
_WHOSE: Final = (
    ALLOW_OOM
    + """-- KEYS: 1 whose the id is 2 early news   ARGV: 1 the news 2 lifetime s
local known = redis.call('GET', KEYS[1])
if known then return known end
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return false
"""
)


class Note(msgspec.Struct, frozen=True):
    """Whose a provider's id is."""

    message: str
    attempt: str


_encode = msgspec.msgpack.encode


class Meeting:
    """Introduces provider ids to attempts. All raise StoreUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._pipe = scripts.urgent
        self._shas = {source: self._pipe.remember(source) for source in (_INTRODUCE, _WHOSE)}

    async def introduce(self, channel: str, number: str, message: str, attempt: str) -> list[Receipt | None]:
        """Say whose id this is; news that came before is returned."""
        early: list[bytes] = await self._introduced(channel, number, message, attempt, "")
        return _news(early, attempt)

    async def recognise(self, channel: str, number: str, message: str, attempt: str) -> list[Receipt | None] | None:
        """As `introduce`, for an id that was found by looking: None when it is known to be another attempt's."""
        early: list[bytes] | None = await self._introduced(channel, number, message, attempt, "1")
        return None if early is None else _news(early, attempt)

    async def whose(self, channel: str, number: str, news: Receipt) -> tuple[str, Receipt] | None:
        """The message that news under a provider's id belongs to; None: not known yet, the news is kept for ten minutes."""
        raw: bytes | None = await self._run(_WHOSE, channel, number, [_encode(news), ORPHANS_LIVE_S])
        if raw is None:
            return None
        note = msgspec.msgpack.decode(raw, type=Note)
        return note.message, msgspec.structs.replace(news, attempt=note.attempt)

    async def _introduced(self, channel: str, number: str, message: str, attempt: str, unclaimed: str) -> Any:
        return await self._run(_INTRODUCE, channel, number, [_encode(Note(message, attempt)), KNOWN_LIVE_S, unclaimed])

    async def _run(self, source: str, channel: str, number: str, arguments: list[Any]) -> Any:
        keys = provider_id(channel, number), early_news(channel, number)
        return await self._pipe.send("EVALSHA", self._shas[source], len(keys), *keys, *arguments)


def _news(early: list[bytes], attempt: str) -> list[Receipt | None]:
    return [msgspec.structs.replace(msgspec.msgpack.decode(r, type=Receipt), attempt=attempt) for r in early]
