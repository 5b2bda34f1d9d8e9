"""What people wish in a few words: an order of channels, quiet hours, no more of one kind of message.

All of it is read from the table `keywords`. A text is a wish only when every word of it is understood: what is left over
makes it an ordinary message, which a person reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, Literal, cast

import msgspec

from gateway.locales import fold, is_han, table, wordlike

_ROLE = Literal["channel", "category", "messages", "filler"]


class Token(msgspec.Struct, frozen=True):
    """One word of a wish: a channel, a category, or something between them."""

    role: _ROLE
    name: str = ""


class Named(msgspec.Struct, frozen=True):
    """The channels (in their order, each once) and the category that a text names. `clear`: messages are spoken of."""

    channels: tuple[str, ...]
    category: str | None
    clear: bool


class Hours(msgspec.Struct, frozen=True):
    """Quiet hours as asked for, "HH:MM"; both None: the person wants none."""

    start: str | None = None
    end: str | None = None


def words(*path: str) -> tuple[str, ...]:
    """A list of the table `keywords`, made comparable."""
    found: Any = table("keywords")
    for part in path:
        found = found[part]
    return tuple(wordlike(word) for word in cast("list[str]", found))


def begins(text: str, word: str) -> bool:
    """Whether the text begins with that word, as a word of its own unless it is Chinese."""
    return text.startswith(word) and (is_han(word) or text == word or text[len(word)] == " ")


def _lexicon(*roles: tuple[_ROLE, str, Iterable[str]]) -> tuple[tuple[str, Token], ...]:
    """Longest words first; of equal words the role given first."""
    found: dict[str, Token] = {}
    for role, name, known in roles:
        for word in known:
            found.setdefault(word, Token(role, name))
    return tuple(sorted(found.items(), key=lambda one: -len(one[0])))


_TABLE: Final = table("keywords")
_CHANNELS: Final = [("channel", name, words("channels", name)) for name in _TABLE["channels"]]
_CATEGORIES: Final = [("category", name, words("categories", name)) for name in _TABLE["categories"]]
_OF_STOP: Final = _lexicon(
    ("messages", "", words("fillers", "messages")),
    *cast("Any", [*_CATEGORIES, *_CHANNELS]),
    ("filler", "", words("fillers", "words")),
)
_OF_ORDER: Final = _lexicon(
    *cast("Any", [*_CHANNELS, *_CATEGORIES]),
    ("filler", "", words("order", "between")),
)
_CLEAR: Final = words("order", "clear")
_COMMON: Final = words("order", "common")
_COMMAND: Final = words("order", "command")
_QUIET: Final = tuple(sorted(words("quiet", "words"), key=len, reverse=True))
_OFF: Final = frozenset(words("quiet", "off"))
_SCRIPTS: Final = re.compile(r"(?<=[\u3400-\u9fff])(?=[^\u3400-\u9fff ])|(?<=[^\u3400-\u9fff ])(?=[\u3400-\u9fff])")
_TIME: Final = r"(\d{1,2})(?:\s*[:.h点點时時]\s*(\d{2})?分?)?\s*(am|pm)?"
_SPAN: Final = re.compile(
    rf"\W*(?:from|between|απο|από|从|從)?\s*{_TIME}\s*(?:[-–—~]+|to\b|until\b|till\b|and\b|至|到|εωσ|μεχρι|με|\s)\s*{_TIME}\W*"
)
_MOST_WORDS: Final = 8
"""A longer text that begins like an order is a letter."""
_HALF_AN_ORDER: Final = 2
"""After a word that is common in other sentences too: "order sms" wants to know how it is written, a longer one may be a letter."""


def scan(text: str, lexicon: Iterable[tuple[str, Token]]) -> list[Token] | None:
    """The words of a text, each understood; None when one of them isn't."""
    rest, found = _SCRIPTS.sub(" ", text).strip(), list[Token]()
    while rest:
        word, token = next(((word, token) for word, token in lexicon if begins(rest, word)), ("", None))
        if token is None:
            return None
        found.append(token)
        rest = rest[len(word) :].strip()
    return found


def narrowed(rest: str) -> Named | None:
    """What stands after "stop" or "start", when it names a channel or a kind of message and nothing else."""
    return _named(scan(rest, _OF_STOP))


def order(said: str, *, answering: bool = False) -> Named | None:
    """An order of channels, perhaps for one category; without channels: meant as one, and not understood.

    `answering`: a question of ours is open, to which "order late" may be the answer.
    """
    for first in sorted((*_CLEAR, *_COMMON), key=len, reverse=True):
        if not begins(said, first) or said == first:
            continue
        rest = said[len(first) :].strip()
        named = _named(scan(rest, _OF_ORDER))
        if named is not None and named.channels and (first in _CLEAR or len(named.channels) + bool(named.category) > 1):
            return named
        if first in _CLEAR and not is_han(rest) and len(rest.split()) < _MOST_WORDS:
            return Named((), None, clear=True)
        if first in _COMMON and len(rest.split()) <= _HALF_AN_ORDER and _names_a_way(rest):
            return Named((), None, clear=True)
        if first in _COMMAND and not answering and rest.isalpha() and scan(rest, _OF_ORDER) is None:
            return Named((), None, clear=True)
    return None


def _names_a_way(rest: str) -> bool:
    """Whether one of the words is a channel, and no thing that people order: "order phone" is a wish of another kind."""
    words_apart = [scan(word, _OF_ORDER) for word in rest.split()]
    return any(one.role == "channel" and one.name != "voice" for found in words_apart for one in found or ())


def quiet(text: str, said: str) -> Hours | Literal["unclear"] | None:
    """Quiet hours; "unclear" when they are meant and can't be read. `text` has the signs that `said` has lost."""
    first = next((word for word in _QUIET if begins(said, word)), None)
    if first is None:
        return None
    rest = said[len(first) :].strip()
    if rest in _OFF:
        return Hours()
    digits = re.search(r"\d", plain := fold(text))
    if digits is None:
        return None if rest else "unclear"
    span = _SPAN.fullmatch(plain[digits.start() :])
    if span is None:
        return "unclear" if len(rest.split()) <= _MOST_WORDS else None
    start, end = _clock(span[1], span[2], span[3]), _clock(span[4], span[5], span[6])
    return "unclear" if start is None or end is None or start == end else Hours(start, end)


def _named(tokens: list[Token] | None) -> Named | None:
    if tokens is None:
        return None
    channels = tuple(dict.fromkeys(token.name for token in tokens if token.role == "channel"))
    categories = list(dict.fromkeys(token.name for token in tokens if token.role == "category"))
    if len(categories) > 1 or not (channels or categories):
        return None
    clear = any(token.role == "messages" for token in tokens)
    return Named(channels, categories[0] if categories else None, clear)


def _clock(hour: str, minute: str | None, half: str | None) -> str | None:
    """A time of day as "HH:MM"; 24 is midnight."""
    h, m = int(hour), int(minute or 0)
    if half is not None:
        if not 1 <= h <= 12:
            return None
        h = h % 12 + (12 if half == "pm" else 0)
    return f"{h % 24:02d}:{m:02d}" if h <= 24 and m <= 59 else None
