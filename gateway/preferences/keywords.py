"""Words by which people steer us from any channel: STOP, START, HELP, the language they want.

The whole message being a keyword is what carriers understand too. We go further, since a person may take consent back
by any reasonable means: "please stop texting me" is an opt-out. What merely mentions a stop word goes to a person.
"""

from __future__ import annotations

from typing import Any, Final, Literal, cast

import msgspec

from gateway.locales import is_han, table, wordlike

Kind = Literal["stop", "stop_all", "start", "help", "preferences", "language", "doubtful"]


class Keyword(msgspec.Struct, frozen=True):
    """What a text asks for. `value` is the locale of a `language`, else None."""

    kind: Kind
    value: str | None = None


def _words(*path: str) -> tuple[str, ...]:
    found: Any = table("keywords")
    for part in path:
        found = found[part]
    return tuple(wordlike(word) for word in cast("list[str]", found))


_STOP: Final = _words("stop", "words")
_COMMON: Final = _words("stop", "common")
_ALONE: Final = _words("stop", "alone")
_PHRASES: Final = _words("stop", "phrases")
_NARROWING: Final = _words("stop", "narrowing")
_STOP_ALL: Final = _words("stop_all", "words")
_UNLESS_ASKED: Final = frozenset(_words("start", "unless_asked"))
_IN_COUNTRY: Final = {
    country: frozenset(_words("stop", "in_country", country)) for country in table("keywords")["stop"]["in_country"]
}
_LANGUAGES: Final = {
    name: locale for locale in table("keywords")["language"]["names"] for name in _words("language", "names", locale)
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
    return _request(asked) or _request(said) or _mention(said, open_prompt=open_prompt)


def _whole(words: str, *, open_prompt: bool) -> Keyword | None:
    kind = _WHOLE.get(words)
    if kind is not None:
        return Keyword(kind)
    named = _LANGUAGES.get(words) if not open_prompt else None
    for prefix in _BEFORE_LANGUAGE:
        if named is None and _begins(words, prefix):
            named = _LANGUAGES.get(words[len(prefix) :].strip())
    return Keyword("language", named) if named is not None else None


def _request(asked: str) -> Keyword | None:
    """An opt-out that is longer than its keyword."""
    if any(_begins(asked, word) for word in _STOP_ALL) and _at_most(asked, _REQUEST, _REQUEST_HAN):
        return Keyword("stop_all")
    if any(_begins(asked, word) for word in (*_STOP, *_COMMON) if not is_han(word)) and _at_most(asked, _SHORT, 0):
        return Keyword("stop")
    if any(_begins(asked, word) for word in _STOP if is_han(word)) and _at_most(asked, _SHORT, _SHORT_HAN):
        return Keyword("stop")
    narrowed = any(_holds(asked, word) for word in _NARROWING)
    if not narrowed and any(_begins(asked, phrase) for phrase in _PHRASES) and _at_most(asked, _REQUEST, _REQUEST_HAN):
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
            if _begins(rest, word):
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


def _begins(text: str, word: str) -> bool:
    return text.startswith(word) and (is_han(word) or text == word or text[len(word)] == " ")


def _ends(text: str, word: str) -> bool:
    return text.endswith(word) and (is_han(word) or text == word or text[-len(word) - 1] == " ")


def _holds(text: str, word: str) -> bool:
    return word in text if is_han(word) else f" {word} " in f" {text} "
