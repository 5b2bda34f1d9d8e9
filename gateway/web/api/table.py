"""Every operation of the API."""

from __future__ import annotations

from typing import Final

from gateway.web.api import (
    addresses,
    channels,
    customers,
    erasures,
    inbound,
    keys,
    messages,
    preference_link,
    preferences,
    sending,
    templates,
)
from gateway.web.operations import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *sending.OPERATIONS,
    *messages.OPERATIONS,
    *customers.OPERATIONS,
    *erasures.OPERATIONS,
    *preferences.OPERATIONS,
    *preference_link.OPERATIONS,
    *addresses.OPERATIONS,
    *templates.OPERATIONS,
    *channels.OPERATIONS,
    *keys.OPERATIONS,
    *inbound.OPERATIONS,
)
