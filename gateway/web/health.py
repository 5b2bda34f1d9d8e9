"""Whether the process lives, whether it can do its work, and its figures for Prometheus."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from gateway.delivery.room import NoRoom
from gateway.store.pipe import StoreUnavailable
from gateway.web.context import GATEWAY, Gateway
from gateway.web.middleware import Handler

PATIENCE: Final = 2.0
"""How long Redis may take to answer, seconds."""


class Health(msgspec.Struct, frozen=True):
    """`status`: "ok", "degraded" (200 all the same) or "not ready"; `checks`: part to "ok" or what is wrong with it."""

    status: str
    checks: dict[str, str]


async def alive(_request: web.Request) -> web.Response:
    """The process answers, whatever else is wrong: restarting it would help nobody."""
    return _answer(Health("ok", {}))


async def ready(request: web.Request) -> web.Response:
    """200 when this host can do its work, else 503 with the reason.

    While Redis' memory is full it is "degraded", with 200: every host sees the same Redis, so a load balancer would
    take out all of them, and with them the receipts, answers and withdrawals that are still taken in.
    """
    gateway = request.app[GATEWAY]
    checks = {"store": await _store(gateway)}
    if checks["store"] == "ok":
        checks["worker"] = await gateway.trouble() or "ok"
    status = "ok" if set(checks.values()) == {"ok"} else "not ready"
    try:
        gateway.room.check_new()
        checks["memory"] = "ok"
    except NoRoom as short:
        checks["memory"] = short.detail
        status = "degraded" if status == "ok" else status
    return _answer(Health(status, checks))


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
        status=503 if health.status == "not ready" else 200,
        body=msgspec.json.encode(health),
        content_type="application/json",
    )


def metrics(registry: CollectorRegistry) -> Handler:
    """The handler of `/metrics`; it belongs on the internal listener alone."""

    async def figures(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return figures
