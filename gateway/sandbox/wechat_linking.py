"""How WeChat's look-alike tells an account who somebody is: QR codes with a scene, and the sign-in of web pages.

The sign-in page asks who holds the phone, since a browser here belongs to nobody; with `openid` in its query it doesn't.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from aiohttp import web
from msgspec import Struct

from .behaviour import Behaviour
from .clock import Clock
from .wechat_wire import answer
from .world import World

Body = Callable[[web.Request], Awaitable[dict[str, Any] | web.Response]]
MOST = 10_000
CODE_MS = 300_000
LONGEST_S = 2_592_000
PEOPLE = 50


class Scene(Struct):
    """What a code stands for; ``until`` in milliseconds, None for a lasting one."""

    text: str
    until: int | None


class Code(Struct):
    """A sign-in that the account may ask about once; ``until`` in milliseconds."""

    openid: str
    until: int
    used: bool = False


class Linking:
    """The endpoints. ``body`` reads a request that needs an access token."""

    def __init__(
        self, body: Body, world: World, behaviour: Behaviour, clock: Clock, *, app_id: str, secret: str
    ) -> None:
        self._body = body
        self._world = world
        self._behaviour = behaviour
        self._clock = clock
        self._app_id = app_id
        self._secret = secret
        self._scenes: OrderedDict[str, Scene] = OrderedDict()
        self._codes: OrderedDict[str, Code] = OrderedDict()

    def routes(self) -> list[web.RouteDef]:
        """The routes of codes and sign-ins."""
        return [
            web.post("/cgi-bin/qrcode/create", self.qrcode_create),
            web.get("/connect/oauth2/authorize", self.authorize),
            web.get("/sns/oauth2/access_token", self.access_token),
        ]

    async def qrcode_create(self, request: web.Request) -> web.Response:
        """``POST /cgi-bin/qrcode/create`` for a string scene of 1 to 64 characters."""
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        info = cast("dict[str, Any]", body.get("action_info") or {})
        scene = str(cast("dict[str, Any]", info.get("scene") or {}).get("scene_str", ""))
        kind, seconds = body.get("action_name"), body.get("expire_seconds", 60)
        if kind not in ("QR_STR_SCENE", "QR_LIMIT_STR_SCENE") or not 1 <= len(scene) <= 64:
            return answer(47003)
        if not isinstance(seconds, int) or not 1 <= seconds <= LONGEST_S:
            return answer(47003)
        lasting = kind == "QR_LIMIT_STR_SCENE"
        ticket = f"gQ{self._behaviour.random.getrandbits(256):064x}"
        url = f"http://weixin.qq.com/q/{ticket[:20]}"
        self._scenes[ticket] = self._scenes[url] = Scene(scene, None if lasting else self._clock.now() + seconds * 1000)
        while len(self._scenes) > MOST:
            self._scenes.popitem(last=False)
        more: dict[str, Any] = {"ticket": ticket, "url": url}
        if not lasting:
            more["expire_seconds"] = seconds
        return web.Response(text=json.dumps(more), content_type="text/plain")

    def scene_of(self, seen: str) -> str:
        """What a scanned code tells the account: by its ticket or by what it holds; "" when its time is over."""
        scene = self._scenes.get(seen)
        if scene is None:
            return seen
        return scene.text if scene.until is None or scene.until > self._clock.now() else ""

    async def authorize(self, request: web.Request) -> web.Response:
        """``GET /connect/oauth2/authorize`` with the scope ``snsapi_base``: back to the account's page with a code."""
        asked = request.query
        back, state = asked.get("redirect_uri", ""), asked.get("state", "")
        fits = asked.get("appid") == self._app_id and asked.get("response_type") == "code"
        if not fits or asked.get("scope") != "snsapi_base" or urlsplit(back).scheme not in ("http", "https"):
            return web.Response(status=400, text="Wrong parameters")
        if not (state.isascii() and (state.isalnum() or not state) and len(state) <= 128):
            return web.Response(status=400, text="state is not of letters and digits")
        openid = asked.get("openid")
        if openid is None:
            return self._asks(request)
        code = f"{self._behaviour.random.getrandbits(160):040x}"
        self._codes[code] = Code(openid, self._clock.now() + CODE_MS)
        if len(self._codes) > MOST:
            self._codes.popitem(last=False)
        mark = "&" if urlsplit(back).query else "?"
        raise web.HTTPFound(back + mark + urlencode({"code": code, "state": state}))

    def _asks(self, request: web.Request) -> web.Response:
        people = [device.person for device in self._world.devices.values() if device.person.openid]
        links = "".join(
            f'<li><a href="{escape(str(request.rel_url.update_query(openid=one.openid)))}">{escape(one.name)}</a></li>'
            for one in people[-PEOPLE:]
        )
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
            f"<title>WeChat sandbox</title><h1>Whose WeChat is this?</h1><ul>{links}</ul></html>"
        )
        return web.Response(text=page, content_type="text/html")

    async def access_token(self, request: web.Request) -> web.Response:
        """``GET /sns/oauth2/access_token``: whom a code stands for, told once."""
        asked = request.query
        if asked.get("appid") != self._app_id:
            return answer(40013)
        if asked.get("secret") != self._secret:
            return answer(40125)
        if asked.get("grant_type") != "authorization_code":
            return answer(40002)
        code = self._codes.get(asked.get("code", ""))
        if code is None or code.until <= self._clock.now():
            return answer(40029)
        if code.used:
            return answer(40163)
        code.used = True
        token = f"{self._behaviour.random.getrandbits(256):064x}"
        told = {"access_token": token, "expires_in": 7200, "openid": code.openid, "scope": "snsapi_base"}
        return web.Response(text=json.dumps(told), content_type="text/plain")
