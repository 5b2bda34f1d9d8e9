"""Copying everything out of Redis while the gateway runs: alone, watched by Sentinels, or a cluster.

No moment is frozen, so the order makes good for it. What others point to is read after what points: answers to
Idempotency-Keys first (the message of each is there, or a repeat makes it), then records, then what is derived from them,
then what is known of addresses, which so is never older than a customer's copy of it. Lines are left out: a restore
makes them from the records. What is true for a moment alone (leases, tokens, the roll of workers) is left out too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

import gateway
from gateway.message import SCHEMA
from gateway.store import keys
from gateway.store.backup_file import Entry, Header, Writer
from gateway.store.connect import server_facts
from gateway.store.scripts import Scripts

_STEP: Final = 1000
_AT_ONCE: Final = 200
_RECORDS: Final = ("m", "c", "i", "e")
_LATER: Final = re.compile(
    r"\{p\d+\}:(m|c|i|e|b|ledger|timeline):.+|\{p\d+\}:line:.+|\{p\d+\}:proof|\{[ai]:.+|\{rate:.+"
    rf"|{re.escape(keys.META)}|{re.escape(keys.WORKERS)}|{re.escape(keys.THROTTLED)}|{re.escape(keys.KEEPER)}"
)
"""What one of the other steps takes, or nobody."""


async def back_up(
    client: Redis, scripts: Scripts, path: Path, wall: Callable[[], int], told: Callable[[int, int], None]
) -> tuple[int, int]:
    """Write a back-up; how many keys and bytes it has. `told`: keys so far, of about how many.

    Raises OSError, StoreUnavailable, RedisError; then no file is left.
    """
    facts = await server_facts(client, wall)
    pepper = await scripts.urgent.send("HGET", keys.META, "pepper")
    version = ".".join(map(str, facts.version))
    about = await count(client)
    header = Header(
        gateway=gateway.__version__,
        schema=SCHEMA,
        partitions=keys.PARTITIONS,
        at=wall() + facts.skew_ms,
        keys=about,
        server=f"{facts.name} {version}",
        pepper=pepper,
    )
    writer = await asyncio.to_thread(Writer, path, header)
    try:
        async for names in _ordered(client):
            for start in range(0, len(names), _AT_ONCE):
                entries = await _dumped(scripts, names[start : start + _AT_ONCE])
                await asyncio.to_thread(writer.add, entries)
                told(writer.keys, about)
        return writer.keys, await asyncio.to_thread(writer.close)
    except BaseException:
        await asyncio.to_thread(writer.abandon)
        raise


async def _ordered(client: Redis) -> AsyncIterator[list[str]]:
    async for page in pages(client, "{i:*"):
        yield page
    for kind in _RECORDS:
        async for page in pages(client, f"{{p*}}:{kind}:*"):
            # What belongs to a record comes right after it, so both are of the same moment, or nearly.
            yield [name for one in page for name in (one, *_beside(one, kind))]
    async for page in pages(client, "*"):
        yield [name for name in page if not _LATER.fullmatch(name)]
    async for page in pages(client, "{a:*"):
        yield page


def _beside(record: str, kind: str) -> Sequence[str]:
    prefix, _, name = record.partition(f":{kind}:")
    return {"m": (f"{prefix}:b:{name}",), "c": (f"{prefix}:ledger:{name}", f"{prefix}:timeline:{name}")}.get(kind, ())


async def _dumped(scripts: Scripts, names: Sequence[str]) -> list[Entry]:
    asked = [command for name in names for command in (("PEXPIRETIME", name), ("DUMP", name))]
    answers = await scripts.pipe.send_all([(command, False) for command in asked])
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    found = zip(names, answers[::2], answers[1::2], strict=True)
    return [(name.encode(errors="surrogateescape"), max(0, ends), value) for name, ends, value in found if value]


async def pages(client: Redis, pattern: str) -> AsyncIterator[list[str]]:
    """The keys that fit a pattern, of every node, in pages; one may come twice. Raises RedisError."""
    server: Any = client  # redis-py's own types are partly unknown
    nodes: list[Any] = server.get_primaries() if hasattr(server, "get_primaries") else [None]
    for node in nodes:
        where: dict[str, Any] = {} if node is None else {"target_nodes": node}
        cursor: Any = 0
        while True:
            found, names = await server.scan(cursor=cursor, match=pattern, count=_STEP, **where)
            cursor = found if node is None else found[node.name]
            if names:
                yield [name.decode(errors="surrogateescape") for name in names]
            if not cursor:
                break


async def count(client: Redis) -> int:
    """How many keys there are, on all nodes. Raises RedisError."""
    server: Any = client  # redis-py's own types are partly unknown
    return int(await server.dbsize())
