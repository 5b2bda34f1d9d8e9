"""Every Redis key has a TTL or a stated permit: what lives for ever must be meant to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, Final, cast

from redis.asyncio import Redis

# What may stay without a TTL, as a pattern of the whole key, and why.
PERMITS: Final[dict[str, str]] = {
    r"\{meta\}:erasures": "one entry per erasure, trimmed after three years (store.journal)",
    r"\{meta\}:(installation|keys|channels|templates|workers|halted)": "settings of the installation: few, changed by operators",
    r"\{p\d+\}:c:.+": "a customer stays until erased",
    r"\{p\d+\}:ledger:.+": "consent is kept for as long as the customer is",
    r"\{p\d+\}:idx:customers": "one member per customer",
    r"\{p\d+\}:events": "one stream a partition, trimmed by age and size (test_housekeeping)",
    r"\{p\d+\}:(broadcast|outage|survey|case|rule|group):[0-9a-f]{32}": "a thing that operators made, until they remove it",
    r"\{p\d+\}:(rosters|roster:group:.+)": "the people of groups, until these are removed or replaced",
    r"\{p\d+\}:mine:.+": "things that speak of a customer, until erased",
    r"\{p\d+\}:tally:(live|team|test):survey:.+": "what was counted of a survey, until it is removed",
    r"\{p\d+\}:invitation:[0-9a-f]{32}": "an invitation that is still out; when it is over it has a TTL",
    r"\{p\d+\}:list:.+": "things by time, while these are there",
    r"\{a:.+\}:(owners|facts)": "what binds an address outlives its owners",
    r"\{p\d+\}:idx:health:(suspect|suppressed|due)": "one member per address in doubt, until then (test_web_addresses)",
}
# Only until the records they name have gone: with `forgotten=True` housekeeping must have trimmed them away.
KEPT: Final[dict[str, str]] = {
    r"\{p\d+\}:idx:(live|team|test):(all|held|unreached|(customer|reference):[0-9a-f]{32})": "an index of records",
}
# Only while the thing is live: a test that ends everything passes `ended=True` and then these must have a TTL or be gone.
LIVE: Final[dict[str, str]] = {
    r"\{p\d+\}:traces:.+": "what an erasure under way has still to go through",
    r"\{p\d+\}:(run|event):[0-9a-f]{32}": "a run that has still to act, an event that has still to be worked off",
    r"\{p\d+\}:[mie]:.+": "live records have no TTL; the closing commit sets it",
    r"\{p\d+\}:agenda:(critical|normal|bulk)": "an index of live things",
    r"\{p\d+\}:line:.+": "an index of live things, and the morgue",
}


async def leaks(
    client: Redis, *, permits: Iterable[str] = (), ended: bool = False, forgotten: bool = False
) -> list[str]:
    """The keys that will never go and have no permit, sorted.

    `permits`: further patterns, for the whole key. `ended`: nothing is live any more, so records need a TTL as well and
    nothing waits. `forgotten`: every retention has passed too, and the house has been kept: not even an index is left.
    """
    only_for_now = () if forgotten else KEPT if ended else (*KEPT, *LIVE)
    allowed = [re.compile(p) for p in (*PERMITS, *permits, *only_for_now)]
    keys = [cast("bytes", key).decode() async for key in cast("Any", client).scan_iter(count=1000)]
    lasting = [key for key, ttl in zip(keys, await _ttls(client, keys), strict=True) if ttl == -1]
    return sorted(key for key in lasting if not any(pattern.fullmatch(key) for pattern in allowed))


async def _ttls(client: Redis, keys: Collection[str]) -> list[int]:
    async with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.pttl(key)
        return cast("list[int]", await pipe.execute())
