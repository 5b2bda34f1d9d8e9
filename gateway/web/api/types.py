"""What callers say of messages: the OpenAPI document is generated from these types, and requests are checked by them."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.content.content import Content
from gateway.message import Lane, Level
from gateway.prompts import PromptKind
from gateway.web.api.ids import END, CustomerId

Time = Annotated[dt.datetime, Meta(tz=True, description="RFC 3339 with offset.")]
Text = str | dict[str, str]
ChannelName = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}" + END, description="`sms`, `email`, `wechat`, `voice` or a plug-in.")
]
Category = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]{0,63}" + END,
        description="`code`, `reply`, `outage`, `service`, `follow_up`, `survey`, `marketing`, or one of the settings.",
    ),
]


def wire_time(ms: int) -> dt.datetime:
    """An internal time (ms since the epoch) as it is written on the wire, in UTC."""
    return dt.datetime.fromtimestamp(ms // 1000, dt.UTC).replace(microsecond=ms % 1000 * 1000)


def wire_time_or_none(ms: int | None) -> dt.datetime | None:
    """As `wire_time`; None stays None."""
    return None if ms is None else wire_time(ms)


def internal(time: dt.datetime) -> int:
    """A time from the wire in ms since the epoch."""
    return (time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


class _In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request body: what it doesn't know, it refuses."""


class AddressIn(_In, frozen=True):
    """One way to reach a person on one channel."""

    channel: ChannelName
    value: Annotated[str, Meta(min_length=1, max_length=320, description="E.164, an e-mail address, or an openid.")]
    label: Annotated[str, Meta(max_length=64)] | None = None


class ConsentIn(_In, frozen=True):
    """One entry for the consent ledger. `*` stands for every channel or category."""

    channel: Annotated[str, Meta(pattern=r"^(\*|[a-z][a-z0-9_-]{0,31})" + END)]
    category: Annotated[str, Meta(pattern=r"^(\*|[a-z][a-z0-9_-]{0,63})" + END)]
    state: Literal["granted", "withdrawn"]
    way: Annotated[str, Meta(min_length=1, max_length=64, description="How it was given: `form`, `phone`, `paper` …")]
    wording: Annotated[str, Meta(min_length=1, max_length=4096, description="The very words that were agreed to.")]
    version: (
        Annotated[str, Meta(min_length=1, max_length=64, description="Of the form or page the words stood in.")] | None
    ) = None
    at: Time | None = None
    proof: (
        Annotated[str, Meta(min_length=1, max_length=1024, description="Lifts an earlier withdrawal by the person.")]
        | None
    ) = None


class RecipientIn(_In, frozen=True):
    """Somebody who isn't stored as a customer."""

    addresses: Annotated[tuple[AddressIn, ...], Meta(min_length=1, max_length=20)]
    locale: Annotated[str, Meta(max_length=35, description="BCP 47.")] | None = None
    time_zone: Annotated[str, Meta(max_length=64, description="IANA name.")] | None = None
    consent: ConsentIn | None = None


class ReachIn(_In, frozen=True):
    """What counts as reached, and how long to try; what is left out comes from the category."""

    until: Level | None = None
    within: Annotated[int, Meta(ge=1, le=2_592_000, description="Seconds for the whole.")] | None = None
    step: Annotated[int, Meta(ge=1, le=2_592_000, description="Seconds until the next channel.")] | None = None
    mode: Literal["in_turn", "all_at_once"] | None = None
    rounds: Annotated[int, Meta(ge=1, le=10)] | None = None
    channels: Annotated[tuple[ChannelName, ...], Meta(min_length=1, max_length=32)] | None = None
    unproven: Literal["settle", "go_on"] | None = None


class OptionIn(_In, frozen=True):
    """One possible answer of a choice."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    label: Annotated[str, Meta(min_length=1, max_length=200)]


class PromptIn(_In, frozen=True):
    """One question that goes with the message; any fitting answer on any channel counts."""

    kind: PromptKind
    question: Text | None = None
    min: int | None = None
    max: int | None = None
    options: Annotated[tuple[OptionIn, ...], Meta(max_length=9)] = ()
    closes_in: Annotated[int, Meta(ge=60, le=31_536_000, description="Seconds.")] = 604800


class MessageIn(_In, frozen=True):
    """A message to one person: a `customer` or a `recipient`, with a `template` and `data` or with `content`."""

    category: Category
    customer: CustomerId | None = None
    recipient: RecipientIn | None = None
    template: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    data: dict[str, Any] = {}
    content: Content | None = None
    reach: ReachIn | None = None
    priority: Annotated[Lane, Meta(description="May only lower the category's own.")] | None = None
    prompt: PromptIn | None = None
    thread: (
        Annotated[str, Meta(min_length=1, max_length=128, description="A newer message supersedes older ones.")] | None
    ) = None
    send_at: Time | None = None
    send_at_local: (
        Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]" + END, description="The person's next HH:MM.")]
        | None
    ) = None
    expires_at: Time | None = None
    reference: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    metadata: dict[str, Any] = {}


class BatchIn(_In, frozen=True):
    """Up to 1000 messages, each judged on its own."""

    messages: Annotated[
        tuple[Any, ...],
        Meta(
            min_length=1,
            max_length=1000,
            description="Each as for `POST /v1/messages`; a bad one spoils no other.",
            extra_json_schema={"items": {"$ref": "#/components/schemas/MessageIn"}},
        ),
    ]


class AcknowledgeIn(_In, frozen=True):
    """Somebody says that the person knows."""

    by: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    note: Annotated[str, Meta(max_length=1024)] | None = None


class RetryIn(_In, frozen=True):
    """What to do differently this time."""

    reach: ReachIn | None = None


class AudienceIn(_In, frozen=True):
    """Whom it is for: exactly one of these."""

    customers: (
        Annotated[
            tuple[CustomerId, ...],
            Meta(
                min_length=1, max_length=100_000, description="Each is written to once, however often it stands here."
            ),
        ]
        | None
    ) = None
    where: (
        Annotated[
            dict[str, Any],
            Meta(
                min_length=1,
                max_length=20,
                description="Attributes of customers, each with the value it must have, or a list of which any will do. "
                "An attribute that is a list itself must hold one of them.",
            ),
        ]
        | None
    ) = None
    group: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:@-]{1,128}" + END, description="A group's id.")] | None = None
