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
_ENDING: Final = " \t\n.,:;!?…。，、：；！？"
_PAIRS: Final = dict(zip("\"'“‘«([（【", "\"'”’»)]）】", strict=True))
_SIGNS: Final = frozenset(("So", "Sk"))
_SHORT: Final = 5
"""Words of a text that says no more than thanks."""
_APOSTROPHES: Final = dict.fromkeys(map(ord, "'’ʼ"))
_LONGEST_NUMBER: Final = 60
"""No number with polite words around it is longer, in characters."""
_HAN_NUMBER: Final = re.compile(r"([一二三四五六七八九]?)十([一二三四五六七八九]?)")
_COUNTED: Final = re.compile(r"\s*(?:no|nr|num|αρ)[.:]?\s*(?=\d)", re.IGNORECASE)
"""What stands before a number to say that it is one: "No. 7"."""
_STARS: Final = re.compile(r"[⭐★🌟]{1,10}☆{0,9}")


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
_REMARKS: Final = _words("remarks")
_OF: Final = re.compile(
    r"(\S+)\s*(?:" + "|".join(re.escape(fold(word)) for word in _TABLE["words"]["of"]) + r")\s*(\S+)"
)


def number(text: str, best: int | None = None, *, ordinals: bool = False, counted: bool = False) -> int | None:
    """The one number the text gives, or None.

    Digits of any script, number words from nought to ten, Chinese ones to 99, polite words and signs around it, and a
    remark after it ("8, very friendly", "8 because …"). "9/10" counts when `best` is 10. `ordinals`: "the second one" counts
    too; `counted`: so do "No. 7" and "my score: 8".
    """
    if counted:
        text = text[found.end() :] if (found := _COUNTED.match(text)) else text
        named, _, after = text.replace("：", ":").partition(":")
        text = after if after and _plain(named) in _AROUND else text
    head, rest = parted(text)
    if len(head) > _LONGEST_NUMBER:
        head = _before_remark(head)
    if len(head) > _LONGEST_NUMBER:
        return None
    found = _bare_number(_without_around(head), best, ordinals=ordinals)
    if found is None:
        found = _bare_number(_without_around(_before_remark(head)), best, ordinals=ordinals)
    said = wordlike(rest)
    if found is None or not said:
        return found
    return None if _value(said.split()[0], ordinals=False) is not None or _any(said, _EITHER) else found


def stars(text: str) -> int | None:
    """How many stars a text consists of, hollow ones not counted: "★★★★☆" are four; None: it has something else."""
    signs = "".join(char for char in text if not char.isspace() and char != "\ufe0f")
    return len(signs.rstrip("☆")) if _STARS.fullmatch(signs) else None


def bare(text: str) -> tuple[str, str]:
    """What a text says first, without polite words around it, and what it says after that; both for comparing."""
    head, rest = parted(text)
    return wordlike(_without_around(head)), wordlike(rest)


def unsure(said: str) -> bool:
    """Whether words that have been made comparable take back or doubt what was said before them."""
    return _any(said, _EITHER | _UNCLEAR | _AGAINST_YES)


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
    raw_head, raw_rest = parted(text)
    head, rest = _plain(raw_head), wordlike(raw_rest)
    if _value(rest, ordinals=False) is not None:
        return None  # "No. 1" may mean the first
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
    unclear = len(behind.split()) > 7 or _value(behind, ordinals=False) is not None
    return None if unclear or _any(behind, against) else agrees


def told_beside(text: str) -> tuple[str, str]:
    """As `parted`, in the person's own writing; marks that enclose the whole text belong to neither part."""
    own = _unwrapped(text[:4000].strip())
    plain, places = "", list[int]()
    for place, char in enumerate(own):
        same = unicodedata.normalize("NFKC", char)
        plain += same
        places += [place] * len(same)
    found = next((mark for mark in _SEPARATOR.finditer(plain) if plain[: mark.start()].strip(_WRAPPING)), None)
    if found is None:
        return own, ""
    rest = own[places[found.end() - 1] + 1 :].lstrip(_ENDING).rstrip()
    says = any(unicodedata.category(char)[0] in "LNS" for char in rest)
    return own[: places[found.start()]].strip(), rest if says else ""


def _unwrapped(text: str) -> str:
    """Without a pair of marks around all of it."""
    inner = text[1:-1].strip()
    whole = len(text) > 1 and _PAIRS.get(text[0]) == text[-1]
    return inner if whole and text[0] not in inner and text[-1] not in inner else text


def bare_number(text: str, best: int | None) -> bool:
    """Whether a text says a number and, polite words aside, nothing else: "ten out of ten"."""
    head, rest = parted(text)
    return not rest and _bare_number(_without_around(head), best, ordinals=False) is not None


def parted(text: str) -> tuple[str, str]:
    """What stands before the first mark that ends a thought, and what stands behind it."""
    trimmed = unicodedata.normalize("NFKC", text[:4000]).translate(_APOSTROPHES).strip().strip(_WRAPPING)
    parts = _SEPARATOR.split(trimmed, maxsplit=1)
    return parts[0].strip(_WRAPPING), parts[1].strip() if len(parts) > 1 else ""


def _before_remark(head: str) -> str:
    """The words before a first one that only a remark begins with: "9 because …" gives "9"."""
    said = fold(head)
    found = [at for word in _REMARKS if (at := f"{said} ".find(word if is_han(word) else f" {word} ")) > 0]
    return said[: min(found)] if found else said


def _without_around(head: str) -> str:
    said, before = fold(head), ""
    while said != before:
        before = said
        for word in _AROUND:
            said = _shorter(said, word)
    return _without_signs(said.strip(_WRAPPING))


def _without_signs(said: str) -> str:
    """Without emoji at the ends, as long as something is left: "9 👍" is 9."""
    kept = said
    while len(kept) > 1 and unicodedata.category(kept[-1]) in _SIGNS:
        kept = kept[:-1].rstrip()
    while len(kept) > 1 and unicodedata.category(kept[0]) in _SIGNS:
        kept = kept[1:].lstrip()
    return kept


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
