"""Customers: profiles, import and export, and lifting the suppression of an address."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec
import structlog

from gateway.delivery.words import unpack
from gateway.message import Mode
from gateway.numbers import normalise
from gateway.store.listing import Filter
from gateway.web.api import customer_types as types
from gateway.web.api.changes import ETAG, done, expected, shown
from gateway.web.api.customer_import import import_customers
from gateway.web.api.ids import known_id
from gateway.web.api.message_view import view
from gateway.web.api.types import wire_time
from gateway.web.api.types_out import MessageOut
from gateway.web.operations import Answer, Call, NoQuery, Operation, Raw
from gateway.web.problems import invalid, not_found

_EXPORT_PAGE: Final = 200
_log = structlog.get_logger()


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
    customer, people = known_id(call, "customer"), call.gateway.people
    profile, wishes, ledger = (
        await people.view(customer),
        await people.preferences(customer),
        await people.consents(customer),
    )
    if profile is None or wishes is None or ledger is None:
        raise not_found("customer")
    modes: tuple[Mode, ...] = ("live", "team")
    found = [message for mode in modes for message in await _messages(call, customer, mode)]
    body = {
        "exported_at": wire_time(call.gateway.clock.now()),
        "customer": profile.view,
        "preferences": wishes.view,
        "consents": ledger,
        "messages": found,
        "contents": {message.id: await _content(call, message.id) for message in found},
    }
    return Answer(body=body)


async def _content(call: Call[Any, Any], message_id: str) -> Any:
    """What a message says, as it was accepted; None past its retention."""
    loaded = await call.gateway.messages.load(message_id)
    raw = None if loaded is None else await call.gateway.messages.body(loaded.message)
    return None if raw is None else msgspec.to_builtins(unpack(raw))


async def _messages(call: Call[Any, Any], customer: str, mode: Mode) -> list[MessageOut]:
    found: list[MessageOut] = []
    cursor: str | None = None
    while True:
        page, cursor = await call.gateway.listing.page(mode, Filter(customer=customer), _EXPORT_PAGE, cursor)
        now = call.gateway.clock.now()
        found += [view(message, (), now, unmasked=True) for message in page]
        if cursor is None:
            return found


async def lift(call: Call[types.LiftIn, NoQuery]) -> Answer:
    """An address may be used again; a person's own withdrawal is untouched."""
    asked = call.body
    try:
        value = normalise(asked.channel, asked.value)
    except ValueError as wrong:
        raise invalid([("/value", str(wrong))]) from None
    await call.gateway.customers.mark(asked.channel, value, None)
    owners = await call.gateway.customers.owners(value)
    _log.info("suppression_lifted", channel=asked.channel, customers=owners, key=call.key.id)
    return Answer(body=types.LiftOut(asked.channel, value, tuple(owners)))


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
        body=Raw("application/x-ndjson", "One customer a line: `id`, the profile, `preferences`, `consents`."),
        answers={200: Raw("application/x-ndjson", "A line for each rejected row, then the count.")},
        description="Streamed; good rows are kept, bad ones are named. Running it again is harmless.",
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
    Operation(
        method="POST",
        path="/v1/addresses/lift",
        name="liftSuppression",
        tag="Addresses",
        scope="admin",
        handler=lift,
        summary="Use an address again",
        body=types.LiftIn,
        live_only=True,
        answers={200: types.LiftOut},
        example={"channel": "sms", "value": "+306912345678", "reason": "The number works again, we called it."},
    ),
)
