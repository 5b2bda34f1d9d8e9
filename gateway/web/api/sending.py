"""Messages to be sent: one, many at once, one of before once more."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta

from gateway.delivery.intake import NoRoom, Origin
from gateway.delivery.request import NewMessage, Rejected
from gateway.message import Message
from gateway.web.api.lanes import BATCH_PLACES, lane_of_batch, lane_of_message
from gateway.web.api.message_request import Faults, new_message, reach_given
from gateway.web.api.message_view import view
from gateway.web.api.types import BatchIn, MessageIn, RetryIn
from gateway.web.api.types_out import BatchOut, BatchResult, MessageOut
from gateway.web.fields import collect, convert
from gateway.web.json_body import BATCH_LIMIT
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import Problem, invalid, not_found


class SendQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of sending."""

    dry_run: Annotated[bool, Meta(description="Show the route and the reasons; nothing is stored or sent.")] = False


def _origin(call: Call[Any, Any]) -> Origin:
    return Origin(call.seed.seed, call.seed.at)


async def check(call: Call[MessageIn, SendQuery], spoilt: Collection[str]) -> Faults:
    """What is wrong with the fields of a message that have the right type."""
    tree = {name: value for name, value in call.tree.items() if name not in spoilt}
    if collect(tree, MessageIn):
        return []
    message, faults = new_message(convert(tree, MessageIn), tree, call.gateway.clock.now())
    found = await _with_more(call, message, faults)
    return [fault for fault in found if fault[0].split("/")[1] not in spoilt]


async def _with_more(call: Call[Any, Any], message: NewMessage, faults: Faults) -> Faults:
    """The faults, and what the intake would say of the rest."""
    try:
        await call.gateway.intake.preview(call.key.mode, message)
    except Rejected as rejected:
        known = {pointer.split("/")[1] for pointer, _ in faults}
        return [*faults, *(fault for fault in rejected.problems if fault[0].split("/")[1] not in known)]
    return faults


async def send(call: Call[MessageIn, SendQuery]) -> Answer:
    """Accept one message, or show what would become of it."""
    intake, clock = call.gateway.intake, call.gateway.clock
    try:
        message, faults = new_message(call.body, call.tree, clock.now())
        if faults:
            raise invalid(await _with_more(call, message, faults))
        if call.query.dry_run:
            found, route = await intake.preview(call.key.mode, message)
            return Answer(body=view(found, route, clock.now(), unmasked=False))
        made, route = await intake.accept(call.key.mode, message, _origin(call))
    except Rejected as rejected:
        raise invalid(rejected.problems) from None
    except NoRoom as full:
        raise call.door.refused(full) from None
    return Answer(status=202, body=view(made, route, clock.now(), unmasked=False), concerns=made.customer)


async def send_batch(call: Call[BatchIn, NoQuery]) -> Answer:
    """Accept each message on its own merits."""
    news = (_one(tree, call.gateway.clock.now()) for tree in call.tree["messages"])
    made = await call.gateway.intake.accept_many(call.key.mode, news, _origin(call))
    return Answer(status=202, body=BatchOut(tuple(_result(call, one) for one in made)))


def _one(tree: Any, now: int) -> NewMessage | Rejected:
    try:
        message, faults = new_message(convert(tree, MessageIn), cast("dict[str, Any]", tree), now)
    except Problem as problem:
        return Rejected([(error.pointer, error.detail) for error in problem.errors])
    return Rejected(faults) if faults else message


def _result(call: Call[Any, Any], one: Message | Rejected | NoRoom) -> BatchResult:
    match one:
        case Rejected():
            return BatchResult(problem=invalid(one.problems).out())
        case NoRoom():
            return BatchResult(problem=call.door.refused(one).out())
        case _:
            return BatchResult(id=one.id)


async def retry(call: Call[RetryIn, NoQuery]) -> Answer:
    """The same content to the same person once more."""
    intake, clock = call.gateway.intake, call.gateway.clock
    try:
        made = await intake.again(call.key.mode, call.path["id"], reach_given(call.tree), _origin(call))
    except KeyError:
        raise not_found("message") from None
    except Rejected as rejected:
        raise invalid(rejected.problems) from None
    except NoRoom as full:
        raise call.door.refused(full) from None
    found = await intake.look(made.id) or (made, ())
    return Answer(status=202, body=view(*found, clock.now(), unmasked=False), concerns=found[0].customer)


_OUTAGE: Final = {
    "customer": "c-1001",
    "category": "outage",
    "template": "outage-notice",
    "data": {"area": "Kypseli", "restored_by": "2026-11-22T18:00:00+02:00"},
    "prompt": {"kind": "acknowledge"},
}
_SERVICE: Final = {
    "customer": "c-1001",
    "category": "service",
    "content": {"text": "Your engineer comes tomorrow between 9 and 11."},
}

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/messages",
        name="sendMessage",
        tag="Messages",
        scope="send",
        handler=send,
        check=check,
        summary="Send one message",
        query=SendQuery,
        body=MessageIn,
        creates=True,
        stores=True,
        lane=lane_of_message,
        answers={202: MessageOut, 200: MessageOut},
        example=_OUTAGE,
        description="Accepted durably (202), with the route it will take. With `dry_run=true` nothing is stored (200).",
    ),
    Operation(
        method="POST",
        path="/v1/messages/batch",
        name="sendBatch",
        tag="Messages",
        scope="send",
        handler=send_batch,
        summary="Send up to 1000 messages",
        body=BatchIn,
        limit=BATCH_LIMIT,
        creates=True,
        stores=True,
        lane=lane_of_batch,
        places=BATCH_PLACES,
        answers={202: BatchOut},
        example={"messages": [_OUTAGE, _SERVICE]},
        description="Results come in order. Repeated with the same Idempotency-Key after a break, only what is missing is made. "
        "Single messages that were refused with 429 can be sent later, in a new batch.",
    ),
    Operation(
        method="POST",
        path="/v1/messages/{id}/retry",
        name="retryMessage",
        tag="Messages",
        scope="send",
        handler=retry,
        summary="Send the same once more",
        body=RetryIn,
        creates=True,
        stores=True,
        answers={202: MessageOut},
        refuses=(404,),
        example={"reach": {"channels": ["voice"]}},
        description="A new message with `retry_of`, with the same content and person.",
    ),
)
