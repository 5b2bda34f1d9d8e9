"""The access token of a WeChat account: one for all processes, kept in Redis.

WeChat's `stable_token` gives everybody the same token while it is valid, and renews it five minutes before its end. One
process asks, the others wait and read. A token that WeChat refuses is renewed only if it is still the stored one:
otherwise somebody else has done it already.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from typing import Any, Final, cast

import aiohttp
import structlog
from redis.asyncio import Redis
from tenacity import retry, retry_if_exception, stop_after_attempt, stop_after_delay, wait_exponential, wait_random

from gateway.settings_types import WeChatSettings

CONNECT_SECONDS: Final = 5.0
REFUSED_TOKEN: Final = frozenset((40001, 40014, 41001, 42001))
"""Error codes that mean: get a newer token, then try once more."""

_EARLY: Final = 300  # seconds; WeChat renews its token that long before the end, and the old one stays valid so long
_LEAST: Final = 30
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0, sock_connect=CONNECT_SECONDS)
_LOCK_MS: Final = 15_000
_PAUSE: Final = 0.05
_BUSY: Final = -1
_RELEASE: Final = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

log = structlog.get_logger()


class TokenRefusedError(Exception):
    """WeChat gives no token; `code` is its error code, None when its answer can't be read."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


def _worth_asking_again(failed: BaseException) -> bool:
    """No connection, a connection that broke, or "system busy"; a time-out has used up its time."""
    if isinstance(failed, TokenRefusedError):
        return failed.code == _BUSY
    return isinstance(failed, aiohttp.ClientConnectionError) and not isinstance(failed, TimeoutError)


class AccessTokens:
    """Gives out the account's token. Raises TokenRefusedError, aiohttp's errors or TimeoutError, and redis's RedisError."""

    def __init__(self, settings: WeChatSettings, session: aiohttp.ClientSession, redis: Redis) -> None:
        account = hashlib.blake2b(f"{settings.api_base} {settings.app_id}".encode(), digest_size=10).hexdigest()
        self._settings = settings
        self._session = session
        self._redis = redis
        self._key = f"{{wechat:{account}}}:token"
        self._lock_key = f"{{wechat:{account}}}:lock"
        self._alone = asyncio.Lock()

    async def get(self) -> str:
        """A token that should be valid."""
        return await self._stored() or await self.newer_than(None)

    async def newer_than(self, refused: str | None) -> str:
        """A token other than the refused one, asked for by one caller of all processes."""
        async with self._alone:
            while True:
                stored = await self._stored()
                if stored is not None and stored != refused:
                    return stored
                mine = secrets.token_hex(8)
                if not await self._redis.set(self._lock_key, mine, nx=True, px=_LOCK_MS):
                    await asyncio.sleep(_PAUSE)
                    continue
                try:
                    stored = await self._stored()
                    if stored is None or stored == refused:
                        stored = await self._renew(refused)
                    return stored
                finally:
                    await cast("Any", self._redis).eval(_RELEASE, 1, self._lock_key, mine)

    async def _stored(self) -> str | None:
        value = await self._redis.get(self._key)
        return value.decode() if isinstance(value, bytes) else value

    async def _renew(self, refused: str | None) -> str:
        token, seconds = await self._current()
        if token == refused:
            # WeChat still holds the refused one for the current one. Forcing is rationed, 20 a day: asked for once.
            token, seconds = await self._ask(force=True)
        await self._redis.set(self._key, token, ex=max(seconds - _EARLY, _LEAST))
        log.info("wechat_token_renewed", lasts=seconds)
        return token

    # Unforced, `stable_token` changes nothing: asking again is safe. The last try ends before the lock does.
    @retry(
        retry=retry_if_exception(_worth_asking_again),
        wait=wait_exponential(multiplier=0.1) + wait_random(0, 0.1),
        stop=stop_after_attempt(3) | stop_after_delay(3),
        reraise=True,
    )
    async def _current(self) -> tuple[str, int]:
        return await self._ask(force=False)

    async def _ask(self, *, force: bool) -> tuple[str, int]:
        body = {
            "grant_type": "client_credential",
            "appid": self._settings.app_id,
            "secret": str(self._settings.app_secret),
            "force_refresh": force,
        }
        url = f"{self._settings.api_base.rstrip('/')}/cgi-bin/stable_token"
        async with self._session.post(url, json=body, timeout=_TIMEOUT, allow_redirects=False) as answer:
            try:
                read = cast("object", json.loads(await answer.read()))
            except (ValueError, RecursionError):
                raise TokenRefusedError(None) from None
        fields = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
        token, seconds, code = fields.get("access_token"), fields.get("expires_in"), fields.get("errcode")
        if isinstance(token, str) and token and isinstance(seconds, int):
            return token, seconds
        raise TokenRefusedError(code if isinstance(code, int) else None)
