"""Words by which people steer us from any channel: STOP, START, HELP, the language, the channels and the hours they want.

The whole message being a keyword is what carriers understand too. We go further, since a person may take consent back
by any reasonable means: "please stop texting me" is an opt-out. What merely mentions a stop word goes to a person.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from gateway.locales import is_han, table, wordlike
from gateway.preferences.wishes import Hours, begins, narrowed, order, quiet
from gateway.preferences.wishes import words as _words

Kind = Literal["stop", "stop_all", "start", "help", "preferences", "language", "order", "quiet", "unclear", "doubtful"]


class Keyword(msgspec.Struct, frozen=True):
    """What a text asks for.

    `value`: the locale of a `language`; of `unclear`, what was meant ("order", "quiet"). `category`: the kind of message
    that a `stop`, a `start` or an `order` is about, None: all. `channels`: of an `order`, the first choice first; of a
    `stop`, those it names, none: the one it was said on. `hours`: of `quiet`.
    """

    kind: Kind
    value: str | None = None
    category: str | None = None
    channels: tuple[str, ...] = ()
    hours: Hours | None = None


_STOP: Final = _words("stop", "words")
_COMMON: Final = _words("stop", "common")
_ALONE: Final = _words("stop", "alone")
_PHRASES: Final = _words("stop", "phrases")
_NARROWING: Final = _words("stop", "narrowing")
_NOT_MEANT: Final = _words("stop", "not_meant")
_STOP_ALL: Final = _words("stop_all", "words")
_NARROW: Final = tuple(sorted((*_STOP, *_COMMON, *_words("stop", "narrow_before")), key=len, reverse=True))
_STARTS: Final = tuple(sorted((*_words("start", "words"), *_words("start", "unless_asked")), key=len, reverse=True))
_DIRECT: Final = frozenset(("outage", "service"))
"""What people ask us to stop for another reason too: stopping the messages about it must be said."""
_UNLESS_ASKED: Final = frozenset(_words("start", "unless_asked"))
_IN_COUNTRY: Final = {
    country: frozenset(_words("stop", "in_country", country)) for country in table("keywords")["stop"]["in_country"]
}
_LANGUAGES: Final = {
    name: locale for locale in table("keywords")["language"]["names"] for name in _words("language", "names", locale)
}
_CODES: Final = {
    name: locale for locale in table("keywords")["language"]["codes"] for name in _words("language", "codes", locale)
}
_BEFORE_LANGUAGE: Final = _words("language", "before")
_COURTESY: Final = tuple(sorted(_words("courtesy", "words"), key=len, reverse=True))
_WHOLE: Final[dict[str, Kind]] = {
    **dict.fromkeys((*_STOP, *_COMMON, *_ALONE), "stop"),
    **dict.fromkeys(_words("start", "words"), "start"),
    **dict.fromkeys(_words("help", "words"), "help"),
    **dict.fromkeys(_words("preferences", "words"), "preferences"),
    **dict.fromkeys(_STOP_ALL, "stop_all"),
}

_SHORT: Final = 4
"""A message of at most so many words that begins with a stop word is an opt-out."""
_SHORT_HAN: Final = 6
_REQUEST: Final = 9
_REQUEST_HAN: Final = 16


def understand(text: str, *, country: str | None = None, open_prompt: bool = False) -> Keyword | None:
    """What a text from a person asks of us; None when it is an ordinary message.

    `country` (ISO 3166, of the sender) switches on the one-letter opt-outs of Chinese texts. With `open_prompt`, YES and
    the bare name of a language are answers, not keywords. `doubtful` mentions a stop word: a person should read it.
    """
    said = wordlike(text)
    if not said:
        return None
    if said in _IN_COUNTRY.get(country or "", frozenset()):
        return Keyword("stop")
    if not open_prompt and said in _UNLESS_ASKED:
        return Keyword("start")
    asked = _without_courtesy(said)
    for words in (said, asked, _joined(said)):
        found = _whole(words, open_prompt=open_prompt)
        # To opt in must be meant: what starts us again is never found inside a longer text.
        if found is not None and (found.kind != "start" or words == said):
            return found
    return (
        _wish(text, said, answering=open_prompt)
        or _narrowed(asked)
        or _narrowed(said)
        or _request(asked)
        or _request(said)
        or _mention(said, open_prompt=open_prompt)
    )


def _whole(words: str, *, open_prompt: bool) -> Keyword | None:
    kind = _WHOLE.get(words)
    if kind is not None:
        return Keyword(kind)
    named = _LANGUAGES.get(words) if not open_prompt else None
    for prefix in _BEFORE_LANGUAGE:
        if named is None and begins(words, prefix):
            rest = words[len(prefix) :].strip()
            named = _LANGUAGES.get(rest) or _CODES.get(rest)
    return Keyword("language", named) if named is not None else None


def _wish(text: str, said: str, *, answering: bool) -> Keyword | None:
    """An order of channels or quiet hours."""
    wanted = order(said, answering=answering)
    if wanted is not None:
        if not wanted.channels:
            return Keyword("unclear", "order")
        return Keyword("order", category=wanted.category, channels=wanted.channels)
    hours = quiet(text, said)
    if hours == "unclear":
        return Keyword("unclear", "quiet")
    return None if hours is None else Keyword("quiet", hours=hours)


def _narrowed(said: str) -> Keyword | None:
    """An opt-out, or its lifting, of one kind of message or of channels that are named."""
    for word in _NARROW:
        rest = _after(said, word)
        named = narrowed(rest) if rest else None
        # "Stop outages" is no wish to hear nothing of them.
        if named is not None and (named.category not in _DIRECT or named.clear):
            return Keyword("stop", category=named.category, channels=named.channels)
    for word in _STARTS:
        rest = _after(said, word)
        named = narrowed(rest) if rest else None
        if named is not None:
            return Keyword("start", category=named.category)
    return None


def _after(said: str, word: str) -> str:
    """What stands after a word; before it too, where Chinese puts the verb last."""
    if begins(said, word):
        return said[len(word) :].strip()
    return said[: -len(word)].strip() if is_han(word) and said.endswith(word) else ""


def _request(asked: str) -> Keyword | None:
    """An opt-out that is longer than its keyword."""
    if any(begins(asked, words) for words in _NOT_MEANT):
        return None
    if any(begins(asked, word) for word in _STOP_ALL) and _at_most(asked, _REQUEST, _REQUEST_HAN):
        return Keyword("stop_all")
    if any(begins(asked, word) for word in (*_STOP, *_COMMON) if not is_han(word)) and _at_most(asked, _SHORT, 0):
        return Keyword("stop")
    if any(begins(asked, word) for word in _STOP if is_han(word)) and _at_most(asked, _SHORT, _SHORT_HAN):
        return Keyword("stop")
    narrowed = any(_holds(asked, word) for word in _NARROWING)
    if not narrowed and any(begins(asked, phrase) for phrase in _PHRASES) and _at_most(asked, _REQUEST, _REQUEST_HAN):
        return Keyword("stop")
    return None


def _mention(said: str, *, open_prompt: bool) -> Keyword | None:
    """Doubtful, where a stop word stands somewhere in the text; common words don't count in answers."""
    common = () if open_prompt else (*_COMMON, *(word for word in _ALONE if len(word) > 1))
    return Keyword("doubtful") if any(_holds(said, word) for word in (*_STOP, *_PHRASES, *common)) else None


def _without_courtesy(said: str) -> str:
    """The text without polite words at its ends; as it was, if nothing else is left."""
    before, rest = "", said
    while rest != before:
        before = rest
        for word in _COURTESY:
            if begins(rest, word):
                rest = rest[len(word) :].strip()
            if _ends(rest, word):
                rest = rest[: -len(word)].strip()
    return rest or said


def _joined(said: str) -> str:
    """Letters written apart ("S T O P") as one word."""
    parts = said.split()
    return "".join(parts) if len(parts) > 2 and all(len(part) == 1 for part in parts) else said


def _at_most(text: str, words: int, han: int) -> bool:
    return len(text) <= han if is_han(text) else len(text.split()) <= words


def _ends(text: str, word: str) -> bool:
    return text.endswith(word) and (is_han(word) or text == word or text[-len(word) - 1] == " ")


def _holds(text: str, word: str) -> bool:
    return word in text if is_han(word) else f" {word} " in f" {text} "
