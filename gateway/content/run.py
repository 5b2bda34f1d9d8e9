"""What a compiled template runs on: the data, the budget, the output.

Rendering is bounded by construction: a template's size, the length of what it writes, how often its loops turn and how
many steps it takes are all limited, and no step calls anything but the five filters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, cast

from markupsafe import escape

from gateway.content.filters import Reader
from gateway.text import clean

Kind = Literal["line", "sms", "text", "html", "speech"]
"""What the text is for. `line`: one line (subjects, WeChat fields, links); `sms` and `speech`: values are one line."""

MAX_OUTPUT: Final = 65_536
"""The longest text a template may write, in characters."""
MAX_TURNS: Final = 100
"""How often all loops of a template may turn together."""
MAX_STEPS: Final = 20_000
FILTER_STEPS: Final = 20

MISSING: Final = object()

_NO_BREAK_SPACES: Final = re.compile("[\u00a0\u202f]")
_SAFE_URL: Final = re.compile(r"(https?://|mailto:|tel:)[^\s\"'<>]+", re.IGNORECASE)


class DataError(Exception):
    """The data doesn't fit the template. `pointer` is a JSON pointer that begins with `/data`."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer}: {detail}")
        self.pointer = pointer
        self.detail = detail


class Run:
    """One rendering. With `problems` a list, nothing is raised for bad data: it is noted there, and the run goes on."""

    __slots__ = ("names", "out", "pointers", "problems", "reader", "size", "steps", "turns")

    def __init__(self, data: Mapping[str, Any], reader: Reader, problems: list[tuple[str, str]] | None) -> None:
        self.names: dict[str, Any] = dict(data)
        self.pointers: dict[str, str] = {}
        self.reader = reader
        self.problems = problems
        self.out: list[str] = []
        self.size = self.steps = self.turns = 0

    def fail(self, pointer: str, detail: str) -> None:
        """Report bad data: raises DataError, or notes it."""
        if self.problems is None:
            raise DataError(pointer, detail)
        self.problems.append((pointer, detail))

    def spend(self, steps: int) -> None:
        """Count work. Raises DataError when the budget is used up."""
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise DataError("/data", "The template takes too much work with this data; shorten its lists.")

    def turn(self, pointer: str) -> None:
        """Count one turn of a loop. Raises DataError when the budget is used up."""
        self.turns += 1
        if self.turns > MAX_TURNS:
            raise DataError(pointer, f"All loops of a text together turn at most {MAX_TURNS} times; shorten the list.")

    def write(self, text: str) -> None:
        """Add to the output. Raises DataError when it gets too long."""
        self.size += len(text)
        if self.size > MAX_OUTPUT:
            raise DataError("/data", f"The text would be longer than {MAX_OUTPUT} characters.")
        self.out.append(text)


def one_line(text: str) -> str:
    """The text on one line, without control characters: a run with a line break in it becomes one space."""
    # str.splitlines knows every line break there is, and stays linear where a pattern of blanks would not.
    return text if text.isprintable() else clean(" ".join(line.strip() for line in text.splitlines() if line.strip()))


def _html(text: str) -> str:
    return str(escape(clean(text)))


CLEAN: Final[dict[Kind, Callable[[str], str]]] = {
    "line": one_line,
    "sms": one_line,
    "speech": one_line,
    "text": clean,
    "html": _html,
}


def plain_spaces(text: str, kind: Kind) -> str:
    """A filter's result with ordinary spaces, except in HTML: a no-break space would cost an SMS half its room."""
    return text if kind == "html" else _NO_BREAK_SPACES.sub(" ", text)


def safe_url(text: str) -> bool:
    """True for what may stand in a link: http, https, mailto, tel."""
    return _SAFE_URL.fullmatch(text) is not None


def written(value: object) -> str:
    """A value as text. Raises ValueError with a sentence that follows the value's name."""
    match value:
        case str():
            return value
        case None:
            raise ValueError("is null; give a value, or put the place in {% if … is defined and … %}")
        case bool():
            raise ValueError("is true or false, which isn't a text for people; use {% if %}")
        case int() | float():
            return _number(value)
        case list():
            raise ValueError("is a list; go through it with {% for %}")
        case _:
            raise ValueError("is an object; name one of its members with a dot")


def _number(value: float) -> str:
    if abs(value) >= 10**15:
        raise ValueError("is a number too long to show; give it as text")
    return str(int(value)) if value == int(value) else f"{value:.9f}".rstrip("0").rstrip(".")


def child(value: object, key: str) -> object:
    """What an object holds under a key, or MISSING."""
    return cast("dict[str, Any]", value).get(key, MISSING) if isinstance(value, dict) else MISSING
