"""Surveys: what is asked, whom, and what came of it."""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp import web

from gateway.broadcasts.nouns import Differs
from gateway.delivery.intake import NoRoom, Origin
from gateway.delivery.request import Rejected
from gateway.surveys import forms
from gateway.surveys.nouns import Survey
from gateway.surveys.results import Wanted
from gateway.surveys.results import form_of as form_of_version
from gateway.surveys.surveys import Removing
from gateway.web.api.ids import known_id
from gateway.web.api.survey_checks import check_form, check_invitation, new_invitation
from gateway.web.api.survey_results import ResultsOut, ResultsQuery, results_out
from gateway.web.api.survey_table import table
from gateway.web.api.survey_types import (
    InvitationIn,
    InvitationList,
    InvitationMade,
    SurveyIn,
    SurveyList,
    SurveyOut,
    form_of,
    invitation_out,
    survey_out,
)
from gateway.web.json_body import BATCH_LIMIT
from gateway.web.operations import Answer, Call, NoQuery, Operation, Page
from gateway.web.problems import Problem, invalid, not_found

_ID: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_CURSOR: Final = "must be the `next` of an earlier page."


async def _own(call: Call[Any, Any]) -> Survey:
    try:
        return await call.gateway.surveys.get(call.key.mode, known_id(call, "survey"))
    except KeyError:
        raise not_found("survey") from None


async def put(call: Call[SurveyIn, NoQuery]) -> Answer:
    """Make a survey, or replace it whole."""
    name, form = call.path["id"], form_of(call.body)
    faults = [] if _ID.fullmatch(name) else [("/id", "must be 1 to 128 letters, digits or . _ : @ -")]
    try:
        if faults:
            raise invalid([*faults, *forms.problems(form)])
        survey, created = await call.gateway.surveys.put(call.key.mode, name, form)
    except Rejected as rejected:
        raise invalid(rejected.problems) from None
    except Removing:
        raise Problem("conflict", "The survey of that id is still being removed: try again in a while.") from None
    return Answer(status=201 if created else 200, body=survey_out(survey))


async def look(call: Call[None, NoQuery]) -> Answer:
    """One survey."""
    return Answer(body=survey_out(await _own(call)))


async def listed(call: Call[None, Page]) -> Answer:
    """A page of surveys."""
    try:
        found, cursor = await call.gateway.surveys.page(call.key.mode, call.query.limit, call.query.cursor)
    except ValueError:
        raise invalid([("?cursor", _CURSOR)]) from None
    return Answer(body=SurveyList(tuple(map(survey_out, found)), cursor))


async def remove(call: Call[None, NoQuery]) -> Answer:
    """Remove a survey with all its answers."""
    try:
        await call.gateway.surveys.remove(call.key.mode, known_id(call, "survey"))
    except KeyError:
        raise not_found("survey") from None
    return Answer(status=204)


async def invite(call: Call[InvitationIn, NoQuery]) -> Answer:
    """Ask people."""
    new, surveys = new_invitation(call.body, call.tree), call.gateway.surveys
    try:
        made = await surveys.invite(call.key.mode, known_id(call, "survey"), new, Origin(call.seed.seed, call.seed.at))
    except KeyError:
        raise not_found("survey") from None
    except Rejected as rejected:
        raise invalid(rejected.problems) from None
    except NoRoom as full:
        raise call.door.refused(full) from None
    except Differs:
        raise Problem("conflict", "This Idempotency-Key was used for another invitation.") from None
    body = InvitationMade(broadcast=made.broadcast, invited=made.invited, skipped=made.skipped)
    return Answer(status=202, body=body, headers={"Location": f"/v1/broadcasts/{made.broadcast}"})


async def invitations(call: Call[None, Page]) -> Answer:
    """A page of a survey's invitations."""
    survey = await _own(call)
    try:
        found, cursor = await call.gateway.surveys.invitations(
            survey.mode, survey.id, call.query.limit, call.query.cursor
        )
    except KeyError:
        raise not_found("survey") from None
    except ValueError:
        raise invalid([("?cursor", _CURSOR)]) from None
    return Answer(body=InvitationList(tuple(map(invitation_out, found)), cursor))


