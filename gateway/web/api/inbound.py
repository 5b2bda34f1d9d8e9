"""What people wrote and did: the list of it, and whose it is."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from gateway.channels.base import InboundKind
from gateway.delivery.inbox import Listed, Wanted
from gateway.store.customers import ONE_OFF
from gateway.store.inbound_index import place_of
from gateway.web.api.ids import CustomerId
from gateway.web.api.types import ChannelName, wire_time
from gateway.web.operations import Answer, Call, NoQuery, Operation, Page
from gateway.web.problems import invalid, not_found

Outcome = Annotated[
    Literal[
        "consent",
        "answer",
        "help",
        "preferences",
        "language",
        "unclear",
        "doubtful",
        "linked",
        "unlinked",
        "scan",
        "call",
    ],
    Meta(
        description="What became of it. `consent`: an opt-out or its lifting; `answer`: to a question of ours; `help`, "
        "`preferences`, `language`, `unclear`: words that steer us, answered; `doubtful`: mentions a stop word, somebody "
        "should read it; `linked`, `unlinked`: words for somebody to read, of a customer or of nobody we know."
    ),
]


class InboundQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to list."""

    unlinked: Annotated[bool, Meta(description="`true`: of senders nobody knows; `false`: of customers.")] | None = None
    customer: CustomerId | None = None
    channel: ChannelName | None = None
    outcome: Outcome | None = None


class InboundLinkIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose it is."""

    customer: CustomerId


class InboundOut(msgspec.Struct, frozen=True, kw_only=True):
    """Something that came in. `from` is the sender's address, `to` ours; `text` the very words, or the keys pressed;
    `customer` null: of nobody who is a customer.
    """

    id: str
    mode: Literal["live", "team", "test"]
    channel: str
    kind: InboundKind
    sender: str = msgspec.field(name="from")
    to: str
    text: str
    at: dt.datetime
    outcome: str
    customer: str | None
    message: str | None


class InboundList(msgspec.Struct, frozen=True):
    """A page of what came in, newest first."""

    items: tuple[InboundOut, ...]
    next: str | None


def item_out(listed: Listed) -> InboundOut:
    """An item as it is shown. A one-off recipient is no customer that anybody could ask for."""
    item, inbound = listed.item, listed.item.inbound
    return InboundOut(
        id=listed.id,
        mode=item.mode,
        channel=inbound.channel,
        kind=inbound.kind,
        sender=inbound.sender,
        to=inbound.to,
        text=inbound.text,
        at=wire_time(inbound.at),
        outcome=item.outcome,
        customer=None if item.customer is None or item.customer.startswith(ONE_OFF) else item.customer,
        message=inbound.message,
    )


async def listed(call: Call[None, InboundQuery]) -> Answer:
    """A page of what came in."""
    query = call.query
    if query.cursor is not None and place_of(query.cursor) is None:
        raise invalid([("?cursor", "must be the `next` of an earlier page.")])
    wanted = Wanted(unlinked=query.unlinked, customer=query.customer, channel=query.channel, outcome=query.outcome)
    items, following = await call.gateway.inbound.page(call.key.mode, wanted, query.limit, query.cursor)
    return Answer(body=InboundList(tuple(map(item_out, items)), following))


async def look(call: Call[None, NoQuery]) -> Answer:
    """One item."""
    return _shown(await call.gateway.inbound.find(call.key.mode, call.path["id"]))


async def link(call: Call[InboundLinkIn, NoQuery]) -> Answer:
    """Say whose it is."""
    try:
        return _shown(await call.gateway.inbound.link(call.key.mode, call.path["id"], call.body.customer))
    except KeyError:
        raise invalid([("/customer", "There is no such customer: PUT /v1/customers/{id} first.")]) from None


async def unlink(call: Call[None, NoQuery]) -> Answer:
    """Take it back."""
    return _shown(await call.gateway.inbound.link(call.key.mode, call.path["id"], None))


def _shown(found: Listed | None) -> Answer:
    if found is None:
        raise not_found("inbound item")
    return Answer(body=item_out(found))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/inbound",
        name="listInbound",
        tag="Inbound",
        scope="customers",
        handler=listed,
        summary="What people wrote and did",
        query=InboundQuery,
        answers={200: InboundList},
        example_query="unlinked=true&limit=20",
        description="Newest first; kept as long as contents are. An item appears once it has been understood.",
    ),
    Operation(
        method="GET",
        path="/v1/inbound/{id}",
        name="getInbound",
        tag="Inbound",
        scope="customers",
        handler=look,
        summary="One thing that came in",
        answers={200: InboundOut},
        refuses=(404,),
    ),
    Operation(
        method="POST",
        path="/v1/inbound/{id}/link",
        name="linkInbound",
        tag="Inbound",
        scope="customers",
        handler=link,
        summary="Say whose it is",
        body=InboundLinkIn,
        live_only=True,
        answers={200: InboundOut},
        refuses=(404,),
        example={"customer": "c-1001"},
        description="What comes from that address later is the customer's too, while no customer has the address. The "
        "customer is given no address by it, and is not written to there.",
    ),
    Operation(
        method="POST",
        path="/v1/inbound/{id}/unlink",
        name="unlinkInbound",
        tag="Inbound",
        scope="customers",
        handler=unlink,
        summary="Take a link back",
        live_only=True,
        answers={200: InboundOut},
        refuses=(404,),
    ),
)
