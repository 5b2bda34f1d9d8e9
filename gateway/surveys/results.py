"""What came of a survey: counts and scores, how they go, and what people said.

The plain figures are kept as answers come in, so they cost the same for ten responses and for a million. By segment and by
case they are counted afresh, a page at a time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.store.glances import Glances
from gateway.surveys.nouns import Form, Given, Question, Response, Survey, possible
from gateway.surveys.records import RESPONSES, RUNNING, VERBATIMS, Records, of_case
from gateway.surveys.scoring import Score, groups_of, score_of
from gateway.surveys.tally import COMPLETED, INVITED, TOLD, Asked, Figures
from gateway.surveys.tally import RESPONSES as RESPONDED
from gateway.surveys.watching import Watch

FRESH_MOST: Final = 20
"""So many running invitations are counted anew whenever somebody looks; the others when their turn comes."""
SEGMENTS_MOST: Final = 100
OTHERS: Final = "…"
"""What the segments beyond the biggest ones are together."""
NONE: Final = ""
"""The segment of those who have no such attribute."""


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """Answers to a question, or to some of it: how many, of what, and what they come to."""

    answers: int
    counts: dict[str, int]
    score: Score | None


class OfQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A question's results."""

    question: Question
    all: Scored
    groups: dict[str, int]
    by_channel: dict[str, Scored]


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """One day, week or month, named by its first day; by question."""

    start: str
    questions: dict[str, Scored]


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """People who have the same value; by question."""

    value: str
    responses: int
    questions: dict[str, Scored]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A survey's results. `invited` and `told` None: not known of a part of them."""

    invited: int | None
    told: int | None
    responses: int
    completed: int
    questions: list[OfQuestion]
    trend: list[Period] | None
    segments: list[Segment] | None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's own words. `score`: the first mark they gave."""

    response: Response
    question: str
    given: Given
    score: int | None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which results. `by`: "day", "week" or "month"; `segment`: an attribute of customers."""

    version: int | None = None
    case: str | None = None
    by: str | None = None
    segment: str | None = None


class Results:
    """Reads them. Methods raise StoreUnavailable, and KeyError for a version that there never was."""

    def __init__(self, records: Records, watch: Watch, glances: Glances) -> None:
        self._records = records
        self._watch = watch
        self._glances = glances

    async def of(self, survey: Survey, wanted: Wanted) -> Outcome:
        """The results as they stand."""
        form = form_of(survey, wanted.version)
        segments: dict[str, Figures] | None = None if wanted.segment is None else {}
        if wanted.case is None:
            figures = await self._kept(survey, wanted.version)
            if segments is not None:
                await self._scan(survey, form, wanted, None, segments)
        else:
            figures = Figures()
            await self._scan(survey, form, wanted, figures, segments)
        known = wanted.case is None
        return Outcome(
            invited=figures.totals[INVITED] if known else None,
            told=figures.totals[TOLD] if known else None,
            responses=figures.totals[RESPONDED],
            completed=figures.totals[COMPLETED],
            questions=[_of_question(one, figures) for one in form.questions],
            trend=None if wanted.by is None else _trend(form, figures, wanted.by),
            segments=None if segments is None else _segments(form, segments),
        )

    async def _kept(self, survey: Survey, version: int | None) -> Figures:
        running, _ = await self._records.invitations.page(survey.mode, RUNNING, FRESH_MOST, value=survey.id)
        places = [self._records.invitation(survey.mode, one.id) for one in running]
        await asyncio.gather(*(self._watch.count(place) for place in places))
        figures = Figures()
        async for fields in self._records.tallies(survey.mode, survey.id):
            figures.read(fields, version)
            await asyncio.sleep(0)  # years of days take a while, and nobody else should wait for them
        return figures

    async def _scan(
        self,
        survey: Survey,
        form: Form,
        wanted: Wanted,
        figures: Figures | None,
        segments: dict[str, Figures] | None,
    ) -> None:
        questions = {question.id: question for question in form.questions}
        value = survey.id if wanted.case is None else of_case(survey.id, wanted.case)
        async for at, responses in self._records.scan(survey.mode, value):
            ours = [one for one in responses if wanted.version in (None, one.version)]
            if segments is not None and wanted.segment is not None:
                people = await self._glances.at(at, [one.customer or "" for one in ours])
                for response, person in zip(ours, people, strict=True):
                    for name in _values(None if person is None else person.attributes.get(wanted.segment)):
                        if name not in segments:
                            segments[name] = Figures()
                        segments[name].take(response, questions, days=False)
            if figures is not None:
                for response in ours:
                    figures.take(response, questions)

    async def verbatims(
        self, survey: Survey, wanted: Wanted, limit: int, cursor: str | None
    ) -> tuple[list[Said], str | None]:
        """What people said of their own, the newest responses first; `limit` counts responses."""
        name, value = (VERBATIMS, survey.id) if wanted.case is None else (RESPONSES, of_case(survey.id, wanted.case))
        found, following = await self._records.responses.page(survey.mode, name, limit, cursor, value=value)
        ours = (one for one in found if wanted.version in (None, one.version))
        return [said for one in ours for said in _said(one)], following

    async def every(self, survey: Survey, wanted: Wanted) -> AsyncGenerator[list[Response]]:
        """All responses, page by page, the newest first."""
        value = survey.id if wanted.case is None else of_case(survey.id, wanted.case)
        async for page in self._records.newest(survey.mode, value):
            yield [one for one in page if wanted.version in (None, one.version)]


def form_of(survey: Survey, version: int | None) -> Form:
    """The form of a version; None: the one in force. Raises KeyError."""
    return survey.form if version in (None, survey.version) else survey.past[version]


def _of_question(question: Question, figures: Figures) -> OfQuestion:
    asked = Asked(question.id, question.kind)
    counts = figures.counts(asked)
    by_channel = {
        channel: _scored(question, counted) for channel, counted in sorted(figures.answers.get(asked, {}).items())
    }
    return OfQuestion(
        question=question,
        all=_scored(question, counts),
        groups=groups_of(question.kind, counts),
        by_channel=by_channel,
    )


def _scored(question: Question, counts: Counter[str]) -> Scored:
    shown = {name: counts[name] for name in possible(question)}
    # An option that an earlier version had is still somebody's answer.
    shown |= {name: count for name, count in sorted(counts.items()) if name not in shown and count}
    return Scored(answers=sum(counts.values()), counts=shown, score=score_of(question.kind, counts))


def _trend(form: Form, figures: Figures, by: str) -> list[Period]:
    found: list[Period] = []
    for start, counted in figures.periods(by).items():
        questions = _by_question(form, counted)
        if questions:
            found.append(Period(start=start, questions=questions))
    return found


def _by_question(form: Form, counted: Mapping[Asked, Counter[str]]) -> dict[str, Scored]:
    asked = [(question, counted.get(Asked(question.id, question.kind))) for question in form.questions]
    return {question.id: _scored(question, one) for question, one in asked if one}


def _segments(form: Form, segments: Mapping[str, Figures]) -> list[Segment]:
    """The biggest first; those beyond the hundredth together."""
    sizes = sorted(segments, key=lambda name: (-segments[name].totals[RESPONDED], name))
    found = [_segment(form, name, segments[name]) for name in sizes[:SEGMENTS_MOST]]
    if len(sizes) > SEGMENTS_MOST:
        rest = Figures()
        for name in sizes[SEGMENTS_MOST:]:
            rest.add(segments[name])
        found.append(_segment(form, OTHERS, rest))
    return found


def _segment(form: Form, value: str, figures: Figures) -> Segment:
    asked = [Asked(question.id, question.kind) for question in form.questions]
    questions = _by_question(form, {one: figures.counts(one) for one in asked})
    return Segment(value=value, responses=figures.totals[RESPONDED], questions=questions)


def _values(value: Any) -> Sequence[str]:
    """The segments of an attribute's value: one, or one for each of a list."""
    if isinstance(value, list):
        return list(dict.fromkeys(_value(one) for one in value)) or [NONE]  # pyright: ignore[reportUnknownVariableType] - any JSON
    return [_value(value)]


def _value(value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        return NONE
    return str(value).lower() if isinstance(value, bool) else str(value)


def _said(response: Response) -> list[Said]:
    marks = [one.value for one in response.answers.values() if isinstance(one.value, int)]
    score = next((mark for mark in marks if not isinstance(mark, bool)), None)
    newest = sorted(response.answers.items(), key=lambda one: one[1].at, reverse=True)
    return [Said(response=response, question=name, given=given, score=score) for name, given in newest if given.words]
