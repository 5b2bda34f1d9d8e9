"""What a lookup shows of a caller beside their thread: open cases, and outages under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gateway.customer import Customer
from gateway.delivery.lookup import LookupPart
from gateway.message import Mode
from gateway.standing import standing
from gateway.web.api.types import wire_time

if TYPE_CHECKING:
    from gateway.app.engines import Engines


def lookup_parts(parts: Engines) -> dict[str, LookupPart]:
    """Who is asked, by what it is called in the answer."""

    async def cases(mode: Mode, customer: Customer) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "id": case.id,
                "kind": case.kind,
                "subject": case.subject,
                "status": case.status,
                "owner": case.owner,
                "due_at": wire_time(case.due_at),
                "created_at": wire_time(case.created_at),
            }
            for case in await parts.cases.of_customer(mode, customer.id)
        ]

    async def outages(mode: Mode, customer: Customer) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "id": outage.id,
                "title": outage.title,
                "area": outage.area or None,
                "since": wire_time(outage.created_at),
                "state": standing(message),
                "message": message.id,
            }
            for outage, message in await parts.outages.open_for(mode, customer.id)
        ]

    return {"cases": cases, "outages": outages}
