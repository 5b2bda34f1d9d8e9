"""Messages that were accepted: look, list, cancel, acknowledge."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Annotated, Any, Final

from msgspec import Meta

from gateway.message import Message, RouteStep, State, Status
from gateway.store.ids import place_of
from gateway.store.listing import Filter
from gateway.web.api.ids import CustomerId, own_message
from gateway.web.api.message_view import view
from gateway.web.api.types import AcknowledgeIn, internal
from gateway.web.api.types_out import MessageList, MessageOut
from gateway.web.operations import Answer, Call, NoQuery, Operation, Page
from gateway.web.problems import Problem, invalid, not_found


class MessagesQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to list."""

    customer: CustomerId | None = None
    category: Annotated[str, Meta(max_length=64)] | None = None
    status: Status | None = None
    verdict: State | None = None
    reference: Annotated[str, Meta(max_length=255)] | None = None
    since: Annotated[dt.datetime, Meta(tz=True, description="Created at this time or later.")] | None = None


async def _shown(call: Call[Any, Any], message_id: str) -> MessageOut:
    found = await call.gateway.intake.look(message_id)
    if found is None:
        raise not_found("message")
    return view(*found, call.gateway.clock.now(), unmasked=call.key.may("customers"))


async def look(call: Call[None, NoQuery]) -> Answer:
    """One message with its route and its attempts."""
    message_id = call.path["id"]
    place = place_of(message_id)
    if place is None or place[0] != call.key.mode:
        raise not_found("message")
    return Answer(body=await _shown(call, message_id))


async def listed(call: Call[None, MessagesQuery]) -> Answer:
    """A page of messages."""
    query = call.query
    if query.cursor is not None and place_of(query.cursor) is None:
        raise invalid([("?cursor", "must be the `next` of an earlier page.")])
    wanted = Filter(
        customer=query.customer,
        category=query.category,
        status=query.status,
        verdict=query.verdict,
        reference=query.reference,
        since=None if query.since is None else internal(query.since),
    )
    found, cursor = await call.gateway.listing.page(call.key.mode, wanted, query.limit, query.cursor)
    ahead = await asyncio.gather(*(_ahead(call, one) for one in found))
    now, unmasked = call.gateway.clock.now(), call.key.may("customers")
    items = (view(*each, now, unmasked=unmasked) for each in ahead)
    return Answer(body=MessageList(tuple(items), cursor))


async def _ahead(call: Call[Any, Any], message: Message) -> tuple[Message, tuple[RouteStep, ...]]:
    """A listed message with its route; what is done has none ahead."""
    found = None if message.done else await call.gateway.intake.look(message.id)
    return found or (message, ())


async def cancel(call: Call[None, NoQuery]) -> Answer:
    """Nothing new begins; what a provider has is not recalled."""
    message = await own_message(call)
    match await call.gateway.messages.cancel(message.id):
        case "done":
            raise Problem("conflict", "The message is done: there is nothing left to cancel.")
        case "gone":
            raise not_found("message")
        case _:
            return Answer(status=202, body=await _shown(call, message.id))


async def acknowledge(call: Call[AcknowledgeIn, NoQuery]) -> Answer:
    """Somebody says that the person knows."""
    message = await own_message(call)
    note = f"({call.body.note})" if call.body.note else None
    if (
        await call.gateway.receipts.acknowledge(message.id, " ".join(filter(None, (call.body.by, note))) or None)
        is None
    ):
        raise not_found("message")
    return Answer(body=await _shown(call, message.id))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/messages/{id}",
        name="getMessage",
        tag="Messages",
        scope="read",
        handler=look,
        summary="Follow one message",
        answers={200: MessageOut},
        refuses=(404,),
    ),
    Operation(
        method="GET",
        path="/v1/messages",
        name="listMessages",
        tag="Messages",
        scope="read",
        handler=listed,
        summary="List messages, newest first",
        query=MessagesQuery,
        answers={200: MessageList},
        example_query="?customer=c-1001&limit=10",
    ),
    Operation(
        method="POST",
        path="/v1/messages/{id}/cancel",
        name="cancelMessage",
        tag="Messages",
        scope="send",
        handler=cancel,
        summary="Cancel a message",
        answers={202: MessageOut},
        refuses=(404, 409),
        description="Nothing new begins and unanswered calls are ended; what a provider has taken isn't recalled.",
    ),
    Operation(
        method="POST",
        path="/v1/messages/{id}/acknowledge",
        name="acknowledgeMessage",
        tag="Messages",
        scope="send",
        handler=acknowledge,
        summary="Say that the person knows",
        body=AcknowledgeIn,
        answers={200: MessageOut},
        refuses=(404,),
        example={"by": "call centre", "note": "She called us."},
    ),
)
