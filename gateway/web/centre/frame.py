"""What stands around every page of the centre: links that don't open, changes that came too late, sites that aren't ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from aiohttp import web

from gateway.customer import Customer
from gateway.people.people import Conflict
from gateway.store.pipe import StoreUnavailable
from gateway.web.centre import entry
from gateway.web.centre.texts import texts_in
from gateway.web.centre.visit import (
    HEADERS,
    Changed,
    Lapsed,
    Nowhere,
    Refused,
    Visit,
    opened,
    page_language,
    rendered,
    same_site,
    within_limit,
)
from gateway.web.page_texts import texts_in as words_in

TRIES: Final = 5
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Act = Callable[[Visit], Awaitable[web.StreamResponse]]


class Page(Protocol):
    """A page that can say what went wrong with what was sent from it. `field`: which one it is about."""

    def __call__(
        self, visit: Visit, *, status: int = 200, alert: str = "", field: str = ""
    ) -> Awaitable[web.StreamResponse]:
        """The page."""
        ...


def shown(page: Act) -> Handler:
    """A page by GET, which changes nothing."""

    async def handler(request: web.Request) -> web.StreamResponse:
        async def answer() -> web.StreamResponse:
            return await page(await opened(request))

        return await _framed(request, answer)

    return handler


def changing(act: Act, page: Page) -> Handler:
    """A change by POST, sent from `page`."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return await _framed(request, lambda: _changed(request, act, page))

    return handler


async def _changed(request: web.Request, act: Act, page: Page) -> web.StreamResponse:
    visit = await opened(request)
    words = visit.texts.page
    if not same_site(request, visit.gateway.settings.public_url):
        return await page(visit, status=403, alert=words.foreign)
    if visit.trial:
        return await page(visit, status=403, alert=words.trial)
    if not await within_limit(visit.gateway, visit.customer.id):
        return await page(visit, status=429, alert=words.busy)
    try:
        return await _done(visit, act)
    except Changed:
        return await page(await visit.again(), status=409, alert=words.changed)
    except Refused as refused:
        return await page(await visit.again(), status=refused.status, alert=refused.text, field=refused.field)


async def _done(visit: Visit, act: Act) -> web.StreamResponse:
    """Act; what was changed at the same time is looked at again."""
    for _ in range(TRIES):
        try:
            return await act(visit)
        except Conflict:
            visit = await visit.again()
        except KeyError:
            raise Nowhere(410, "gone") from None
    raise Changed


async def _framed(request: web.Request, answer: Callable[[], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    try:
        try:
            return await answer()
        except Lapsed as lapsed:
            return await entry.lapsed(request, lapsed.customer)
    except Refused as refused:
        return notice(request, refused.status, refused.text)
    except Nowhere as nowhere:
        return _problem(request, nowhere.status, nowhere.reason)
    except StoreUnavailable:
        response = _problem(request, 503, "later")
        response.headers["Retry-After"] = "5"
        return response


def by_lapsed(act: Callable[[web.Request, Customer], Awaitable[web.StreamResponse]]) -> Handler:
    """What is done with a link whose time is over; one that still holds opens the centre."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            visit = await opened(request)
        except Lapsed as lapsed:
            return await act(request, lapsed.customer)
        return visit.go()

    async def handler(request: web.Request) -> web.StreamResponse:
        return await _framed(request, lambda: answer(request))

    return handler


def _problem(request: web.Request, status: int, reason: str) -> web.Response:
    _, language = page_language(request, None)
    texts = texts_in(language)
    said = texts.forget.gone if reason == "gone" else getattr(words_in(language).problem, reason)
    return notice(request, status, said, title=words_in(language).problem.title)


def notice(request: web.Request, status: int, said: str, *, title: str = "") -> web.Response:
    """A page that says one thing."""
    chosen, language = page_language(request, None)
    texts = texts_in(language)
    return rendered(request, "notice.html", texts, chosen, status=status, title=title or texts.page.title, said=said)


__all__ = ["HEADERS", "by_lapsed", "changing", "notice", "shown"]
