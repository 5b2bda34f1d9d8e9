"""Where in an HTML template an expression stands, so that escaping its value is enough to keep it harmless.

A value may stand in text and in quoted attributes. Elsewhere (a tag's or attribute's name, an unquoted value, a
comment, a style or script) no escaping is safe, so such a template is refused.
"""

from __future__ import annotations

import re
from typing import Final, Literal

State = Literal["text", "tag", "double", "single", "comment", "style"]

_URL_ATTRIBUTES: Final = frozenset(
    ("href", "src", "action", "formaction", "background", "cite", "poster", "xlink:href")
)
_NO_VALUES: Final = frozenset(("style", "srcdoc", "srcset", "content"))
_FORBIDDEN_ELEMENT: Final = re.compile(r"<\s*(script|iframe|object|embed|base|svg|math)\b", re.IGNORECASE)
_OPENING: Final = re.compile(r"<!--|<style\b|<[A-Za-z/!?]", re.IGNORECASE)
_END_OF_TAG_PART: Final = re.compile(r"[\"'>]")
_BEFORE_NAME: Final = re.compile(r"[\s\"'<>/=]")
_CLOSING: Final[dict[State, re.Pattern[str]]] = {
    "double": re.compile('"'),
    "single": re.compile("'"),
    "comment": re.compile("-->"),
    "style": re.compile(r"</style\s*>", re.IGNORECASE),
}


class HtmlContext:
    """A reader of a template's literal text, from left to right."""

    def __init__(self) -> None:
        self.state: State = "text"
        self._tag = ""
        self._attribute = ""
        self._value_begun = False
        self._in_style = False

    def feed(self, text: str) -> str | None:
        """Read on. Returns what must not stand in a template, or None."""
        found = _FORBIDDEN_ELEMENT.search(text)
        if found is not None:
            return f"<{found[1].lower()}> can't stand in a template"
        if text.endswith("<"):
            return "a tag can't begin in one place and go on in another"
        at = 0
        while at < len(text):
            at = self._step(text, at)
        return None

    def _step(self, text: str, at: int) -> int:
        if self.state == "text":
            return self._read_text(text, at)
        if self.state == "tag":
            return self._read_tag(text, at)
        found = _CLOSING[self.state].search(text, at)
        if found is None:
            self._value_begun = self._value_begun or bool(text[at:].strip())
            return len(text)
        self.state = "tag" if self.state in ("double", "single") else "text"
        return found.end()

    def _read_text(self, text: str, at: int) -> int:
        found = _OPENING.search(text, at)
        if found is None:
            return len(text)
        if found[0] == "<!--":
            self.state = "comment"
        else:
            self.state, self._tag, self._in_style = "tag", "", found[0].lower() == "<style"
        return found.end()

    def _read_tag(self, text: str, at: int) -> int:
        found = _END_OF_TAG_PART.search(text, at)
        if found is None:
            self._tag += text[at:]
            return len(text)
        self._tag += text[at : found.start()]
        if found[0] == ">":
            self.state = "style" if self._in_style else "text"
        else:
            self._attribute = _name_before_quote(self._tag)
            self.state, self._value_begun = "double" if found[0] == '"' else "single", False
        self._tag = ""
        return found.end()

    def expression(self) -> str | None:
        """An expression stands here. Returns why it must not, or None."""
        if self.state == "text":
            return None
        if self.state not in ("double", "single"):
            place = {"tag": "inside a tag, outside quotes", "comment": "inside a comment", "style": "inside <style>"}
            return f"a value can't stand {place[self.state]}"
        if not self._attribute or self._attribute.startswith("on") or self._attribute in _NO_VALUES:
            return f"a value can't stand in the attribute {self._attribute or 'without a name'}"
        return None

    def takes_url(self) -> bool:
        """True where a value begins an attribute that holds a link; call before `value_begins`."""
        return self.state in ("double", "single") and self._attribute in _URL_ATTRIBUTES and not self._value_begun

    def value_begins(self) -> None:
        """An expression was put out here."""
        self._value_begun = True


def _name_before_quote(tag: str) -> str:
    """The attribute whose quoted value begins after this part of a tag; empty when there is none."""
    before = tag.rstrip()
    return _BEFORE_NAME.split(before[:-1].rstrip())[-1].lower() if before.endswith("=") else ""
