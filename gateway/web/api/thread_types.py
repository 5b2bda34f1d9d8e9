"""What the thread of a person looks like to callers."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.delivery.lookup import Found, Known
from gateway.delivery.replying import LONGEST
from gateway.delivery.thread import Post
from gateway.web.api.ids import CustomerId
from gateway.web.api.inbound import InboundOut, item_out
from gateway.web.api.types import wire_time
from gateway.web.api.types_out import WhyOut
from gateway.web.operations import Page


class TimelineQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of the thread."""


class LookupQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose address."""

    address: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=320,
            description="A telephone number in E.164, an e-mail address or a WeChat openid. A leading blank counts as +.",
        ),
    ]


class ReplyIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to write back."""

    text: Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": LONGEST, "pattern": r"\S"})]
    channel: Annotated[str, Meta(description="Absent: the channel they wrote on last.")] | None = None


class TimelineItem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    id: str
    at: dt.datetime
    kind: Annotated[
        str,
        Meta(
            description="`message`: one was accepted for them; `attempt`: what came of handing it over; `answer`, "
            "`acknowledged`: what they answered to it; `verdict`: how it ended, or was corrected; `inbound`: what they "
            "wrote; `consent`, `preferences`, `profile`, `address`: what changed; `case`, `survey`, `note` …: what "
            "services tell. New kinds may come."
        ),
    ]
    direction: Annotated[Literal["in", "out"] | None, Meta(description="Whether they said it or we did.")]
    channel: str | None
    text: Annotated[str | None, Meta(description="The words, while they are kept.")]
    message: Annotated[str | None, Meta(description="The message it belongs to.")]
    inbound: Annotated[str | None, Meta(description="The inbound item, for `/v1/inbound/{id}`.")]
    case: Annotated[str | None, Meta(description="The case.")]
    details: Annotated[dict[str, Any], Meta(description="What else is known, by kind.")]


class TimelineOut(msgspec.Struct, frozen=True):
    """A page, newest first."""

    items: tuple[TimelineItem, ...]
    next: str | None


class AddressShort(msgspec.Struct, frozen=True):
    """One of their addresses."""

    channel: str
    value: str
    label: str | None


class PersonShort(msgspec.Struct, frozen=True, kw_only=True):
    """Who it is."""

    id: CustomerId
    name: str | None
    locale: str | None
    addresses: tuple[AddressShort, ...]
    attributes: dict[str, Any]


class CallerOut(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has the address, and what to know before speaking."""

    customer: PersonShort
    hints: Annotated[
        tuple[WhyOut, ...],
        Meta(
            description="The gravest first. Codes: `medical_priority`, `complaint_open`, `do_not_contact`, `opted_out`, "
            "`no_marketing`, `no_surveys`, `address_suppressed`, `address_suspect`, `prefers_channel`, `language`."
        ),
    ]
    cases: Annotated[tuple[dict[str, Any], ...], Meta(description="Open cases, the newest first.")]
    outages: Annotated[tuple[dict[str, Any], ...], Meta(description="Outages under way that they were told of.")]
    last_contacts: Annotated[tuple[TimelineItem, ...], Meta(description="The newest messages and words, both ways.")]


class LookupOut(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling. Nobody is known by an empty list; `inbound` is what came from there and belongs to nobody yet."""

    address: Annotated[str, Meta(description="As it is stored.")]
    customers: tuple[CallerOut, ...]
    inbound: tuple[InboundOut, ...]


def post_out(post: Post) -> TimelineItem:
    """A thing of the thread as callers see it."""
    of: dict[str, str | None] = {}
    if post.of is not None:
        place = {"inbound": "inbound", "case": "case"}.get(post.kind, "message")
        ours = post.kind in ("message", "attempt", "answer", "acknowledged", "verdict", "inbound", "case")
        of = {place if ours else "": post.of}
    details = {"id": of[""], **post.facts} if "" in of else post.facts
    return TimelineItem(
        id=post.id,
        at=wire_time(post.at),
        kind=post.kind,
        direction=post.direction,
        channel=post.channel,
        text=post.text,
        message=of.get("message"),
        inbound=of.get("inbound"),
        case=of.get("case"),
        details=details,
    )


def lookup_out(found: Found) -> LookupOut:
    """Whose an address is, as callers see it."""
    return LookupOut(
        address=found.address,
        customers=tuple(map(_caller, found.customers)),
        inbound=tuple(map(item_out, found.recent)),
    )


def _caller(known: Known) -> CallerOut:
    person = known.customer
    return CallerOut(
        customer=PersonShort(
            id=person.id,
            name=person.name,
            locale=person.locale,
            addresses=tuple(AddressShort(a.channel, a.value, a.label) for a in person.addresses),
            attributes=person.attributes,
        ),
        hints=tuple(WhyOut(hint.code, hint.text) for hint in known.hints),
        cases=tuple(map(dict, known.parts.get("cases", ()))),
        outages=tuple(map(dict, known.parts.get("outages", ()))),
        last_contacts=tuple(map(post_out, known.contacts)),
    )
