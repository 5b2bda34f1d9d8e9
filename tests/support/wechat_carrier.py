"""The other side of WeChat's wire: an account's API that answers as told and keeps what it was asked."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

import msgspec
from aiohttp import web

from gateway.channels.base import Outbound, Rendered, WeChatTemplate
from gateway.message import Attempt
from gateway.settings_types import Secret, WeChatSettings

NOW = 1_795_327_932_000
OPENID = "oFan0000000000000000000000a1"
SECRET = "app-secret-never-to-be-seen"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
TEMPLATE = WeChatTemplate("tpl-1", {"thing1": "Διακοπή", "time2": "18:00"}, "https://gw.example/m/x")
HANG = "hang"


class WeChat:
    """A WeChat that answers as told: `script` holds JSON bodies, raw texts, (status, text), or HANG; empty: errcode 0."""

    def __init__(self) -> None:
        self.script: deque[Any] = deque()
        self.token_script: deque[Any] = deque()
        self.sent: list[dict[str, Any]] = []
        self.used: list[str] = []
        self.token_asks: list[dict[str, Any]] = []
        self.current = "token-1"
        self.lasts = 7200
        self.release = asyncio.Event()
        self.app = web.Application()
        self.app.add_routes(
            [
                web.post("/cgi-bin/stable_token", self.stable_token),
                web.post("/cgi-bin/message/{kind}/send", self.send),
            ]
        )

    async def stable_token(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.token_asks.append(asked)
        if self.token_script:
            return await self._say(self.token_script.popleft())
        if asked["force_refresh"]:
            self.current = f"token-{len(self.token_asks)}-forced"
        return await self._say({"access_token": self.current, "expires_in": self.lasts})

    async def send(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=dict[str, Any])
        self.sent.append(body | {"kind": request.match_info["kind"]})
        self.used.append(request.query["access_token"])
        if request.query["access_token"] != self.current:
            return await self._say({"errcode": 40001, "errmsg": "invalid credential rid: 1"})
        if self.script:
            return await self._say(self.script.popleft())
        return await self._say({"errcode": 0, "errmsg": "ok", "msgid": 200163836 + len(self.sent)})

    async def _say(self, told: Any) -> web.Response:
        if told == HANG:
            await self.release.wait()
            told = (500, "too late")
        status, text = cast("tuple[int, Any]", told) if isinstance(told, tuple) else (200, told)
        body = text if isinstance(text, str) else msgspec.json.encode(text).decode()
        headers = {"Retry-After": "7"} if status == 429 else {}
        return web.Response(status=status, text=body, content_type="text/plain", headers=headers)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def account(base: str, *, aes: bool = False) -> WeChatSettings:
    return WeChatSettings(
        app_id="wx-app",
        app_secret=Secret(SECRET),
        token=Secret("callback-token"),
        aes_key=Secret(AES_KEY) if aes else None,
        api_base=base,
    )


def outbound(**changes: Any) -> Outbound:
    words = Rendered(language="el", text="Διακοπή ρεύματος έως τις 18:00", wechat=TEMPLATE)
    made = Outbound(
        message="00m-1",
        attempt="a1",
        mode="live",
        round=1,
        token="tok-00m-1-wechat-1",
        to=OPENID,
        category="outage",
        words=words,
        valid_for=3600,
        callback_base="https://gw.example",
    )
    return msgspec.structs.replace(made, **changes)


def attempt(started: int = NOW) -> Attempt:
    return Attempt(id="a1", channel="wechat", address=OPENID, times={"started": started})
