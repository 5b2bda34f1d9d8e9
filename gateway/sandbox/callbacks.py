"""Twilio's side of a webhook: signed, with the retries its address asks for.

Connection overrides stand in the fragment of the address (``#rc=3&rp=all``), which is neither sent nor signed
(Twilio: usage/webhooks/webhooks-connection-overrides; security/validating-requests).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Sequence
from urllib.parse import parse_qs, urlencode

import aiohttp
from msgspec import Struct
from yarl import URL

from .clock import Clock
from .world import World

Params = Sequence[tuple[str, str]]

# The names of the retry policy, in words.
FAILURES = {"ct": "no connection", "rt": "no answer in time", "4xx": "refused with 4xx", "5xx": "answered with 5xx"}


def signature(token: str, url: str, params: Params) -> str:
    """``X-Twilio-Signature``: HMAC-SHA1 over the address followed by every name and value, sorted."""
    text = url + "".join(name + value for name, value in sorted(set(params)))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


class Overrides(Struct, frozen=True):
    """Time-outs in milliseconds, the number of retries and what is retried."""

    connect: int = 5000
    read: int = 15000
    count: int = 1
    policy: frozenset[str] = frozenset({"ct"})

    @staticmethod
    def read_from(fragment: str) -> Overrides:
        """Parses a fragment; unknown or bad parts are ignored, as Twilio does."""
        given = {name: values[-1] for name, values in parse_qs(fragment).items()}

        def number(name: str, low: int, high: int, default: int) -> int:
            value = given.get(name, "")
            return min(high, max(low, int(value))) if value.isdecimal() else default

        policy = frozenset(given["rp"].split(",")) if "rp" in given else frozenset({"ct"})
        return Overrides(number("ct", 100, 10000, 5000), number("rt", 100, 15000, 15000), number("rc", 0, 5, 1), policy)

    def retries(self, failure: str) -> bool:
        """Whether a failure of this kind is tried again."""
        return "all" in self.policy or failure in self.policy


class Callbacks:
    """Posts webhooks; a lasting failure becomes a problem in the world's console, as error 11200 does at Twilio."""

    def __init__(self, world: World, clock: Clock, http: aiohttp.ClientSession, auth_token: str) -> None:
        self._world = world
        self._clock = clock
        self._http = http
        self._token = auth_token

    async def send(self, carrier: str, url: str, params: Params, *, method: str = "POST", once: str = "") -> str | None:
        """Calls a webhook and returns the body of its 2xx answer, else None.

        ``once`` is the ``I-Twilio-Idempotency-Token``, the same for every try of one event.
        """
        address, _, fragment = url.partition("#")
        overrides = Overrides.read_from(fragment)
        once = once or str(uuid.uuid4())
        failure = ""
        for attempt in range(overrides.count + 1):
            if attempt:
                await self._clock.sleep(1.0)
            failure, body = await self._try(address, params, method, once, overrides)
            if not failure:
                return body
            if not overrides.retries(failure):
                break
        self._world.problem(
            carrier, f"Callback failed: {FAILURES.get(failure, failure)}, {address.partition('?')[0] or 'no address'}"
        )
        return None

    async def _try(self, url: str, params: Params, method: str, once: str, overrides: Overrides) -> tuple[str, str]:
        headers = {"I-Twilio-Idempotency-Token": once, "User-Agent": "TwilioProxy/1.1", "Accept": "*/*"}
        form: bytes | None = None
        if method.upper() == "GET":
            url += ("&" if "?" in url else "?") + urlencode(params) if params else ""
            headers["X-Twilio-Signature"] = signature(self._token, url, [])
        else:
            headers["X-Twilio-Signature"] = signature(self._token, url, params)
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
            form = urlencode(params).encode()
        timeout = aiohttp.ClientTimeout(
            total=15.0, sock_connect=overrides.connect / 1000, sock_read=overrides.read / 1000
        )
        try:
            async with self._http.request(
                method, URL(url, encoded=True), data=form, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                body = await answer.text(errors="replace")
                return ("" if answer.status < 300 else f"{answer.status // 100}xx"), body
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return "ct", ""
        except (TimeoutError, aiohttp.ClientError, ValueError):
            return "rt", ""
