"""Cases: opened, found, changed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from msgspec import UNSET

from gateway.cases import machine
from gateway.cases.finding import Found
from gateway.cases.nouns import Case, NewCase
from gateway.cases.service import Known
from gateway.delivery.request import YEAR_MS, Rejected
from gateway.web.api import case_types as types
from gateway.web.api.case_answers import ETAG, done, shown, token
from gateway.web.api.ids import if_match
from gateway.web.api.types import internal
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import Problem, invalid, not_found

Faults = list[tuple[str, str]]
_DECADE: Final = 10


async def create(call: Call[types.CaseIn, NoQuery]) -> Answer:
    """Open a case."""
    asked, cases = call.body, call.gateway.cases
    if faults := await _faults(call, asked.customer, asked.kind, asked.outage):
        raise invalid(faults)
    new = NewCase(
        customer=asked.customer,
        subject=asked.subject,
        kind=asked.kind,
        description=asked.description,
        owner=asked.owner,
        due_in=asked.due_in,
        outage=asked.outage,
        notify=asked.notify,
    )
    name = token(call)
    try:
        made = await cases.create(
            call.key.mode, new, asked.id or f"case-{name[:20]}", by=call.key.id, at=call.seed.at, token=name
        )
    except Known:
        raise Problem("conflict", f"There is a case {asked.id!r}: GET /v1/cases/{{id}} shows it.") from None
    except Rejected as refused:
        raise invalid(refused.problems) from None
    return shown(made, 201, headers={"Location": f"/v1/cases/{made.id}"})


async def check(call: Call[types.CaseIn, NoQuery], spoilt: Collection[str]) -> Faults:
    """What is wrong with a case's customer, kind and outage, beside fields of the wrong type."""
    good = {name: call.tree.get(name) for name in ("customer", "kind", "outage") if name not in spoilt}
    return await _faults(call, good.get("customer"), good.get("kind"), good.get("outage"))


async def _faults(call: Call[Any, Any], customer: str | None, kind: str | None, outage: str | None) -> Faults:
    found = _kind_faults(call, kind)
    if customer is not None and await call.gateway.customers.load(customer) is None:
        found.append(("/customer", "There is no such customer: PUT /v1/customers/{id} first."))
    if outage is not None:
        try:
            await call.gateway.outages.load(call.key.mode, outage)
        except KeyError:
            found.append(("/outage", "There is no such outage: GET /v1/outages lists them."))
    return found


def _kind_faults(call: Call[Any, Any], kind: str | None) -> Faults:
    kinds = call.gateway.cases.kinds
    if kind is None or not kinds or kind in kinds:
        return []
    return [("/kind", f"must be one of {', '.join(sorted(kinds))}: the tables [cases.*] of the settings.")]


async def look(call: Call[None, NoQuery]) -> Answer:
    """One case."""
    found = await call.gateway.cases.get(call.key.mode, call.path["id"])
    if found is None:
        raise not_found("case")
    return shown(found)


async def listed(call: Call[None, types.CasesQuery]) -> Answer:
    """A page of cases."""
    query = call.query
    wanted = Found(
        owner=query.owner, status=query.status, customer=query.customer, kind=query.kind, overdue=query.overdue
    )
    try:
        found, cursor = await call.gateway.cases.find(call.key.mode, wanted, query.limit, query.cursor)
    except ValueError:
        raise invalid([("?cursor", "must be the `next` of an earlier page.")]) from None
    return Answer(body=types.CaseList(tuple(map(types.case_out, found)), cursor))


async def check_patch(call: Call[types.CasePatch, NoQuery], spoilt: Collection[str]) -> Faults:
    """What is wrong with a case's new kind, beside fields of the wrong type."""
    return [] if "kind" in spoilt else _kind_faults(call, call.tree.get("kind"))


async def patch(call: Call[types.CasePatch, NoQuery]) -> Answer:
    """Change parts of a case."""
    asked, expected, key = call.body, if_match(call.request), call.key
    given: dict[str, Any] = {
        name: value
        for name in ("owner", "subject", "description", "kind")
        if (value := getattr(asked, name)) is not UNSET
    }
    if asked.description is None:
        given["description"] = ""
    faults = _kind_faults(call, given.get("kind"))
    if asked.due_at is not UNSET:
        given["due_at"] = internal(asked.due_at)
        if abs(given["due_at"] - call.gateway.clock.now()) > _DECADE * YEAR_MS:
            faults.append(("/due_at", "must lie within ten years."))
    if faults:
        raise invalid(faults)
    if "kind" in given:
        given["complaint"] = call.gateway.cases.own(given["kind"]).complaint

    def change(case: Case, now: int) -> Case:
        if expected is not None and case.version != expected:
            raise Problem("precondition-failed", "It has been changed since it was read.")
        status = case.status if asked.status is UNSET else asked.status
        return machine.patched(machine.set_to(case, status, now, key.id), given, now, key.id)

    return shown(await done(call.gateway.cases.change(key.mode, call.path["id"], change)))


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/cases",
        name="openCase",
        tag="Cases",
        scope="operate",
        handler=create,
        check=check,
        stores=True,
        creates=True,
        summary="Open a case",
        body=types.CaseIn,
        answers={201: types.CaseOut},
        answer_headers={"Location": "", **ETAG},
        refuses=(409,),
        example={
            "customer": "c-1001",
            "subject": "Meter reading",
            "kind": "billing",
            "description": "The bill shows twice the usual.",
        },
        description="Owner and due time come from the kind's table in the settings unless given. While one is under way, "
        "surveys to the customer wait. An id that is taken is a 409.",
    ),
    Operation(
        method="GET",
        path="/v1/cases",
        name="listCases",
        tag="Cases",
        scope="read",
        or_scope="operate",
        handler=listed,
        summary="List cases, newest first",
        query=types.CasesQuery,
        answers={200: types.CaseList},
        example_query="?status=open&limit=10",
    ),
    Operation(
        method="GET",
        path="/v1/cases/{id}",
        name="getCase",
        tag="Cases",
        scope="read",
        or_scope="operate",
        handler=look,
        summary="Follow one case",
        answers={200: types.CaseOut},
        answer_headers=ETAG,
        refuses=(404,),
    ),
    Operation(
        method="PATCH",
        path="/v1/cases/{id}",
        name="patchCase",
        tag="Cases",
        scope="operate",
        handler=patch,
        check=check_patch,
        stores=True,
        summary="Change a case",
        body=types.CasePatch,
        if_match=True,
        answers={200: types.CaseOut},
        answer_headers=ETAG,
        refuses=(404, 409),
        example={"owner": "maria"},
    ),
)
