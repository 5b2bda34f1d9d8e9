"""Limits on texts and calls, against toll fraud: counted before an attempt begins, handed back if it doesn't.

Counters live where their keys do, so one attempt may take several; the narrowest comes first. Nothing ever passes a
limit. A use whose attempt was lost with its worker counts all the same, until its day is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from gateway.delivery.metrics import Metrics
from gateway.message import Attempt, Limited, Message
from gateway.numbers import country_of, is_phone_channel
from gateway.settings_types import LimitSettings
from gateway.store import keys
from gateway.store.clock import Clock
from gateway.store.scripts import Scripts

DAY_MS: Final = 86_400_000
LOOK_AGAIN_MS: Final = 60_000
"""What waits for room looks again so much later at the soonest: many may wait for the same one."""
COMPLAIN_S: Final = 60.0

log = structlog.get_logger()


class Counter(msgspec.Struct, frozen=True):
    """One limit as it applies to an attempt: the setting, whose (a prefix, a country, or ""), the key, how many a day."""

    setting: str
    of: str
    key: str
    limit: int


class Limits:
    """The limits of one process on its attempts. `address_key`: the keyed hash of an address."""

    def __init__(
        self,
        settings: LimitSettings,
        scripts: Scripts,
        clock: Clock,
        metrics: Metrics,
        address_key: Callable[[str], str],
    ) -> None:
        self._settings = settings
        self._scripts = scripts
        self._clock = clock
        self._metrics = metrics
        self._address_key = address_key
        self._complained: dict[tuple[str, str], float] = {}

    async def bar(self, message: Message, attempt: Attempt) -> bool:
        """Count an attempt that is about to begin; if there is no room for it, note so in the message: then True."""
        taken: list[Counter] = []
        for counter in self._counters(message, attempt):
            room = await self._scripts.use(counter.key, counter.limit, DAY_MS, _who(message, attempt))
            if room is not None:
                self._tell(message, counter)
                await self._unuse(message, attempt, taken)
                self._note(message, attempt, counter, room)
                return True
            taken.append(counter)
        return False

    async def hand_back(self, message: Message, attempt: Attempt) -> None:
        """The attempt was never sent: it doesn't count."""
        await self._unuse(message, attempt, self._counters(message, attempt))

    async def _unuse(self, message: Message, attempt: Attempt, counters: list[Counter]) -> None:
        for counter in reversed(counters):
            await self._scripts.unuse(counter.key, _who(message, attempt))

    def _note(self, message: Message, attempt: Attempt, counter: Counter, room: int) -> None:
        now = self._clock.now()
        met = Limited(f"{counter.setting} {counter.of}".rstrip(), max(room, now + LOOK_AGAIN_MS))
        known = {value: limited for value, limited in message.limited.items() if limited.until > now}
        message.limited = {**known, attempt.address: met}

    def _tell(self, message: Message, counter: Counter) -> None:
        """Counted each time, logged once a minute for each limit."""
        self._metrics.limited(counter.setting, counter.of)
        now, this = time.monotonic(), (counter.setting, counter.of)
        if now - self._complained.get(this, -COMPLAIN_S) >= COMPLAIN_S:
            self._complained[this] = now
            remedy = "If these are no real customers, find the API key that sends to them; else raise the limit."
            log.warning("limit_reached", setting=counter.setting, of=counter.of, message=message.id, remedy=remedy)

    def _counters(self, message: Message, attempt: Attempt) -> list[Counter]:
        if not self._settings or not is_phone_channel(attempt.channel):
            return []
        value, limits = attempt.address, self._settings
        # Test messages cost nothing; a team's do.
        scope = "test" if message.mode == "test" else "live"
        found: list[Counter] = []
        if limits.per_address_per_day is not None:
            key = keys.address_uses(scope, self._address_key(value))
            found.append(Counter("per_address_per_day", "", key, limits.per_address_per_day))
        if limits.per_customer_per_day is not None:
            key = keys.of_customer(message.customer).uses(scope, message.customer)
            found.append(Counter("per_customer_per_day", "", key, limits.per_customer_per_day))
        prefixes = sorted((p for p in limits.per_prefix_per_day if value.startswith(p)), key=len, reverse=True)
        found += [_counter("per_prefix_per_day", p, scope, limits.per_prefix_per_day[p]) for p in prefixes]
        country = country_of(attempt.channel, value) or "?"
        limit = limits.per_country_per_day.get(country, limits.per_country_per_day.get("*"))
        if limit is not None:
            found.append(_counter("per_country_per_day", country, scope, limit))
        return found


def _counter(setting: str, of: str, scope: str, limit: int) -> Counter:
    return Counter(setting, of, keys.uses(scope, of), limit)


def _who(message: Message, attempt: Attempt) -> str:
    return f"{message.id}:{attempt.mark}"
