"""The restricted template language.

`{{ name }}` with dots, `{% if %}` with comparisons, and, or, not and `is defined`, `{% for %}` (100 turns in all, two
deep; inside it `loop.index`, `loop.first`, `loop.last`), and the filters `date time datetime money number`. Nothing
else: what Jinja2's parser understands beyond that is refused when a template is saved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from jinja2 import Environment, TemplateSyntaxError

from gateway.content.expressions import TemplateError
from gateway.content.filters import Reader
from gateway.content.grammar import Program, Step
from gateway.content.run import DataError, Kind, Run, one_line
from gateway.text import clean

__all__ = [
    "MAX_SOURCE",
    "SUPPLIED",
    "Compiled",
    "DataError",
    "Kind",
    "Reader",
    "TemplateError",
    "compile_text",
    "tidy",
    "variables",
]

MAX_SOURCE: Final = 65_536
"""The longest template text, in characters."""
MAX_TAGS: Final = 500
MAX_CODE: Final = 8192
"""Characters inside all `{{ }}` and `{% %}` of a text together; parsing them is what takes time."""

SUPPLIED: Final[Mapping[str, str]] = {"preferences_link": "https://example.com/p/preview"}
"""Names that every template may use without being given them, with a sample each: where the reader says how to be reached."""

_PARSER: Final = Environment(autoescape=True, extensions=())
_OPENING: Final = re.compile(r"\{[{%]")
_RAW: Final = re.compile(r"\{%[-+]?\s*raw\b")
_GAPS: Final = re.compile(r"\n{3,}")
_CHECKING: Final = Reader("en", "UTC")


class Compiled:
    """A text of a template, ready to be rendered. `needs` are the names that the data must have."""

    __slots__ = ("_kind", "_program", "_text", "needs")

    def __init__(self, text: str, kind: Kind, program: Step | None, needs: frozenset[str]) -> None:
        self._text = tidy(text, kind) if program is None else ""
        self._kind: Kind = kind
        self._program = program
        self.needs = needs

    def render(self, data: Mapping[str, Any], reader: Reader) -> str:
        """The text with the data in it. Raises DataError."""
        if self._program is None:
            return self._text
        run = Run(data, reader, None)
        self._program(run)
        return tidy("".join(run.out), self._kind)

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What is wrong with the data, as (JSON pointer, sentence); with an empty list `render` can't fail."""
        if self._program is None:
            return []
        found: list[tuple[str, str]] = []
        try:
            self._program(Run({**SUPPLIED, **data}, _CHECKING, found))
        except DataError as error:
            found.append((error.pointer, error.detail))
        return found


@lru_cache(maxsize=1024)
def compile_text(text: str, kind: Kind) -> Compiled:
    """Translate a text once. Raises TemplateError, with the line and a remedy, for all that isn't in the language."""
    if len(text) > MAX_SOURCE:
        raise TemplateError(1, f"The text is longer than {MAX_SOURCE} characters.", "Shorten it.")
    _refuse_early(text)
    program = Program(kind)
    try:
        tree = _PARSER.parse(text)
        step = program.body(tree.body)
    except TemplateSyntaxError as error:
        raise TemplateError(error.lineno, f"{_sentence(error.message)}", "Mend it.") from None
    except (RecursionError, ValueError, OverflowError):
        raise TemplateError(1, "An expression is too deep or holds a bad literal.", "Make it simpler.") from None
    program.finish(text.count("\n") + 1)
    expressions = program.expressions
    plain = "{{" not in text and "{%" not in text and "{#" not in text
    return Compiled(
        text, kind, None if plain else step, frozenset(expressions.used - expressions.optional - set(SUPPLIED))
    )


def variables(text: str) -> set[str]:
    """The names that the data must have for this text. Raises TemplateError."""
    return set(compile_text(text, "text").needs)


def tidy(text: str, kind: Kind) -> str:
    """A finished text without control characters, and without the gaps that blocks leave behind."""
    if kind in ("line", "speech"):
        return one_line(text).strip()
    text = clean(text)
    if kind == "html":
        return text
    if "\n" in text:
        text = _GAPS.sub("\n\n", "\n".join(line.rstrip(" ") for line in text.split("\n")))
    return text.strip()


def _refuse_early(text: str) -> None:
    """What the parser would swallow without leaving a node, raw blocks, and what would keep it busy for long."""
    raw = _RAW.search(text)
    if raw is not None:
        line = text.count("\n", 0, raw.start()) + 1
        raise TemplateError(line, "{% raw %} is not part of the template language.", "Leave it out.")
    tags = code = 0
    for opening in _OPENING.finditer(text):
        end = text.find("}}" if opening[0] == "{{" else "%}", opening.end())
        tags, code = tags + 1, code + (end if end >= 0 else len(text)) - opening.end()
        if tags > MAX_TAGS or code > MAX_CODE:
            line = text.count("\n", 0, opening.start()) + 1
            raise TemplateError(line, "The text has too many or too long tags.", f"Use at most {MAX_TAGS} short ones.")


def _sentence(message: str | None) -> str:
    text = (message or "The template can't be read").strip()
    return text if text.endswith((".", "?", "!")) else text + "."
