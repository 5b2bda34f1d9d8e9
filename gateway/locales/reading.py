"""Reads what people write: a number in any script or in words, a yes or a no. Sure or silent: in doubt it says None."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, cast

from gateway.locales import fold, is_han, table, wordlike

_TABLE: Final = table("answers")
# A decimal point or comma and the colon of a time are part of what they stand in.
_SEPARATOR: Final = re.compile(r"[\n;!?。；！？]|[,.:、，：](?![0-9])|\s[-\u2013\u2014]\s")
_WRAPPING: Final = " \t\"'“”‘’«»()[]（）【】#*_~"
_SHORT: Final = 5
"""Words of a text that says no more than thanks."""
_APOSTROPHES: Final = dict.fromkeys(map(ord, "'’ʼ"))
_LONGEST_NUMBER: Final = 60
"""No number with polite words around it is longer, in characters."""
_HAN_NUMBER: Final = re.compile(r"([一二三四五六七八九]?)十([一二三四五六七八九]?)")


def _plain(word: str) -> str:
    """A word made comparable; signs such as 👍 stand for themselves, whatever their colour."""
    return wordlike(word) or "".join(char for char in fold(word) if unicodedata.category(char) != "Sk")


def _words(name: str) -> frozenset[str]:
    return frozenset(_plain(word) for word in cast("list[str]", _TABLE["words"][name]))


def _values(name: str) -> dict[str, int]:
    return {fold(word): int(value) for value, words in _TABLE[name].items() for word in words}


_NUMBERS: Final = _values("numbers")
_ORDINALS: Final = _values("ordinals")
_YES: Final = _words("yes")
_NO: Final = _words("no")
_ACKNOWLEDGE: Final = _words("acknowledge")
_LEADS: Final = _words("leads")
_EITHER: Final = _words("either")
_UNCLEAR: Final = _words("unclear")
_AGAINST_YES: Final = _words("against_yes")
_AGAINST_NO: Final = _words("against_no")
_AROUND: Final = tuple(sorted(_words("around"), key=len, reverse=True))
_OF: Final = re.compile(
    r"(\S+)\s*(?:" + "|".join(re.escape(fold(word)) for word in _TABLE["words"]["of"]) + r")\s*(\S+)"
)


def number(text: str, best: int | None = None, *, ordinals: bool = False) -> int | None:
    """The one number the text gives, or None.

    Digits of any script, number words from nought to ten, Chinese ones to 99, polite words around it, and a remark
    after it ("8, very friendly"). "9/10" counts when `best` is 10. `ordinals`: "the second one" counts too.
    """
    head, rest = _split(text)
    if len(head) > _LONGEST_NUMBER:
        return None
    found = _bare_number(_without_around(head), best, ordinals=ordinals)
    if found is None or not rest:
        return found
    first = rest.split()[0]
    return None if _value(first, ordinals=False) is not None or _any(rest, _EITHER) else found


def yes_or_no(text: str) -> bool | None:
    """True for a yes, False for a no, None when it is neither for certain."""
    return _stance(text, _YES, _NO)


def acknowledges(text: str) -> bool:
    """True when the text says that the message arrived, or simply agrees.

    Thanks and the like count only in a short text: automatic replies begin with them too.
    """
    if _stance(text, _YES, _NO) is True:
        return True
    return len(wordlike(text).split()) <= _SHORT and _stance(text, _YES | _ACKNOWLEDGE, _NO) is True


def label(name: str, locale: str) -> str:
    """The word for `acknowledge`, `yes` or `no` in a language: that locale, else its language, else English."""
    labels = cast("dict[str, str]", _TABLE["labels"][name])
    language = locale.partition("-")[0]
    alike = (text for tag, text in labels.items() if tag.partition("-")[0] == language)
    return labels.get(locale) or next(alike, labels["en"])


def _stance(text: str, agreeing: frozenset[str], refusing: frozenset[str]) -> bool | None:
    raw_head, rest = _split(text)
    head = _plain(raw_head)
    for words, agrees in ((agreeing, True), (refusing, False)):
        if head in words:
            opposite = refusing if agrees else agreeing
            first = rest.split()[0] if rest else ""
            return None if first in opposite or first in _EITHER else agrees
    return _led(head, rest, agreeing, refusing)


def _led(head: str, rest: str, agreeing: frozenset[str], refusing: frozenset[str]) -> bool | None:
    """A short text that begins with a clear word, without anything behind it that says otherwise."""
    lead = max((word for word in _LEADS if head.startswith(f"{word} ")), key=len, default=None)
    if lead is None or (lead not in agreeing and lead not in refusing):
        return None
    behind = f"{head.removeprefix(lead)} {rest}".strip()
    agrees = lead in agreeing
    against = (_AGAINST_YES if agrees else _AGAINST_NO) | _EITHER | _UNCLEAR
    return None if len(behind.split()) > 7 or _any(behind, against) else agrees


def _split(text: str) -> tuple[str, str]:
    """What stands before the first mark that ends a thought, and the words behind it."""
    trimmed = unicodedata.normalize("NFKC", text[:4000]).translate(_APOSTROPHES).strip().strip(_WRAPPING)
    parts = _SEPARATOR.split(trimmed, maxsplit=1)
    return parts[0].strip(_WRAPPING), wordlike(parts[1]) if len(parts) > 1 else ""


def _without_around(head: str) -> str:
    said, before = fold(head), ""
    while said != before:
        before = said
        for word in _AROUND:
            said = _shorter(said, word)
    return said.strip(_WRAPPING)


def _shorter(said: str, word: str) -> str:
    """Without the word at either end, as long as something is left."""
    blank = "" if is_han(word) else " "
    shorter = said.removeprefix(word + blank).strip()
    said = shorter or said
    shorter = said.removesuffix(blank + word).strip()
    return shorter or said


def _bare_number(said: str, best: int | None, *, ordinals: bool) -> int | None:
    marked = _OF.fullmatch(said)
    if marked is None:
        return _value(said, ordinals=ordinals)
    value, top = _value(marked[1], ordinals=False), _value(marked[2], ordinals=False)
    return value if top is not None and top == best else None


@lru_cache(maxsize=1024)
def _value(said: str, *, ordinals: bool) -> int | None:
    if said.isdecimal() and len(said) <= 3:
        return int(said)
    if said in _NUMBERS:
        return _NUMBERS[said]
    if ordinals and said in _ORDINALS:
        return _ORDINALS[said]
    tens = _HAN_NUMBER.fullmatch(said)
    if tens is not None:
        return 10 * (_han_digit(tens[1]) if tens[1] else 1) + (_han_digit(tens[2]) if tens[2] else 0)
    return _han_digit(said) if len(said) == 1 and is_han(said) and unicodedata.numeric(said, 99) <= 10 else None


def _han_digit(char: str) -> int:
    return int(unicodedata.numeric(char))


def _any(text: str, words: Iterable[str]) -> bool:
    return any(word in text if is_han(word) else f" {word} " in f" {text} " for word in words)
