"""The words of the public pages, in every language they are in, and the templates that carry them."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateway.preferences.locales import chain

HERE: Final = Path(__file__).resolve().parent
POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SAFE_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}
_LINK: Final = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,;:!?)\]}'、。，；：！？）】》]")
_WANTED: Final = re.compile(r"\s*([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,2})\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?))?\s*")


class FrameTexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands around every page."""

    title: str
    language: str
    privacy: str
    contact: str


class MessageTexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page of a whole message."""

    title: str
    files: str
    download: str
    design: str
    gone: str
    reply: str


class AnswerTexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page of a question."""

    title: str
    acknowledge: str
    yes_no: str
    scale: str
    choice: str
    text: str
    confirm: str
    yes: str
    no: str
    send: str
    chosen: str
    missing: str
    thanks: str
    late: str
    already: str
    given: str
    none: str
    answered: str
    noted: str
    over: str
    first: str
    passed: str
    newer: str
    then: str
    more: str
    add: str
    add_hint: str
    optional: str
    send_more: str


class UnsubscribeTexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page that stops a kind of messages."""

    title: str
    ask: str
    what: str
    button: str
    done: str


class ProblemTexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of a link that doesn't work."""

    title: str
    bad: str
    lapsed: str
    gone: str
    later: str


class Texts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All words of one language."""

    name: str
    frame: FrameTexts
    message: MessageTexts
    answer: AnswerTexts
    unsubscribe: UnsubscribeTexts
    problem: ProblemTexts


@functools.cache
def languages() -> frozenset[str]:
    """The languages there are."""
    return frozenset(path.stem for path in (HERE / "locales").glob("*.toml"))


@functools.cache
def texts_in(language: str) -> Texts:
    """The words of one of `languages()`."""
    return msgspec.toml.decode((HERE / "locales" / f"{language}.toml").read_bytes(), type=Texts)


@functools.lru_cache(maxsize=512)
def language_for(wanted: str | None, accepts: str, default: str) -> str:
    """The page's language: the message's, else the browser's (Accept-Language, RFC 9110), else the default."""
    tags = [*([wanted] if wanted else []), *_accepted(accepts), default]
    return next((found for tag in tags if (found := _nearest(tag)) is not None), "en")


def _nearest(tag: str) -> str | None:
    """Of the languages there are the one that serves a tag; English only for English."""
    steps = chain(tag, tag) if tag.lower().startswith("en") else chain(tag, tag)[:-1]
    return next((step for step in steps if step in languages()), None)


def _accepted(header: str) -> list[str]:
    found = [match for part in header[:200].split(",") if (match := _WANTED.fullmatch(part))]
    return [match[1] for match in sorted(found, key=lambda match: -float(match[2] or 1))]


def paragraphs(text: str) -> list[list[tuple[str, bool]]]:
    """A text as paragraphs of (words, whether they are a link)."""
    return [_linked(part.strip("\n")) for part in re.split(r"\n{2,}", text.strip()) if part.strip()]


def _linked(text: str) -> list[tuple[str, bool]]:
    made: list[tuple[str, bool]] = []
    end = 0
    for match in _LINK.finditer(text):
        made += [(text[end : match.start()], False), (match[0], True)]
        end = match.end()
    return [(words, link) for words, link in [*made, (text[end:], False)] if words]


def _fill(text: str, **values: object) -> str:
    return text.format(**values)


@functools.cache
def environment() -> Environment:
    """The templates: escaped always, an unknown name is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["fill"] = _fill
    return made


def page(template: str, language: str, *, status: int = 200, **values: Any) -> web.Response:
    """A rendered page with the headers of all public pages."""
    html = environment().get_template(template).render(language=language, **values)
    return web.Response(status=status, text=html, content_type="text/html", headers=SAFE_HEADERS)
