"""Events and rules on a core: told, hurried on, looked at."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.message import Message, Mode
from gateway.rules.event import Event, NewEvent
from gateway.rules.rule import Rule
from gateway.rules.run import Run, place_of_run
from gateway.rules.run_records import Wanted
from gateway.store.idempotency import body_digest
from gateway.store.listing import Filter
from tests.support.core import Core, until

THEN = {"category": "service", "content": {"text": "Is anything left to do for order {{ event.order }}?"}}
RULE: dict[str, Any] = {
    "on": "order.placed",
    "wait": 3600,
    "unless": [{"type": "order.paid", "match": ["order"]}],
    "then": THEN,
}


async def rule(gw: Core, name: str = "ask", *, mode: Mode = "live", **changed: Any) -> None:
    """A rule in force."""
    await gw.gateway.rulebook.put(mode, name, msgspec.convert({**RULE, **changed}, Rule))


async def tell(
    gw: Core, type_: str, id_: str, *, at: int | None = None, customer: str = "ana", mode: Mode = "live", **data: Any
) -> Event:
    """An event is told."""
    digest = body_digest({"customer": customer, "at": at, "data": data})
    new = NewEvent(type=type_, customer=customer, id=id_, at=at, data=data, digest=digest)
    return (await gw.gateway.events.accept(mode, new))[0]


async def run_of(gw: Core, event: Event) -> Run:
    """The only run of an event, as it stands."""
    [begun] = event.runs
    found = await gw.gateway.runs.records.get(event.mode, begun.run)
    assert found is not None
    return found


async def fall_due(gw: Core, run: Run) -> None:
    """The wait is over."""
    now = gw.gateway.clock.now()
    await gw.gateway.runs.records.change(run.place, lambda found: msgspec.structs.replace(found, due_at=now))


async def when(gw: Core, run: Run, *states: str) -> Run:
    """A run once it is in one of these states."""
    last: list[Run | None] = []

    async def there() -> bool:
        last[:] = [await gw.gateway.runs.records.get(run.mode, run.id)]
        return last[0] is not None and last[0].state in states

    await until(there, seen=lambda: last)
    assert last[0] is not None
    return last[0]


async def runs(gw: Core, mode: Mode = "live", **wanted: Any) -> list[Run]:
    """All runs."""
    return (await gw.gateway.runs.records.page(mode, Wanted(**wanted), 500, None))[0]


async def sent(gw: Core, customer: str = "ana", mode: Mode = "live") -> list[Message]:
    """All messages to a customer."""
    return (await gw.gateway.listing.page(mode, Filter(customer=customer), 100, None))[0]


async def hurry(gw: Core, run: Run) -> None:
    """Its worker died long ago: the agenda looks at the run again."""
    place = place_of_run(run.mode, run.id)
    assert place is not None
    await gw.client.zadd(place.at.agenda(run.lane), {place.member: 1}, xx=True)
