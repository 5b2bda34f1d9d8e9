"""What the telephone menu says, in every language, and what it does to preferences."""

from __future__ import annotations

import re
import string
from typing import Any, Final, cast

import msgspec
import pytest

from gateway.selfservice.ivr_service import changed
from gateway.selfservice.ivr_state import SetLanguage, SetOrder, SetQuiet
from gateway.selfservice.ivr_words import LANGUAGES, tongue, words_in


@pytest.mark.parametrize(
    "wanted, default, tag, text",
    [
        ("en-GB", "el", "en-GB", "en"),
        ("zh-TW", "en", "zh-TW", "zh-Hant"),  # spoken as Mandarin, written in the characters of Hong Kong
        ("zh-HK", "en", "zh-HK", "zh-Hant"),
        ("zh", "en", "zh", "zh-Hans"),
        ("el-CY", "en", "el-CY", "el"),
        ("fr", "el", "el", "el"),
        ("fr", "de", "en", "en"),
    ],
)
def test_tongues(wanted: str, default: str, tag: str, text: str) -> None:
    found = tongue(wanted, default)
    assert (found.tag, found.text) == (tag, text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_places_for_values(language: str) -> None:
    ours, theirs = (_places(msgspec.to_builtins(words_in(one))) for one in ("en", language))
    for path, names in ours.items():
        if path.startswith("quiet.") and path.rpartition(".")[2] in ("time", "minute_part", "am", "pm"):
            continue
        assert theirs[path] == names, path


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_are_short_enough_to_be_kept_in_mind(language: str) -> None:
    for path, text in _texts(msgspec.to_builtins(words_in(language))).items():
        for sentence in re.split(r"(?<=[.;!?。？！])\s*", text):
            assert len(sentence.split()) <= 20, (path, sentence)
            assert len(re.findall("[㐀-鿿]", sentence)) <= 45, (path, sentence)


@pytest.mark.parametrize(
    "language, local, spoken",
    [
        ("en", "21:00", "9 p.m."),
        ("en", "00:05", "12:05 a.m."),
        ("zh-Hans", "08:30", "8点30分"),
        ("zh-Hant", "21:00", "21點"),
        ("el", "08:00", "8:00"),
    ],
)
def test_times_as_they_are_spoken(language: str, local: str, spoken: str) -> None:
    assert words_in(language).quiet.clock(local) == spoken


def _texts(words: dict[str, Any], under: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in words.items():
        found |= (
            _texts(cast("dict[str, Any]", value), f"{under}{name}.")
            if isinstance(value, dict)
            else {under + name: value}
        )
    return found


def _places(words: dict[str, Any]) -> dict[str, set[str]]:
    return {
        path: {name for _, name, _, _ in string.Formatter().parse(text) if name} for path, text in _texts(words).items()
    }


# Preferences

BEFORE: Final[dict[str, Any]] = {"channels": ["sms", "toy"], "categories": {"outage": {"channels": ["voice"]}, "survey": {"enabled": False, "channels": ["sms"]}}, "quiet_hours": None}  # fmt: skip
CATEGORIES: Final = ("outage", "service", "survey")


@pytest.mark.parametrize(
    "change, after",
    [
        (SetOrder("all", ("voice",)), {"channels": ["voice", "toy"], "categories": {"survey": {"enabled": False}}, "quiet_hours": None}),
        (SetOrder("outage", ("sms",)), {**BEFORE, "categories": {**BEFORE["categories"], "outage": {"channels": ["sms"]}}}),
        (SetOrder("survey", ("voice",)), {**BEFORE, "categories": {**BEFORE["categories"], "survey": {"enabled": False, "channels": ["voice"]}}}),
        (SetOrder("service", ("sms",)), {**BEFORE, "categories": {**BEFORE["categories"], "service": {"channels": ["sms", "toy"]}}}),
        (SetLanguage("el"), {**BEFORE, "language": "el"}),
        (SetQuiet("usual"), {name: value for name, value in BEFORE.items() if name != "quiet_hours"}),
        (SetQuiet("own", "21:00", "08:00"), {**BEFORE, "quiet_hours": {"start": "21:00", "end": "08:00"}}),
    ],
)  # fmt: skip
def test_what_a_change_does_to_preferences(change: Any, after: dict[str, Any]) -> None:
    """A channel the menu has no words for stays at the end; what is switched off stays off."""
    assert changed(BEFORE, change, CATEGORIES) == after
