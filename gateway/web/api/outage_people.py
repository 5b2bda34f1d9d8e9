"""The people of an outage: as a list, as a table, as a page to print; and the doors that were knocked at."""

from __future__ import annotations

import asyncio
import zoneinfo
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web

from gateway.outages.nouns import Outage
from gateway.outages.recipients import Recipient, Wanted
from gateway.web.api.ids import known_id
from gateway.web.api.outage_types import RecipientList, RecipientsQuery, VisitIn, VisitOut
from gateway.web.api.outage_view import recipient_view, visit_view
from gateway.web.api.outages import own_outage
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.page_texts import language_for
from gateway.web.problems import invalid, not_found
from gateway.web.worklist.page import MOST, Sheet, page
from gateway.web.worklist.table import table

TABLE: Final = "text/csv"
PAGE: Final = "text/html"
_JSON: Final = ("application/json", "application/*", "*/*")


async def listed(call: Call[None, RecipientsQuery]) -> Answer | web.StreamResponse:
    """Those people, in the form that is asked for."""
    outage, query = await own_outage(call), call.query
    wanted = Wanted(state=query.state, priority=query.priority, visited=query.visited, channel=query.channel)
    match wanted_form(call.request.headers.get("Accept", "")):
        case "text/csv":
            everybody = _everybody(call, outage, wanted)
            name = f"outage-{outage.id}".replace(":", "-").replace("@", "-")
            return await table(call.request, everybody, name, unmasked=call.key.may("customers"))
        case "text/html":
            return await _printed(call, outage, wanted)
        case _:
            return await _page(call, outage, wanted)


async def _page(call: Call[None, RecipientsQuery], outage: Outage, wanted: Wanted) -> Answer:
    people, query = call.gateway.outages.recipients, call.query
    try:
        found, cursor = await people.page(outage, wanted, query.limit, query.cursor)
    except ValueError:
        raise invalid([("?cursor", "must be the `next` of an earlier page.")]) from None
    unmasked = call.key.may("customers")
    return Answer(body=RecipientList(tuple(recipient_view(one, unmasked=unmasked) for one in found), cursor))


async def _everybody(call: Call[Any, Any], outage: Outage, wanted: Wanted) -> AsyncIterator[Recipient]:
    async for one, _ in call.gateway.outages.recipients.each(outage, wanted):
        yield one


async def _printed(call: Call[Any, Any], outage: Outage, wanted: Wanted) -> web.Response:
    gateway = call.gateway
    people: list[Recipient] = []
    more = False
    async for one in _everybody(call, outage, wanted):
        more = len(people) == MOST
        if more:
            break
        people.append(one)
    settings = gateway.settings
    sheet = Sheet(
        outage=outage,
        standing=await gateway.outages.stands(outage),
        people=people,
        state=wanted.state,
        more=more,
        now=gateway.clock.now(),
        zone=zoneinfo.ZoneInfo(settings.default_time_zone),
        brand=settings.brand.name,
        unmasked=call.key.may("customers"),
    )
    accepts = call.request.headers.get("Accept-Language", "")
    # In a thread: messages must not wait for thousands of rows.
    return await asyncio.to_thread(page, sheet, language_for(None, accepts, settings.default_locale))


async def visited(call: Call[VisitIn, NoQuery]) -> Answer:
    """Somebody was at the door."""
    outage = await own_outage(call)
    customer = known_id(call, "recipient", "customer")
    try:
        visit = await call.gateway.outages.visited(outage, customer, call.body.by, call.body.note)
    except KeyError:
        raise not_found("recipient") from None
    return Answer(body=visit_view(visit), concerns=customer)


def wanted_form(accept: str) -> str:
    """Which of the three forms an Accept header (RFC 9110) wants most; JSON where it doesn't matter."""
    best, form = 0.0, "application/json"
    for part in accept.lower().split(","):
        kind, *parameters = (one.strip() for one in part.split(";"))
        weight = next((_weight(one[2:]) for one in parameters if one.startswith("q=")), 1.0)
        if weight > best and kind in (TABLE, PAGE, *_JSON):
            best, form = weight, kind if kind in (TABLE, PAGE) else "application/json"
    return form


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/outages/{id}/recipients",
        name="listOutageRecipients",
        tag="Outages",
        scope="read",
        or_scope="customers",
        handler=listed,
        summary="The people of an outage: the doors to knock at",
        query=RecipientsQuery,
        answers={200: RecipientList},
        refuses=(404,),
        example_query="state=unreached",
        description="Medical priority first, those already visited last. With `Accept: text/csv` the whole list as a "
        "table, with `Accept: text/html` a page to print (A4), both without `limit` and `cursor`. Names, areas and "
        "full addresses are for keys with the scope `customers`.",
    ),
    Operation(
        method="POST",
        path="/v1/outages/{id}/recipients/{customer}/visited",
        name="markVisited",
        tag="Outages",
        scope="operate",
        handler=visited,
        summary="Say that somebody was at the door",
        body=VisitIn,
        creates=True,
        stores=True,
        answers={200: VisitOut},
        refuses=(404,),
        example={"by": "Team 4", "note": "At home, has candles."},
        description="Counted as `visited`, not as reached. The person stays on the list, below those not visited.",
    ),
)
