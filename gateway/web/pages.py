"""The pages behind signed links: the whole message, an answer, one-click unsubscribing.

Looking changes nothing, because mail scanners and previews look at every link: only POST acts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qsl, quote

from aiohttp import web

from gateway.channels.base import Attachment
from gateway.links import ANSWER, MESSAGE, UNSUBSCRIBE, BadLink, LapsedLink
from gateway.message import Message
from gateway.prompts import Prompt
from gateway.store.pipe import StoreUnavailable
from gateway.web.context import GATEWAY, Opened
from gateway.web.json_body import read_body
from gateway.web.page_answers import choices, question_of, value_of, words_of
from gateway.web.page_texts import SAFE_HEADERS, Texts, language_for, page, paragraphs, texts_in

FORM_LIMIT: Final = 32 * 1024
_DESIGN_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Types a browser may be told; everything else is just bytes to be saved.
_TOLD: Final = frozenset(("application/pdf", "image/png", "image/jpeg", "image/gif", "text/plain", "text/calendar"))

Shown = Callable[[web.Request], Awaitable[web.Response]]


class _NotHere(Exception):
    """The link leads nowhere; `status` and the text that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def _language(request: web.Request, wanted: str | None = None) -> str:
    default = request.app[GATEWAY].settings.default_locale
    return language_for(wanted, request.headers.get("Accept-Language", ""), default)


def _public(show: Shown) -> Shown:
    """A page whose faults are pages, too."""

    async def handler(request: web.Request) -> web.Response:
        try:
            return await show(request)
        except _NotHere as nowhere:
            return _problem(request, nowhere.status, nowhere.reason)
        except StoreUnavailable:
            response = _problem(request, 503, "later")
            response.headers["Retry-After"] = "5"
            return response

    return handler


def _problem(request: web.Request, status: int, reason: str) -> web.Response:
    language = _language(request)
    texts = texts_in(language).problem
    said: str = getattr(texts, reason)
    return page("notice.html", language, status=status, title=texts.title, said=said, tone="bad", detail="")


def _message_id(request: web.Request, purpose: str) -> str:
    try:
        return request.app[GATEWAY].links.read(purpose, request.match_info["token"])
    except LapsedLink:
        raise _NotHere(410, "lapsed") from None
    except BadLink:
        raise _NotHere(404, "bad") from None


async def _opened(request: web.Request, purpose: str) -> Opened:
    opened = await request.app[GATEWAY].pages.load(_message_id(request, purpose))
    if opened is None:
        raise _NotHere(410, "gone")
    return opened


def _texts(request: web.Request, opened: Opened) -> tuple[str, Texts]:
    language = _language(request, None if opened.words is None else opened.words.language)
    return language, texts_in(language)


