"""Keeping house: what has outlived its time goes, and what is live but would never be looked at is woken.

Records, contents, answers and counters end by the lifetimes they were given. What can't have one, because many share
it, is tended here by a slow walk through every key: indexes of messages, events, entries of agendas and lines. On its
way the walk sees every record; a live one on no agenda is a bug somewhere, and goes back to work at once.

One worker process of an installation walks at a time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from redis.exceptions import RedisError

from gateway.delivery.metrics import Metrics
from gateway.message import Mode
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.keys import PARTITIONS, THINGS, Partition, partition
from gateway.store.pipe import StoreUnavailable
from gateway.store.upkeep import Upkeep

DAY_MS: Final = 86_400_000
EVENTS_LIVE_MS: Final = 7 * DAY_MS
"""How long events can be fetched; whoever was away for longer replays from the records."""
REST_MS: Final = 60_000
"""Between the end of one walk and the beginning of the next."""
PAUSE_S: Final = 0.025
"""After each step, so that the walk takes at most a few per cent of the server's time."""
LOOK_S: Final = 5.0

_KEY: Final = re.compile(r"\{(?P<tag>p\d+)\}:(?P<kind>[a-z]+)(?::(?P<rest>.+))?")
_INDEX: Final = re.compile(r"(?P<mode>live|team|test):.+")
_RECORDS: Final = frozenset("mie") | THINGS

log = structlog.get_logger()


class Housekeeper:
    """One process's housekeeper. `keep_records` in days; `rest` in ms, `pause` in seconds."""

    def __init__(
        self,
        upkeep: Upkeep,
        customers: Customers,
        clock: Clock,
        metrics: Metrics,
        name: str,
        *,
        keep_records: int,
        rest: int = REST_MS,
        pause: float = PAUSE_S,
    ) -> None:
        self._upkeep = upkeep
        self._customers = customers
        self._clock = clock
        self._metrics = metrics
        self._name = name
        self._keep_records = keep_records * DAY_MS
        self._rest = rest
        self._pause = pause
        self._places: dict[str, Partition] = {p.tag: p for p in map(partition, range(PARTITIONS))}
        self._by_kind: dict[str, Callable[[Partition, str, str], Awaitable[None]]] = {
            "agenda": self._prune,
            "line": self._prune,
            "idx": self._trim,
            "events": self._forget_events,
        }

    async def run(self) -> None:
        """Keep house until cancelled."""
        while True:
            walked = False
            try:
                walked = await self.walk()
            except (StoreUnavailable, RedisError) as away:
                log.warning("redis_unavailable", error=str(away))
            except Exception:  # the house can be untidy for a while; that must not end the work
                log.exception("housekeeping_failed")
            await asyncio.sleep(self._rest / 1000 if walked else LOOK_S)

    async def walk(self) -> bool:
        """Go through every key once, unless somebody does or has just done; whether it was our turn."""
        if not await self._upkeep.claim(self._name, self._rest):
            return False
        async for keys in self._upkeep.pages():
            await asyncio.gather(*map(self._tend, keys))
            await self._breathe()
        self._metrics.kept_house(self._clock.now() / 1000)
        return True

    async def _breathe(self) -> None:
        """Between two steps: leave the server to others for a moment, and say that the walk goes on."""
        await asyncio.sleep(self._pause)
        await self._upkeep.claim(self._name, self._rest)

    async def _tend(self, key: str) -> None:
        match = _KEY.fullmatch(key)
        at = self._places.get(match["tag"]) if match is not None else None
        if match is None or at is None:
            return
        kind, rest = match["kind"], match["rest"] or ""
        tend = self._mend if kind in _RECORDS else self._by_kind.get(kind)
        if tend is None:
            return
        try:
            await tend(at, key, rest)
        except RedisError as refused:
            log.warning("housekeeping_refused", kind=kind, partition=at.number, error=str(refused))

    async def _mend(self, at: Partition, key: str, _rest: str) -> None:
        member = key.removeprefix(at.prefix)
        found = await self._upkeep.mend(at, member)
        if found != "fine":
            log.error("live_record_unattended", member=member, mend=found)
            self._metrics.mended(found, 1)

    async def _prune(self, at: Partition, key: str, rest: str) -> None:
        kind, gone = key.removeprefix(at.prefix).removesuffix(f":{rest}"), 0
        cursor = ""
        while cursor != "0":
            cursor, removed = await self._upkeep.prune(at, key, cursor or "0")
            gone += removed
            if cursor != "0":
                await self._breathe()
        self._metrics.mended(kind, gone)
        if gone:
            log.warning("entries_without_record", kind=kind, name=rest, partition=at.number, removed=gone)

    async def _trim(self, at: Partition, key: str, rest: str) -> None:
        match = _INDEX.fullmatch(rest)
        if match is None:
            if rest == "customers":
                await self._lapse(at)
            elif rest == "health:due":
                await self._look_at_addresses(at)
            return
        mode: Mode = "live" if match["mode"] == "live" else "team" if match["mode"] == "team" else "test"
        before, last = self._clock.now() - self._keep_records, ""
        while True:
            last, removed = await self._upkeep.trim(at, key, mode, last, before)
            self._metrics.outlived("index", removed)
            if not last:
                return
            await self._breathe()

    async def _look_at_addresses(self, at: Partition) -> None:
        """Doubts lapse, and what a crash left half done is done."""
        while (tended := await self._customers.health.tend(at)) > 0:
            self._metrics.outlived("addresses in doubt", tended)
            await self._breathe()

    async def _lapse(self, at: Partition) -> None:
        """One-off recipients go when nobody has addressed them for as long as records are kept."""
        before, last = self._clock.now() - max(self._keep_records, 2 * DAY_MS), ""
        while True:
            names, last = await self._upkeep.one_off(at, last)
            for name in names:
                self._metrics.outlived("recipients", int(await self._customers.lapse(name, before)))
            if not last:
                return
            await self._breathe()

    async def _forget_events(self, at: Partition, _key: str, _rest: str) -> None:
        before = self._clock.now() - min(EVENTS_LIVE_MS, self._keep_records)
        self._metrics.outlived("events", await self._upkeep.forget_events(at, before))
