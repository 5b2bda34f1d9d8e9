"""The links that go into a message, and the reason why one can't be made."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

import msgspec

UnfitCode = Literal["too_long", "no_template", "no_voice", "cannot_prompt"]


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Ready URLs: the whole message (`/m/…`), the answer page (`/a/…`), unsubscribing (`/u/…`), preferences (`/p/…`)."""

    message: str
    answer: str | None = None
    unsubscribe: str | None = None
    preferences: str | None = None


class Unfit(msgspec.Struct, frozen=True):
    """The channel can't carry the message: a code of the contract's skipped codes, and a sentence for people."""

    code: UnfitCode
    text: str


def answer_url(link: str, key: str) -> str:
    """The answer page with one answer chosen, by its key of `prompts.key_map`; nothing counts before it is sent there."""
    return f"{link}{'&' if '?' in link else '?'}v={quote(key, safe='')}"
