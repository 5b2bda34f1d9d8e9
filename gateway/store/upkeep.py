"""What the store needs from time to time: a slow walk through every key, and the mends that it finds to be due.

Each step looks at a bounded number of entries, so none holds the server for more than a few milliseconds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final, Literal

from redis.asyncio import Redis

from gateway.message import LANES, Mode
from gateway.store.customer_records import ONE_OFF
from gateway.store.ids import earliest
from gateway.store.keys import KEEPER, Partition
from gateway.store.lua_source import ALLOW_OOM
from gateway.store.scripts import Scripts

STEP: Final = 100
"""Entries looked at in one step: at worst about 3 ms of the server's time, on a busy machine."""

Mend = Literal["fine", "woken", "buried"]

_CLAIM: Final = """
-- KEYS: 1 claim   ARGV: 1 who 2 lifetime ms
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_MEND: Final = """
-- A live record must be on an agenda, a buried one in the morgue.
-- KEYS: 1 record 2 morgue 3-5 agenda of every lane   ARGV: 1 member 2 reason for a record without a state
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local facts = redis.call('HMGET', KEYS[1], 's', 'd', 'why', 'l')
if facts[2] or redis.call('EXISTS', KEYS[1]) == 0 then return 'fine' end
if facts[3] or not facts[1] then
  if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 'fine' end
  redis.call('HSETNX', KEYS[1], 'why', ARGV[2])
  redis.call('ZADD', KEYS[2], now_ms(), ARGV[1])
  return 'buried'
end
for i = 3, 5 do
  if redis.call('ZSCORE', KEYS[i], ARGV[1]) then return 'fine' end
end
local lanes = {critical = 3, normal = 4, bulk = 5}
redis.call('ZADD', KEYS[lanes[facts[4]] or 3], now_ms(), ARGV[1])
return 'woken'
"""
_PRUNE: Final = """
-- Entries of an agenda, a line or the morgue whose record is gone.
-- KEYS: 1 sorted set   ARGV: 1 what a member's key begins with 2 cursor 3 how many   Returns: {cursor, removed}
local page = redis.call('ZSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local removed = 0
for i = 1, #page[2], 2 do
  if redis.call('EXISTS', ARGV[1] .. page[2][i]) == 0 then
    removed = removed + redis.call('ZREM', KEYS[1], page[2][i])
  end
end
return {page[1], removed}
"""
_TRIM: Final = """
-- Entries of an index of message ids whose record is gone, between two ids.
-- KEYS: 1 index   ARGV: 1 what a record's key begins with 2 from 3 to 4 how many   Returns: {last one seen, removed}
local ids = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[3], 'BYLEX', 'LIMIT', 0, ARGV[4])
local removed = 0
for _, id in ipairs(ids) do
  if redis.call('EXISTS', ARGV[1] .. id) == 0 then removed = removed + redis.call('ZREM', KEYS[1], id) end
end
return {#ids == tonumber(ARGV[4]) and ids[#ids] or '', removed}
"""


class Upkeep:
    """Mends of the store, each safe to do twice and by two at once. All raise StoreUnavailable or RedisError."""

    def __init__(self, client: Redis, scripts: Scripts) -> None:
        self._client: Any = client  # redis-py's own types are partly unknown
        self._pipe = scripts.pipe
        self._shas = {body: self._pipe.remember(ALLOW_OOM + body) for body in (_CLAIM, _MEND, _PRUNE, _TRIM)}

    async def claim(self, who: str, lasts: int) -> bool:
        """Take or renew the right to keep house, for `lasts` ms; False while somebody else has it."""
        return bool(await self._run(_CLAIM, [KEEPER], [who, lasts]))

    async def pages(self) -> AsyncGenerator[list[str]]:
        """Every key, in pages; what is added or goes meanwhile may be missed."""
        nodes: list[Any] = self._client.get_primaries() if hasattr(self._client, "get_primaries") else [None]
        for node in nodes:
            more: dict[str, Any] = {} if node is None else {"target_nodes": node}
            cursor = 0
            while True:
                # A cluster's client gives the cursor of each node it asked: here of one.
                found, keys = await self._client.scan(cursor=cursor, count=STEP, **more)
                cursor = found if node is None else found[node.name]
                yield [key.decode(errors="replace") for key in keys]
                if not cursor:
                    break

    async def mend(self, at: Partition, member: str) -> Mend:
        """Put a live record that nothing would wake on its agenda, and a broken one into the morgue."""
        keys = [at.member(member), at.morgue, *map(at.agenda, LANES)]
        answer: bytes = await self._run(_MEND, keys, [member, "The record has lost its state."])
        return "woken" if answer == b"woken" else "buried" if answer == b"buried" else "fine"

    async def prune(self, at: Partition, key: str, cursor: str) -> tuple[str, int]:
        """Remove entries of an agenda or a line whose record is gone: where to go on ("0": done), and how many went."""
        found, removed = await self._run(_PRUNE, [key], [at.prefix, cursor, STEP])
        return found.decode(), int(removed)

    async def trim(self, at: Partition, key: str, mode: Mode, after: str, before: int) -> tuple[str, int]:
        """Remove ids made before a time (ms) whose record is gone: where to go on ("": done), and how many went."""
        low = f"({after}" if after else "-"
        last, removed = await self._run(_TRIM, [key], [at.message(""), low, f"({earliest(mode, before)}", STEP])
        return last.decode(), int(removed)

    async def one_off(self, at: Partition, after: str) -> tuple[list[str], str]:
        """A page of the one-off recipients of a partition, and where to go on ("": done)."""
        low = f"({after}" if after else f"[{ONE_OFF}"
        found = await self._pipe.send(
            "ZRANGE", at.customers, low, f"({chr(ord(ONE_OFF) + 1)}", "BYLEX", "LIMIT", 0, STEP
        )
        names = [name.decode() for name in found]
        return names, names[-1] if len(names) == STEP else ""

    async def forget_events(self, at: Partition, before: int) -> int:
        """Remove events older than a time (ms); how many went."""
        return int(await self._pipe.send("XTRIM", at.events, "MINID", max(0, before)))

    async def _run(self, body: str, keys: list[str], args: list[Any]) -> Any:
        return await self._pipe.send("EVALSHA", self._shas[body], len(keys), *keys, *args)
