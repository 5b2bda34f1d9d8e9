"""One look at the preference centre: whose it is, what they see, and what they sent."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from aiohttp import web

from gateway.customer import Customer
from gateway.links import PREFERENCES, BadLink, LapsedLink, preference_subject
from gateway.store import keys
from gateway.web.brand import contact_link
from gateway.web.centre.texts import Texts, texts_in
from gateway.web.context import GATEWAY, Gateway
from gateway.web.json_body import read_body
from gateway.web.page_texts import SAFE_HEADERS, environment, language_for, languages
from gateway.web.page_texts import texts_in as words_in

FORM_LIMIT: Final = 32 * 1024
POSTS_PER_HOUR: Final = 240
HOUR_MS: Final = 3_600_000
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Final = {**SAFE_HEADERS, "Content-Security-Policy": POLICY, "X-Frame-Options": "DENY"}
_POSTED: Final = re.compile(r"/(order|switch|allow|stop|resume|own|agree|open)$")
"""The end of paths that only take forms; what sent them is shown above."""
_SPOT: Final = re.compile(r"[a-z0-9_-]{1,80}")


class Nowhere(Exception):
    """There is nothing to show: `status`, and the name of the text that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Lapsed(Exception):
    """The link's time is over; `customer` is who it was for."""

    def __init__(self, customer: Customer) -> None:
        super().__init__("lapsed")
        self.customer = customer


class Changed(Exception):
    """What the person changed is not what they saw any more."""


class Refused(Exception):
    """What was sent can't be done; `text` says why, in the person's language. `field`: which one it is about."""

    def __init__(self, text: str, field: str = "", status: int = 422) -> None:
        super().__init__(field)
        self.text = text
        self.field = field
        self.status = status


class Visit:
    """One request with a good link. `ends`: when the link does, ms; `form`: what was sent, last value of each name."""

    def __init__(
        self, request: web.Request, mode: str, customer: Customer, version: int, ends: int, form: Mapping[str, str]
    ) -> None:
        self.request = request
        self.gateway: Gateway = request.app[GATEWAY]
        self.mode = mode
        self.customer = customer
        self.version = version
        self.ends = ends
        self.form = form
        self.base = f"/p/{request.match_info['token']}"
        wanted = customer.preferences.language or customer.locale
        self.chosen, self.language = page_language(request, wanted)
        self.texts: Texts = texts_in(self.language)
        self.seen = _digest(customer)

    @property
    def trial(self) -> bool:
        """Whether the link came with a message that was not live: it changes nothing."""
        return self.mode != "live"

    @property
    def stale(self) -> bool:
        """Whether the form was sent from a page that shows what is no more."""
        return self.form.get("seen") != self.seen

    def repeated(self, *, already: bool) -> bool:
        """Whether a change is to be answered as done, for it was made before: by the same form, sent twice.

        Raises Changed when the person saw what is no more, and it is not so `already`.
        """
        if self.stale and not already:
            raise Changed
        return self.stale

    async def again(self) -> Visit:
        """The same with the person as they are by now. Raises Nowhere."""
        customer, version = await _person(self.gateway, self.customer.id, self.customer.created_at)
        return Visit(self.request, self.mode, customer, version, self.ends, self.form)

    def url(self, path: str = "", **query: str) -> str:
        """A page of this centre, in the language that was chosen for the pages."""
        return address(self.base + path, self.chosen, **query)

    def go(self, path: str = "", **query: str) -> web.Response:
        """On to another page, by GET."""
        return web.Response(status=303, headers={**HEADERS, "Location": self.url(path, **query)})

    def spot(self) -> str:
        """The id of the element to go on from, as the last change named it."""
        found = self.request.query.get("at", "")
        return found if _SPOT.fullmatch(found) else ""

    def page(self, template: str, *, status: int = 200, **values: Any) -> web.Response:
        """A rendered page of this person's."""
        shared = {"visit": self, "seen": self.seen, "url": self.url, "channel": self.texts.channel}
        return rendered(self.request, template, self.texts, self.chosen, status=status, **shared, **values)


