"""Looking for what must not be left: through every key of Redis, in every spelling."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

from redis.asyncio import Redis


def spelt(needle: str) -> set[bytes]:
    """A needle as it may stand in a value: plain, in JSON, in a URL, in base64 at each offset."""
    plain = needle.encode()
    found = {plain, json.dumps(needle)[1:-1].encode(), urllib.parse.quote(needle, safe="").encode()}
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + plain)
        cut = whole[4 if offset else 0 : len(whole) // 4 * 4 - 4]
        if len(cut) >= 8:
            found |= {cut, cut.replace(b"+", b"-").replace(b"/", b"_")}
    return found


async def everything(client: Redis) -> AsyncIterator[tuple[bytes, bytes]]:
    """Every key with all that it holds."""
    asked: Any = client
    async for key in asked.scan_iter(count=1000):
        match await asked.type(key):
            case b"string":
                held = await asked.get(key)
            case b"hash":
                held = await asked.hgetall(key)
            case b"zset":
                held = await asked.zrange(key, 0, -1)
            case b"set":
                held = await asked.smembers(key)
            case b"list":
                held = await asked.lrange(key, 0, -1)
            case _:
                held = await asked.xrange(key)
        yield key, b" ".join(flat(held))


def flat(held: Any) -> list[bytes]:
    """All byte strings in a value."""
    if isinstance(held, bytes):
        return [held]
    if isinstance(held, dict):
        return [part for pair in cast("dict[Any, Any]", held).items() for one in pair for part in flat(one)]
    many = isinstance(held, list | tuple | set)
    return [part for one in cast("Iterable[Any]", held) for part in flat(one)] if many else []


async def left(client: Redis, needles: Iterable[str]) -> list[tuple[bytes, str]]:
    """Where a needle is left: the key, and which one."""
    spellings = {needle: spelt(needle) for needle in needles}
    return [
        (key, needle)
        async for key, held in everything(client)
        for needle, ways in spellings.items()
        if any(way.lower() in (key + b" " + held).lower() for way in ways)
    ]
