"""The thread of a person, who is calling, and the answer to what they wrote."""

from __future__ import annotations

from typing import Final

from gateway.delivery.drafts import Origin
from gateway.delivery.intake import NoRoom
from gateway.delivery.request import Rejected
from gateway.message import Lane
from gateway.web.api import thread_types as types
from gateway.web.api.ids import known_id
from gateway.web.api.message_view import view
from gateway.web.api.types_out import MessageOut
from gateway.web.context import Gateway
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import invalid, not_found


async def timeline(call: Call[None, types.TimelineQuery]) -> Answer:
    """A page of the thread."""
    query = call.query
    try:
        found, following = await call.gateway.threads.page(
            known_id(call, "customer"), call.key.mode, query.limit, query.cursor
        )
    except KeyError:
        raise not_found("customer") from None
    except ValueError as wrong:
        raise invalid([("?cursor", str(wrong))]) from None
    return Answer(body=types.TimelineOut(tuple(map(types.post_out, found)), following))


async def lookup(call: Call[None, types.LookupQuery]) -> Answer:
    """Who has an address."""
    try:
        found = await call.gateway.lookup.by_address(call.key.mode, call.query.address)
    except ValueError as wrong:
        raise invalid([("?address", str(wrong))]) from None
    return Answer(body=types.lookup_out(found))


async def reply(call: Call[types.ReplyIn, NoQuery]) -> Answer:
    """Write back."""
    customer, asked = known_id(call, "customer"), call.body
    origin = Origin(call.seed.seed, call.seed.at)
    try:
        made, route = await call.gateway.operator_replies.send(
            call.key.mode, customer, asked.text, asked.channel, call.key.id, origin
        )
    except KeyError:
        raise not_found("customer") from None
    except Rejected as refused:
        raise invalid(refused.problems) from None
    except NoRoom as full:
        raise call.door.refused(full) from None
    return Answer(status=202, body=view(made, route, call.gateway.clock.now(), unmasked=True), concerns=customer)


def _lane(gateway: Gateway, _body: bytes) -> Lane:
    return gateway.intake.lane("reply", None)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/customers/{id}/timeline",
        name="customerTimeline",
        tag="Thread",
        scope="customers",
        handler=timeline,
        summary="One thread across channels",
        query=types.TimelineQuery,
        answers={200: types.TimelineOut},
        refuses=(404,),
        example_query="limit=20",
        description="Newest first, in the order in which it became known. Of messages those of the key's own mode; words are "
        "shown while they are kept, what happened is kept longer. Codes are never shown.",
    ),
    Operation(
        method="POST",
        path="/v1/customers/{id}/reply",
        name="replyToCustomer",
        tag="Thread",
        scope="customers",
        handler=reply,
        summary="Answer in the thread",
        body=types.ReplyIn,
        creates=True,
        stores=True,
        lane=_lane,
        answers={202: MessageOut},
        refuses=(404,),
        example={"text": "Your meter is replaced on Friday between 9 and 11.", "channel": "sms"},
        description="A message of category `reply`, on the channel they wrote on last and to the address they wrote from. "
        "`metadata.by` is the id of your key. A withdrawal of consent binds it too.",
    ),
    Operation(
        method="GET",
        path="/v1/lookup",
        name="lookup",
        tag="Thread",
        scope="customers",
        handler=lookup,
        summary="Who is calling",
        query=types.LookupQuery,
        answers={200: types.LookupOut},
        example_query="address=%2B306912345678",
        description="For the call centre's screen: everybody who has the address, what is open for them, the last contacts, "
        "and what to know before speaking.",
    ),
)
