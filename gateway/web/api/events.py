"""Events of the business, and the runs of rules that they begin."""

from __future__ import annotations

import re
from typing import Any, Final, cast

import msgspec

from gateway.delivery.request import Rejected
from gateway.rules.event import Another, Begun, Event, NewEvent
from gateway.rules.run import Run
from gateway.rules.run_records import Wanted
from gateway.rules.runs import NotNow
from gateway.store.idempotency import body_digest
from gateway.web.api.dispatch import REPLAYED
from gateway.web.api.rule_types import BegunOut, EventIn, EventOut, RunEvent, RunList, RunOut, RunsQuery
from gateway.web.api.types import internal, wire_time, wire_time_or_none
from gateway.web.api.types_out import WhyOut
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import Problem, invalid, not_found

MOST_BYTES: Final = 65_536
DEEPEST: Final = 16
_AHEAD_MS: Final = 300_000
_BEHIND_MS: Final = 366 * 86_400_000
_CURSOR: Final = re.compile(r"[0-9a-z]{9}(?:run|rule):[0-9a-f]{32}\.[0-9a-f]{2}")

Faults = list[tuple[str, str]]


async def tell(call: Call[EventIn, NoQuery]) -> Answer:
    """Take an event in, once."""
    asked, now = call.body, call.gateway.clock.now()
    at = None if asked.at is None else internal(asked.at)
    faults = [*time_faults(at, now), *data_faults(asked.data)]
    if faults:
        raise invalid(faults)
    digest = body_digest({"customer": asked.customer, "at": at, "data": asked.data})
    new = NewEvent(type=asked.type, customer=asked.customer, id=asked.id, at=at, data=asked.data, digest=digest)
    try:
        event, repeated = await call.gateway.events.accept(call.key.mode, new)
    except Another:
        raise Problem("conflict", "An event of this type and id was told before, with other contents.") from None
    except Rejected as rejected:
        raise invalid(rejected.problems) from None
    headers = {REPLAYED: "true"} if repeated else {}
    return Answer(status=200 if repeated else 202, body=_event_out(event), headers=headers, concerns=event.customer)


def time_faults(at: int | None, now: int) -> Faults:
    """What is wrong with the time of an event, ms."""
    if at is not None and at > now + _AHEAD_MS:
        return [("/at", "may lie five minutes ahead at most.")]
    return [("/at", "may lie a year back at most.")] if at is not None and at < now - _BEHIND_MS else []


def data_faults(data: dict[str, Any]) -> Faults:
    """What is wrong with the data of an event."""
    if len(msgspec.json.encode(data)) > MOST_BYTES:
        return [("/data", f"may hold {MOST_BYTES} bytes of JSON.")]
    level: list[Any] = [data]
    for _ in range(DEEPEST):
        level = [child for node in level for child in _children(node)]
    return [("/data", f"is nested deeper than {DEEPEST} levels.")] if level else []


def _children(node: Any) -> list[Any]:
    """What is nested in it: objects and lists."""
    inner = list(cast("dict[str, Any]", node).values()) if isinstance(node, dict) else cast("list[Any]", node)
    return [child for child in inner if isinstance(child, dict | list)]


def _event_out(event: Event) -> EventOut:
    return EventOut(
        type=event.type,
        id=event.id,
        customer=event.customer,
        at=wire_time(event.at),
        runs=tuple(_begun_out(begun) for begun in event.runs),
    )


def _begun_out(begun: Begun) -> BegunOut:
    return BegunOut(begun.rule, begun.run, wire_time(begun.due_at))


def checked_cursor(cursor: str | None) -> str | None:
    """A cursor that a page of rules or runs gave. Raises Problem 422."""
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise invalid([("?cursor", "must be the `next` of an earlier page.")])
    return cursor


async def listed(call: Call[None, RunsQuery]) -> Answer:
    """A page of runs."""
    query = call.query
    wanted = Wanted(customer=query.customer, rule=query.rule, state=query.state)
    cursor = checked_cursor(query.cursor)
    runs, following = await call.gateway.runs.records.page(call.key.mode, wanted, query.limit, cursor)
    return Answer(body=RunList(tuple(map(run_out, runs)), following))


async def look(call: Call[None, NoQuery]) -> Answer:
    """One run."""
    found = await call.gateway.runs.records.get(call.key.mode, call.path["id"])
    if found is None:
        raise not_found("run")
    return Answer(body=run_out(found))


async def cancel(call: Call[None, NoQuery]) -> Answer:
    """End a run before it acts, or what it has sent."""
    try:
        return Answer(status=202, body=run_out(await call.gateway.runs.cancel(call.key.mode, call.path["id"])))
    except KeyError:
        raise not_found("run") from None
    except NotNow:
        raise Problem("conflict", "The run has ended: there is nothing left to cancel.") from None


def run_out(run: Run) -> RunOut:
    """A run as it is shown."""
    return RunOut(
        id=run.id,
        rule=run.rule,
        version=run.version,
        customer=run.customer,
        event=RunEvent(run.type, run.event, wire_time(run.at)),
        state=run.state,
        began_at=wire_time(run.began_at),
        due_at=wire_time(run.due_at),
        ended_at=wire_time_or_none(run.ended_at),
        why=None if run.why is None else WhyOut(run.why.code, run.why.text),
        message=run.made if run.does == "message" else None,
        survey=run.made if run.does == "survey" else None,
        case=run.made if run.does == "case" else None,
        verdict=run.verdict,
    )


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/events",
        name="tellEvent",
        tag="Events",
        scope="send",
        handler=tell,
        summary="Tell an event",
        body=EventIn,
        creates=True,
        stores=True,
        answers={202: EventOut, 200: EventOut},
        answer_headers={REPLAYED: ""},
        refuses=(409,),
        example={
            "type": "order.delivered",
            "customer": "c-1001",
            "id": "order-4711",
            "data": {"order_id": "4711", "total": 59.9},
        },
        description="Taken in once per type and id, for at least 30 days: the same again answers 200 with what was answered "
        "first, other contents 409. It begins the runs of the rules that wait for it, and cancels those that it is contrary "
        "to. An event nobody waits for stands on the customer's timeline.",
    ),
    Operation(
        method="GET",
        path="/v1/runs",
        name="listRuns",
        tag="Events",
        scope="operate",
        or_scope="read",
        handler=listed,
        summary="Runs of rules",
        query=RunsQuery,
        answers={200: RunList},
        example_query="customer=c-1001&state=waiting",
        description="Newest first. Those that have ended are kept as long as messages are.",
    ),
    Operation(
        method="GET",
        path="/v1/runs/{id}",
        name="getRun",
        tag="Events",
        scope="operate",
        or_scope="read",
        handler=look,
        summary="Follow one run",
        answers={200: RunOut},
        refuses=(404,),
    ),
    Operation(
        method="POST",
        path="/v1/runs/{id}/cancel",
        name="cancelRun",
        tag="Events",
        scope="operate",
        handler=cancel,
        summary="Cancel a run",
        answers={202: RunOut},
        refuses=(404, 409),
        description="A run that waits doesn't act any more. Of one that has acted the message is cancelled, if it isn't done.",
    ),
)
