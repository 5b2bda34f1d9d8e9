"""When a link's time is over: a code to an address we know, and in one comes by a link of an hour."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.customer import Address, Customer
from gateway.links import PREFERENCES, preference_payload
from gateway.preferences.consent import permission
from gateway.selfservice.verification import Challenge, NotSent, TooMany, Wrong
from gateway.text import mask
from gateway.web.centre.contacts import not_sent, too_many, wrong_code, zone_of
from gateway.web.centre.texts import texts_in
from gateway.web.centre.visit import (
    HEADERS,
    address,
    page_language,
    read_form,
    rendered,
    same_site,
    within_limit,
)
from gateway.web.context import GATEWAY, Gateway

SESSION_S: Final = 3600
CATEGORY: Final = "code"


def _places(gateway: Gateway, customer: Customer) -> list[Address]:
    """The addresses that a code may be sent to."""
    now = gateway.clock.now()
    return [
        one
        for one in customer.addresses
        if one.channel in gateway.channels["live"]
        and not ((health := customer.health_of(one, now)) is not None and health.state == "suppressed")
        and permission(customer.consents, one.channel, CATEGORY, customer.keys.get(one.value), "asked").allowed
    ]


def _base(request: web.Request) -> str:
    return f"/p/{request.match_info['token']}"


async def lapsed(request: web.Request, customer: Customer, *, status: int = 410, alert: str = "") -> web.Response:
    """Offers a code to one of the addresses, which are shown masked: who holds an old link may be anybody."""
    chosen, language = page_language(request, customer.preferences.language or customer.locale)
    texts = texts_in(language)
    places = _places(request.app[GATEWAY], customer)
    return rendered(
        request,
        "lapsed.html",
        texts,
        chosen,
        status=status,
        alert=alert,
        places=[
            (number, texts.channel(one.channel), mask(one.channel, one.value)) for number, one in enumerate(places)
        ],
        action=address(f"{_base(request)}/open", chosen),
    )


async def send(request: web.Request, customer: Customer) -> web.Response:
    """Send the code."""
    gateway = request.app[GATEWAY]
    form = await read_form(request)
    chosen, language = page_language(request, customer.preferences.language or customer.locale)
    texts, places = texts_in(language), _places(gateway, customer)
    if not same_site(request, gateway.settings.public_url):
        return await lapsed(request, customer, status=403, alert=texts.page.foreign)
    if not await within_limit(gateway, customer.id):
        return await lapsed(request, customer, status=429, alert=texts.page.busy)
    number = form.get("to", "")
    if not number.isascii() or not number.isdigit() or int(number[:4]) >= len(places):
        return await lapsed(request, customer, status=422, alert=texts.page.wrong)
    wanted = Challenge(customer=customer.id, born=customer.created_at, purpose="open", address=places[int(number)])
    try:
        found = await gateway.verification.begin(wanted, language=language, time_zone=customer.time_zone)
    except TooMany as many:
        said = too_many(texts, many.until, zone_of(gateway, customer))
        return await lapsed(request, customer, status=429, alert=said)
    except NotSent as why:
        return await lapsed(request, customer, status=422, alert=not_sent(texts, why.code))
    return _go(address(f"{_base(request)}/open/{found}", chosen))


async def code(request: web.Request, customer: Customer, *, status: int = 200, alert: str = "") -> web.Response:
    """Where the code is typed in."""
    chosen, language = page_language(request, customer.preferences.language or customer.locale)
    texts = texts_in(language)
    challenge = await request.app[GATEWAY].verification.look(request.match_info["name"], customer, "open")
    return rendered(
        request,
        "code.html",
        texts,
        chosen,
        status=status if challenge is not None else max(status, 410),
        alert=alert or ("" if challenge is not None else texts.code.void),
        field="code",
        challenge=challenge,
        address="" if challenge is None else mask(challenge.address.channel, challenge.address.value),
        again=address(_base(request), chosen),
        back="",
        seen="",
    )


async def enter(request: web.Request, customer: Customer) -> web.Response:
    """The right code opens a link of an hour."""
    gateway = request.app[GATEWAY]
    form = await read_form(request)
    chosen, language = page_language(request, customer.preferences.language or customer.locale)
    texts = texts_in(language)
    if not same_site(request, gateway.settings.public_url):
        return await code(request, customer, status=403, alert=texts.page.foreign)
    proved = await gateway.verification.check(request.match_info["name"], customer, "open", form.get("code", ""))
    if isinstance(proved, Wrong):
        return await code(request, customer, status=422 if proved.left else 410, alert=wrong_code(texts, proved))
    token = gateway.links.sign(PREFERENCES, preference_payload("live", customer.id, customer.created_at), SESSION_S)
    return _go(address(f"/p/{token}", chosen))


def _go(where: str) -> web.Response:
    return web.Response(status=303, headers={**HEADERS, "Location": where})
