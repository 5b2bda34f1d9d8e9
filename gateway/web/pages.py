"""The pages behind signed links: the whole message, and one-click unsubscribing; `answer_page` has the questions.

Looking changes nothing, because mail scanners and previews look at every link: only POST acts.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from aiohttp import web

from gateway.channels.base import Attachment
from gateway.links import ANSWER, MESSAGE, UNSUBSCRIBE, message_payload
from gateway.web import answer_page
from gateway.web.context import GATEWAY, Opened
from gateway.web.json_body import read_body
from gateway.web.linked import (
    FORM_LIMIT,
    NotHere,
    framed,
    language_of,
    linked_by,
    message_id,
    public,
    said,
    texts_for,
)
from gateway.web.page_texts import SAFE_HEADERS, paragraphs, texts_in

_DESIGN_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Types a browser may be told; everything else is just bytes to be saved.
_TOLD: Final = frozenset(("application/pdf", "image/png", "image/jpeg", "image/gif", "text/plain", "text/calendar"))


async def _opened(request: web.Request, purpose: str) -> Opened:
    opened = await request.app[GATEWAY].pages.load(*linked_by(request, purpose))
    if opened is None:
        raise NotHere(410, "gone")
    return opened


async def message_page(request: web.Request) -> web.Response:
    """The whole message: its words, its files, and a way to answer."""
    opened = await _opened(request, MESSAGE)
    language, texts = texts_for(request, opened)
    words, message, gateway = opened.words, opened.message, request.app[GATEWAY]
    heading = (words.subject if words is not None else "") or texts.message.title
    answer = None
    if message.prompt is not None and message.answer is None:
        payload = message_payload(*linked_by(request, MESSAGE))
        answer = gateway.links.url("a", ANSWER, payload, message.prompt.closes_in)
    return framed(
        request,
        "message.html",
        language,
        title=heading,
        heading=heading,
        texts=texts.message,
        words=words,
        paragraphs=[] if words is None else paragraphs(words.text),
        here=request.path,
        answer_url=answer,
    )


async def message_design(request: web.Request) -> web.Response:
    """The message as its sender laid it out, in a sandbox of its own: no scripts, no forms, no origin."""
    opened = await _opened(request, MESSAGE)
    if opened.words is None or not opened.words.html:
        raise NotHere(404, "gone")
    headers = {**SAFE_HEADERS, "Content-Security-Policy": _DESIGN_POLICY}
    return web.Response(text=opened.words.html, content_type="text/html", headers=headers)


async def message_file(request: web.Request) -> web.Response:
    """One file of the message, to be saved."""
    opened = await _opened(request, MESSAGE)
    files: tuple[Attachment, ...] = () if opened.words is None else opened.words.attachments
    number = int(request.match_info["number"])
    if number >= len(files):
        raise NotHere(404, "gone")
    file = files[number]
    kind = file.type if file.type in _TOLD else "application/octet-stream"
    headers = {
        **SAFE_HEADERS,
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
        "Content-Type": kind,
    }
    return web.Response(body=file.data, headers=headers)


async def unsubscribe_page(request: web.Request) -> web.Response:
    """Asks first: mail scanners open links."""
    opened = await _opened(request, UNSUBSCRIBE)
    language, texts = texts_for(request, opened)
    category = opened.message.category.replace("_", " ")
    return framed(
        request, "unsubscribe.html", language, title=texts.unsubscribe.title, texts=texts.unsubscribe, category=category
    )


async def unsubscribed(request: web.Request) -> web.Response:
    """Acts at once, without cookies, questions or redirects (RFC 8058); harmless when repeated.

    The body is the mail client's and is not looked at: the token says everything.
    """
    found = message_id(request, UNSUBSCRIBE)
    await read_body(request, FORM_LIMIT)
    language = language_of(request)
    texts = texts_in(language).unsubscribe
    if await request.app[GATEWAY].pages.unsubscribe(found, texts.ask) is None:
        raise NotHere(410, "gone")
    return said(request, language, texts.title, texts.done)


def routes() -> list[web.RouteDef]:
    """The public pages."""
    return [
        web.get("/m/{token}", public(message_page)),
        web.get("/m/{token}/design", public(message_design)),
        web.get("/m/{token}/files/{number:[0-9]{1,3}}", public(message_file)),
        *answer_page.routes(),
        web.get("/u/{token}", public(unsubscribe_page)),
        web.post("/u/{token}", public(unsubscribed)),
    ]
