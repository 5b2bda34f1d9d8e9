"""The links that go into a message, and the reason why one can't be made."""

from __future__ import annotations

from typing import Literal, Protocol
from urllib.parse import quote

import msgspec

UnfitCode = Literal["too_long", "no_template", "no_voice", "cannot_prompt"]


class Pages(Protocol):
    """Where a message's own pages are; whoever makes the addresses may do so when they are asked for."""

    @property
    def message(self) -> str:
        """The whole message (`/m/…`)."""
        ...

    @property
    def answer(self) -> str | None:
        """The answer page (`/a/…`)."""
        ...

    @property
    def unsubscribe(self) -> str | None:
        """Unsubscribing (`/u/…`)."""
        ...

    @property
    def preferences(self) -> str | None:
        """The person's preferences (`/p/…`)."""
        ...


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Pages whose addresses are known beforehand."""

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
