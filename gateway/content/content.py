"""The types of what a message says: literal content, templates, and the body that is stored with a message."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec

from gateway.content.language import (
    MAX_SOURCE,
    SUPPLIED,
    DataError,
    Kind,
    Reader,
    TemplateError,
    compile_text,
)
from gateway.content.run import safe_url
from gateway.preferences.locales import valid_locale

Text = str | dict[str, str]
"""A text, or one by locale (BCP 47)."""
Problem = tuple[str, str]
"""A JSON pointer and a sentence."""

TEMPLATE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_HTML: Final = 262_144
MAX_FILES: Final = 10
MAX_FILE_BYTES: Final = 5_242_880
"""All attachments of a message together, decoded."""

_MIME: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}", re.IGNORECASE)
_FILE_NAME: Final = re.compile(r"[^\x00-\x1f\x7f/\\]{1,120}")
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_NOT_URL: Final = "must be a link that begins with https:// or http://."
_BLANK: Final = "has nothing in it that could be seen."
_FOR_CHECKS: Final = Reader("en", "UTC")

PARTS: Final[tuple[tuple[str, Kind], ...]] = (
    ("subject", "line"),
    ("text", "text"),
    ("html", "html"),
    ("speech", "speech"),
    ("sms", "sms"),
)


class WeChatValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value of one field of a WeChat template, as WeChat's API writes it."""

    value: Text


class WeChatContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A WeChat template message in literal content."""

    template_id: str
    data: dict[str, WeChatValue | str] = {}
    url: str | None = None


class AttachmentContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file for e-mail: `type` is a MIME type, `data` base64."""

    name: str
    type: str
    data: str


class Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Literal content: sent as it stands, never read as a template. `language` is that of the plain strings (BCP 47)."""

    subject: Text | None = None
    text: Text | None = None
    html: Text | None = None
    speech: Text | None = None
    wechat: WeChatContent | None = None
    attachments: Annotated[tuple[AttachmentContent, ...], msgspec.Meta(max_length=MAX_FILES)] = ()
    language: str | None = None


class WeChatValueText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The template text of one field, as WeChat's API writes it."""

    value: str


class WeChatParts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The WeChat part of a template: field -> template text."""

    template_id: str
    data: dict[str, str | WeChatValueText] = {}
    url: str | None = None


class LocaleParts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A template in one language: a text for each channel; a channel without its own takes `text`."""

    subject: str | None = None
    text: str | None = None
    html: str | None = None
    speech: str | None = None
    sms: str | None = None
    wechat: WeChatParts | None = None


