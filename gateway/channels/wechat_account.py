"""How a person and their openid find each other: a QR code that names an invitation, and a sign-in inside WeChat.

WeChat: "Generate parametric QR code" (qrcode/create), "Web page authorisation" (OAuth 2.0, scope snsapi_base).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode, urlsplit

import aiohttp
import structlog

from gateway.channels.wechat_client import Client, NoTokenError, read_fields
from gateway.channels.wechat_token import TokenRefusedError
from gateway.settings_types import WeChatSettings

_TIMEOUT: Final = aiohttp.ClientTimeout(total=8.0, sock_connect=4.0)
_AUTHORIZE: Final = "https://open.weixin.qq.com"
_MOST_URL: Final = 512
_MOST_CODE: Final = 256

log = structlog.get_logger()


class NotLinkedError(Exception):
    """WeChat gave no code, or no openid; the text says why and is safe to log."""


class Account:
    """The account's side of linking."""

    def __init__(self, account: WeChatSettings, api: Client, session: aiohttp.ClientSession) -> None:
        self._account = account
        self._base = account.api_base.rstrip("/")
        self._api = api
        self._session = session

    async def qr_code(self, scene: str, seconds: int) -> str:
        """What a QR code has to hold so that a scan tells us `scene`, for so many seconds. Raises NotLinkedError."""
        try:
            answer = await self._api.qrcode.create_scene(scene, seconds)
        except (TokenRefusedError, NoTokenError, aiohttp.ClientError, TimeoutError) as lost:
            raise NotLinkedError(type(lost).__name__) from None
        url = answer.fields.get("url")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")) or len(url) > _MOST_URL:
            log.warning("wechat_gave_no_code", errcode=answer.errcode, status=answer.status)
            raise NotLinkedError(f"errcode {answer.errcode}")
        return url

    def sign_in_url(self, back: str, state: str) -> str:
        """Where WeChat's own browser is sent to learn the openid; WeChat sends it back with `code` and `state`.

        `state`: letters and digits, at most 128.
        """
        asked = {
            "appid": self._account.app_id,
            "redirect_uri": back,
            "response_type": "code",
            "scope": "snsapi_base",
            "state": state,
        }
        # The page stands on a host of its own; whatever stands in for the API stands in for it too.
        real = (urlsplit(self._base).hostname or "").endswith(".weixin.qq.com")
        return f"{_AUTHORIZE if real else self._base}/connect/oauth2/authorize?{urlencode(asked)}#wechat_redirect"

    async def openid_of(self, code: str) -> str:
        """Whom a sign-in's code stands for; it can be asked for once. Raises NotLinkedError."""
        if not code or len(code) > _MOST_CODE:
            raise NotLinkedError("no code")
        asked = {
            "appid": self._account.app_id,
            "secret": str(self._account.app_secret),
            "code": code,
            "grant_type": "authorization_code",
        }
        try:
            async with self._session.get(
                f"{self._base}/sns/oauth2/access_token", params=asked, timeout=_TIMEOUT, allow_redirects=False
            ) as answer:
                fields = read_fields(await answer.read())
        except (aiohttp.ClientError, TimeoutError) as lost:
            raise NotLinkedError(type(lost).__name__) from None
        openid = fields.get("openid")
        if not isinstance(openid, str) or not openid:
            log.info("wechat_code_refused", errcode=fields.get("errcode"))
            raise NotLinkedError(f"errcode {fields.get('errcode')}")
        return openid
