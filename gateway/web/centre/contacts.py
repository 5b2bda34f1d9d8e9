"""A person's addresses: added and changed with a code that proves them, removed."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web
from babel.dates import format_time

from gateway.content.filters import babel_locale
from gateway.customer import Address, Customer
from gateway.numbers import country_of, is_phone_channel, normalise
from gateway.people.parse import MOST_ADDRESSES, MOST_LABEL
from gateway.people.people import Conflict, Invalid
from gateway.people.views import profile_form
from gateway.routing.view import zones_of
from gateway.selfservice.verification import Challenge, NotSent, TooMany, Wrong
from gateway.text import clean
from gateway.web.centre import board
from gateway.web.centre.texts import Texts
from gateway.web.centre.visit import Refused, Visit
from gateway.web.context import Gateway

NOT_TYPED: Final = frozenset(("wechat",))
"""Channels whose addresses nobody can type; they are joined in other ways."""


async def add(visit: Visit, *, status: int = 200, alert: str = "", field: str = "") -> web.Response:
    """The form for a new address; with `instead`, for one that takes another's place."""
    instead = _instead(visit)
    channels = [name for name in board.known_channels(visit) if name not in NOT_TYPED]
    form = visit.form
    first = instead.channel if instead is not None else next(iter(channels), "")
    return visit.page(
        "add.html",
        status=status,
        alert=alert,
        field=field,
        channels=channels,
        wanted=form.get("channel", visit.request.query.get("channel", first)),
        value=form.get("value", ""),
        label=form.get("label", (instead.label if instead is not None else None) or ""),
        calls=form.get("calls") == "1",
        can_call={"sms", "voice"} <= set(channels),
        instead=instead,
        instead_ref="" if instead is None else board.reference(visit, instead),
        shown=board.shown,
    )


def _instead(visit: Visit) -> Address | None:
    return board.by_reference(visit, visit.form.get("instead", visit.request.query.get("instead", "")))


async def send_code(visit: Visit) -> web.Response:
    """Send a code to the new address. Nothing is stored with the person yet."""
    address, instead, form = _typed(visit), _instead(visit), visit.form
    words = visit.texts.address
    held = visit.customer.addresses
    if any((one.channel, one.value) == (address.channel, address.value) for one in held):
        raise Refused(words.known, "value")
    if instead is None and len(held) >= MOST_ADDRESSES:
        raise Refused(words.too_many.format(count=len(held)), "value")
    calls = Address("voice", address.value, address.label)
    also = form.get("calls") == "1" and address.channel == "sms" and "voice" in board.known_channels(visit)
    wanted = Challenge(
        customer=visit.customer.id,
        born=visit.customer.created_at,
        purpose="add",
        address=address,
        more=(calls,) if also else (),
        instead=instead,
    )
    name = await sent(visit, wanted)
    return visit.go(f"/addresses/code/{name}")


def _typed(visit: Visit) -> Address:
    """The address of the form. Raises Refused."""
    words, channel = visit.texts.address, visit.form.get("channel", "")
    if channel in NOT_TYPED or channel not in board.known_channels(visit):
        raise Refused(visit.texts.page.wrong, "channel")
    try:
        value = normalise(channel, visit.form.get("value", ""), _country(visit))
    except ValueError:
        raise Refused(words.bad.format(hint=words.value_hint), "value") from None
    label = " ".join(clean(visit.form.get("label", "")).split())[:MOST_LABEL]
    return Address(channel, value, label or None)


def _country(visit: Visit) -> str | None:
    """Where a number without a country code is, most likely: where the person's other numbers are."""
    held = (one for one in visit.customer.addresses if is_phone_channel(one.channel))
    return next((country_of(one.channel, one.value) for one in held), None)


async def sent(visit: Visit, wanted: Challenge) -> str:
    """Send a code; the challenge's name. Raises Refused."""
    customer = visit.customer
    try:
        return await visit.gateway.verification.begin(wanted, language=visit.language, time_zone=customer.time_zone)
    except TooMany as many:
        raise Refused(too_many(visit.texts, many.until, zone_of(visit.gateway, customer)), "value", 429) from None
    except NotSent as why:
        raise Refused(not_sent(visit.texts, why.code), "value") from None


def zone_of(gateway: Gateway, customer: Customer) -> str:
    """The zone that a person reads times in."""
    return zones_of(customer, None, gateway.rules.time_zone)[0]


def too_many(texts: Texts, until: int, zone: str) -> str:
    """When another code may be asked for, in words."""
    time = dt.datetime.fromtimestamp(until / 1000 + 60, ZoneInfo(zone))
    clock = format_time(time, "short", tzinfo=time.tzinfo, locale=babel_locale(texts.language))
    # In Greek a time ends in a full stop of its own.
    return texts.code.too_many.format(time=clock).replace("..", ".")


