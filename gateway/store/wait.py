"""Waiting at the start for a Redis that may be starting too, so that services may be started in any order.

Safe to repeat: all that is sent is a PING. Once the gateway runs, nothing waits here: then Redis is away, and callers
are told so.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import structlog
from redis.exceptions import AuthenticationError, AuthorizationError
from redis.exceptions import ConnectionError as RedisConnectionError
from tenacity import (
    RetryCallState,
    retry,
    retry_if_exception_type,
    retry_if_not_exception_type,
    wait_exponential,
    wait_random,
)

from gateway.redis_url import parse_redis_url
from gateway.store.connect import connect

START_SECONDS: Final = 30.0

log = structlog.get_logger()


async def wait_for_redis(url: str, stopped: asyncio.Event, seconds: float = START_SECONDS) -> None:
    """Return when the server answers, loading its data included, or soon after `stopped` is set.

    Says once a second in the log what is waited for. Raises ValueError for a bad URL; redis' ConnectionError when
    nothing usable has answered for `seconds`, and at once for a login that is refused.
    """
    where = parse_redis_url(url).where

    def said(state: RetryCallState) -> None:
        failed = None if state.outcome is None else state.outcome.exception()
        log.warning("waiting_for_redis", where=where, waited=round(state.seconds_since_start or 0, 1), why=str(failed))

    async def rest(pause: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), pause)

    def given_up(state: RetryCallState) -> bool:
        return stopped.is_set() or (state.seconds_since_start or 0.0) >= seconds

    @retry(
        # redis counts a refused login among the connections that failed.
        retry=retry_if_exception_type(RedisConnectionError)
        & retry_if_not_exception_type((AuthenticationError, AuthorizationError)),
        wait=wait_exponential(multiplier=0.2, max=0.8) + wait_random(0, 0.4),
        stop=given_up,
        sleep=rest,
        before_sleep=said,
        reraise=True,
    )
    async def ping() -> None:
        client = await connect(url, max_connections=1, name="gateway-start")
        await client.aclose()

    try:
        await ping()
    except RedisConnectionError:
        if not stopped.is_set():
            raise
