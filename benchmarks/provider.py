"""A provider look-alike that costs little: takes Twilio's POST Messages, counts, answers after a delay.

Run as a process: `python -m benchmarks.provider` prints its URL. It sends no callbacks.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from benchmarks.process import serve_forever

_ANSWER: Final = (
    b'{"account_sid":"AC%s","api_version":"2010-04-01","body":"","date_created":"Sun, 22 Nov 2026 08:00:00 +0000",'
    b'"date_sent":null,"date_updated":"Sun, 22 Nov 2026 08:00:00 +0000","direction":"outbound-api","error_code":null,'
    b'"error_message":null,"from":"+15005550006","messaging_service_sid":null,"num_media":"0","num_segments":"1",'
    b'"price":null,"price_unit":"USD","sid":"SM%032x","status":"queued","subresource_uris":{},"to":"","uri":""}'
)
_JSON: Final = {"Content-Type": "application/json"}


class Count(msgspec.Struct):
    """What has arrived since the last reset. Times in ns of the monotonic clock."""

    messages: int = 0
    first: int = 0
    last: int = 0


class Provider:
    """Takes messages."""

    def __init__(self) -> None:
        self._sids = 0
        self._delay = 0.0
        self._keeps = False
        self._count = Count()
        self._kept: list[tuple[int, bytes]] = []

    def app(self) -> web.Application:
        """The provider's own resource, and what the benchmark asks of it."""
        app = web.Application()
        app.router.add_post("/2010-04-01/Accounts/{sid}/Messages.json", self.take)
        app.router.add_post("/reset", self.reset)
        app.router.add_get("/count", self.count)
        app.router.add_get("/arrivals", self.arrivals)
        return app

    async def take(self, request: web.Request) -> web.Response:
        """One message."""
        now = time.monotonic_ns()
        form = await request.read()
        count = self._count
        count.messages += 1
        count.first = count.first or now
        count.last = now
        if self._keeps:
            self._kept.append((now, form))
        if self._delay:
            await asyncio.sleep(self._delay)
        self._sids += 1
        return web.Response(status=201, body=_ANSWER % (b"0" * 32, self._sids), headers=_JSON)

    async def reset(self, request: web.Request) -> web.Response:
        """Begin a new count: `delay` in seconds, `keeps` to remember when each message arrived."""
        asked = msgspec.json.decode(await request.read(), type=dict[str, float])
        self._delay, self._keeps = asked.get("delay", 0.0), bool(asked.get("keeps"))
        self._count, self._kept = Count(), []
        return web.Response()

    async def count(self, _request: web.Request) -> web.Response:
        """The count so far."""
        return web.Response(body=msgspec.json.encode(self._count), headers=_JSON)

    async def arrivals(self, _request: web.Request) -> web.Response:
        """When each text arrived."""
        found = {parse_qs(form.decode())["Body"][0]: at for at, form in self._kept}
        return web.Response(body=msgspec.json.encode(found), headers=_JSON)


if __name__ == "__main__":
    serve_forever(Provider().app())
