"""What is done to a case: notes, offers, its resolution, and the announcement of many."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.cases.announcing import Choice
from gateway.cases.nouns import Note
from gateway.delivery.drafts import Origin
from gateway.delivery.request import Rejected
from gateway.delivery.room import NoRoom
from gateway.prompts import Option, Prompt, validate
from gateway.web.api import case_types as types
from gateway.web.api.case_answers import ETAG, done, shown, token
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import invalid


async def note(call: Call[types.CaseNoteIn, NoQuery]) -> Answer:
    """Add a note."""
    words = Note(
        id=token(call)[:20], at=call.seed.at, of="operator", by=call.body.by or call.key.id, text=call.body.text
    )
    case = await done(call.gateway.cases.note(call.key.mode, call.path["id"], words))
    added = next(one for one in types.notes_out(case) if one.id == words.id)
    return Answer(status=201, body=added, concerns=case.customer)


async def offer(call: Call[types.CaseOfferIn, NoQuery]) -> Answer:
    """Let the customer choose."""
    asked = call.body
    options = tuple(Option(one.id, one.label) for one in asked.options)
    if faults := validate(Prompt(kind="choice", options=options, closes_in=asked.closes_in)):
        raise invalid(faults)
    made = call.gateway.cases.offer(
        call.key.mode,
        call.path["id"],
        options,
        asked.closes_in,
        by=call.key.id,
        token=token(call),
        happened=asked.happened,
    )
    return shown(await done(made), 201)


async def resolve(call: Call[types.CaseResolveIn, NoQuery]) -> Answer:
    """It is put right."""
    asked = call.body
    resolved = call.gateway.cases.resolve(
        call.key.mode,
        call.path["id"],
        asked.root_cause,
        asked.action,
        asked.follow_up_after,
        by=call.key.id,
        token=token(call),
    )
    return shown(await done(resolved))


async def announce(call: Call[types.AnnounceIn, NoQuery]) -> Answer:
    """Everybody hit by the same fault hears that it was mended."""
    asked = call.body
    choice = Choice(cases=asked.cases, root_cause=asked.root_cause, outage=asked.outage)
    if sum(part is not None for part in msgspec.structs.astuple(choice)) != 1:
        raise invalid([("/cases", "Give exactly one of cases, root_cause and outage.")])
    try:
        told = await call.gateway.announcements.announce(
            call.key.mode,
            choice,
            Origin(call.seed.seed, call.seed.at),
            by=call.key.id,
            content=call.tree.get("content"),
        )
    except Rejected as refused:
        raise invalid(refused.problems) from None
    except NoRoom as full:
        raise call.door.refused(full) from None
    return Answer(
        status=202,
        body=types.AnnouncedOut(broadcast=told.broadcast, people=told.people, told=told.told),
        headers={"Location": f"/v1/broadcasts/{told.broadcast}"},
    )


_OPTIONS: Final = [
    {"id": "credit", "label": "20 euros off the next bill"},
    {"id": "visit", "label": "A visit tomorrow"},
]
OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/cases/{id}/notes",
        name="noteCase",
        tag="Cases",
        scope="operate",
        handler=note,
        stores=True,
        creates=True,
        summary="Add a note",
        body=types.CaseNoteIn,
        answers={201: types.CaseNoteOut},
        refuses=(404, 409),
        example={"text": "Called her: the old meter is still on the wall.", "by": "maria"},
    ),
    Operation(
        method="POST",
        path="/v1/cases/{id}/offer",
        name="offerCase",
        tag="Cases",
        scope="operate",
        handler=offer,
        stores=True,
        creates=True,
        summary="Let the customer choose how it is made good",
        body=types.CaseOfferIn,
        answers={201: types.CaseOut},
        answer_headers=ETAG,
        refuses=(404, 409),
        example={"options": _OPTIONS},
        description="A `service` message on the channels the customer prefers. The case is `waiting` until they choose or "
        "the offer closes. One offer at a time: a second is a 409 until the first is over or withdrawn.",
    ),
    Operation(
        method="POST",
        path="/v1/cases/{id}/resolve",
        name="resolveCase",
        tag="Cases",
        scope="operate",
        handler=resolve,
        stores=True,
        creates=True,
        summary="Say what it was and what was done",
        body=types.CaseResolveIn,
        answers={200: types.CaseOut},
        answer_headers=ETAG,
        refuses=(404, 409),
        example={
            "root_cause": "Meter exchanged without a reading",
            "action": "We read the meter and corrected the bill.",
        },
        description="After `follow_up_after` seconds the customer is asked whether it is solved. A yes, or seven days of "
        "silence, closes the case; a no opens it again, with their words as a note.",
    ),
    Operation(
        method="POST",
        path="/v1/cases/announce",
        name="announceCases",
        tag="Cases",
        scope="operate",
        handler=announce,
        stores=True,
        creates=True,
        summary="You said, we did",
        body=types.AnnounceIn,
        answers={202: types.AnnouncedOut},
        answer_headers={"Location": "The broadcast."},
        example={
            "root_cause": "Meter exchanged without a reading",
            "content": {
                "text": {"en": "You told us about wrong bills after the new meters. All of them are corrected."}
            },
        },
        description="A broadcast to the customers of these cases, once each however many cases they have. The answer waits "
        "up to three seconds so that it can say how many have been told; the broadcast says the rest.",
    ),
)
