"""What happens to every request: an id, a limit on how many run at once, and errors turned into problems."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from gateway.store.pipe import StoreUnavailable
from gateway.web.context import REQUEST_ID
from gateway.web.problems import FROM_STATUS, Problem, unavailable

MOST_AT_ONCE: Final = 2_000
HELD_S: Final = 0.5
HELD_PER_SECOND: Final = 1_000
HELD_LAGS: Final = 16
"""Rounds of the event loop they wait besides: a request takes about a dozen, and those let in are to find it free."""
HELD_LONGEST_S: Final = 10.0
HELD_MOST: Final = 8_000
"""More than so many are answered at once: each that waits costs its memory."""
_ALWAYS: Final = frozenset(("/healthz", "/readyz", "/metrics"))
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
_log = structlog.get_logger()


def request_id(given: str | None) -> str:
    """The caller's id of a request if it is harmless, else a new one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


@web.middleware
async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Gives every request its id, in the answer and in every log line, and logs how it ended: what was
    refused on level info, what went well on debug. Outermost.
    """
    name = request_id(request.headers.get("X-Request-Id"))
    request[REQUEST_ID] = name
    began = time.perf_counter()
    with structlog.contextvars.bound_contextvars(request_id=name):
        response = await _answered(request, handler)
        if not response.prepared:
            response.headers["X-Request-Id"] = name
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
            response.headers.setdefault("Cache-Control", "no-store")
            response.headers["Server"] = "gateway"
        _log.info(
            "http_request",
            method=request.method,
            route=_pattern(request),
            status=response.status,
            ms=round((time.perf_counter() - began) * 1000, 1),
        )
    return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except StoreUnavailable as away:
        _log.warning("store_unavailable", route=_pattern(request), detail=type(away).__name__)
        return unavailable("The store can't take this now; nothing has been accepted.").response()
    except web.HTTPException as raised:
        return _translated(request, raised)
    except (HttpProcessingError, web.RequestPayloadError):
        # The parser itself gave up on the body: bad chunks, a broken transfer coding.
        return Problem("bad-request", "The body can't be read: its transfer coding is broken.").response()
    except ConnectionError:
        # The caller went away while its body was read; there is nobody to answer.
        return Problem("bad-request", "The connection broke.").response()
    except Exception:  # noqa: BLE001 - the boundary: a bug becomes an answer, and its traceback a log line
        _log.exception("http_bug", method=request.method, route=_pattern(request))
        return Problem("internal").response()


def _translated(request: web.Request, raised: web.HTTPException) -> web.StreamResponse:
    """The framework's own refusals (no such route, wrong method, body too large) as problems; the rest passes."""
    if raised.status not in FROM_STATUS:
        return raised
    headers = {"Allow": raised.headers["Allow"]} if "Allow" in raised.headers else {}
    detail = {404: f"There is nothing at {request.path[:200]}.", 405: f"{request.method[:20]} can't be used here."}
    return Problem(FROM_STATUS[raised.status], detail.get(raised.status, ""), headers=headers).response()


def _pattern(request: web.Request) -> str:
    """The route as registered: paths themselves hold tokens and ids of customers."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical


async def one_round() -> float:
    """How long (s) one round of the event loop takes now."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(0)
    return loop.time() - began


class Slow:
    """Keeps those waiting who are refused because too much is asked, the longer the more of them there are.

    So a crowd that asks again as soon as it is answered is refused about `HELD_PER_SECOND` times a second at most, and
    costs a part of a core, whatever its size.
    """

    def __init__(
        self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, lag: Callable[[], Awaitable[float]] = one_round
    ) -> None:
        self._sleep = sleep
        self._lag = lag
        self.held = 0

    async def down(self) -> None:
        """Wait."""
        if self.held >= HELD_MOST:
            return
        self.held += 1
        try:
            crowd = self.held / HELD_PER_SECOND
            await self._sleep(min(HELD_LONGEST_S, HELD_S + crowd + HELD_LAGS * await self._lag()))
        finally:
            self.held -= 1


def limited(most: int = MOST_AT_ONCE, slow: Slow | None = None) -> Middleware:
    """Refuses with 503 what comes while `most` requests are under way, so that a flood costs no memory.

    The API counts apart from the doors that need no key, so that strangers who send slowly can't shut it; health is
    always answered.
    """
    running = {"api": 0, "open": 0}
    slow = slow or Slow()

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _ALWAYS:
            return await handler(request)
        group = "api" if request.path.startswith("/v1/") else "open"
        if running[group] >= most:
            return unavailable("Too many requests are under way.", 1).response()
        running[group] += 1
        try:
            return await handler(request)
        except Problem as problem:
            refused = problem
        finally:
            running[group] -= 1
        if refused.slow:
            await slow.down()
        raise refused

    return limit