async def message_page(request: web.Request) -> web.Response:
    """The whole message: its words, its files, and a way to answer."""
    opened = await _opened(request, MESSAGE)
    language, texts = _texts(request, opened)
    words, message, gateway = opened.words, opened.message, request.app[GATEWAY]
    heading = (words.subject if words is not None else "") or texts.message.title
    answer = None
    if message.prompt is not None and message.answer is None:
        answer = gateway.links.url("a", ANSWER, message.id, message.prompt.closes_in)
    return page(
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
        raise _NotHere(404, "gone")
    headers = {**SAFE_HEADERS, "Content-Security-Policy": _DESIGN_POLICY}
    return web.Response(text=opened.words.html, content_type="text/html", headers=headers)


async def message_file(request: web.Request) -> web.Response:
    """One file of the message, to be saved."""
    opened = await _opened(request, MESSAGE)
    files: tuple[Attachment, ...] = () if opened.words is None else opened.words.attachments
    number = int(request.match_info["number"])
    if number >= len(files):
        raise _NotHere(404, "gone")
    file = files[number]
    kind = file.type if file.type in _TOLD else "application/octet-stream"
    headers = {
        **SAFE_HEADERS,
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
        "Content-Type": kind,
    }
    return web.Response(body=file.data, headers=headers)


async def answer_page(request: web.Request) -> web.Response:
    """The question, with the answer of the link chosen. Nothing counts yet."""
    opened = await _opened(request, ANSWER)
    return _question(request, opened, request.query.get("v"), missing=False)


def _question(request: web.Request, opened: Opened, chosen: str | None, *, missing: bool) -> web.Response:
    language, texts = _texts(request, opened)
    prompt, words = opened.message.prompt, opened.words
    if prompt is None:
        return _said(language, texts.answer.title, texts.answer.none, status=404, tone="bad")
    known = chosen if chosen is not None and value_of(prompt, chosen) is not None else None
    return page(
        "answer.html",
        language,
        status=422 if missing else 200,
        title=texts.answer.title,
        texts=texts.answer,
        kind=prompt.kind,
        question=question_of(prompt, language, texts.answer),
        choices=choices(prompt, texts.answer),
        chosen=known,
        missing=missing,
        excerpt=_excerpt(opened),
        words_language=language if words is None else words.language,
    )


def _excerpt(opened: Opened) -> str:
    """Enough of the message to know what is asked about."""
    text = "" if opened.words is None else opened.words.subject or opened.words.text
    return text if len(text) <= 280 else text[:279].rstrip() + "…"


async def answer_given(request: web.Request) -> web.Response:
    """Count the answer; the first counts, later ones are noted."""
    opened = await _opened(request, ANSWER)
    prompt = opened.message.prompt
    given = await _form_value(request, "v")
    value = None if prompt is None else value_of(prompt, given)
    if prompt is None or value is None:
        return _question(request, opened, given, missing=True)
    language, texts = _texts(request, opened)
    words = words_of(prompt, given, texts.answer)
    counted = await request.app[GATEWAY].pages.answer(opened.message.id, value, words)
    if counted is None:
        raise _NotHere(410, "gone")
    said = _verdict_on(opened.message, counted, prompt, texts)
    return _said(language, texts.answer.title, said, detail=texts.answer.given.format(answer=words))


def _verdict_on(before: Message, after: Message, prompt: Prompt, texts: Texts) -> str:
    if before.answer is not None and prompt.kind != "acknowledge":
        return texts.answer.already
    late = after.answer is not None and after.answer.late
    return texts.answer.late if late else texts.answer.thanks


async def unsubscribe_page(request: web.Request) -> web.Response:
    """Asks first: mail scanners open links."""
    opened = await _opened(request, UNSUBSCRIBE)
    language, texts = _texts(request, opened)
    category = opened.message.category.replace("_", " ")
    return page("unsubscribe.html", language, title=texts.unsubscribe.title, texts=texts.unsubscribe, category=category)


async def unsubscribed(request: web.Request) -> web.Response:
    """Acts at once, without cookies, questions or redirects (RFC 8058); harmless when repeated.

    The body is the mail client's and is not looked at: the token says everything.
    """
    message_id = _message_id(request, UNSUBSCRIBE)
    await read_body(request, FORM_LIMIT)
    language = _language(request)
    texts = texts_in(language).unsubscribe
    if await request.app[GATEWAY].pages.unsubscribe(message_id, texts.ask) is None:
        raise _NotHere(410, "gone")
    return _said(language, texts.title, texts.done)


async def _form_value(request: web.Request, name: str) -> str:
    """One field of a form. What can't be read counts as not given."""
    body = await read_body(request, FORM_LIMIT)
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        return ""
    return dict(fields).get(name, "")


def _said(
    language: str, title: str, said: str, *, status: int = 200, tone: str = "good", detail: str = ""
) -> web.Response:
    return page("notice.html", language, status=status, title=title, said=said, tone=tone, detail=detail)


def routes() -> list[web.RouteDef]:
    """The public pages."""
    return [
        web.get("/m/{token}", _public(message_page)),
        web.get("/m/{token}/design", _public(message_design)),
        web.get("/m/{token}/files/{number:[0-9]{1,3}}", _public(message_file)),
        web.get("/a/{token}", _public(answer_page)),
        web.post("/a/{token}", _public(answer_given)),
        web.get("/u/{token}", _public(unsubscribe_page)),
        web.post("/u/{token}", _public(unsubscribed)),
    ]
