"""The listeners' applications: the public one (API, callbacks, pages), the callbacks alone, and the internal console."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.store.clock import Clock
from gateway.web import callbacks as doors
from gateway.web import health, pages
from gateway.web.api.dispatch import add_operations
from gateway.web.api.table import OPERATIONS
from gateway.web.assets import Assets
from gateway.web.centre import routes as centre
from gateway.web.centre import wechat
from gateway.web.context import GATEWAY, Gateway
from gateway.web.json_body import BATCH_LIMIT
from gateway.web.middleware import identified, limited
from gateway.web.reference import Reference

SHUTDOWN_SECONDS: Final = 5.0
KEEPALIVE_SECONDS: Final = 75.0
"""How long a connection may be without a whole request, whether silent or sending its headers byte by byte."""
_log = structlog.get_logger()


def build_public_app(gateway: Gateway, *, api: bool = True, callbacks: bool = True) -> web.Application:
    """What the world may reach: with `api` the API and its pages of reference, with `callbacks` the doors for providers
    and the pages behind signed links.
    """
    app = _app(gateway)
    app.add_routes([web.get("/healthz", health.alive), web.get("/readyz", health.ready)])
    app.router.add_get("/assets/{name}", Assets(gateway.settings.brand.colour).serve)
    if api:
        add_operations(app, gateway, OPERATIONS)
        app.add_routes(Reference(OPERATIONS, gateway.settings.public_url).routes())
    if callbacks:
        door = doors.Door(lambda: gateway.callbacks, gateway.settings.public_url, gateway.clock.now)
        app.add_routes(door.routes())
        app.add_routes(pages.routes())
        app.add_routes([*centre.routes(), *wechat.routes(), *centre.elsewhere()])
    return app


def build_callbacks_app(reader: Callable[[], doors.Reader], clock: Clock | None = None) -> web.Application:
    """The doors alone, for carriers on this machine: callbacks are known by the Host they were sent to."""
    app = web.Application(middlewares=[identified, limited()], client_max_size=BATCH_LIMIT)
    app.add_routes(doors.Door(reader, None, (clock or Clock()).now).routes())
    return app


def build_console_app(gateway: Gateway) -> web.Application:
    """The internal listener: health and figures."""
    app = _app(gateway)
    app.add_routes([web.get("/healthz", health.alive), web.get("/readyz", health.ready)])
    app.router.add_get("/metrics", health.metrics(gateway.registry))
    return app


def runner(app: web.Application) -> web.AppRunner:
    """A runner with the limits the applications count on: bodies are never unpacked, slow senders not waited for."""
    return web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
        auto_decompress=False,
        lingering_time=2.0,
        keepalive_timeout=KEEPALIVE_SECONDS,
        logger=_ProtocolLog(),
    )


class _ProtocolLog:
    """What aiohttp logs itself. Its own words about a request it can't read repeat that request, keys and all."""

    def exception(self, _words: str, *_args: object, exc_info: BaseException | None = None, **_more: Any) -> None:
        """A request that was never read, or a bug of the server."""
        if isinstance(exc_info, HttpProcessingError):
            _log.info("http_unreadable", error=type(exc_info).__name__)
        else:
            _log.error("http_server_bug", exc_info=exc_info)

    def debug(self, *_args: object, **_more: object) -> None:
        """Callers that went away: nothing to tell."""


def _app(gateway: Gateway) -> web.Application:
    app = web.Application(middlewares=[identified, limited()], client_max_size=BATCH_LIMIT)
    app[GATEWAY] = gateway
    return app
