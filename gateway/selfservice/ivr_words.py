"""What the telephone menu says, in every language it speaks: written to be heard."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

import gateway.locales
from gateway.channels.base import Line
from gateway.preferences.locales import chain

FOLDER: Final = Path(gateway.locales.__file__).resolve().parent / "ivr"
LANGUAGES: Final = ("en", "zh-Hans", "zh-Hant", "el")
"""In the order of their keys, 1 to 4."""


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class QuestionWords(_Words, frozen=True):
    """Before and after a message that still waits for an answer."""

    intro: str
    menu: str


class MainWords(_Words, frozen=True):
    """The first menu."""

    order: str
    stop_calls: str
    stop_number: str
    stop_all: str
    language: str
    quiet: str
    start: str
    calls_stopped: str
    number_stopped: str
    started: str
    nothing_stopped: str
    stopped: str


class StopWords(_Words, frozen=True):
    """Stopping everything."""

    ask: str
    done: str


class ReachWords(_Words, frozen=True):
    """How somebody is reached."""

    one: str
    many: str
    then: str
    none: str
    nothing: str
    unused: str
    between: str
    only_one: str


class GroupWords(_Words, frozen=True):
    """Kinds of messages."""

    ask: str
    all: str
    outage: str
    service: str
    survey: str
    marketing: str
    option: str


class OrderWords(_Words, frozen=True):
    """Choosing channels one after the other. `noted`: an order by which nothing is sent yet. `agree`: of messages nobody gets before they agree. `option`, `way` and `name` are by channel."""

    first: str
    next: str
    done: str
    noted: str
    agree: str
    option: dict[str, str]
    way: dict[str, str]
    name: dict[str, str]


class LanguageWords(_Words, frozen=True):
    """The language's own line in the language menu."""

    option: str
    done: str


class QuietWords(_Words, frozen=True):
    """Quiet hours."""

    now: str
    off_now: str
    off: str
    usual: str
    own: str
    start: str
    end: str
    wrong: str
    same: str
    confirm: str
    time: str
    minute_part: str
    am: str
    pm: str

    def clock(self, local: str) -> str:
        """A time "HH:MM" as it is spoken: "9 p.m."."""
        hour, minute = int(local[:2]), local[3:]
        # Where the minutes are part of a phrase, nought is left unsaid.
        part = self.minute_part.format(minute=minute) if minute != "00" else ""
        half = self.am if hour < 12 else self.pm
        return self.time.format(hour=hour, hour12=hour % 12 or 12, minute=minute, minute_part=part, half=half).strip()


class Words(_Words, frozen=True):
    """All that is said in one language."""

    hello: str
    hello_named: str
    unknown: str
    withheld: str
    later: str
    goodbye: str
    not_understood: str
    repeat: str
    back: str
    save: str
    saved: str
    thanks: str
    question: QuestionWords
    main: MainWords
    stop_all: StopWords
    reach: ReachWords
    groups: GroupWords
    order: OrderWords
    language: LanguageWords
    quiet: QuietWords

    def hello_from(self, company: str) -> str:
        """Who speaks."""
        return self.hello_named.format(company=company) if company else self.hello

    def reached(self, group: str, ways: Sequence[str]) -> str:
        """How messages of a group reach somebody: "For outages, we first call you, then send you a text."."""
        said, name = self.reach, getattr(self.groups, group)
        spoken = [self.order.way[way] for way in ways if way in self.order.way]
        if not spoken:
            return said.nothing if group == "all" else said.none.format(group=name)
        if len(spoken) == 1:
            return said.one.format(group=name, way=spoken[0])
        then = "".join(said.then.format(way=way) for way in spoken[1:])
        return said.many.format(group=name, way=spoken[0], then=then)


@lru_cache(maxsize=8)
def words_in(language: str) -> Words:
    """The words of one of LANGUAGES."""
    return msgspec.toml.decode((FOLDER / f"{language}.toml").read_bytes(), type=Words)


class Tongue(msgspec.Struct, frozen=True):
    """A language as it is spoken: `tag` chooses the voice (zh-TW is not spoken as zh-HK is), `text` the words."""

    tag: str
    text: str

    @property
    def words(self) -> Words:
        """What is said."""
        return words_in(self.text)

    def lines(self, *texts: str) -> tuple[Line, ...]:
        """Texts of this language, to be spoken."""
        return tuple(Line(self.tag, text) for text in texts if text)


@lru_cache(maxsize=1024)
def tongue(wanted: str, default: str) -> Tongue:
    """How to speak to somebody: their language, else the default, else English."""
    for tag in (wanted, default):
        # The last of a chain is English for everybody, which says nothing about this one.
        family = chain(tag, tag) if tag.lower().startswith("en") else chain(tag, tag)[:-1]
        if (text := next((one for one in family if one in LANGUAGES), None)) is not None:
            return Tongue(tag, text)
    return Tongue("en", "en")
