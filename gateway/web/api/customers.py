"""Customers: profiles, import and export."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from gateway.web.api import customer_types as types
from gateway.web.api.changes import ETAG, done, expected, shown
from gateway.web.api.customer_import import import_customers
from gateway.web.api.ids import known_id
from gateway.web.api.inbound import item_out
from gateway.web.api.message_view import view
from gateway.web.api.thread_types import post_out
from gateway.web.api.types import wire_time
from gateway.web.context import Gateway
from gateway.web.operations import Answer, Call, NoQuery, Operation, Raw
from gateway.web.problems import not_found


async def put(call: Call[types.ProfileIn, NoQuery]) -> Answer:
    """Make or replace a profile."""
    result = await done(call.gateway.people.put(call.path["id"], call.tree, await expected(call)))
    return shown(result, 201 if result.created else 200)


async def check(call: Call[types.ProfileIn, NoQuery], _spoilt: Collection[str]) -> list[tuple[str, str]]:
    """What is wrong with a profile beyond its types."""
    return call.gateway.people.profile_problems(call.tree)


async def look(call: Call[None, NoQuery]) -> Answer:
    """One customer."""
    return shown(await call.gateway.people.view(known_id(call, "customer")))


async def patch(call: Call[types.ProfilePatch, NoQuery]) -> Answer:
    """Change parts of a profile."""
    customer = known_id(call, "customer")
    return shown(await done(call.gateway.people.patch(customer, call.tree, await expected(call))))


async def export(call: Call[None, NoQuery]) -> Answer:
    """Everything held on a person."""
    found = await export_of(call.gateway, known_id(call, "customer"))
    if found is None:
        raise not_found("customer")
    return Answer(body=found)


async def export_of(gateway: Gateway, customer: str) -> dict[str, Any] | None:
    """Everything held on a person, as `ExportOut`; None when there is nobody of that id."""
    held = await gateway.holdings.of(customer)
    if held is None:
        return None
    now = gateway.clock.now()
    return {
        "exported_at": wire_time(now),
        "customer": held.profile,
        "preferences": held.preferences,
        "consents": held.consents,
        "messages": [view(message, (), now, unmasked=True) for message in held.messages],
        "contents": held.contents,
        "inbound": [item_out(item) for item in held.inbound],
        "timeline": [post_out(post) for post in held.timeline],
        "records": held.things,
        "kept_for": [types.KeptFor(one.what, one.why, one.how_long) for one in held.kept],
    }


_ANA: Final = {
    "name": "Ana Pappas",
    "locale": "el",
    "time_zone": "Europe/Athens",
    "addresses": [{"channel": "sms", "value": "+306912345678"}, {"channel": "voice", "value": "+306912345678"}],
    "attributes": {"area": "Kypseli"},
}  # fmt: skip - an example
OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/customers/import",
        name="importCustomers",
        tag="Customers",
        scope="customers",
        handler=import_customers,
        stores=True,
        summary="Import many",
        live_only=True,
        body=Raw(
            "application/x-ndjson",
            "One customer a line: `id`, the profile, `preferences`, `preferences_by`, `consents`.",
        ),
        answers={200: Raw("application/x-ndjson", "A line for each rejected row, then the count.")},
        description="Streamed; good rows are kept, bad ones are named. Running it again is harmless. Preferences that people "
        "chose themselves stay; the count says of how many (`choices_kept`).",
    ),
    Operation(
        method="PUT",
        path="/v1/customers/{id}",
        name="putCustomer",
        tag="Customers",
        scope="customers",
        handler=put,
        stores=True,
        check=check,
        summary="Make or replace a customer",
        body=types.ProfileIn,
        live_only=True,
        if_match=True,
        answers={201: types.CustomerOut, 200: types.CustomerOut},
        answer_headers=ETAG,
        example=_ANA,
        description="Never touches consent, preferences or the health of addresses.",
    ),
    Operation(
        method="GET",
        path="/v1/customers/{id}",
        name="getCustomer",
        tag="Customers",
        scope="customers",
        handler=look,
        summary="Read a customer",
        answers={200: types.CustomerOut},
        answer_headers=ETAG,
        refuses=(404,),
    ),
    Operation(
        method="PATCH",
        path="/v1/customers/{id}",
        name="patchCustomer",
        tag="Customers",
        scope="customers",
        handler=patch,
        stores=True,
        summary="Change a customer",
        body=types.ProfilePatch,
        live_only=True,
        if_match=True,
        answers={200: types.CustomerOut},
        answer_headers=ETAG,
        refuses=(404,),
        example={"locale": "zh-Hans"},
    ),
    Operation(
        method="GET",
        path="/v1/customers/{id}/export",
        name="exportCustomer",
        tag="Customers",
        scope="customers",
        handler=export,
        summary="Everything held on a person",
        answers={200: types.ExportOut},
        refuses=(404,),
    ),
)
