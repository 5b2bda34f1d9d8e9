"""The gateway's own words beside a message: how to answer, what voice says, what links are called."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from gateway.content.run import one_line
from gateway.preferences.locales import chain
from gateway.prompts import Prompt, digits_needed

FOLDER: Final = Path(__file__).resolve().parent.parent / "locales" / "phrases"


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to answer with a text message."""

    acknowledge: str
    yes_no: str
    scale: str
    choice: str
    option: str
    text: str
    between: str


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to answer with a telephone's keys, and what voice says to a key."""

    acknowledge: str
    yes_no: str
    scale: str
    two_digits: str
    option: str
    stop: str
    thanks: str
    again: str


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What buttons and links are called. `…_line` have a place for the link."""

    answer: str
    choose: str
    scale: str
    confirm_line: str
    answer_line: str
    or_answer_line: str
    whole_line: str
    files_line: str
    whole: str
    preferences: str
    unsubscribe: str
    preferences_line: str
    unsubscribe_line: str


class Phrases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All phrases of one language."""

    reply: Reply
    keys: Keys
    page: Page


@lru_cache(maxsize=1)
def languages() -> frozenset[str]:
    """The languages that have phrases."""
    return frozenset(path.stem for path in FOLDER.glob("*.toml"))


@lru_cache(maxsize=64)
def load(locale: str) -> Phrases:
    """The phrases of one of `languages()`."""
    return msgspec.toml.decode((FOLDER / f"{locale}.toml").read_bytes(), type=Phrases)


@lru_cache(maxsize=1024)
def phrases(language: str, default: str) -> Phrases:
    """The phrases nearest to a text's language: itself, its relatives, the default, English."""
    return load(next((tag for tag in chain(language, default) if tag in languages()), "en"))


def reply_instruction(prompt: Prompt, words: Phrases) -> str:
    """How to answer by text: "Reply 1 to confirm."."""
    reply = words.reply
    match prompt.kind:
        case "acknowledge":
            return reply.acknowledge
        case "yes_no":
            return reply.yes_no
        case "scale":
            return reply.scale.format(min=prompt.min, max=prompt.max)
        case "choice":
            options = [
                reply.option.format(number=number, label=one_line(option.label))
                for number, option in enumerate(prompt.options, 1)
            ]
            return reply.choice.format(options=reply.between.join(options))
        case "text":
            return reply.text


def keys_instruction(prompt: Prompt, words: Phrases) -> str | None:
    """How to answer with keys: "To confirm, press 1."; None where keys can't carry the prompt."""
    keys = words.keys
    match prompt.kind:
        case "acknowledge":
            return keys.acknowledge
        case "yes_no":
            return keys.yes_no
        case "scale":
            said = keys.two_digits if digits_needed(prompt) > 1 else keys.scale
            return said.format(min=prompt.min, max=prompt.max)
        case "choice":
            options = enumerate(prompt.options, 1)
            return " ".join(keys.option.format(number=number, label=one_line(one.label)) for number, one in options)
        case "text":
            return None


def stop_instruction(prompt: Prompt | None, words: Phrases) -> str:
    """How to refuse further calls with key 9; empty where the prompt needs that key itself."""
    taken = prompt is not None and (prompt.kind == "scale" or (prompt.kind == "choice" and len(prompt.options) > 8))
    return "" if taken else words.keys.stop
