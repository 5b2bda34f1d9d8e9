"""Outages: tell everybody at once, tell them more, tell them that it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final, cast

from gateway.delivery.intake import NoRoom, Origin
from gateway.delivery.request import Rejected
from gateway.outages.nouns import Outage, Said
from gateway.outages.service import NewOutage, Over, Taken
from gateway.prompts import Prompt
from gateway.web.api.broadcast_types import audience_of
from gateway.web.api.ids import known_id
from gateway.web.api.message_request import Faults, prompt_given, reach_given
from gateway.web.api.outage_types import OutageIn, OutageList, OutageOut, OutagesQuery, OutageUpdateIn, ResolveIn
from gateway.web.api.outage_view import outage_view
from gateway.web.fields import collect, convert
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import Problem, invalid, not_found

ACKNOWLEDGE: Final = Prompt(kind="acknowledge")


async def check(call: Call[OutageIn, NoQuery], spoilt: Collection[str]) -> Faults:
    """What is wrong with the fields of an outage that have the right type."""
    tree = {"title": "an outage", **{name: value for name, value in call.tree.items() if name not in spoilt}}
    if collect(tree, OutageIn):
        return []
    asked = convert(tree, OutageIn)
    try:
        await call.gateway.outages.check(call.key.mode, _new(asked, tree, call.key.id))
    except Rejected as rejected:
        return [fault for fault in rejected.problems if fault[0].split("/")[1] not in spoilt]
    return []


async def create(call: Call[OutageIn, NoQuery]) -> Answer:
    """Accept an outage and its notice."""
    new = _new(call.body, call.tree, call.key.id)
    try:
        made = await call.gateway.outages.begin(call.key.mode, new, _origin(call))
    except Taken:
        raise Problem(
            "conflict",
            "There is an outage of that id that was asked for in other words: send an update to it, or choose another id.",
        ) from None
    except Rejected as rejected:
        raise invalid(rejected.problems) from None
    except NoRoom as full:
        raise call.door.refused(full) from None
    return await _accepted(call, made)


async def update(call: Call[OutageUpdateIn, NoQuery]) -> Answer:
    """Tell the whole audience more."""

    def said(outage: Outage) -> Said:
        return _said(call.body, call.tree, prompt=_prompt(call.body, call.tree, outage.prompt), reach=outage.reach)

    return await _added(call, call.gateway.outages.update(call.key.mode, known_id(call, "outage"), said, _origin(call)))


async def resolve(call: Call[ResolveIn, NoQuery]) -> Answer:
    """Tell those who were told that it is over."""
    asked = call.body
    said = (
        None
        if asked.template is None and asked.content is None and not asked.data
        else _said(asked, call.tree, prompt=None)
    )
    if said is not None and said.template is None and said.content is None:
        raise invalid([("/data", "goes with a template.")])
    name = known_id(call, "outage")
    return await _added(call, call.gateway.outages.resolve(call.key.mode, name, said, _origin(call)))


async def look(call: Call[None, NoQuery]) -> Answer:
    """One outage as it stands."""
    return Answer(body=await _shown(call, await own_outage(call)))


async def listed(call: Call[None, OutagesQuery]) -> Answer:
    """A page of outages."""
    query = call.query
    try:
        found, cursor = await call.gateway.outages.page(call.key.mode, query.limit, query.cursor, state=query.state)
    except ValueError:
        raise invalid([("?cursor", "must be the `next` of an earlier page.")]) from None
    shown = await asyncio.gather(*(_shown(call, one) for one in found))
    return Answer(body=OutageList(tuple(shown), cursor))


async def own_outage(call: Call[Any, Any]) -> Outage:
    """The outage of the path, of the key's own mode. Raises Problem 404."""
    try:
        return await call.gateway.outages.load(call.key.mode, known_id(call, "outage"))
    except KeyError:
        raise not_found("outage") from None


async def _added(call: Call[Any, Any], adding: Any) -> Answer:
    try:
        return await _accepted(call, await adding)
    except KeyError:
        raise not_found("outage") from None
    except Over:
        raise Problem("conflict", "The outage has been resolved: begin a new one.") from None
    except Rejected as rejected:
        raise invalid(rejected.problems) from None
    except NoRoom as full:
        raise call.door.refused(full) from None


