"""The doors for providers: read their request untouched, let the channel verify it, answer what the channel says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog
from aiohttp import web

from gateway.channels.base import Callback, Forged, Malformed, Reply
from gateway.web.context import GATEWAY
from gateway.web.json_body import read_body
from gateway.web.problems import Problem

LIMITS: Final[Mapping[str, int]] = {"wechat": 64 * 1024}
LIMIT: Final = 256 * 1024
SECONDS: Final = 10.0
_log = structlog.get_logger()


async def callback(request: web.Request) -> web.Response:
    """One request of a provider. Hostile input is refused with 4xx; a 5xx only says that we could not keep it."""
    gateway, channel = request.app[GATEWAY], request.match_info["channel"]
    if not gateway.has_channel(channel):
        raise Problem("not-found", "There is no such channel here.")
    body = await read_body(request, LIMITS.get(channel, LIMIT), SECONDS)
    call = Callback(
        method=request.method,
        path=request.match_info.get("tail", ""),
        url=gateway.settings.public_url + request.raw_path,
        headers={name.lower(): value for name, value in request.headers.items()},
        query=dict(request.query),
        body=body,
        now=gateway.clock.now(),
    )
    try:
        return _response(await gateway.handle(channel, call))
    except Forged:
        _log.warning("callback_forged", channel=channel)
        raise Problem("forged", "The signature is missing or wrong.") from None
    except Malformed:
        _log.warning("callback_malformed", channel=channel)
        raise Problem("bad-request", "The callback can't be read.") from None


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, text=reply.body, content_type=reply.content_type, charset="utf-8")


def routes() -> list[web.RouteDef]:
    """GET and POST under `/callbacks/<channel>`."""
    paths = ("/callbacks/{channel:[a-z][a-z0-9_-]*}", "/callbacks/{channel:[a-z][a-z0-9_-]*}/{tail:.*}")
    return [
        *(web.get(path, callback, allow_head=False) for path in paths),
        *(web.post(path, callback) for path in paths),
    ]
