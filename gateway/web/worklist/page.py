"""The worklist as a page for A4: medical priority on top, a box to tick at each door."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import msgspec
from aiohttp import web
from babel.dates import format_date
from markupsafe import Markup

from gateway.outages.board import Standing
from gateway.outages.nouns import Outage
from gateway.outages.recipients import Recipient
from gateway.text import mask
from gateway.web.page_texts import SAFE_HEADERS, environment
from gateway.web.worklist.rows import address_of, area_of
from gateway.web.worklist.texts import Texts, stylesheet, texts_in

MOST: Final = 5_000
"""More than so many people nobody carries around on paper; the table has all of them."""
DOORS: Final = "unreached"
_NUMBERS: Final = re.compile(r"([0-9]{1,9})")
_PHONES: Final = ("voice", "sms")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One door."""

    number: int
    customer: str
    name: str | None
    medical: bool
    area: str
    address: str
    phones: tuple[str, ...]
    tried: tuple[str, ...]
    state: str
    visited: str
    note: str


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The people under one heading, by area."""

    kind: str
    heading: str
    rows: tuple[Row, ...]

    @property
    def areas(self) -> list[tuple[str, list[Row]]]:
        """The rows of each area, in their order."""
        return [(area, list(rows)) for area, rows in groupby(self.rows, key=lambda row: row.area)]


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What is printed. `state`: which people (None: all); `more`: there are people beyond these; `now` in ms.

    `unmasked`: names, doors and numbers may be seen.
    """

    outage: Outage
    standing: Standing
    people: Sequence[Recipient]
    state: str | None
    more: bool
    now: int
    zone: dt.tzinfo
    brand: str | None
    unmasked: bool


def page(sheet: Sheet, language: str) -> web.Response:
    """The page; everything it needs is in it."""
    texts, counts = texts_in(language), sheet.standing.counts
    growing = bool(counts.waiting or counts.told_only) and sheet.outage.state == "active"
    note = texts.over if sheet.outage.state != "active" else texts.settled
    if growing:
        note = texts.still.format(waiting=counts.waiting + counts.told_only)
    of = {"unreached": counts.unreached, "suppressed": counts.suppressed, "reached": counts.reached}
    whole = of.get(sheet.state or "", counts.audience)
    html = (
        environment()
        .get_template("worklist.html")
        .render(
            language=language,
            texts=texts,
            brand=sheet.brand,
            title=sheet.outage.title,
            heading=texts.doors if sheet.state == DOORS else texts.people,
            printed=_when(sheet.now, sheet.zone, language),
            figures=counts,
            growing=growing,
            note=note,
            cut=(len(sheet.people), max(whole, len(sheet.people))) if sheet.more else None,
            groups=_groups(sheet, texts, language),
            style=Markup(stylesheet()),  # noqa: S704 - our own file, and in <style> a browser decodes no entities
        )
    )
    return web.Response(text=html, content_type="text/html", headers={**SAFE_HEADERS, **_policy()})


def _groups(sheet: Sheet, texts: Texts, language: str) -> list[Group]:
    """Under each heading by area and name: that is how one walks."""
    headings = {"medical": texts.medical, "others": texts.others, "visited": texts.visited}
    rows: dict[str, list[Row]] = {kind: [] for kind in headings}
    order = list(headings)
    ordered = sorted(sheet.people, key=lambda one: (order.index(_kind(one)), *_walk(one)))
    for number, one in enumerate(ordered, 1):
        rows[_kind(one)].append(_row(one, number, sheet, texts, language))
    return [
        Group(kind=kind, heading=heading, rows=tuple(rows[kind])) for kind, heading in headings.items() if rows[kind]
    ]


def _kind(one: Recipient) -> str:
    if one.visit is not None:
        return "visited"
    return "medical" if one.medical else "others"


def _walk(one: Recipient) -> tuple[str, list[tuple[int, str]], str]:
    """By area and street, and along the street by number; who has no address comes last."""
    parts = _NUMBERS.split(address_of(one) or "\uffff")
    return area_of(one) or "\uffff", [(int(p), "") if p.isdigit() else (0, p) for p in parts], one.customer.id


def _row(one: Recipient, number: int, sheet: Sheet, texts: Texts, language: str) -> Row:
    customer, visit, plain = one.customer, one.visit, sheet.unmasked
    numbers = (a.value for channel in _PHONES for a in customer.addresses if a.channel == channel)
    phones = dict.fromkeys(number if plain else mask("voice", number) for number in numbers)
    tried = tuple(dict.fromkeys(texts.attempt(attempt) for attempt in one.attempts))
    seen = "" if visit is None else texts.seen.format(by=visit.by, at=_when(visit.at, sheet.zone, language))
    return Row(
        number=number,
        customer=customer.id,
        name=customer.name if plain else None,
        medical=one.medical,
        area=(area_of(one) or "") if plain else "",
        address=(address_of(one) or "") if plain else "",
        phones=tuple(phones),
        tried=tried or (texts.nothing_tried,),
        state="" if sheet.state == DOORS else texts.states[one.state],
        visited=seen,
        note="" if visit is None else visit.note or "",
    )


def _when(at: int, zone: dt.tzinfo, language: str) -> str:
    when = dt.datetime.fromtimestamp(at / 1000, zone)
    return f"{format_date(when, 'medium', locale=language.replace('-', '_'))}, {when:%H:%M}"


def _policy() -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(stylesheet().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {"Content-Security-Policy": policy}
