"""The web layer on real Redis, with operations of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry

from gateway.delivery.metrics import Metrics
from gateway.delivery.room import Room
from gateway.links import Links
from gateway.message import Mode
from gateway.settings import load
from gateway.store.api_keys import ApiKeys, Scope
from gateway.store.clock import Clock
from gateway.store.idempotency import Idempotency
from gateway.store.scripts import Scripts
from gateway.web.api.dispatch import add_operations
from gateway.web.context import GATEWAY, Gateway
from gateway.web.middleware import identified, limited
from gateway.web.operations import Operation
from tests.support.wire import closed

SECRET = "a-secret-key-of-the-tests-0123456789"


def parts(scripts: Scripts, clock: Clock, **more: Any) -> Gateway:
    """What the web layer itself needs of a gateway; `more` adds what a test needs beside it."""
    environ = {"GATEWAY_SECRET_KEY": SECRET, "GATEWAY_PUBLIC_URL": "https://gateway.example.com"}
    settings = load(environ, Path("/nowhere"), command="check")
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    made = SimpleNamespace(
        settings=settings,
        clock=clock,
        scripts=scripts,
        links=Links(settings.public_url, settings.secret_key, None, clock.now),
        api_keys=ApiKeys(scripts, clock, b"pepper" * 8),
        idempotency=Idempotency(scripts, clock),
        registry=registry,
        metrics=metrics,
        room=Room(cast("Any", None), metrics),  # never asked to look
        **more,
    )
    return cast("Gateway", made)


async def bearer(gateway: Gateway, *scopes: Scope, mode: Mode = "live", rate: float | None = None) -> dict[str, str]:
    """The header of a new key."""
    _, text = await gateway.api_keys.create("test", mode, scopes or ("admin",), rate=rate)
    return {"Authorization": f"Bearer {text}"}


def api(gateway: Gateway, operations: Sequence[Operation], most: int = 100) -> web.Application:
    """An application of these operations alone."""
    app = web.Application(middlewares=[identified, limited(most)])
    app[GATEWAY] = gateway
    add_operations(app, gateway, operations)
    return app


@asynccontextmanager
async def served(app: web.Application, **options: Any) -> AsyncGenerator[aiohttp.ClientSession]:
    """The application on a port of its own, and a client whose paths go there."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, **options)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    session = aiohttp.ClientSession(f"http://{host}:{port}", cookie_jar=aiohttp.DummyCookieJar())
    try:
        yield session
    finally:
        await session.close()
        await runner.cleanup()


async def raw(session: aiohttp.ClientSession, request: bytes) -> bytes:
    """What the server answers to these very bytes, until it closes the connection."""
    base = cast("Any", session)._base_url
    reader, writer = await asyncio.open_connection(base.host, base.port)
    try:
        writer.write(request)
        await writer.drain()
        return await reader.read()
    finally:
        await closed(writer)
