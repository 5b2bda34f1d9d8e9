"""The two limits beside which the gateway is measured: an aiohttp handler and an aiohttp client that do nothing else.

Run as a process, `python -m benchmarks.bare` is the handler: it takes a JSON object and answers one.
"""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from benchmarks.http_load import Sample
from benchmarks.process import serve_forever


async def handle(request: web.Request) -> web.Response:
    """The least a handler of JSON can do."""
    asked = msgspec.json.decode(await request.read(), type=dict[str, object])
    body = msgspec.json.encode({"id": "m", "customer": asked.get("customer")})
    return web.Response(status=202, body=body, content_type="application/json")


async def client(url: str, connections: int, seconds: float) -> Sample:
    """A client of aiohttp used well: one parsed URL, body and headers made once, no cookies, no limit of connections."""
    sample = Sample()
    target = URL(f"{url}/2010-04-01/Accounts/AC{'0' * 32}/Messages.json", encoded=True)
    body = urlencode({"To": "+306940000000", "From": "+15005550006", "Body": "A bare message."}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic YmVuY2g6YmVuY2g="}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=connector) as session:
        start = time.monotonic_ns()
        end = start + int(seconds * 1e9)

        async def run() -> None:
            while time.monotonic_ns() < end:
                began = time.monotonic_ns()
                async with session.post(target, data=body, headers=headers) as answer:
                    await answer.read()
                sample.took.append(time.monotonic_ns() - began)
                sample.statuses[answer.status] = sample.statuses.get(answer.status, 0) + 1

        await asyncio.gather(*(run() for _ in range(connections)))
        sample.seconds = (time.monotonic_ns() - start) / 1e9
    return sample


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/", handle)
    serve_forever(app)
