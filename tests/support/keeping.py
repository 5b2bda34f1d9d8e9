"""A housekeeper for tests, and what it says it did."""

from __future__ import annotations

from gateway.delivery.housekeeping import Housekeeper
from gateway.store.upkeep import Upkeep
from tests.support.core import Core


def keeper(gw: Core, *, name: str = "k", rest: int = 60_000) -> Housekeeper:
    """A housekeeper that doesn't dawdle."""
    gateway = gw.gateway
    upkeep = Upkeep(gw.client, gateway.scripts)
    return Housekeeper(
        upkeep, gateway.customers, gateway.clock, gateway.metrics, name, keep_records=90, rest=rest, pause=0
    )


def done(gw: Core, what: str) -> float:
    """How often housekeeping mended or removed something."""
    names = ("gateway_housekeeping_mended_total", "gateway_housekeeping_outlived_total")
    return sum(gw.gateway.registry.get_sample_value(name, {"what": what}) or 0 for name in names)