async def results(call: Call[None, ResultsQuery]) -> Answer | web.StreamResponse:
    """What came of it: figures and words, or a table of all responses."""
    survey, query, service = await _own(call), call.query, call.gateway.survey_results
    wanted = Wanted(version=query.version, case=query.case, by=query.by, segment=query.segment)
    named = call.key.may("customers")
    try:
        form = form_of_version(survey, query.version)
    except KeyError:
        raise invalid([("?version", f"There is no such version: the newest is {survey.version}.")]) from None
    if wants_csv(call.request):
        return await table(call.request, service.every(survey, wanted), form, f"survey-{survey.id}", named=named)
    try:
        said, following = await service.verbatims(survey, wanted, query.limit, query.cursor)
    except ValueError:
        raise invalid([("?cursor", _CURSOR)]) from None
    found = await service.of(survey, wanted)
    return Answer(body=results_out(survey, query.version, found, said, following, named=named))


def wants_csv(request: web.Request) -> bool:
    """Whether a table was asked for rather than JSON (RFC 9110, 12.5.1: the first of the two that is named)."""
    for part in request.headers.get("Accept", "").split(","):
        kind = part.partition(";")[0].strip().lower()
        if kind in ("text/csv", "application/json"):
            return kind == "text/csv"
    return False


_EXAMPLE: Final = {
    "title": "After the visit",
    "questions": [
        {
            "id": "nps",
            "kind": "nps",
            "text": {
                "en": "How likely are you to recommend us to a friend, from 0 to 10?",
                "el": "Πόσο πιθανό είναι να μας συστήσετε σε έναν φίλο σας, από 0 έως 10;",
            },
        },
        {"id": "why", "kind": "text", "text": {"en": "What is the main reason?", "el": "Ποιος είναι ο κύριος λόγος;"}},
    ],
    "alerts": [{"question": "nps", "at_most": 6, "owner": "anna", "due_in": 14400}],
}

OPERATIONS: Final = (
    Operation(
        method="PUT",
        path="/v1/surveys/{id}",
        name="putSurvey",
        tag="Surveys",
        scope="operate",
        handler=put,
        check=check_form,
        summary="Make or replace a survey",
        body=SurveyIn,
        stores=True,
        answers={201: SurveyOut, 200: SurveyOut},
        refuses=(409,),
        example=_EXAMPLE,
        example_path={"id": "visit"},
        description="Changed after people were invited, it becomes a new version; who was invited before finishes theirs.",
    ),
    Operation(
        method="GET",
        path="/v1/surveys",
        name="listSurveys",
        tag="Surveys",
        scope="read",
        or_scope="operate",
        handler=listed,
        summary="List the surveys",
        query=Page,
        answers={200: SurveyList},
    ),
    Operation(
        method="GET",
        path="/v1/surveys/{id}",
        name="getSurvey",
        tag="Surveys",
        scope="read",
        or_scope="operate",
        handler=look,
        summary="Read a survey",
        answers={200: SurveyOut},
        refuses=(404,),
    ),
    Operation(
        method="DELETE",
        path="/v1/surveys/{id}",
        name="deleteSurvey",
        tag="Surveys",
        scope="operate",
        handler=remove,
        summary="Remove a survey with all its answers",
        answers={204: None},
        refuses=(404,),
        description="Invitations that are still out are cancelled. The answers are gone for good.",
    ),
    Operation(
        method="POST",
        path="/v1/surveys/{id}/invitations",
        name="inviteToSurvey",
        tag="Surveys",
        scope="operate",
        handler=invite,
        check=check_invitation,
        summary="Ask people",
        body=InvitationIn,
        limit=BATCH_LIMIT,
        creates=True,
        stores=True,
        answers={202: InvitationMade},
        answer_headers={"Location": "The broadcast that asks them."},
        refuses=(404,),
        example={"audience": {"customers": ["c-1001"]}, "remind_after": 172800, "data": {"about": "your visit"}},
        example_path={"id": "visit"},
        description="The invitation is a broadcast of category `survey`: at most one in thirty days, not at night, not "
        "while a complaint is open. Of lists of up to 5000 people the numbers are known at once.",
    ),
    Operation(
        method="GET",
        path="/v1/surveys/{id}/invitations",
        name="listInvitations",
        tag="Surveys",
        scope="read",
        or_scope="operate",
        handler=invitations,
        summary="List a survey's invitations",
        query=Page,
        answers={200: InvitationList},
        refuses=(404,),
    ),
    Operation(
        method="GET",
        path="/v1/surveys/{id}/results",
        name="getResults",
        tag="Surveys",
        scope="read",
        or_scope="operate",
        handler=results,
        summary="What came of a survey",
        query=ResultsQuery,
        answers={200: ResultsOut},
        refuses=(404,),
        example_query="by=week&segment=region",
        description="With `Accept: text/csv` a table of all responses, streamed. Who said what is shown to keys with the "
        "scope `customers`.",
    ),
)
