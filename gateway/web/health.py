"""Whether the process lives, whether it can do its work, and its figures for Prometheus."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from gateway.store.pipe import StoreUnavailable
from gateway.web.context import GATEWAY, Gateway
from gateway.web.middleware import Handler

PATIENCE: Final = 2.0
"""How long Redis may take to answer, seconds."""


class Health(msgspec.Struct, frozen=True):
    """`checks`: part to "ok" or what is wrong with it."""

    status: str
    checks: dict[str, str]


async def alive(_request: web.Request) -> web.Response:
    """The process answers, whatever else is wrong: restarting it would help nobody."""
    return _answer(Health("ok", {}))


async def ready(request: web.Request) -> web.Response:
    """200 when messages can be taken and are being worked on, else 503 with the reason."""
    gateway = request.app[GATEWAY]
    checks = {"store": await _store(gateway)}
    if checks["store"] == "ok":
        checks["worker"] = await gateway.trouble() or "ok"
    return _answer(Health("ok" if set(checks.values()) == {"ok"} else "not ready", checks))


async def _store(gateway: Gateway) -> str:
    try:
        async with asyncio.timeout(PATIENCE):
            await gateway.scripts.urgent.send("PING")
    except StoreUnavailable:
        return "Redis can't be reached."
    except TimeoutError:
        return f"Redis has not answered within {PATIENCE:g} s."
    return "ok"


def _answer(health: Health) -> web.Response:
    return web.Response(
        status=200 if health.status == "ok" else 503,
        body=msgspec.json.encode(health),
        content_type="application/json",
    )


def metrics(registry: CollectorRegistry) -> Handler:
    """The handler of `/metrics`; it belongs on the internal listener alone."""

    async def figures(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return figures
