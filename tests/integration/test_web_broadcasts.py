"""Broadcasts and groups by HTTP: made, followed, steered, refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.web.api.broadcast_types import BroadcastList, BroadcastOut, GroupOut, GroupSaved
from tests.support.broadcasting import crowd
from tests.support.core import Core, until
from tests.support.web_client import Api, pointers
from tests.support.web_parts import bearer

NEWS: dict[str, Any] = {"category": "service", "content": {"text": "News."}}
LIST = {**NEWS, "audience": {"customers": ["c-0000", "c-0001"]}}


@pytest.fixture
async def people(gateway: Gateway) -> list[str]:
    return await crowd(gateway, 4, area="Kypseli")


@pytest.fixture
async def working(gateway: Gateway, people: list[str]) -> AsyncGenerator[Core]:
    """A worker runs, and no provider can be reached."""
    made = Core(gateway, gateway.client)
    made.work()
    yield made
    await made.kill()


@pytest.mark.usefixtures("people")
async def test_a_broadcast_is_accepted_and_shown(admin: Api) -> None:
    made = await admin("POST", "/v1/broadcasts", {**LIST, "id": "b-1", "rate": 5}, status=202, kind=BroadcastOut)
    assert (made["id"], made["state"], made["audience"], made["rate_limit"]) == ("b-1", "expanding", {"listed": 2}, 5.0)
    assert made["progress"] == {"percent": 0, "expanded": 0, "of": 2}
    assert admin.last.headers["Location"] == "/v1/broadcasts/b-1"
    assert await admin("GET", "/v1/broadcasts/b-1", status=200, kind=BroadcastOut) == made
    again = await admin("POST", "/v1/broadcasts", {**LIST, "id": "b-1", "rate": 5}, status=202)
    assert again["created_at"] == made["created_at"]
    await admin("POST", "/v1/broadcasts", {**LIST, "id": "b-1"}, status=409)
    await admin("GET", "/v1/broadcasts/b-2", status=404)


@pytest.mark.usefixtures("people")
async def test_one_key_makes_one(admin: Api) -> None:
    first = await admin("POST", "/v1/broadcasts", LIST, status=202, Idempotency_Key="k")
    assert (await admin("POST", "/v1/broadcasts", LIST, status=202, Idempotency_Key="k"))["id"] == first["id"]
    await admin("POST", "/v1/broadcasts", {**LIST, "rate": 1}, status=409, Idempotency_Key="k")
    assert (await admin("POST", "/v1/broadcasts", LIST, status=202))["id"] != first["id"]


@pytest.mark.usefixtures("people")
async def test_the_newest_come_first(admin: Api) -> None:
    ids = [(await admin("POST", "/v1/broadcasts", LIST, status=202))["id"] for _ in range(5)]
    page = await admin("GET", "/v1/broadcasts?limit=3", status=200, kind=BroadcastList)
    rest = await admin("GET", f"/v1/broadcasts?limit=3&cursor={page['next']}", status=200)
    shown = [one["id"] for one in (*page["items"], *rest["items"])]
    assert sorted(shown) == sorted(ids)
    assert rest["next"] is None
    assert (await admin("GET", "/v1/broadcasts?kind=outage", status=200))["items"] == []
    for cursor in ("x", "1.2", "~", "9.zz"):
        await admin("GET", f"/v1/broadcasts?cursor={cursor}", status=422)


async def test_every_bad_field_is_named_at_once(admin: Api) -> None:
    wrong: dict[str, Any] = {
        "audience": {"customers": [], "where": {}, "group": "a b"},
        "category": "nothing",
        "template": 7,
        "reach": {"rounds": 0},
        "rate": "fast",
        "priority_rounds": 11,
        "more": 1,
    }
    refused = pointers(await admin("POST", "/v1/broadcasts", wrong, status=422))
    assert {
        "/audience/customers",
        "/audience/where",
        "/audience/group",
        "/template",
        "/reach/rounds",
        "/rate",
        "/priority_rounds",
        "/more",
    } <= set(refused)
    one = {"audience": {"group": "nobody"}, "category": "nothing", "template": "outage-notice", "rate": "fast"}
    refused = pointers(await admin("POST", "/v1/broadcasts", one, status=422))
    assert {"/audience/group", "/category", "/rate"} <= set(refused)
    assert any(pointer.startswith("/data") for pointer in refused)
    audiences: list[dict[str, Any]] = [
        {},
        {"customers": ["c"], "group": "g"},
        {"where": {"a": None}},
        {"where": {"a": []}},
    ]
    for audience in audiences:
        await admin("POST", "/v1/broadcasts", {**NEWS, "audience": audience}, status=422)


async def test_scopes_and_modes_are_kept_apart(gateway: Gateway, admin: Api, people: list[str]) -> None:
    made = await admin("POST", "/v1/broadcasts", {**LIST, "id": "b-1"}, status=202)
    test = Api(admin.session, await bearer(gateway, "operate", "read", "customers", mode="test"))
    await test("GET", "/v1/broadcasts/b-1", status=404)
    for order in ("pause", "resume", "cancel"):
        await test("POST", f"/v1/broadcasts/b-1/{order}", status=404)
    assert (await test("POST", "/v1/broadcasts", {**LIST, "id": "b-1"}, status=202))["mode"] == "test"
    await test("PUT", "/v1/groups/g", {"customers": people}, status=403)
    sender = Api(admin.session, await bearer(gateway, "send", "read"))
    await sender("POST", "/v1/broadcasts", LIST, status=403)
    await sender("GET", f"/v1/broadcasts/{made['id']}", status=200)
    await sender("GET", "/v1/groups/g", status=403)


async def test_it_is_paused_resumed_cancelled(admin: Api, working: Core) -> None:
    later = {**LIST, "id": "b-1", "send_at": "2027-06-01T08:00:00+03:00"}
    assert (await admin("POST", "/v1/broadcasts", later, status=202))["state"] == "expanding"
    paused = await admin("POST", "/v1/broadcasts/b-1/pause", status=200, kind=BroadcastOut)
    assert paused["state"] == "paused"
    assert (await admin("POST", "/v1/broadcasts/b-1/pause", status=200))["paused_at"] == paused["paused_at"]
    assert (await admin("POST", "/v1/broadcasts/b-1/resume", status=200))["state"] == "expanding"
    assert (await admin("POST", "/v1/broadcasts/b-1/cancel", status=200))["state"] == "cancelled"
    assert (await admin("POST", "/v1/broadcasts/b-1/cancel", status=200))["state"] == "cancelled"
    for order in ("pause", "resume"):
        await admin("POST", f"/v1/broadcasts/b-1/{order}", status=409)
    assert working.gateway


async def test_some_are_tried_again(admin: Api, working: Core) -> None:
    # Nobody has agreed to marketing: all are suppressed.
    made = await admin("POST", "/v1/broadcasts", {**LIST, "category": "marketing"}, status=202)
    path = f"/v1/broadcasts/{made['id']}"

    async def done() -> bool:
        return (await admin("GET", path, status=200))["state"] == "done"

    await until(done)
    shown = await admin("GET", path, status=200)
    assert (shown["counts"]["suppressed"], shown["progress"]["percent"]) == (2, 100)
    again = await admin(
        "POST", f"{path}/retry", {"filter": {"state": ["suppressed"], "code": "no_consent"}}, status=202
    )
    assert (again["retry_of"], again["audience"]["state"]) == (made["id"], ["suppressed"])
    path = f"/v1/broadcasts/{again['id']}"
    await until(done)
    assert (await admin("GET", path, status=200))["counts"]["audience"] == 2
    await admin("POST", f"/v1/broadcasts/{made['id']}/retry", {"filter": {"state": ["reached"]}}, status=422)
    await admin("POST", "/v1/broadcasts/none/retry", {}, status=404)
    assert working.gateway


async def test_a_group_is_made_read_replaced_removed(admin: Api, people: list[str]) -> None:
    made = await admin("PUT", "/v1/groups/g", {"customers": [*people, "nobody"]}, status=201, kind=GroupSaved)
    assert (made["listed"], made["unknown"], made["where"]) == (4, 1, None)
    first = await admin("GET", "/v1/groups/g?limit=3", status=200, kind=GroupOut)
    rest = await admin("GET", f"/v1/groups/g?limit=3&cursor={first['next']}", status=200)
    assert [*first["customers"], *rest["customers"]] == people
    assert rest["next"] is None
    for bad in ("junk", first["next"] + "x", people[2]):
        await admin("GET", f"/v1/groups/g?cursor={bad}", status=422)
    replaced = await admin("PUT", "/v1/groups/g", {"where": {"area": "Kypseli"}}, status=200)
    assert (replaced["listed"], replaced["where"]) == (None, {"area": "Kypseli"})
    assert replaced["created_at"] == made["created_at"]
    assert (await admin("GET", "/v1/groups/g", status=200))["customers"] is None
    await admin("DELETE", "/v1/groups/g", status=204)
    await admin("DELETE", "/v1/groups/g", status=404)
    await admin("GET", "/v1/groups/g", status=404)
    await admin("PUT", "/v1/groups/g", {}, status=422)
    await admin("PUT", "/v1/groups/g", {"customers": [], "where": {"a": 1}}, status=422)


@pytest.mark.parametrize(
    "group", [{"customers": ["c-0000", "c-0001", "c-0002", "c-0003"]}, {"where": {"area": "Kypseli"}}]
)
async def test_a_group_is_an_audience(admin: Api, working: Core, group: dict[str, Any]) -> None:
    await admin("PUT", "/v1/groups/g", group, status=201)
    made = await admin("POST", "/v1/broadcasts", {**NEWS, "audience": {"group": "g"}}, status=202)

    async def all_of_them() -> bool:
        return (await admin("GET", f"/v1/broadcasts/{made['id']}", status=200))["counts"]["audience"] == 4

    await until(all_of_them)
    assert made["audience"]["group"] == "g"
    assert working.gateway


async def test_who_is_erased_leaves_every_list(gateway: Gateway, admin: Api, working: Core) -> None:
    await admin("PUT", "/v1/groups/g", {"customers": ["c-0000", "c-0001"]}, status=201)
    later = {**LIST, "send_at": "2027-06-01T08:00:00+03:00"}
    await admin("POST", "/v1/broadcasts", later, status=202)
    assert (await admin("GET", "/v1/customers/c-0000/export", status=200))["records"]["groups"] == [{"id": "g"}]
    erasure = (await admin("DELETE", "/v1/customers/c-0000", status=202))["erasure"]

    async def erased() -> bool:
        return (await admin("GET", f"/v1/erasures/{erasure}", status=200))["state"] == "done"

    await until(erased)
    assert (await admin("GET", "/v1/groups/g", status=200))["customers"] == ["c-0001"]
    found = [key async for key in working.client.scan_iter(match="*:roster:*")]
    assert found
    for key in found:
        assert b"c-0000" not in await working.client.zrange(key, 0, -1)
    assert gateway
