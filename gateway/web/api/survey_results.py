"""What callers are shown of a survey's results."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gateway.surveys.nouns import QuestionKind, Survey
from gateway.surveys.results import OfQuestion, Outcome, Period, Said, Scored, Segment
from gateway.web.api.types import Text, wire_time
from gateway.web.operations import Page

_PLACES: Final = 2


class ResultsQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which results. `limit` and `cursor` page the verbatims."""

    version: Annotated[int, Meta(ge=1, description="Of one version of the survey alone.")] | None = None
    case: Annotated[str, Meta(min_length=1, max_length=128, description="Of invitations of this case.")] | None = None
    by: Annotated[Literal["day", "week", "month"], Meta(description="With a trend; days are UTC.")] | None = None
    segment: (
        Annotated[str, Meta(min_length=1, max_length=128, description="By the value of this customer attribute.")]
        | None
    ) = None


class ScoredOut(msgspec.Struct, frozen=True, kw_only=True):
    """Answers and what they come to. `interval`: 95 %."""

    answers: int
    score: float | None
    interval: tuple[float, float] | None
    mean: float | None
    counts: dict[str, int]


class QuestionOut(ScoredOut, frozen=True, kw_only=True):
    """`nps`: -100 to 100. `csat`: percent of 4 and 5. `ces`: the mean, 1 to 7. `yes_no`: percent of yes. Else null."""

    id: str
    kind: QuestionKind
    text: Text
    groups: dict[str, int]
    by_channel: dict[str, ScoredOut]


class TrendOut(msgspec.Struct, frozen=True, kw_only=True):
    """One day, week (from Monday) or month."""

    start: str
    questions: dict[str, ScoredOut]


class SegmentOut(msgspec.Struct, frozen=True, kw_only=True):
    """Customers with that value; an empty one: they have none."""

    value: str
    responses: int
    questions: dict[str, ScoredOut]


class VerbatimOut(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's own words. `customer` is null for keys without the scope `customers`, and once erased."""

    response: str
    customer: str | None
    question: str
    text: str
    score: int | None
    channel: str
    case: str | None
    at: dt.datetime


class ResultsOut(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a survey. `response_rate`: percent of those told who answered at least once."""

    survey: str
    version: int | None
    invited: int | None
    told: int | None
    responses: int
    completed: int
    response_rate: float | None
    questions: tuple[QuestionOut, ...]
    trend: tuple[TrendOut, ...] | None
    segments: tuple[SegmentOut, ...] | None
    verbatims: tuple[VerbatimOut, ...]
    next: Annotated[str | None, Meta(description="The cursor of more verbatims.")]


def results_out(
    survey: Survey, version: int | None, found: Outcome, said: Sequence[Said], following: str | None, *, named: bool
) -> ResultsOut:
    """Results as they are shown. `named`: with whose words they are."""
    rate = None if not found.told else min(100.0, round(100 * found.responses / found.told, _PLACES))
    return ResultsOut(
        survey=survey.id,
        version=version,
        invited=found.invited,
        told=found.told,
        responses=found.responses,
        completed=found.completed,
        response_rate=rate,
        questions=tuple(map(_question, found.questions)),
        trend=None if found.trend is None else tuple(map(_period, found.trend)),
        segments=None if found.segments is None else tuple(map(_segment, found.segments)),
        verbatims=tuple(_verbatim(one, named=named) for one in said),
        next=following,
    )


def _fields(found: Scored) -> dict[str, Any]:
    score = found.score
    return {
        "answers": found.answers,
        "score": None if score is None else round(score.value, _PLACES),
        "interval": None if score is None else tuple(round(end, _PLACES) for end in score.interval),
        "mean": None if score is None or score.mean is None else round(score.mean, _PLACES),
        "counts": found.counts,
    }


def _many(found: Mapping[str, Scored]) -> dict[str, ScoredOut]:
    return {name: ScoredOut(**_fields(one)) for name, one in found.items()}


def _question(found: OfQuestion) -> QuestionOut:
    own = found.question
    return QuestionOut(
        id=own.id,
        kind=own.kind,
        text=own.text,
        groups=found.groups,
        by_channel=_many(found.by_channel),
        **_fields(found.all),
    )


def _period(found: Period) -> TrendOut:
    return TrendOut(start=found.start, questions=_many(found.questions))


def _segment(found: Segment) -> SegmentOut:
    return SegmentOut(value=found.value, responses=found.responses, questions=_many(found.questions))


def _verbatim(found: Said, *, named: bool) -> VerbatimOut:
    response = found.response
    return VerbatimOut(
        response=response.id,
        customer=response.customer if named else None,
        question=found.question,
        text=found.given.words,
        score=found.score,
        channel=found.given.channel,
        case=response.alert_case,
        at=wire_time(found.given.at),
    )
