"""Addresses in doubt or no longer used, and the operators' way back for them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

import msgspec
import structlog
from msgspec import Meta

from gateway.customer import Customer
from gateway.numbers import normalise
from gateway.people.views import health_view
from gateway.store.health import STATES, Entry
from gateway.text import mask
from gateway.web.api.customer_types import HealthOut, LiftIn, LiftOut
from gateway.web.api.types import ChannelName
from gateway.web.operations import Answer, Call, NoQuery, Operation, Page
from gateway.web.problems import invalid

_log = structlog.get_logger()


class AddressesQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which addresses to list."""

    health: Annotated[Literal["suspect", "suppressed"], Meta(description="Absent: both.")] | None = None
    channel: ChannelName | None = None


class UnhealthyOut(msgspec.Struct, frozen=True, kw_only=True):
    """An address in doubt or no longer used, and who has it."""

    channel: str
    address: Annotated[str, Meta(description="Masked for keys without the scope `customers`.")]
    customers: tuple[str, ...]
    health: HealthOut


class AddressList(msgspec.Struct, frozen=True):
    """A page, the newest in doubt first."""

    items: tuple[UnhealthyOut, ...]
    next: str | None


async def listed(call: Call[None, AddressesQuery]) -> Answer:
    """A page of addresses. Those that nobody has any more aren't shown."""
    query, healths = call.query, call.gateway.customers.health
    states = STATES if query.health is None else (query.health,)
    items: list[UnhealthyOut] = []
    cursor = query.cursor
    while True:
        try:
            found, cursor = await healths.page(states, query.channel, query.limit - len(items), cursor)
        except ValueError:
            raise invalid([("?cursor", "must be the `next` of an earlier page.")]) from None
        shown = await asyncio.gather(*(_shown(call, entry) for entry in found))
        items += [item for item in shown if item is not None]
        if cursor is None or len(items) == query.limit:
            return Answer(body=AddressList(tuple(items), cursor))


async def _shown(call: Call[Any, Any], entry: Entry) -> UnhealthyOut | None:
    """An entry with the address itself, which only its owners' records know; None: nobody has it any more."""
    owners = await call.gateway.customers.having(entry.key)
    value = next((found for owner in owners if (found := _value(owner, entry)) is not None), None)
    if value is None:
        return None
    return UnhealthyOut(
        channel=entry.channel,
        address=value if call.key.may("customers") else mask(entry.channel, value),
        customers=tuple(sorted(owner.id for owner in owners if _value(owner, entry) is not None)),
        health=msgspec.convert(health_view(entry.health), HealthOut),
    )


def _value(owner: Customer, entry: Entry) -> str | None:
    held = (a.value for a in owner.addresses if a.channel == entry.channel and owner.keys.get(a.value) == entry.key)
    return next(held, None)


async def lift(call: Call[LiftIn, NoQuery]) -> Answer:
    """An address may be used again; a person's own withdrawal is untouched."""
    asked, customers = call.body, call.gateway.customers
    try:
        value = normalise(asked.channel, asked.value)
    except ValueError as wrong:
        raise invalid([("/value", str(wrong))]) from None
    await customers.lift(asked.channel, value)
    owners = await customers.owners(value)
    _log.info("suppression_lifted", channel=asked.channel, customers=owners, key=call.key.id)
    return Answer(body=LiftOut(asked.channel, value, tuple(owners)))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/addresses",
        name="listAddresses",
        tag="Addresses",
        scope="read",
        or_scope="customers",
        handler=listed,
        summary="Addresses in doubt or no longer used",
        description="The newest first: since when, until when, how often and by what it was learnt.",
        query=AddressesQuery,
        answers={200: AddressList},
        example_query="health=suppressed",
    ),
    Operation(
        method="POST",
        path="/v1/addresses/lift",
        name="liftSuppression",
        tag="Addresses",
        scope="admin",
        handler=lift,
        summary="Use an address again",
        description="Nothing that happened until now is held against it. What the person withdrew stays withdrawn.",
        body=LiftIn,
        live_only=True,
        answers={200: LiftOut},
        example={"channel": "sms", "value": "+306912345678", "reason": "The number works again, we called it."},
    ),
)
