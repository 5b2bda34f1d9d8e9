"""The few words around a question that follows another, and those for what an answer is about."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any, Final

from babel.dates import format_date

from gateway.cases.words import phrase
from gateway.content.filters import Reader, babel_locale
from gateway.surveys.nouns import Invitation, Words

LANGUAGES: Final = ("en", "zh-Hans", "zh-Hant", "el")
_THANKS: Final = {
    "en": "Thank you.",
    "zh-Hans": "谢谢您。",
    "zh-Hant": "謝謝您。",
    "el": "Σας ευχαριστούμε.",
}
_SUBJECT: Final = {
    "en": "One more question",
    "zh-Hans": "还想请教您一个问题",
    "zh-Hant": "還想請教您一個問題",
    "el": "Ακόμα μία ερώτηση",
}
_ANSWER: Final = {
    "en": ("your answer of {}", "d MMMM"),
    "zh-Hans": ("您{}的回答", "M月d日"),
    "zh-Hant": ("您{}的回答", "M月d日"),
    "el": ("η απάντησή σας στις {}", "d MMMM"),
}
_LONGEST: Final = 200
"""Characters of a case's subject."""


def before(question: Words) -> dict[str, Any]:
    """The content that goes before a next question, in the languages the question has, so that both speak the same one."""
    if isinstance(question, str):
        return {"subject": _SUBJECT, "text": _THANKS}
    named = {locale: _near(locale) for locale in question}
    return {
        "subject": {locale: _SUBJECT[near] for locale, near in named.items()},
        "text": {locale: _THANKS[near] for locale, near in named.items()},
    }


def subject(invitation: Invitation, at: int, reader: Reader) -> str:
    """What a case is about that an answer of that time (ms) opens, in words its customer knows: one line, no full stop.

    What the invitation said it was about, else the survey's title where there is one in the reader's language, else the answer.
    """
    for words in (invitation.data.get("about"), _in(invitation.form.title, reader.locale)):
        if isinstance(words, str) and words.strip() and len(words) <= _LONGEST and words.isprintable():
            return phrase(words)
    near = _near(reader.locale)
    words, pattern = _ANSWER[near]
    day = dt.datetime.fromtimestamp(at / 1000, zoneinfo.ZoneInfo(reader.time_zone))
    return words.format(format_date(day, pattern, locale=babel_locale(near)))


def _in(words: Words | None, locale: str) -> str | None:
    """A text in a language; None: there is none in it."""
    if words is None or isinstance(words, str):
        return words
    own = locale.partition("-")[0], _near(locale)
    same = (text for one, text in words.items() if (one.partition("-")[0], _near(one)) == own)
    return words.get(locale) or next(same, None)


def _near(locale: str) -> str:
    """The language of ours that is nearest to a locale; English where none is near."""
    if locale in _THANKS:
        return locale
    language = locale.partition("-")[0]
    if language == "zh":
        return "zh-Hant" if any(part in locale for part in ("-TW", "-HK", "-MO", "Hant")) else "zh-Hans"
    return language if language in _THANKS else "en"
