"""What is counted of a survey as its answers come in, and how the counts are read. Pure.

Each partition keeps one hash for a survey. The names of its fields say what is counted; their parts are joined by a
character that no id may hold.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.surveys.nouns import Given, Question, Response, counted_as

_JOINT: Final = "\x1f"
_TOTAL: Final = "n"
_ANSWER: Final = "a"
_DAY: Final = "d"
Totals = Counter[str]
INVITED: Final = "invited"
TOLD: Final = "told"
RESPONSES: Final = "responses"
COMPLETED: Final = "completed"
"""What is counted of people."""


class Asked(msgspec.Struct, frozen=True):
    """A question of any version: answers of one kind are counted together, whatever else was changed."""

    id: str
    kind: str


def total(version: int, what: str) -> str:
    """The field of a count of people."""
    return _JOINT.join((_TOTAL, str(version), what))


def steps(before: Response | None, after: Response, questions: tuple[Question, ...]) -> dict[str, int]:
    """What a change of a response adds to the counts."""
    found: dict[str, int] = {}
    if before is None:
        found[total(after.version, RESPONSES)] = 1
    if after.completed_at is not None and (before is None or before.completed_at is None):
        found[total(after.version, COMPLETED)] = 1
    known = {} if before is None else before.answers
    for question in questions:
        given = after.answers.get(question.id)
        if given is not None and question.id not in known:
            value = counted_as(question, given)
            place = str(after.version), question.id, question.kind
            found[_JOINT.join((_ANSWER, *place, given.channel, value))] = 1
            found[_JOINT.join((_DAY, *place, day_of(given.at), value))] = 1
    return found


def day_of(at: int) -> str:
    """The day of a time (ms), in UTC."""
    return dt.datetime.fromtimestamp(at / 1000, dt.UTC).date().isoformat()


def period_of(day: str, by: str) -> str:
    """The first day of the day's period: itself, its week's Monday, or its month's first."""
    date = dt.date.fromisoformat(day)
    match by:
        case "week":
            return (date - dt.timedelta(days=date.weekday())).isoformat()
        case "month":
            return date.replace(day=1).isoformat()
        case _:
            return day


class Figures:
    """Counts of a survey: of people, of answers by channel, of answers by day."""

    def __init__(self) -> None:
        self.totals: Totals = Counter()
        self.answers: dict[Asked, dict[str, Counter[str]]] = {}
        self.days: dict[str, dict[Asked, Counter[str]]] = {}

    def read(self, fields: Mapping[str, int], version: int | None) -> None:
        """Add what a partition has counted, of one version or of all."""
        for name, count in fields.items():
            kind, number, *rest = name.split(_JOINT)
            if version is not None and number != str(version):
                continue
            match kind, rest:
                case "n", [what]:
                    self.totals[what] += count
                case "a", [question, form, channel, value]:
                    self.answer(Asked(question, form), channel, value, count)
                case "d", [question, form, day, value]:
                    self.day(Asked(question, form), day, value, count)
                case _:
                    pass  # what a later release counts

    def answer(self, asked: Asked, channel: str, value: str, count: int = 1) -> None:
        """Count an answer by its channel."""
        self.answers.setdefault(asked, {}).setdefault(channel, Counter())[value] += count

    def day(self, asked: Asked, day: str, value: str, count: int = 1) -> None:
        """Count an answer by its day."""
        self.days.setdefault(day, {}).setdefault(asked, Counter())[value] += count

    def take(self, response: Response, questions: Mapping[str, Question], *, days: bool = True) -> None:
        """Count one response; without `days` its answers are counted by channel alone."""
        self.totals[RESPONSES] += 1
        self.totals[COMPLETED] += response.completed_at is not None
        for name, given in response.answers.items():
            question = questions.get(name)
            if question is not None and fits(question, given):
                asked, value = Asked(name, question.kind), counted_as(question, given)
                self.answer(asked, given.channel, value)
                if days:
                    self.day(asked, day_of(given.at), value)

    def add(self, more: Figures) -> None:
        """Count what others have counted, too."""
        self.totals.update(more.totals)
        for asked, channels in more.answers.items():
            for channel, counted in channels.items():
                self.answers.setdefault(asked, {}).setdefault(channel, Counter()).update(counted)

    def counts(self, asked: Asked) -> Counter[str]:
        """How often each answer was given, on whatever channel."""
        found: Counter[str] = Counter()
        for counted in self.answers.get(asked, {}).values():
            found.update(counted)
        return found

    def periods(self, by: str) -> dict[str, dict[Asked, Counter[str]]]:
        """The answers by period, the oldest first."""
        found: dict[str, dict[Asked, Counter[str]]] = {}
        for day in sorted(self.days):
            period = found.setdefault(period_of(day, by), {})
            for asked, counted in self.days[day].items():
                period.setdefault(asked, Counter()).update(counted)
        return found


def fits(question: Question, given: Given) -> bool:
    """Whether an answer is one to this question as it is now: another version may have asked it in another way."""
    match question.kind:
        case "nps" | "csat" | "ces":
            return isinstance(given.value, int) and not isinstance(given.value, bool)
        case "yes_no":
            return isinstance(given.value, bool)
        case "choice":
            return isinstance(given.value, str)
        case "text":
            return given.value is None
