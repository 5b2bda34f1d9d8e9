"""The account's menu: kept as WeChat checks it, and shown on the phones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web

from .wechat_wire import answer

BAR = 3
LIST = 5
BAR_BYTES = 16
LIST_BYTES = 60
KEY_BYTES = 128

Body = Callable[[web.Request], Awaitable[dict[str, Any] | web.Response]]


class Menu:
    """``menu/create``, ``menu/get`` and ``menu/delete``. `body` reads a request that needs a token, or refuses it."""

    def __init__(self, body: Body) -> None:
        self.buttons: list[dict[str, Any]] = []
        self._body = body

    def routes(self) -> list[web.RouteDef]:
        """Where it answers."""
        return [web.post("/cgi-bin/menu/create", self.create), web.get("/cgi-bin/menu/delete", self.delete)]

    def entries(self) -> list[dict[str, str]]:
        """What can be pressed: name and key of each."""
        found = [one for button in self.buttons for one in (button.get("sub_button") or [button])]
        return [{"name": one["name"], "key": one["key"]} for one in found if one.get("type") == "click"]

    async def create(self, request: web.Request) -> web.Response:
        """``POST /cgi-bin/menu/create``."""
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        given = body.get("button")
        buttons = cast("list[dict[str, Any]]", given) if isinstance(given, list) else []
        code = fault(buttons)
        if code == 0:
            self.buttons = buttons
        return answer(code)

    async def delete(self, request: web.Request) -> web.Response:
        """``GET /cgi-bin/menu/delete``."""
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        self.buttons = []
        return answer(0)


def fault(buttons: list[dict[str, Any]], *, most: int = BAR, name_bytes: int = BAR_BYTES) -> int:
    """WeChat's code for what is wrong with a list of buttons; 0: nothing."""
    if not 1 <= len(buttons) <= most:
        return 40016
    for button in buttons:
        name = str(button.get("name", ""))
        if not 1 <= len(name.encode()) <= name_bytes:
            return 40018
        below = button.get("sub_button")
        if below:
            code = fault(below, most=LIST, name_bytes=LIST_BYTES) if most == BAR else 40023
            if code:
                return code
        elif button.get("type") == "click":
            if not 1 <= len(str(button.get("key", "")).encode()) <= KEY_BYTES:
                return 40019
        elif button.get("type") != "view" or not str(button.get("url", "")):
            return 40017
    return 0
