"""Groups: audiences with a name."""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.broadcasts.audiences import where_problems
from gateway.people.groups import Group
from gateway.store.keys import digest
from gateway.web.api.broadcast_types import GroupIn, GroupOut, GroupSaved
from gateway.web.api.ids import known_id
from gateway.web.api.types import wire_time
from gateway.web.json_body import BATCH_LIMIT
from gateway.web.operations import Answer, Call, NoQuery, Operation, Page
from gateway.web.problems import invalid, not_found

ID: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}")


def _fields(group: Group, listed: int | None) -> dict[str, Any]:
    return {
        "id": group.id,
        "listed": listed,
        "where": group.where,
        "unknown": group.unknown,
        "created_at": wire_time(group.created_at),
        "changed_at": wire_time(group.changed_at),
    }


async def put(call: Call[GroupIn, NoQuery]) -> Answer:
    """Make a group, or replace it whole."""
    name, asked = call.path["id"], call.body
    faults: list[tuple[str, str]] = []
    if not ID.fullmatch(name):
        faults.append(("/id", "must be 1 to 128 letters, digits or . _ : @ -"))
    if (asked.customers is None) == (asked.where is None):
        faults.append(("/", "Give exactly one of customers and where."))
    if asked.where is not None:
        faults += where_problems(asked.where, "/where")
    if faults:
        raise invalid(faults)
    group, created = await call.gateway.groups.put(name, asked.customers, asked.where)
    return Answer(status=201 if created else 200, body=GroupSaved(**_fields(group, group.listed)))


async def look(call: Call[None, Page]) -> Answer:
    """A group and a page of its people."""
    groups, query = call.gateway.groups, call.query
    group = await groups.load(known_id(call, "group"))
    if group is None:
        raise not_found("group")
    people = await groups.people(group, _after(group, query.cursor), query.limit + 1)
    more = _cursor(group, people[query.limit - 1]) if len(people) > query.limit else None
    shown = None if group.roster is None else tuple(people[: query.limit])
    return Answer(body=GroupOut(**_fields(group, await groups.count(group)), customers=shown, next=more))


def _cursor(group: Group, last: str) -> str:
    """The last one shown, with a mark by which an id that no page gave is told apart."""
    return f"{digest(f'{group.id}{chr(0)}{last}')[:8]}.{last}"


def _after(group: Group, cursor: str | None) -> str:
    if cursor is None:
        return ""
    last = cursor.partition(".")[2]
    if cursor != _cursor(group, last):
        raise invalid([("?cursor", "must be the `next` of an earlier page.")])
    return last


async def delete(call: Call[None, NoQuery]) -> Answer:
    """Remove a group; its people stay."""
    if not await call.gateway.groups.delete(known_id(call, "group")):
        raise not_found("group")
    return Answer(status=204)


OPERATIONS: Final = (
    Operation(
        method="PUT",
        path="/v1/groups/{id}",
        name="putGroup",
        tag="Groups",
        scope="customers",
        handler=put,
        summary="Make or replace a group",
        body=GroupIn,
        limit=BATCH_LIMIT,
        stores=True,
        live_only=True,
        answers={201: GroupSaved, 200: GroupSaved},
        example={"customers": ["c-1001", "c-1002"]},
        example_path={"id": "north-ward"},
        description="Ids that are nobody's are left out and counted as `unknown`. A group with `where` is looked up when "
        "it is used.",
    ),
    Operation(
        method="GET",
        path="/v1/groups/{id}",
        name="getGroup",
        tag="Groups",
        scope="customers",
        handler=look,
        summary="Read a group",
        query=Page,
        answers={200: GroupOut},
        refuses=(404,),
    ),
    Operation(
        method="DELETE",
        path="/v1/groups/{id}",
        name="deleteGroup",
        tag="Groups",
        scope="customers",
        handler=delete,
        summary="Remove a group",
        live_only=True,
        answers={204: None},
        refuses=(404,),
        description="The people stay; broadcasts that are going out to it go on.",
    ),
)
