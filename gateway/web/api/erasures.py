"""Forgetting a person, and the certificate of it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from gateway.web.api.customer_types import KeptFor
from gateway.web.api.ids import known_id
from gateway.web.api.types import wire_time, wire_time_or_none
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import not_found


class ErasureBegun(msgspec.Struct, frozen=True):
    """The id of the erasure: `GET /v1/erasures/{id}` says how far it is."""

    erasure: str


class CopyOut(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the copies that a provider has of what was sent."""

    channel: str
    outcome: Literal["erased", "not_possible", "failed", "pending"]
    count: int
    code: str | None
    text: str


class ErasureOut(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate of an erasure. It names nobody."""

    id: str
    state: Annotated[
        Literal["running", "done", "incomplete"],
        Meta(description="`incomplete`: a provider did not delete its copy within 15 days."),
    ]
    customer_hash: Annotated[str, Meta(description="Keyed hash of the customer's id: the same for the same id.")]
    by: Annotated[str, Meta(description="Who asked: the id of an API key, `page` for the person, `restore`.")]
    requested_at: dt.datetime
    completed_at: dt.datetime | None
    erased: Annotated[dict[str, int], Meta(description="How much of what was erased.")]
    providers: tuple[CopyOut, ...]
    kept: tuple[KeptFor, ...]


async def erase(call: Call[None, NoQuery]) -> Answer:
    """Forget a person."""
    try:
        erasure = await call.gateway.erasures.begin(known_id(call, "customer"), call.key.id)
    except KeyError:
        raise not_found("customer") from None
    return Answer(status=202, body=ErasureBegun(erasure), headers={"Location": f"/v1/erasures/{erasure}"})


async def look(call: Call[None, NoQuery]) -> Answer:
    """How far an erasure is, and what it did."""
    found = await call.gateway.erasures.certificate(call.path["id"])
    if found is None:
        raise not_found("erasure")
    return Answer(
        body=ErasureOut(
            id=found.id,
            state=found.state,
            customer_hash=found.who,
            by=found.by,
            requested_at=wire_time(found.requested_at),
            completed_at=wire_time_or_none(found.completed_at),
            erased=found.erased,
            providers=tuple(
                CopyOut(channel=one.channel, outcome=one.outcome, count=one.count, code=one.code, text=one.text)
                for one in found.copies
            ),
            kept=tuple(KeptFor(one.what, one.why, one.how_long) for one in found.kept),
        )
    )


OPERATIONS: Final = (
    Operation(
        method="DELETE",
        path="/v1/customers/{id}",
        name="eraseCustomer",
        tag="Erasures",
        scope="customers",
        handler=erase,
        summary="Forget a person",
        answers={202: ErasureBegun},
        answer_headers={"Location": ""},
        live_only=True,
        refuses=(404,),
        description=(
            "The customer is unknown at once; messages that aren't done are cancelled. A durable job then erases what is "
            "held on the person and asks providers to delete their copies. Asked again, it is the same erasure. "
            "Withdrawals of consent stay as keyed hashes and bind whoever is created with that id or address."
        ),
    ),
    Operation(
        method="GET",
        path="/v1/erasures/{id}",
        name="getErasure",
        tag="Erasures",
        scope="customers",
        handler=look,
        summary="The certificate of an erasure",
        answers={200: ErasureOut},
        refuses=(404,),
        description="Kept for three years. It names nobody: `customer_hash` matches whoever shows the same id again.",
    ),
)