async def _accepted(call: Call[Any, Any], outage: Outage) -> Answer:
    headers = {"Location": f"/v1/outages/{outage.id}"}
    return Answer(status=202, body=await _shown(call, outage), headers=headers)


async def _shown(call: Call[Any, Any], outage: Outage) -> OutageOut:
    return outage_view(outage, await call.gateway.outages.stands(outage))


def _origin(call: Call[Any, Any]) -> Origin:
    return Origin(call.seed.seed, call.seed.at)


def _new(asked: OutageIn, tree: dict[str, Any], by: str) -> NewOutage:
    said = _said(asked, tree, prompt=_prompt(asked, tree, ACKNOWLEDGE))
    return NewOutage(title=asked.title, audience=audience_of(asked.audience), said=said, id=asked.id, by=by)


def _prompt(asked: OutageIn | OutageUpdateIn, tree: dict[str, Any], unless: Prompt | None) -> Prompt | None:
    """What is asked; `unless` where nothing is said of it."""
    if "prompt" not in tree:
        return unless
    return None if asked.prompt is None else prompt_given(asked.prompt)


def _said(
    asked: OutageIn | OutageUpdateIn | ResolveIn,
    tree: dict[str, Any],
    *,
    prompt: Prompt | None,
    reach: dict[str, Any] | None = None,
) -> Said:
    return Said(
        template=asked.template,
        content=cast("dict[str, Any] | None", tree.get("content")),
        data=asked.data,
        reach={**(reach or {}), **reach_given(tree)},
        prompt=prompt,
    )


_NOTICE: Final = {"area": "Kypseli", "restored_by": "2026-11-22T18:00:00+02:00"}
OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/outages",
        name="createOutage",
        tag="Outages",
        scope="operate",
        handler=create,
        summary="Tell everybody of an outage",
        body=OutageIn,
        check=check,
        creates=True,
        stores=True,
        answers={202: OutageOut},
        answer_headers={"Location": ""},
        example={
            "id": "outage-77",
            "title": "Power cut in Kypseli",
            "audience": {"where": {"area": ["Kypseli"]}},
            "template": "outage-notice",
            "data": _NOTICE,
        },
        description="Accepted durably; people are found and written to in the background. Those with the attribute "
        "`medical_priority: true` go first and are tried three rounds. Everybody is asked to acknowledge, unless "
        "`prompt` is `null`. An id that is there already: the same outage for the same words, else 409.",
    ),
    Operation(
        method="GET",
        path="/v1/outages",
        name="listOutages",
        tag="Outages",
        scope="read",
        handler=listed,
        summary="List outages, newest first",
        query=OutagesQuery,
        answers={200: OutageList},
        example_query="state=active&limit=10",
    ),
    Operation(
        method="GET",
        path="/v1/outages/{id}",
        name="getOutage",
        tag="Outages",
        scope="read",
        handler=look,
        summary="The live board of an outage",
        answers={200: OutageOut},
        refuses=(404,),
        description="People are counted once, by the newest notice or update to them. Try some of them again with "
        "`POST /v1/broadcasts/{broadcast}/retry`: the counts then tell of it.",
    ),
    Operation(
        method="POST",
        path="/v1/outages/{id}/updates",
        name="updateOutage",
        tag="Outages",
        scope="operate",
        handler=update,
        summary="Tell the whole audience more",
        body=OutageUpdateIn,
        creates=True,
        stores=True,
        answers={202: OutageOut},
        answer_headers={"Location": ""},
        refuses=(404, 409),
        example={"template": "outage-update", "data": {**_NOTICE, "news": "The cable is found."}},
        description="It takes the place of what has not gone out: who did not get the notice gets only the update.",
    ),
    Operation(
        method="POST",
        path="/v1/outages/{id}/resolve",
        name="resolveOutage",
        tag="Outages",
        scope="operate",
        handler=resolve,
        summary="Give the all-clear",
        body=ResolveIn,
        creates=True,
        stores=True,
        answers={202: OutageOut},
        answer_headers={"Location": ""},
        refuses=(404, 409),
        example={"content": {"subject": "The power is back", "text": "The power is back in Kypseli. Thank you."}},
        description="To those who were told, by the notice or by any update, once each. Nobody more is told of the "
        "outage itself.",
    ),
)
