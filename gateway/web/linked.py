"""What the pages behind signed links have in common: whose link it is, the language, the frame, and what went wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from gateway.links import BadLink, LapsedLink, message_subject
from gateway.store.pipe import StoreUnavailable
from gateway.web.brand import contact_link
from gateway.web.context import GATEWAY, Opened
from gateway.web.json_body import read_body
from gateway.web.page_texts import Texts, language_for, languages, page, texts_in

FORM_LIMIT: Final = 32 * 1024
_FIELDS_MOST: Final = 60

Shown = Callable[[web.Request], Awaitable[web.Response]]


class NotHere(Exception):
    """The link leads nowhere; `status` and the text that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def public(show: Shown) -> Shown:
    """A page whose faults are pages, too."""

    async def handler(request: web.Request) -> web.Response:
        try:
            return await show(request)
        except NotHere as nowhere:
            return _problem(request, nowhere.status, nowhere.reason)
        except StoreUnavailable:
            response = _problem(request, 503, "later")
            response.headers["Retry-After"] = "5"
            return response

    return handler


def _problem(request: web.Request, status: int, reason: str) -> web.Response:
    language = language_of(request)
    texts = texts_in(language).problem
    return said(request, language, texts.title, getattr(texts, reason), status=status, tone="bad")


def message_id(request: web.Request, purpose: str) -> str:
    """The message that the request's token is for. Raises NotHere."""
    return linked_by(request, purpose)[0]


def linked_by(request: web.Request, purpose: str) -> tuple[str, str | None]:
    """The message that the request's token is for, and the channel that brought the link if it says so. Raises NotHere."""
    try:
        return message_subject(request.app[GATEWAY].links.read(purpose, request.match_info["token"]))
    except LapsedLink:
        raise NotHere(410, "lapsed") from None
    except BadLink:
        raise NotHere(404, "bad") from None


def language_of(request: web.Request, wanted: str | None = None) -> str:
    """The page's language: what was chosen on it (`?lang=`), what the message is in, the browser's, the default."""
    chosen = request.query.get("lang")
    default = request.app[GATEWAY].settings.default_locale
    accepts = request.headers.get("Accept-Language", "")
    return language_for(chosen if chosen in languages() else wanted, accepts, default)


def texts_for(request: web.Request, opened: Opened) -> tuple[str, Texts]:
    """The page's language and its words."""
    language = language_of(request, None if opened.words is None else opened.words.language)
    return language, texts_in(language)


async def form_of(request: web.Request) -> dict[str, str]:
    """What was sent, the last value of each name. What can't be read counts as not given."""
    body = await read_body(request, FORM_LIMIT)
    try:
        return dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS_MOST, errors="strict")
        )
    except ValueError:
        return {}


def framed(request: web.Request, template: str, language: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page with who it speaks for above it and the other languages to choose from."""
    brand = request.app[GATEWAY].settings.brand
    kept = {name: value for name, value in request.query.items() if name == "v"}
    tongues = [(tag, f"{request.path}?{urlencode({**kept, 'lang': tag})}") for tag in sorted(languages())]
    names = {tag: texts_in(tag).name for tag in languages()}
    frame = {"brand": brand, "contact": contact_link(brand.contact), "tongues": tongues, "names": names}
    return page(template, language, status=status, frame=texts_in(language).frame, **frame, **values)


def said(
    request: web.Request, language: str, title: str, words: str, *, status: int = 200, tone: str = "good"
) -> web.Response:
    """A page that says one thing."""
    return framed(request, "notice.html", language, status=status, title=title, said=words, tone=tone)