def not_sent(texts: Texts, code: str) -> str:
    """Why no code can be sent, in words."""
    words = texts.code
    known = {"opted_out": words.opted_out, "country": words.country, "suppressed_address": words.suppressed}
    return known.get(code, words.no_way)


async def code(visit: Visit, *, status: int = 200, alert: str = "", field: str = "") -> web.Response:
    """Where the code is typed in."""
    challenge = await visit.gateway.verification.look(visit.request.match_info["name"], visit.customer, "add")
    return visit.page(
        "code.html",
        status=status if challenge is not None else max(status, 410),
        alert=alert or ("" if challenge is not None else visit.texts.code.void),
        field=field,
        challenge=challenge,
        address="" if challenge is None else challenge.address.value,
        again=visit.url("/addresses/add"),
        back=visit.url("/addresses/add"),
    )


async def confirm(visit: Visit) -> web.Response:
    """Check the code, and only then write the address into the profile."""
    name, texts = visit.request.match_info["name"], visit.texts
    proved = await visit.gateway.verification.check(name, visit.customer, "add", visit.form.get("code", ""))
    if isinstance(proved, Wrong):
        raise Refused(wrong_code(texts, proved), "code", 422 if proved.left else 410)
    await _store(visit, proved)
    return visit.go(done="added", at="addresses")


def wrong_code(texts: Texts, wrong: Wrong) -> str:
    """What is said of a code that isn't right."""
    if wrong.left == 0:
        return texts.code.void
    return texts.code.wrong_one if wrong.left == 1 else texts.code.wrong.format(left=wrong.left)


async def _store(visit: Visit, proved: Challenge) -> None:
    """Write what has been proved into the profile. The code is spent, so this goes on until it is done."""
    while True:
        visit = await visit.again()
        try:
            await _write(visit, _with(visit, proved))
        except Conflict:
            continue
        break
    await _note(visit, visit.gateway.customers.address_key(proved.address.value))


async def _note(visit: Visit, proved: str | None) -> None:
    """Keep when an address was proved (its keyed hash), and nothing of those that are gone."""
    now = visit.gateway.clock.now()

    def noted(known: Customer) -> tuple[Customer, tuple[()]]:
        held = {key: at for key, at in known.confirmed.items() if key in known.keys.values()}
        fresh = {} if proved is None else {proved: now}
        return msgspec.structs.replace(known, confirmed={**held, **fresh}), ()

    await visit.gateway.customers.change(visit.customer.id, noted)


def _with(visit: Visit, proved: Challenge) -> list[Address]:
    """The addresses with what has been proved, in the place of what it is to replace; proved twice it is there once."""
    old = proved.instead
    fresh = [
        one
        for one in (proved.address, *proved.more)
        if all((one.channel, one.value) != (held.channel, held.value) for held in visit.customer.addresses)
    ]
    kept: list[Address] = []
    for held in visit.customer.addresses:
        replaced = old is not None and (held.channel, held.value) == (old.channel, old.value)
        kept += fresh if replaced else [held]
        fresh = [] if replaced else fresh
    return [*kept, *fresh][:MOST_ADDRESSES]


async def _write(visit: Visit, addresses: list[Address]) -> None:
    """Store the addresses. Raises Conflict, Refused."""
    form: dict[str, Any] = profile_form(visit.customer)
    known = {(one["channel"], one["value"]): one for one in form["addresses"]}
    plain = [{"channel": a.channel, "value": a.value, **({"label": a.label} if a.label else {})} for a in addresses]
    listed = [known.get((one["channel"], one["value"]), one) for one in plain]
    try:
        await visit.gateway.people.patch(visit.customer.id, {"addresses": listed}, visit.version)
    except Invalid:
        raise Refused(visit.texts.page.wrong, "value") from None


async def removal(visit: Visit, *, status: int = 200, alert: str = "", field: str = "") -> web.Response:
    """Asks before an address is removed."""
    held = next((one for one in board.addresses(visit) if one.ref == visit.request.match_info["ref"]), None)
    if held is None:
        raise Refused(visit.texts.address.gone, status=404)
    return visit.page(
        "remove.html",
        status=status,
        alert=alert,
        field=field,
        address=held.name,
        kind=held.kind,
        last=len(visit.customer.addresses) == 1,
    )


async def remove(visit: Visit) -> web.Response:
    """Remove an address; what was stopped there stays stopped. Raises Changed, Conflict, Refused."""
    address = board.by_reference(visit, visit.request.match_info["ref"])
    if address is not None:
        if len(visit.customer.addresses) == 1:
            visit.repeated(already=False)  # that it is the last one must have been read
        await _write(visit, [one for one in visit.customer.addresses if one != address])
        await _note(visit, None)
    return visit.go(done="removed", at="addresses")
