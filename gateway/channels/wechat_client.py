"""wechatpy's API classes over aiohttp.

wechatpy's client is synchronous, retries a refused token without end and keeps tokens per process. Its API classes only
build requests and return what `_request` gives them, so a coroutine in its place makes them asynchronous.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, cast

import aiohttp
import msgspec
from redis.exceptions import RedisError
from wechatpy.client.api import WeChatMenu, WeChatMessage, WeChatQRCode
from wechatpy.client.base import BaseWeChatClient

from gateway.channels.wechat_token import CONNECT_SECONDS, REFUSED_TOKEN, AccessTokens


class NoTokenError(Exception):
    """No access token could be had, so nothing was sent."""


class ApiAnswer(msgspec.Struct, frozen=True):
    """What the API said: `errcode` 0 for success, None when the body is no such answer; `status` and header of HTTP.

    `fields`: the whole body, where it is a JSON object.
    """

    status: int
    errcode: int | None
    msgid: str | None = None
    retry_after: int | None = None
    fields: Mapping[str, Any] = {}


class Messages(WeChatMessage):
    """wechatpy's message API, with the one parameter it lacks."""

    async def send_template_once(
        self, openid: str, template_id: str, data: Mapping[str, str], url: str | None, client_msg_id: str
    ) -> ApiAnswer:
        """Send a template message; WeChat sends the same `client_msg_id` to a person once in ten minutes."""
        fields = {name: {"value": value} for name, value in data.items()}
        body = {"touser": openid, "template_id": template_id, "data": fields, "client_msg_id": client_msg_id}
        if url:
            body["url"] = url
        return await cast("Any", self)._post("message/template/send", data=body)  # noqa: SLF001 - how its classes send

    async def send_free_text(self, openid: str, text: str) -> ApiAnswer:
        """Send a customer-service text; only after the person did something."""
        return await cast("Any", self).send_text(openid, text)


class QrCodes(WeChatQRCode):
    """wechatpy's QR API."""

    async def create_scene(self, scene: str, seconds: int) -> ApiAnswer:
        """Ask for a code that tells us `scene` (1 to 64 characters) when it is scanned; good for `seconds` (to 30 days)."""
        body = {
            "expire_seconds": seconds,
            "action_name": "QR_STR_SCENE",
            "action_info": {"scene": {"scene_str": scene}},
        }
        return await cast("Any", self).create(body)


class Client(BaseWeChatClient):
    """An account's API. Calls raise TokenRefusedError and NoTokenError (nothing sent), aiohttp's errors and TimeoutError."""

    message = Messages()
    qrcode = QrCodes()
    menu = WeChatMenu()

    def __init__(self, api_base: str, tokens: AccessTokens, session: aiohttp.ClientSession, timeout: float) -> None:
        """`timeout`: seconds for a whole call, fetching a token included."""
        # The base's constructor makes a requests session and a token store of its own: neither is wanted.
        self.API_BASE_URL = f"{api_base.rstrip('/')}/cgi-bin/"
        self._tokens = tokens
        self._session = session
        self._seconds = timeout

    async def _request(self, method: str, url_or_endpoint: str, **kwargs: Any) -> ApiAnswer:
        """One call with a valid token; a refused token is renewed and the call repeated once."""
        body = json.dumps(kwargs["data"], ensure_ascii=False).encode()
        end = asyncio.get_running_loop().time() + self._seconds
        token = await self._token(end, None)
        answer = await self._call(method, url_or_endpoint, body, token, end)
        if answer.errcode in REFUSED_TOKEN:
            token = await self._token(end, token)
            answer = await self._call(method, url_or_endpoint, body, token, end)
        return answer

    async def _token(self, end: float, refused: str | None) -> str:
        try:
            async with asyncio.timeout_at(end):
                return await (self._tokens.get() if refused is None else self._tokens.newer_than(refused))
        except (aiohttp.ClientError, TimeoutError, RedisError) as lost:
            raise NoTokenError(type(lost).__name__) from None

    async def _call(self, method: str, endpoint: str, body: bytes, token: str, end: float) -> ApiAnswer:
        left = max(end - asyncio.get_running_loop().time(), 0.001)
        async with self._session.request(
            method.upper(),
            self.API_BASE_URL + endpoint,
            params={"access_token": token},
            data=body,
            headers={"Content-Type": "application/json; charset=utf-8"},
            timeout=aiohttp.ClientTimeout(total=left, sock_connect=CONNECT_SECONDS),
            allow_redirects=False,
        ) as answer:
            fields = read_fields(await answer.read())
            msgid = fields.get("msgid")
            errcode = fields.get("errcode", None if msgid is None else 0)
            wait = answer.headers.get("Retry-After", "")
            return ApiAnswer(
                answer.status,
                errcode if isinstance(errcode, int) else None,
                None if msgid is None else str(msgid),
                int(wait) if wait.isdecimal() else None,
                fields,
            )


def read_fields(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer, whatever its content type; WeChat's texts may hold raw control characters."""
    try:
        read = cast("object", json.loads(body, strict=False))
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}