class Template(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A template in all its languages. Files have version 0, stored ones count from 1."""

    id: str
    version: int = 0
    locales: dict[str, LocaleParts]


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored with a message: a pinned template with its data, or literal content."""

    template: Template | None = None
    data: dict[str, Any] = {}
    content: Content | None = None


def field_text(value: str | WeChatValueText) -> str:
    """The text of a WeChat field, however it was written."""
    return value if isinstance(value, str) else value.value


def template_problems(locales: dict[str, LocaleParts]) -> list[Problem]:
    """What keeps a template from being saved; pointers begin with `/locales`."""
    if not locales:
        return [("/locales", "A template needs at least one locale.")]
    found: list[Problem] = []
    for locale, parts in locales.items():
        at = f"/locales/{locale}"
        found += _locale_problems(at, locale)
        if not (parts.text or parts.html or parts.sms or parts.speech or parts.wechat):
            found.append((at, "needs at least one of text, html, sms, speech, wechat."))
        for part, kind, text in texts_of(parts):
            try:
                compile_text(text, kind)
            except TemplateError as error:
                found.append((f"{at}/{part}", str(error)))
        if parts.wechat is not None:
            found += _wechat_problems(f"{at}/wechat", parts.wechat.template_id, parts.wechat.data)
    return found


def texts_of(parts: LocaleParts) -> Iterator[tuple[str, Kind, str]]:
    """Every text of a template in one language: its place, what it is for, the text."""
    for name, kind in PARTS:
        text = getattr(parts, name)
        if text:
            yield name, kind, text
    if parts.wechat is not None:
        for field, value in parts.wechat.data.items():
            yield f"wechat/data/{field}", "line", field_text(value)
        if parts.wechat.url:
            yield "wechat/url", "line", parts.wechat.url


def problems(body: Body) -> list[Problem]:
    """What is wrong with a message's `data` or `content`, found at acceptance.

    Data is checked against every locale and channel; with no problem, rendering can't fail later.
    """
    if body.content is not None:
        return content_problems(body.content)
    if body.template is None:
        return [("/template", "A message needs a template or content.")]
    found: dict[str, str] = {}
    for locale, parts in body.template.locales.items():
        for part, kind, text in texts_of(parts):
            compiled = compile_text(text, kind)
            for pointer, detail in compiled.problems(body.data):
                found.setdefault(pointer, f"{detail} ({body.template.id}, {locale}, {part})")
        if parts.wechat is not None and parts.wechat.url:
            try:
                if not _web_url(compile_text(parts.wechat.url, "line").render({**SUPPLIED, **body.data}, _FOR_CHECKS)):
                    found.setdefault("/data", f"The link of the WeChat message {_NOT_URL}")
            except DataError:
                continue  # reported above
    return list(found.items())


def content_problems(content: Content) -> list[Problem]:
    """What is wrong with literal content; pointers begin with `/content`."""
    found: list[Problem] = []
    if not (content.text or content.html or content.speech or content.wechat):
        found.append(("/content", "needs at least one of text, html, speech, wechat."))
    if content.language is not None:
        found += _locale_problems("/content/language", content.language)
    for name, most in (("subject", 998), ("text", MAX_SOURCE), ("html", MAX_HTML), ("speech", MAX_SOURCE)):
        text = getattr(content, name)
        found += _text_problems(f"/content/{name}", text, most)
        if name != "subject":
            found += _blank_problems(f"/content/{name}", text)
    if content.wechat is not None:
        found += _wechat_problems("/content/wechat", content.wechat.template_id, content.wechat.data)
        for field, value in content.wechat.data.items():
            text = value if isinstance(value, str) else value.value
            found += _text_problems(f"/content/wechat/data/{field}/value", text, 1000)
        if content.wechat.url is not None and not _web_url(content.wechat.url):
            found.append(("/content/wechat/url", _NOT_URL))
    return found + _attachment_problems(content.attachments)


def _text_problems(at: str, text: Text | None, most: int) -> list[Problem]:
    if text is None:
        return []
    if isinstance(text, str):
        return [(at, f"is longer than {most} characters.")] if len(text) > most else []
    found: list[Problem] = [] if text else [(at, "needs at least one locale.")]
    for locale, one in text.items():
        found += _locale_problems(f"{at}/{locale}", locale)
        if len(one) > most:
            found.append((f"{at}/{locale}", f"is longer than {most} characters."))
    return found


def _blank_problems(at: str, text: Text | None) -> list[Problem]:
    """Words of which nothing would be seen; an empty string is the same as none."""
    if isinstance(text, str):
        return [(at, _BLANK)] if text and _blank(text) else []
    return [(f"{at}/{locale}", _BLANK) for locale, one in (text or {}).items() if _blank(one)]


def _blank(text: str) -> bool:
    """Whether there is nothing but spaces, controls and what is invisible."""
    return all(unicodedata.category(char)[0] in "CZ" for char in text)


def _locale_problems(at: str, locale: str) -> list[Problem]:
    try:
        valid_locale(locale)
    except ValueError as error:
        return [(at, f"{error}.")]
    return []


def _wechat_problems(at: str, template_id: str, data: dict[str, Any]) -> list[Problem]:
    found: list[Problem] = [] if template_id.strip() else [(f"{at}/template_id", "must not be empty.")]
    bad = [field for field in data if not _FIELD.fullmatch(field)]
    return found + [(f"{at}/data/{field}", "is not a WeChat field such as thing1 or time2.") for field in bad]


def _attachment_problems(attachments: tuple[AttachmentContent, ...]) -> list[Problem]:
    found: list[Problem] = []
    size = 0
    for index, item in enumerate(attachments):
        at = f"/content/attachments/{index}"
        if not _FILE_NAME.fullmatch(item.name) or not item.name.strip(". "):
            found.append((f"{at}/name", "must be a plain file name of at most 120 characters, without a path."))
        if not _MIME.fullmatch(item.type):
            found.append((f"{at}/type", 'must be a MIME type such as "application/pdf".'))
        try:
            size += len(base64.b64decode(item.data, validate=True))
        except (binascii.Error, ValueError):
            found.append((f"{at}/data", "must be base64."))
    if size > MAX_FILE_BYTES:
        found.append(("/content/attachments", f"All files together may hold {MAX_FILE_BYTES} bytes."))
    return found


def _web_url(url: str) -> bool:
    return safe_url(url) and url.lower().startswith(("http://", "https://"))
