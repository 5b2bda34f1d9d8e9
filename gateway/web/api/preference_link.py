"""A link to a person's preference centre, for whoever writes to them by other means than ours."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gateway.links import PREFERENCES, preference_payload
from gateway.web.api.ids import known_id
from gateway.web.api.types import wire_time
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import not_found

DAY_S: Final = 86_400
LIVES_S: Final = 30 * DAY_S
SHORTEST_S: Final = 60
LONGEST_S: Final = 365 * DAY_S


class LinkIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the link is to hold."""

    expires_in: Annotated[int, Meta(ge=SHORTEST_S, le=LONGEST_S, description="Seconds.")] = LIVES_S


class LinkOut(msgspec.Struct, frozen=True):
    """Where the person says how to be reached. Whoever has the address is taken for the person until then."""

    url: str
    expires_at: dt.datetime


async def make(call: Call[LinkIn, NoQuery]) -> Answer:
    """Sign a link; nothing is stored."""
    customer = known_id(call, "customer")
    found = await call.gateway.customers.load(customer)
    if found is None:
        raise not_found("customer")
    ends = call.seed.at + call.body.expires_in * 1000
    url = call.gateway.links.url_until(
        "p", PREFERENCES, preference_payload("live", customer, found[0].created_at), ends
    )
    return Answer(status=201, body=LinkOut(url, wire_time(ends // 1000 * 1000)))


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/customers/{id}/preference-link",
        name="makePreferenceLink",
        tag="Customers",
        scope="customers",
        handler=make,
        summary="Make a link to the preference centre",
        body=LinkIn,
        live_only=True,
        creates=True,
        answers={201: LinkOut},
        refuses=(404,),
        example={"expires_in": 7 * DAY_S},
        description="Opens without a password: give it to the person alone. Without `expires_in` it holds 30 days.",
    ),
)
