"""Who is asking: the API key of a request, what it may do, and how fast."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from aiohttp import web

from gateway.store.api_keys import ApiKey, ApiKeys, Scope
from gateway.web.problems import Problem

_BUCKETS_MOST: Final = 10_000


class Rates:
    """A token bucket for each key, in this process: it holds one second's worth, at least one request.

    `clock` gives ms; it may jump, and then nobody gains more than a full bucket.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, key: str, rate: float) -> float:
        """0 when a request may pass now, else the seconds until one may. `rate` in requests per second."""
        now = self._clock()
        most = max(1.0, rate)
        held, at = self._buckets.get(key, (most, now))
        held = min(most, held + max(0, now - at) * rate / 1000)
        passes = held >= 1
        self._buckets[key] = (held - 1 if passes else held, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _BUCKETS_MOST:
            self._buckets.popitem(last=False)
        return 0.0 if passes else (1 - held) / rate


class Auth:
    """Checks the key of a request."""

    def __init__(self, api_keys: ApiKeys, rates: Rates) -> None:
        self._keys = api_keys
        self._rates = rates

    async def principal(self, request: web.Request, *scopes: Scope) -> ApiKey:
        """The key, which has one of `scopes`. Raises Problem: 401, 403, 429; StoreUnavailable."""
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        key = await self._keys.verify(text.strip()) if kind.lower() == "bearer" else None
        if key is None:
            said = "The API key is unknown, revoked or past its end." if text else "There is no API key in the request."
            raise Problem("unauthorized", said, headers={"WWW-Authenticate": 'Bearer realm="gateway"'})
        wait = 0.0 if key.rate is None else self._rates.wait(key.id, key.rate)
        if wait:
            told = str(math.ceil(wait))
            raise Problem(
                "too-many-requests", f"The key may ask {key.rate:g} times a second.", headers={"Retry-After": told}
            )
        if not any(map(key.may, scopes)):
            lacks = "' or '".join(scopes)
            raise Problem("forbidden", f"The key lacks the scope '{lacks}'.")
        return key


def require_live(key: ApiKey) -> None:
    """403 for keys of the modes that can't change customers."""
    if key.mode != "live":
        raise Problem("forbidden", f"A key of mode '{key.mode}' can't change customers: use a live key.")
