"""Every Redis key has a TTL or a stated permit: what lives for ever must be meant to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, Final, cast

from redis.asyncio import Redis

# What may stay without a TTL, as a pattern of the whole key, and why.
PERMITS: Final[dict[str, str]] = {
    r"\{meta\}:.+": "settings of the installation: few, changed by operators",
    r"\{p\d+\}:c:.+": "a customer stays until erased",
    r"\{p\d+\}:ledger:.+": "consent is kept for as long as the customer is",
    r"\{p\d+\}:timeline:.+": "trimmed by age, and gone with the customer",
    r"\{p\d+\}:idx:customers": "one member per customer",
    r"\{p\d+\}:idx:(live|team|test):.+": "an index of records, trimmed when they end their life",
    r"\{p\d+\}:events": "trimmed by age and size",
    r"\{p\d+\}:agenda:(critical|normal|bulk)": "an index of live things",
    r"\{p\d+\}:line:.+": "an index of live things",
    r"\{a:.+\}:(owners|facts)": "what binds an address outlives its owners",
}
# Only while the thing is live: a test that ends everything passes `ended=True` and then these must have a TTL too.
LIVE: Final[dict[str, str]] = {
    r"\{p\d+\}:[mbiwj]:.+": "live records have no TTL; the closing commit sets it",
}


async def leaks(client: Redis, *, permits: Iterable[str] = (), ended: bool = False) -> list[str]:
    """The keys that will never go and have no permit, sorted.

    `permits`: further patterns, for the whole key. `ended`: nothing is live any more, so records need a TTL as well.
    """
    allowed = [re.compile(p) for p in (*PERMITS, *permits, *(() if ended else LIVE))]
    keys = [cast("bytes", key).decode() async for key in cast("Any", client).scan_iter(count=1000)]
    lasting = [key for key, ttl in zip(keys, await _ttls(client, keys), strict=True) if ttl == -1]
    return sorted(key for key in lasting if not any(pattern.fullmatch(key) for pattern in allowed))


async def _ttls(client: Redis, keys: Collection[str]) -> list[int]:
    async with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.pttl(key)
        return cast("list[int]", await pipe.execute())
