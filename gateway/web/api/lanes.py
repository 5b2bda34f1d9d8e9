"""Which lane a request belongs to, read from its body before anything else is done with it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.message import LANES, Lane
from gateway.web.context import Gateway
from gateway.web.operations import UNKNOWN

BATCH_PLACES: Final = 64
"""How many requests under way a batch counts for."""


class _Glance(msgspec.Struct):
    """As much of a message as tells its lane; it is checked later."""

    category: Any = None
    priority: Any = None


class _Glances(msgspec.Struct):
    messages: list[_Glance] = []


_one: Final = msgspec.json.Decoder(_Glance)
_many: Final = msgspec.json.Decoder(_Glances)


def lane_of_message(gateway: Gateway, body: bytes) -> Lane:
    """The lane of a message; what can't be read will be refused."""
    try:
        found = _one.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNKNOWN
    return _lane(gateway, found)


def lane_of_batch(gateway: Gateway, body: bytes) -> Lane:
    """The lane of a batch: that of its most urgent message."""
    try:
        found = {_lane(gateway, one) for one in _many.decode(body).messages}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNKNOWN
    for lane in LANES:
        if lane in found:
            return lane
    return UNKNOWN


def _lane(gateway: Gateway, one: _Glance) -> Lane:
    return gateway.intake.lane(one.category if isinstance(one.category, str) else "", one.priority)
