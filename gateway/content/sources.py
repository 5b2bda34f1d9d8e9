"""Where a channel's words come from: the texts of a body, in the language nearest to the reader's."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from gateway.content.content import Body, Content, LocaleParts, Template, Text, WeChatContent, field_text
from gateway.content.language import Kind, Reader, compile_text, tidy
from gateway.content.words import Attachment, WeChatTemplate
from gateway.preferences.locales import pick

_GREEK: Final = re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]")
_HAN: Final = re.compile(r"[\u4e00-\u9fff]")
_KANA_OR_HANGUL: Final = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_LATIN: Final = re.compile(r"[a-zA-Z\u00c0-\u024f]")
_LETTER: Final = re.compile(r"[^\W\d_]")


class TemplateSource:
    """A pinned template in the one locale that suits best."""

    def __init__(
        self,
        body: Body,
        template: Template,
        names: Sequence[str],
        wanted: str | None,
        default: str,
        zone: str,
        supplied: Mapping[str, str],
    ) -> None:
        self._data = {**supplied, **body.data}
        self.language = _locale_with(template, names, wanted, default)
        self._parts: LocaleParts = template.locales[self.language]
        near = wanted is not None and wanted.partition("-")[0] == self.language.partition("-")[0]
        self._reader = Reader(
            wanted if near and wanted is not None and "-" not in self.language else self.language, zone
        )

    def text(self, names: Sequence[str], kind: Kind) -> str | None:
        """The first of the named parts that exists, rendered for its use; None when there is none."""
        for name in names:
            text = getattr(self._parts, name)
            words = compile_text(text, kind).render(self._data, self._reader) if text else ""
            if words:
                return words
        return None

    def wechat(self) -> WeChatTemplate | None:
        """The WeChat template message, if this locale has one."""
        parts = self._parts.wechat
        if parts is None:
            return None
        fields = {field: self._line(field_text(value)) for field, value in parts.data.items()}
        return WeChatTemplate(parts.template_id, fields, self._line(parts.url) if parts.url else None)

    @property
    def has_files(self) -> bool:
        """Templates carry no files."""
        return False

    def attachments(self) -> tuple[Attachment, ...]:
        """Templates carry no files."""
        return ()

    def line(self, text: str, more: dict[str, str]) -> str:
        """Another template text on one line, with the data and `more`. Raises TemplateError and DataError."""
        return compile_text(text, "line").render({**self._data, **more}, self._reader)

    def _line(self, text: str) -> str:
        return compile_text(text, "line").render(self._data, self._reader)


class ContentSource:
    """Literal content; each part in the language nearest to the reader's, never read as a template."""

    def __init__(self, content: Content, names: Sequence[str], wanted: str | None, default: str) -> None:
        self._content = content
        self._wanted, self._default = wanted, default
        self.language = self._language_of(_main_text(content, names))

    def _language_of(self, text: Text | None) -> str:
        if isinstance(text, dict):
            return self._nearest(text)
        return self._content.language or script_language(text or "", self._wanted, self._default)

    def _nearest(self, table: dict[str, str]) -> str:
        found = pick(table, self._wanted, self._default)
        own = self._content.language
        return found[0] if found is not None else own if own is not None and own in table else next(iter(table))

    def _pick(self, text: Text | None) -> str | None:
        if isinstance(text, dict):
            return text.get(self.language) or text[self._nearest(text)]
        return text

    def text(self, names: Sequence[str], kind: Kind) -> str | None:
        """The first of the named parts that exists, tidied for its use; None when there is none."""
        for name in names:
            text = self._pick(getattr(self._content, name, None))
            words = tidy(text, kind) if text else ""
            if words:
                return words
        return None

    def wechat(self) -> WeChatTemplate | None:
        """The WeChat template message, if there is one."""
        given = self._content.wechat
        if given is None:
            return None
        values = {
            name: value if isinstance(value, str) else self._pick(value.value) for name, value in given.data.items()
        }
        return WeChatTemplate(
            given.template_id, {name: tidy(text or "", "line") for name, text in values.items()}, given.url
        )

    @property
    def has_files(self) -> bool:
        """True when files go with the message."""
        return bool(self._content.attachments)

    def attachments(self) -> tuple[Attachment, ...]:
        """The files that go with an e-mail."""
        return tuple(Attachment(one.name, one.type, base64.b64decode(one.data)) for one in self._content.attachments)

    def line(self, text: str, more: dict[str, str]) -> str:
        """Another template text on one line, with `more` as its data. Raises TemplateError and DataError."""
        return compile_text(text, "line").render(more, Reader(self.language, "UTC"))


def _main_text(content: Content, names: Sequence[str]) -> Text | None:
    """The text whose language is that of the message on a channel that takes the named parts."""
    part = next((found for found in (getattr(content, name, None) for name in names) if found), None)
    if not isinstance(part, WeChatContent):
        return part
    values = [value if isinstance(value, str) else value.value for value in part.data.values()]
    return next((value for value in values if isinstance(value, dict)), None) or " ".join(map(str, values))


def source(
    body: Body, names: Sequence[str], wanted: str | None, default: str, zone: str, supplied: Mapping[str, str]
) -> Source:
    """The source of a body's texts, for a channel that takes the named parts. `supplied`: what templates know unasked."""
    if body.template is not None:
        return TemplateSource(body, body.template, names, wanted, default, zone, supplied)
    return ContentSource(body.content or Content(), names, wanted, default)


def _locale_with(template: Template, names: Sequence[str], wanted: str | None, default: str) -> str:
    """The nearest locale that has one of the parts; one without them only where no locale has."""
    locales = template.locales
    fit = {tag: parts for tag, parts in locales.items() if any(getattr(parts, name) for name in names)} or locales
    found = pick(fit, wanted, default)
    return found[0] if found is not None else next(iter(fit))


def script_language(text: str, wanted: str | None, default: str) -> str:
    """The language of a text that came without one: the default, unless its script is another one's (Greek, Chinese)."""
    family = _family_of_script(text[:2000])
    if family is None or family == _family(default):
        return default
    if family == "latin" and _family(default) not in ("el", "zh"):
        return default
    if wanted is not None and (
        _family(wanted) == family or (family == "latin" and _family(wanted) not in ("el", "zh"))
    ):
        return wanted
    return {"el": "el", "zh": "zh-Hans"}.get(family, "en")


def _family(tag: str) -> str:
    return tag.partition("-")[0].lower()


@lru_cache(maxsize=512)
def _family_of_script(text: str) -> str | None:
    """`el`, `zh`, `latin`, or None when the script tells nothing."""
    letters = len(_LETTER.findall(text))
    if letters == 0 or _KANA_OR_HANGUL.search(text):
        return None
    if len(_GREEK.findall(text)) * 2 > letters:
        return "el"
    if len(_HAN.findall(text)) * 2 > letters:
        return "zh"
    return "latin" if len(_LATIN.findall(text)) * 2 > letters else None


Source = TemplateSource | ContentSource
