"""A survey as data: its questions, whom it was sent to, and what each of them answered. Times in ms, durations in seconds."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from gateway.broadcasts.nouns import Audience
from gateway.message import Mode
from gateway.prompts import Option, Prompt

QuestionKind = Literal["nps", "csat", "ces", "choice", "yes_no", "text"]
Words = str | dict[str, str]
"""A text, or one in several languages."""

KIND: Final = "survey"
RESPONSE: Final = "response"
INVITATION: Final = "invitation"
SCALES: Final[dict[str, tuple[int, int]]] = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}
"""What marks a kind of question takes, from and to."""
CLOSES_IN: Final = 604_800
YES: Final = "yes"
NO: Final = "no"
ANSWERED: Final = "answered"
"""Under what answers are counted that are no marks and no options."""
PAGE: Final = "page"
"""The channel of an answer that was given on a page."""


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question. `options` go with kind "choice"."""

    id: str
    kind: QuestionKind
    text: Words
    options: tuple[Option, ...] = ()


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer of at most that opens a case of this owner, due in so many seconds (None: as cases of that kind are)."""

    question: str
    at_most: int
    owner: str
    due_in: int | None = None


class Form(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked, and what is done about it: a survey without its history."""

    questions: tuple[Question, ...]
    alerts: tuple[Alert, ...] = ()
    title: Words | None = None


class Survey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A survey. `version` counts its forms; `used`: somebody was invited to this one, so that a change makes a new one.

    `past`: the forms of earlier versions. `deleted_at`: it is being removed, and nobody is shown it any more.
    """

    id: str
    mode: Mode
    form: Form
    created_at: int
    changed_at: int
    version: int = 1
    used: bool = False
    past: dict[int, Form] = {}
    deleted_at: int | None = None


class Invitation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """People asked to one version of a survey; its id is that of its broadcast.

    `form`: as it was then, its texts filled in: whoever has begun finishes with it. `case`: the case it belongs to.
    `invited`, `told`: as many as have been counted for the survey's results. `skipped`: who had been asked before, as far
    as that is known. `reminder`: the broadcast that reminds. `looked`: how often it was looked at. `closed`: nothing more
    is counted.
    """

    id: str
    mode: Mode
    survey: str
    version: int
    form: Form
    created_at: int
    closes_in: int = CLOSES_IN
    again: bool = False
    case: str | None = None
    data: dict[str, Any] = {}
    reach: dict[str, Any] = {}
    remind_at: int | None = None
    reminder: str | None = None
    invited: int = 0
    told: int = 0
    skipped: int | None = None
    looked: int = 0
    closed: bool = False

    @property
    def closes_at(self) -> int:
        """When its questions close, ms."""
        return self.created_at + self.closes_in * 1000

    @property
    def about(self) -> str:
        """What its messages serve."""
        return f"{RESPONSE}:{self.id}"


class Given(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer: the reading of it, and what was said beside it or, for a text, instead. `words` go with erasure."""

    value: str | int | bool | None
    channel: str
    at: int
    words: str = ""
    late: bool = False


class Response(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one person answered to one invitation.

    `customer`: None once the person has been erased, and with them all words. `asked`: when the next questions were put,
    by question. `alerted`: the question whose answer opened `alert_case`. `thanked`: on which channel. `born`: as in a
    message, of which customer of that id.
    """

    id: str
    mode: Mode
    survey: str
    version: int
    invitation: str
    customer: str | None
    created_at: int
    born: int = 0
    case: str | None = None
    answers: dict[str, Given] = {}
    asked: dict[str, Put] = {}
    alerted: str | None = None
    alert_case: str | None = None
    completed_at: int | None = None
    thanked: Put | None = None


class Put(msgspec.Struct, frozen=True):
    """A message of ours to the person: since when it is meant to go out (ms), and where."""

    at: int
    channel: str


class NewInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation as asked for. `reach`, `data` as for a message; `remind_after`, `closes_in` in seconds."""

    audience: Audience
    reach: dict[str, Any] = {}
    data: dict[str, Any] = {}
    case: str | None = None
    again: bool = False
    remind_after: int | None = None
    closes_in: int = CLOSES_IN


def prompt_of(question: Question, closes_in: int) -> Prompt:
    """A question as it is put to a person."""
    match question.kind:
        case "nps" | "csat" | "ces":
            low, high = SCALES[question.kind]
            return Prompt(kind="scale", question=question.text, min=low, max=high, closes_in=closes_in)
        case "choice":
            return Prompt(kind="choice", question=question.text, options=question.options, closes_in=closes_in)
        case "yes_no":
            return Prompt(kind="yes_no", question=question.text, closes_in=closes_in)
        case "text":
            return Prompt(kind="text", question=question.text, closes_in=closes_in)


def counted_as(question: Question, given: Given) -> str:
    """The word under which an answer is counted."""
    match question.kind:
        case "yes_no":
            return YES if given.value else NO
        case "text":
            return ANSWERED
        case _:
            return str(given.value)


def possible(question: Question) -> list[str]:
    """All that an answer may be counted as, in order."""
    match question.kind:
        case "nps" | "csat" | "ces":
            low, high = SCALES[question.kind]
            return [str(mark) for mark in range(low, high + 1)]
        case "choice":
            return [option.id for option in question.options]
        case "yes_no":
            return [YES, NO]
        case "text":
            return [ANSWERED]