async def opened(request: web.Request) -> Visit:
    """Open the link of a request and read its form. Raises Nowhere, Lapsed, StoreUnavailable."""
    gateway = request.app[GATEWAY]
    try:
        try:
            payload, ends = gateway.links.opened(PREFERENCES, request.match_info["token"])
        except LapsedLink as lapsed:
            payload, ends = lapsed.payload, None
        mode, name, born = preference_subject(payload)
    except BadLink:
        raise Nowhere(404, "bad") from None
    if ends is None and mode != "live":
        raise Nowhere(410, "lapsed")
    customer, version = await _person(gateway, name, born)
    if ends is None:
        raise Lapsed(customer)
    form = await read_form(request) if request.method == "POST" else {}
    return Visit(request, mode, customer, version, ends, form)


async def _person(gateway: Gateway, name: str, born: int) -> tuple[Customer, int]:
    """Who a link is for, and nobody who was given that id afterwards. Raises Nowhere."""
    found = await gateway.customers.load(name)
    if found is None or found[0].created_at != born:
        raise Nowhere(410, "gone")
    return found


def same_site(request: web.Request, public_url: str) -> bool:
    """Whether a form was sent from a page of ours.

    Browsers say so in Sec-Fetch-Site; older ones in Origin, which is `null` for our own pages, whose referrer policy
    is `no-referrer` (Fetch, "append a request Origin header"). Who sends neither is no browser that could be misused.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin", "null")
    ours = urlsplit(public_url)
    return origin in ("null", f"{ours.scheme}://{ours.netloc}")


async def within_limit(gateway: Gateway, customer: str) -> bool:
    """Count a change, and say whether there was room for it."""
    key = keys.of_customer(customer).uses("page", customer)
    return await gateway.scripts.use(key, POSTS_PER_HOUR, HOUR_MS, secrets.token_hex(8)) is None


async def read_form(request: web.Request) -> dict[str, str]:
    """The fields of a form; what can't be read counts as not sent."""
    body = await read_body(request, FORM_LIMIT)
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=80, errors="strict"))
    except ValueError:
        return {}


def page_language(request: web.Request, wanted: str | None) -> tuple[str | None, str]:
    """The language chosen for the pages (None: none), and the one they are in."""
    chosen = request.query.get("lang")
    if chosen not in languages():
        default = request.app[GATEWAY].settings.default_locale
        return None, language_for(wanted, request.headers.get("Accept-Language", ""), default)
    return chosen, chosen


def address(path: str, chosen: str | None, **query: str) -> str:
    """A path with its query."""
    asked = {**query, **({"lang": chosen} if chosen else {})}
    return f"{path}?{urlencode(asked)}" if asked else path


def rendered(
    request: web.Request, template: str, texts: Texts, chosen: str | None, *, status: int = 200, **values: Any
) -> web.Response:
    """A page of the centre with its headers."""
    gateway = request.app[GATEWAY]
    path = request.path if request.method != "POST" else _POSTED.sub("", request.path)
    asked = {name: value for name, value in request.query.items() if name not in ("lang", "done", "kind", "at")}
    html = (
        environment()
        .get_template(f"centre/{template}")
        .render(
            language=texts.language,
            t=texts,
            brand=gateway.settings.brand,
            tongues=[(tag, address(path, tag, **asked)) for tag in sorted(languages())],
            chosen=chosen,
            names={tag: words_in(tag).name for tag in languages()},
            contact=contact_link(gateway.settings.brand.contact),
            **{"done": "", "alert": "", "field": "", **values},
        )
    )
    return web.Response(status=status, text=html, content_type="text/html", headers=HEADERS)


def _digest(customer: Customer) -> str:
    """What the person sees of themselves and may change: the same until one of these changes."""
    parts = (
        customer.name,
        customer.locale,
        customer.time_zone,
        customer.addresses,
        customer.preferences,
        [(e.channel, e.category, e.state, e.at, e.address) for e in customer.consents],
    )
    return hashlib.blake2b(msgspec.msgpack.encode(parts), digest_size=12).hexdigest()
