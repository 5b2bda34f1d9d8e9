"""Every operation of the API."""

from __future__ import annotations

from typing import Final

from gateway.web.api import channels, customers, keys, messages, preferences, sending, templates
from gateway.web.operations import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *sending.OPERATIONS,
    *messages.OPERATIONS,
    *customers.OPERATIONS,
    *preferences.OPERATIONS,
    *templates.OPERATIONS,
    *channels.OPERATIONS,
    *keys.OPERATIONS,
)
