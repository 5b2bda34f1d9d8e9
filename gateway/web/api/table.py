"""Every operation of the API."""

from __future__ import annotations

from typing import Final

from gateway.web.api import (
    addresses,
    broadcasts,
    case_steps,
    cases,
    channels,
    customers,
    erasures,
    events,
    groups,
    inbound,
    keys,
    messages,
    outage_people,
    outages,
    preference_link,
    preferences,
    rules,
    sending,
    surveys,
    templates,
    thread,
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
    *thread.OPERATIONS,
    *groups.OPERATIONS,
    *broadcasts.OPERATIONS,
    *outages.OPERATIONS,
    *outage_people.OPERATIONS,
    *events.OPERATIONS,
    *rules.OPERATIONS,
    *cases.OPERATIONS,
    *case_steps.OPERATIONS,
    *surveys.OPERATIONS,
)
