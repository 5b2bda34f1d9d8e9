"""The phones page's server: static files, live changes as server-sent events, and what visitors do on the phones.

It stands on loopback for demonstrations. Changes need a header that no other site's form can send.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from aiohttp import web

from gateway.sandbox.behaviour import Behaviour, Carrier, State
from gateway.sandbox.clock import Tasks
from gateway.sandbox.items import Mail
from gateway.sandbox.smtp import Mailboxes
from gateway.sandbox.twilio import Twilio
from gateway.sandbox.wechat import WeChat
from gateway.sandbox.world import World

from .actions import Actions
from .views import carriers, detail, summary

STATIC = Path(__file__).parent / "static"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A mail may carry its own styles; scripts, forms and everything fetched from elsewhere stay off.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
SNAPSHOT = 400
BREATH = 0.15

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def phones_app(
    world: World, behaviour: Behaviour, twilio: Twilio, wechat: WeChat, mail: Mailboxes, tasks: Tasks
) -> web.Application:
    """The page as an application of its own."""
    page = _Page(world, behaviour, wechat, Actions(world, twilio, wechat, mail, tasks))
    app = web.Application(middlewares=[_headers], client_max_size=64 * 1024)
    app.add_routes(
        [
            web.get("/", page.index),
            web.get("/api/live", page.live),
            web.get("/api/people/{id}", page.person),
            web.post("/api/people/{id}/{action}", page.act),
            web.post("/api/carriers/{name}", page.switch),
            web.get("/mail/{id}/{mail}", page.mail),
            web.static("/static", STATIC),
        ]
    )
    app.on_shutdown.append(page.close)
    return app


@web.middleware
async def _headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method == "POST" and request.headers.get("X-Phones") != "1":
        raise web.HTTPForbidden(text="The header X-Phones is missing")
    response = await handler(request)
    if not response.prepared:
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-cache"
    return response


class _Page:
    def __init__(self, world: World, behaviour: Behaviour, wechat: WeChat, actions: Actions) -> None:
        self._world = world
        self._behaviour = behaviour
        self._wechat = wechat
        self._actions = actions
        self._streams: set[asyncio.Task[Any]] = set()

    async def close(self, _app: web.Application) -> None:
        """Ends the live streams, which would otherwise hold up the stop."""
        for stream in list(self._streams):
            stream.cancel()

    async def index(self, _request: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html")

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: a snapshot, then what changed, at most a few times a second."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        response.headers["X-Content-Type-Options"] = "nosniff"
        await response.prepare(request)
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._streams.add(task)
        try:
            with self._world.subscribe() as subscription:
                await self._send(response, self._snapshot(), first=True)
                while True:
                    changed = await subscription.next()
                    await self._send(response, changed, first=False)
                    await asyncio.sleep(BREATH)
        except (ConnectionResetError, asyncio.CancelledError):
            return response
        finally:
            self._streams.discard(task)

    def _snapshot(self) -> list[str]:
        devices = list(self._world.devices.values())
        recent = {device.person.id for device in devices[-SNAPSHOT:]}
        return [d.person.id for d in devices if d.introduced or d.person.id in recent]

    async def _send(self, response: web.StreamResponse, ids: list[str], *, first: bool) -> None:
        devices = [self._world.devices[one] for one in ids if one in self._world.devices]
        data = {
            "first": first,
            "now": self._world.clock.now(),
            "people": [summary(device) for device in devices],
            **carriers(self._world, self._behaviour),
        }
        await response.write(b"data: " + msgspec.json.encode(data) + b"\n\n")

    async def person(self, request: web.Request) -> web.Response:
        device = self._world.devices.get(request.match_info["id"])
        if device is None:
            raise web.HTTPNotFound
        return _json({**detail(device), "menu": self._wechat.menu.entries()})

    async def act(self, request: web.Request) -> web.Response:
        device = self._world.devices.get(request.match_info["id"])
        if device is None:
            raise web.HTTPNotFound
        if not self._actions.run(request.match_info["action"], device, await _body(request)):
            raise web.HTTPConflict(text="Not possible now")
        return web.Response(status=204)

    async def switch(self, request: web.Request) -> web.Response:
        try:
            carrier, state = Carrier(request.match_info["name"]), State(str((await _body(request)).get("state")))
        except ValueError:
            raise web.HTTPUnprocessableEntity from None
        self._behaviour.switch(carrier, state)
        return web.Response(status=204)

    async def mail(self, request: web.Request) -> web.Response:
        """A mail's HTML, to be shown in a sandboxed frame; its links open in new tabs."""
        device = self._world.devices.get(request.match_info["id"])
        items = device.items if device else ()
        found = next((i for i in items if isinstance(i, Mail) and i.id == request.match_info["mail"]), None)
        if found is None or not found.html:
            raise web.HTTPNotFound
        page = f'<!doctype html><meta charset="utf-8"><base target="_blank">{found.html}'
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": MAIL_POLICY})


async def _body(request: web.Request) -> Mapping[str, Any]:
    try:
        body = msgspec.json.decode(await request.read() or b"{}")
    except msgspec.DecodeError:
        raise web.HTTPBadRequest(text="Not JSON") from None
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def _json(data: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(data), content_type="application/json")
