"""The doors for providers: read their request untouched, let the channel verify it, answer what the channel says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import structlog
from aiohttp import web

from gateway.channels.base import Callback, Forged, Malformed, Reply
from gateway.web.json_body import read_body
from gateway.web.problems import Problem

LIMIT: Final = 256 * 1024
"""Bytes of a callback; a channel may refuse less."""
SECONDS: Final = 10.0
_log = structlog.get_logger()


class Reader(Protocol):
    """Who takes callbacks in."""

    def knows(self, channel: str) -> bool:
        """Whether callbacks of that channel have a reader."""
        ...

    async def handle(self, channel: str, call: Callback) -> Reply:
        """Take in one callback. Raises Forged, Malformed, StoreUnavailable."""
        ...


class Door:
    """Reads requests for a reader. `base`: the public URL they came by, None where it is the Host they name.

    `reader` is asked for each request, so that the door can stand before its reader does. `now` gives ms.
    """

    def __init__(self, reader: Callable[[], Reader], base: str | None, now: Callable[[], int]) -> None:
        self._reader = reader
        self._base = base
        self._now = now

    async def callback(self, request: web.Request) -> web.Response:
        """One request of a provider. Hostile input is refused with 4xx; a 5xx only says that we could not keep it."""
        reader, channel = self._reader(), request.match_info["channel"]
        if not reader.knows(channel):
            raise Problem("not-found", "There is no such channel here.")
        body = await read_body(request, LIMIT, SECONDS)
        call = Callback(
            method=request.method,
            path=request.match_info.get("tail", ""),
            url=(f"http://{request.host}" if self._base is None else self._base) + request.raw_path,
            headers={name.lower(): value for name, value in request.headers.items()},
            query=dict(request.query),
            body=body,
            now=self._now(),
        )
        try:
            return _response(await reader.handle(channel, call))
        except Forged:
            _log.warning("callback_forged", channel=channel)
            raise Problem("forged", "The signature is missing or wrong.") from None
        except Malformed:
            _log.warning("callback_malformed", channel=channel)
            raise Problem("bad-request", "The callback can't be read.") from None

    def routes(self) -> list[web.RouteDef]:
        """GET and POST under `/callbacks/<channel>`."""
        paths = ("/callbacks/{channel:[a-z][a-z0-9_-]*}", "/callbacks/{channel:[a-z][a-z0-9_-]*}/{tail:.*}")
        return [
            *(web.get(path, self.callback, allow_head=False) for path in paths),
            *(web.post(path, self.callback) for path in paths),
        ]


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, text=reply.body, content_type=reply.content_type, charset="utf-8")
