"""Broadcasts: one message to an audience, followed and steered while it goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final, cast

from gateway.broadcasts.nouns import Broadcast, Differs, NewBroadcast, Over, Passed, Retry
from gateway.delivery.intake import NoRoom, Origin
from gateway.delivery.request import Rejected
from gateway.web.api.broadcast_types import (
    BroadcastIn,
    BroadcastList,
    BroadcastOut,
    BroadcastRetryIn,
    BroadcastsQuery,
    audience_of,
    broadcast_out,
)
from gateway.web.api.ids import known_id
from gateway.web.api.lanes import lane_of_message
from gateway.web.api.message_request import prompt_given, reach_given
from gateway.web.api.types import internal
from gateway.web.fields import collect, convert
from gateway.web.json_body import BATCH_LIMIT
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import Problem, invalid, not_found

Faults = list[tuple[str, str]]


def _origin(call: Call[Any, Any]) -> Origin:
    return Origin(call.seed.seed, call.seed.at)


def _new(asked: BroadcastIn, tree: dict[str, Any]) -> NewBroadcast:
    return NewBroadcast(
        id=asked.id,
        audience=audience_of(asked.audience),
        category=asked.category,
        template=asked.template,
        data=asked.data,
        content=cast("dict[str, Any] | None", tree.get("content")),
        reach=reach_given(tree),
        priority=asked.priority,
        prompt=None if asked.prompt is None else prompt_given(asked.prompt),
        thread=asked.thread,
        send_at=None if asked.send_at is None else internal(asked.send_at),
        expires_at=None if asked.expires_at is None else internal(asked.expires_at),
        rate=asked.rate,
        priority_first=asked.priority_first,
        priority_rounds=asked.priority_rounds,
        reference=asked.reference,
        metadata=asked.metadata,
    )


async def check(call: Call[BroadcastIn, NoQuery], spoilt: Collection[str]) -> Faults:
    """What is wrong with the fields of a broadcast that have the right type."""
    tree = {name: value for name, value in call.tree.items() if name not in spoilt}
    if collect(tree, BroadcastIn):
        return []
    try:
        await call.gateway.broadcasts.check(call.key.mode, _new(convert(tree, BroadcastIn), tree))
    except Rejected as rejected:
        return [fault for fault in rejected.problems if fault[0].split("/")[1] not in spoilt]
    return []


async def create(call: Call[BroadcastIn, NoQuery]) -> Answer:
    """Accept a broadcast."""
    try:
        made = await call.gateway.broadcasts.create(call.key.mode, _new(call.body, call.tree), _origin(call))
    except Rejected as rejected:
        raise invalid(rejected.problems) from None
    except NoRoom as full:
        raise call.door.refused(full) from None
    except Differs:
        raise Problem("conflict", "There is a broadcast of that id that was asked for in other words.") from None
    return await _accepted(call, made)


async def _accepted(call: Call[Any, Any], made: Broadcast) -> Answer:
    return Answer(status=202, body=await _shown(call, made), headers={"Location": f"/v1/broadcasts/{made.id}"})


async def _shown(call: Call[Any, Any], one: Broadcast) -> BroadcastOut:
    gateway = call.gateway
    return broadcast_out(await gateway.broadcasts.report(one), gateway.clock.now())


async def look(call: Call[None, NoQuery]) -> Answer:
    """One broadcast as it stands."""
    found = await call.gateway.broadcasts.load(call.key.mode, known_id(call, "broadcast"))
    if found is None:
        raise not_found("broadcast")
    return Answer(body=await _shown(call, found))


async def listed(call: Call[None, BroadcastsQuery]) -> Answer:
    """A page of broadcasts."""
    query = call.query
    try:
        found, cursor = await call.gateway.broadcasts.page(
            call.key.mode, query.limit, query.cursor, kind=query.kind or ""
        )
    except ValueError:
        raise invalid([("?cursor", "must be the `next` of an earlier page.")]) from None
    return Answer(body=BroadcastList(tuple(await asyncio.gather(*(_shown(call, one) for one in found))), cursor))


async def pause(call: Call[None, NoQuery]) -> Answer:
    """Nothing of it begins any more."""
    return await _steered(call, "pause")


async def resume(call: Call[None, NoQuery]) -> Answer:
    """It goes on."""
    return await _steered(call, "resume")


async def cancel(call: Call[None, NoQuery]) -> Answer:
    """It ends here."""
    return await _steered(call, "cancel")


async def _steered(call: Call[None, NoQuery], order: str) -> Answer:
    broadcasts = call.gateway.broadcasts
    act = {"pause": broadcasts.pause, "resume": broadcasts.resume, "cancel": broadcasts.cancel}[order]
    try:
        return Answer(body=await _shown(call, await act(call.key.mode, known_id(call, "broadcast"))))
    except KeyError:
        raise not_found("broadcast") from None
    except Over:
        raise Problem("conflict", f"The broadcast is done or cancelled: there is nothing to {order}.") from None
    except Passed as passed:
        raise Problem("conflict", str(passed)) from None


async def retry(call: Call[BroadcastRetryIn, NoQuery]) -> Answer:
    """The same to some of them once more."""
    wanted = call.body.filter
    asked = Retry(names=tuple(dict.fromkeys(wanted.state)), channel=wanted.channel, code=wanted.code)
    try:
        made = await call.gateway.broadcasts.retry(call.key.mode, known_id(call, "broadcast"), asked, _origin(call))
    except KeyError:
        raise not_found("broadcast") from None
    except Rejected as rejected:
        raise invalid(rejected.problems) from None
    except NoRoom as full:
        raise call.door.refused(full) from None
    except Passed as passed:
        raise Problem("conflict", str(passed)) from None
    return await _accepted(call, made)


_EXAMPLE: Final = {
    "id": "planned-cut-77",
    "audience": {"where": {"area": ["Kypseli", "Galatsi"]}},
    "category": "outage",
    "priority": "normal",
    "content": {"text": "Your power is off tomorrow from 9 to 11: we renew the cable in your street."},
    "rate": 50,
}


def _order(name: str, act: Any, summary: str, description: str) -> Operation:
    return Operation(
        method="POST",
        path=f"/v1/broadcasts/{{id}}/{name}",
        name=f"{name}Broadcast",
        tag="Broadcasts",
        scope="operate",
        handler=act,
        summary=summary,
        answers={200: BroadcastOut},
        refuses=(404, 409),
        description=description,
    )


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/broadcasts",
        name="createBroadcast",
        tag="Broadcasts",
        scope="operate",
        handler=create,
        check=check,
        summary="Write to an audience",
        body=BroadcastIn,
        limit=BATCH_LIMIT,
        creates=True,
        stores=True,
        lane=lane_of_message,
        answers={202: BroadcastOut},
        answer_headers={"Location": ""},
        refuses=(409,),
        example=_EXAMPLE,
        description=(
            "Accepted durably; the audience is gone through in the background, and everybody gets exactly one message. "
            "An id that is there already: the same broadcast for the same words, else 409."
        ),
    ),
    Operation(
        method="GET",
        path="/v1/broadcasts",
        name="listBroadcasts",
        tag="Broadcasts",
        scope="read",
        handler=listed,
        summary="List broadcasts, newest first",
        query=BroadcastsQuery,
        answers={200: BroadcastList},
        example_query="?limit=10",
    ),
    Operation(
        method="GET",
        path="/v1/broadcasts/{id}",
        name="getBroadcast",
        tag="Broadcasts",
        scope="read",
        handler=look,
        summary="Follow a broadcast",
        answers={200: BroadcastOut},
        refuses=(404,),
    ),
    _order(
        "pause",
        pause,
        "Hold it",
        "Nothing of it begins any more, within a second: messages that wait are held with the code `paused`. "
        "Their deadlines don't move.",
    ),
    _order("resume", resume, "Go on", "What was held goes on at once."),
    _order(
        "cancel",
        cancel,
        "End it",
        "Nobody more is written to, and messages that no provider has taken are cancelled. "
        "What was told counts on, but nothing further is tried.",
    ),
    Operation(
        method="POST",
        path="/v1/broadcasts/{id}/retry",
        name="retryBroadcast",
        tag="Broadcasts",
        scope="operate",
        handler=retry,
        summary="Try some of them again",
        body=BroadcastRetryIn,
        creates=True,
        stores=True,
        answers={202: BroadcastOut},
        answer_headers={"Location": ""},
        refuses=(404, 409),
        example={"filter": {"state": ["unreached"], "channel": "sms"}},
        description="A new broadcast with `retry_of`, with the same words, to those whose message stands so. "
        "Of several at once, each person gets the message of one. What is out of date, such as an outage that has been "
        "resolved, is refused with 409.",
    ),
)
