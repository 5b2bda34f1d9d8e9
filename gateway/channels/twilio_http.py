"""The way to Twilio: a transport for its SDK over the gateway's own HTTP session.

The SDK's asynchronous client ignores its time-out, repeats POSTs when told to retry, and keeps the answer's headers to itself.
"""

from __future__ import annotations

import base64
import logging
from contextvars import ContextVar
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from yarl import URL

from gateway.channels.base import Deps

_LONGEST_WAIT: Final = 86_400


class Exchange(msgspec.Struct):
    """What the SDK keeps from us of an answer: HTTP status, Retry-After in seconds, Twilio's request id."""

    status: int | None = None
    retry_after: int | None = None
    request_id: str | None = None


exchange: ContextVar[Exchange] = ContextVar("twilio_exchange")
"""The answer to the request that this task made last."""


class Unreadable(Exception):
    """A success status whose body is not the JSON object it should be."""


class PooledClient(AsyncHttpClient):
    """The SDK's way out, over the shared session: own time-outs, own base URL, no repeats, headers kept."""

    def __init__(self, deps: Deps, api_base: str, timeout: aiohttp.ClientTimeout) -> None:
        super().__init__(logging.getLogger("twilio"), is_async=True)
        self._session = deps.session
        self._clock = deps.clock
        self._base = api_base.rstrip("/")
        self._limits = timeout
        self._authorized: tuple[tuple[str, str] | None, str] = (None, "")

    async def request(
        self,
        method: str,
        uri: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the SDK passes its own, ours are set once
        allow_redirects: bool = False,  # noqa: ARG002, FBT001, FBT002 - the SDK's signature; redirects are never followed
    ) -> Response:
        """Send one request, once. Raises aiohttp's errors, and Unreadable for a success without a JSON object."""
        given = dict(headers or {})
        if auth is not None:
            given["Authorization"] = self._authorization(auth)
        form = urlencode(data, doseq=True).encode() if data else None
        target = URL(self._target(uri, params), encoded=True)
        async with self._session.request(
            method, target, data=form, headers=given, timeout=self._limits, allow_redirects=False
        ) as answer:
            exchange.set(self._exchange_of(answer))
            text = await _body(answer)
        if 200 <= answer.status < 300 and method.upper() != "DELETE":
            _require_object(text)
        return Response(answer.status, text, answer.headers)

    def _authorization(self, auth: tuple[str, str]) -> str:
        # An account's credentials don't change, so the last header is the next one.
        if self._authorized[0] != auth:
            self._authorized = auth, "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        return self._authorized[1]

    def _target(self, uri: str, params: dict[str, object] | None) -> str:
        parts = urlsplit(uri)
        query = "&".join(part for part in (parts.query, urlencode(params, doseq=True) if params else "") if part)
        return f"{self._base}{parts.path}" + (f"?{query}" if query else "")

    def _exchange_of(self, answer: aiohttp.ClientResponse) -> Exchange:
        wait = retry_after(answer.headers.get("Retry-After"), self._clock())
        return Exchange(answer.status, wait, answer.headers.get("Twilio-Request-Id"))


async def _body(answer: aiohttp.ClientResponse) -> str:
    try:
        return await answer.text(encoding="utf-8", errors="replace")
    except (aiohttp.ClientError, TimeoutError):
        if 400 <= answer.status < 500:
            return ""  # refused all the same, only without its code
        raise


def _require_object(text: str) -> None:
    try:
        msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):  # the latter for brackets without end
        raise Unreadable from None


def retry_after(value: str | None, now: int) -> int | None:
    """The seconds a `Retry-After` header asks for, given as seconds or as a date (RFC 9110, 10.2.3); at most a day."""
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return min(int(value[:9]), _LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(0, -(-(int(until.timestamp() * 1000) - now) // 1000)), _LONGEST_WAIT)
