"""The words of the printed worklist, in every language it is in."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

import msgspec

from gateway.message import Attempt

HERE: Final = Path(__file__).resolve().parent


class Texts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All words of one language."""

    kind: str
    doors: str
    people: str
    printed: str
    status: str
    still: str
    settled: str
    over: str
    cut: str
    nobody: str
    medical: str
    medical_mark: str
    others: str
    visited: str
    person: str
    tried: str
    notes: str
    done: str
    no_address: str
    customer: str
    seen: str
    nothing_tried: str
    tick: str
    channels: dict[str, str]
    outcomes: dict[str, str]
    states: dict[str, str]

    def attempt(self, attempt: Attempt) -> str:
        """One attempt in a few words."""
        return f"{self.channels.get(attempt.channel, attempt.channel)}: {self.outcomes[outcome(attempt)]}"


@functools.cache
def texts_in(language: str) -> Texts:
    """The words of one of `page_texts.languages()`."""
    return msgspec.toml.decode((HERE / "locales" / f"{language}.toml").read_bytes(), type=Texts)


@functools.cache
def stylesheet() -> str:
    """The page's looks, which stand in the page itself: it is saved, mailed and printed."""
    return (HERE / "page.css").read_text(encoding="utf-8")


def outcome(attempt: Attempt) -> str:
    """What became of an attempt, as a key of `Texts.outcomes`."""
    if attempt.engagement in ("acknowledged", "answered"):
        return "acknowledged"
    if attempt.status == "failed":
        return "no_answer" if attempt.fault in ("no_answer", "busy") else "failed"
    if attempt.answered_by in ("machine", "fax"):
        return "machine"
    if attempt.status == "delivered":
        return "delivered"
    return "unknown" if attempt.status in ("unknown", "started") else "unconfirmed"
