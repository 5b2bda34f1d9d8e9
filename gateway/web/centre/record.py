"""What we hold on a person and why, in plain words; all of it to take away; and to be forgotten."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from gateway.customer import ConsentEntry
from gateway.message import Message
from gateway.preferences.consent import ANY, LIFTED, Standing, effective
from gateway.store.listing import Filter
from gateway.web.api.customers import export_of
from gateway.web.centre import board, pages
from gateway.web.centre.visit import HEADERS, Nowhere, Refused, Visit, within_limit
from gateway.web.centre.zones import city

MESSAGES: Final = 20
HISTORY: Final = 200
_WAYS: Final = (
    ("page", "page"),
    ("api", "api"),
    ("import", "import"),
    ("one_click", "one_click"),
    ("key_press", "key"),
    ("ivr", "key"),
    ("wechat", "wechat"),
    ("follow", "wechat"),
    ("complaint", "complaint"),
    ("keyword", "text"),
    ("sms", "text"),
    ("provider", "provider"),
    ("bounce", "provider"),
    ("form", "form"),
)
"""Part of a ledger's way -> what it is called; the first that fits counts."""


class Line(msgspec.Struct, frozen=True):
    """An entry of the ledger in words."""

    day: str
    what: str
    way: str
    wording: str
    granted: bool


class Sent(msgspec.Struct, frozen=True):
    """A message in words. Times as the person writes them."""

    day: str
    kind: str
    channel: str
    became: str


async def data(visit: Visit, *, status: int = 200, alert: str = "", field: str = "") -> web.Response:  # noqa: ARG001 - every page takes it
    """Everything held on the person, and why."""
    customer, texts = visit.customer, visit.texts
    ledger = await visit.gateway.customers.ledger(customer.id)
    messages, _ = await visit.gateway.listing.page("live", Filter(customer=customer.id), MESSAGES, None)
    return visit.page(
        "data.html",
        status=status,
        alert=alert,
        profile=_profile(visit),
        attributes=sorted((str(name), _plain(value)) for name, value in customer.attributes.items()),
        addresses=[
            (texts.channel(one.channel), board.shown(one), one.label or "", _source(visit, one.value))
            for one in customer.addresses
        ],
        standing=[_standing(visit, one) for one in effective(customer.consents)],
        history=[_line(visit, entry) for entry in reversed(ledger[-HISTORY:])],
        messages=[_sent(visit, message) for message in messages],
    )


def _profile(visit: Visit) -> list[tuple[str, str]]:
    customer, words = visit.customer, visit.texts.data
    language = customer.preferences.language or customer.locale
    return [
        (words.name, customer.name or words.none),
        (words.number, customer.id if not customer.id.startswith("~") else words.none),
        (words.language, pages.language_name(language, visit.language) if language else words.none),
        (words.zone, city(customer.time_zone, visit.language) if customer.time_zone else words.none),
        (words.since, pages.day(visit, customer.created_at)),
    ]


def _source(visit: Visit, value: str) -> str:
    """Where an address came from."""
    words, at = visit.texts.data, visit.customer.confirmed.get(visit.customer.keys.get(value, ""))
    return words.from_us if at is None else words.from_page.format(date=pages.day(visit, at))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _what(visit: Visit, category: str) -> str:
    words = visit.texts.data
    return words.everything if category == ANY else words.kind.format(kind=visit.texts.kind_of(category).title)


def _where(visit: Visit, channel: str, address: str | None) -> str:
    words = visit.texts.data
    where = words.everywhere if channel == ANY else words.by_channel.format(channel=visit.texts.by(channel))
    if address is None:
        return where
    found = next((value for value, key in visit.customer.keys.items() if key == address), None)
    at = words.of_old_address if found is None else words.of_address.format(address=found)
    return f"{where} {at}"


def _standing(visit: Visit, one: Standing) -> tuple[bool, str, str]:
    """Whether it is a consent, the sentence, and its day."""
    words = visit.texts.data
    sentence = words.granted if one.state == "granted" else words.withdrawn
    said = sentence.format(what=_what(visit, one.category), where=_where(visit, one.channel, one.address))
    return one.state == "granted", said, pages.day(visit, one.at)


def _line(visit: Visit, entry: ConsentEntry) -> Line:
    words = visit.texts.data
    sentence = words.entry_granted if entry.state == "granted" else words.entry_withdrawn
    return Line(
        day=pages.moment(visit, entry.at),
        what=sentence.format(what=_what(visit, entry.category), where=_where(visit, entry.channel, entry.address)),
        way=_way(visit, entry.way),
        wording=words.words.format(words=entry.wording),
        granted=entry.state == "granted",
    )


def _way(visit: Visit, way: str) -> str:
    plain = way.removeprefix(LIFTED)
    known = next((name for part, name in _WAYS if part in plain), None)
    return (visit.texts.ways.get(known) if known else None) or plain


def _sent(visit: Visit, message: Message) -> Sent:
    words, verdict = visit.texts.verdicts, message.verdict
    channel = verdict.channel or next((one.channel for one in reversed(message.attempts)), None)
    name = visit.texts.by(channel) if channel else ""
    if verdict.state == "pending":
        became = words.held if message.held is not None else words.pending
    elif verdict.state == "reached":
        became = words.reached.format(channel=name) if name else words.reached_plain
    else:
        became = words.get(verdict.state) or verdict.state
    day = pages.moment(visit, message.created_at)
    return Sent(day, visit.texts.kind_of(message.category).title, name, became)


async def export(visit: Visit) -> web.Response:
    """All of it as JSON, the same that operators get."""
    if not await within_limit(visit.gateway, visit.customer.id):
        raise Refused(visit.texts.page.busy, status=429)
    found = await export_of(visit.gateway, visit.customer.id)
    if found is None:
        raise Nowhere(410, "gone")
    headers = {**HEADERS, "Content-Disposition": 'attachment; filename="my-data.json"'}
    body = msgspec.json.format(msgspec.json.encode(found), indent=2)
    return web.Response(body=body, content_type="application/json", headers=headers)


async def forget(visit: Visit, *, status: int = 200, alert: str = "", field: str = "") -> web.Response:
    """Says what is deleted and what stays; then asks once more."""
    second = visit.form.get("sure") == "1" or field == "sure"
    return visit.page("forget.html", status=status, alert=alert, field=field, step=2 if second else 1)


async def forgotten(visit: Visit) -> web.Response:
    """Begin the erasure, at the second step, and show what proves it."""
    if visit.form.get("step") != "2":
        return await forget(visit)
    if visit.form.get("sure") != "1":
        raise Refused(visit.texts.forget.sure_missing, "sure")
    number = await visit.gateway.erasures.begin(visit.customer.id, "page")
    return visit.page("forgotten.html", number=number)
