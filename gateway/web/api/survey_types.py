"""What callers say of surveys, and what they are shown."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.message import Mode
from gateway.prompts import Option
from gateway.surveys.nouns import CLOSES_IN, Alert, Form, Invitation, Question, QuestionKind, Survey
from gateway.web.api.ids import END
from gateway.web.api.types import AudienceIn, OptionIn, ReachIn, Text, wire_time, wire_time_or_none

Id = Annotated[str, Meta(pattern=rf"^[A-Za-z0-9._:@-]{{1,64}}{END}", description="Answers are counted by it.")]


class _In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request body: what it doesn't know, it refuses."""


class QuestionIn(_In, frozen=True):
    """One question: `nps` is a scale from 0 to 10, `csat` from 1 to 5, `ces` from 1 to 7."""

    id: Id
    kind: QuestionKind
    text: Annotated[
        Text, Meta(description="A text or `{locale: text}`; may hold `{{ name }}` of an invitation's data.")
    ]
    options: Annotated[tuple[OptionIn, ...], Meta(max_length=9, description="With kind `choice`: 2 to 9.")] = ()


class AlertIn(_In, frozen=True):
    """An answer of at most that opens a case: one for each response."""

    question: Id
    at_most: Annotated[int, Meta(ge=0, le=9)]
    owner: Annotated[str, Meta(min_length=1, max_length=128)]
    due_in: Annotated[int, Meta(ge=60, le=31_536_000, description="Seconds.")] | None = None


class SurveyIn(_In, frozen=True):
    """What is asked, and what is done about it."""

    questions: Annotated[tuple[QuestionIn, ...], Meta(min_length=1, max_length=20)]
    alerts: Annotated[tuple[AlertIn, ...], Meta(max_length=20)] = ()
    title: (
        Annotated[
            Text,
            Meta(description="What it is about, in words for customers: a case that an answer opens is about this."),
        ]
        | None
    ) = None


class InvitationIn(_In, frozen=True):
    """Whom to ask. The first question obeys everything that keeps surveys from people; each next one follows at once."""

    audience: AudienceIn
    reach: ReachIn | None = None
    data: Annotated[
        dict[str, Any], Meta(description="For the texts of the questions, and `about` of the invitation.")
    ] = {}
    case: Annotated[str, Meta(min_length=1, max_length=128, description="The case that it belongs to.")] | None = None
    again: Annotated[bool, Meta(description="Ask also those who have been asked to this survey before.")] = False
    remind_after: (
        Annotated[int, Meta(ge=60, le=31_536_000, description="Seconds; once, those who were told and don't answer.")]
        | None
    ) = None
    closes_in: Annotated[int, Meta(ge=60, le=31_536_000, description="Seconds until the questions close.")] = CLOSES_IN


class InvitationMade(msgspec.Struct, frozen=True, kw_only=True):
    """The broadcast that asks them; numbers are null until the audience has been gone through."""

    broadcast: str
    invited: int | None
    skipped: Annotated[int | None, Meta(description="Asked before, or nobody we know.")]


class OptionShown(msgspec.Struct, frozen=True):
    """One possible answer."""

    id: str
    label: str


class QuestionShown(msgspec.Struct, frozen=True, kw_only=True):
    """One question."""

    id: str
    kind: QuestionKind
    text: Text
    options: tuple[OptionShown, ...]


class AlertShown(msgspec.Struct, frozen=True, kw_only=True):
    """When an answer opens a case."""

    question: str
    at_most: int
    owner: str
    due_in: int | None


class SurveyOut(msgspec.Struct, frozen=True, kw_only=True):
    """A survey. A change after people were invited makes a new `version`; who has begun finishes the one they were asked."""

    id: str
    mode: Mode
    version: int
    title: Text | None
    questions: tuple[QuestionShown, ...]
    alerts: tuple[AlertShown, ...]
    created_at: dt.datetime
    changed_at: dt.datetime


class SurveyList(msgspec.Struct, frozen=True):
    """A page of surveys, newest first."""

    items: tuple[SurveyOut, ...]
    next: str | None


class InvitationOut(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation. `GET /v1/broadcasts/{broadcast}` says how it is getting on, and cancels it."""

    broadcast: str
    version: int
    case: str | None
    again: bool
    invited: int
    told: int
    skipped: int | None
    created_at: dt.datetime
    closes_at: dt.datetime
    remind_at: dt.datetime | None
    reminder: Annotated[str | None, Meta(description="The broadcast that reminds.")]


class InvitationList(msgspec.Struct, frozen=True):
    """A page of invitations, newest first."""

    items: tuple[InvitationOut, ...]
    next: str | None


def form_of(asked: SurveyIn) -> Form:
    """The form as the service takes it."""
    return Form(
        title=asked.title,
        questions=tuple(
            Question(id=q.id, kind=q.kind, text=q.text, options=tuple(Option(o.id, o.label) for o in q.options))
            for q in asked.questions
        ),
        alerts=tuple(
            Alert(question=a.question, at_most=a.at_most, owner=a.owner, due_in=a.due_in) for a in asked.alerts
        ),
    )


def survey_out(survey: Survey) -> SurveyOut:
    """A survey as it is shown."""
    return SurveyOut(
        id=survey.id,
        mode=survey.mode,
        version=survey.version,
        title=survey.form.title,
        questions=tuple(
            QuestionShown(
                id=q.id, kind=q.kind, text=q.text, options=tuple(OptionShown(o.id, o.label) for o in q.options)
            )
            for q in survey.form.questions
        ),
        alerts=tuple(
            AlertShown(question=a.question, at_most=a.at_most, owner=a.owner, due_in=a.due_in)
            for a in survey.form.alerts
        ),
        created_at=wire_time(survey.created_at),
        changed_at=wire_time(survey.changed_at),
    )


def invitation_out(found: Invitation) -> InvitationOut:
    """An invitation as it is shown."""
    return InvitationOut(
        broadcast=found.id,
        version=found.version,
        case=found.case,
        again=found.again,
        invited=found.invited,
        told=found.told,
        skipped=found.skipped,
        created_at=wire_time(found.created_at),
        closes_at=wire_time(found.closes_at),
        remind_at=wire_time_or_none(found.remind_at),
        reminder=found.reminder,
    )
