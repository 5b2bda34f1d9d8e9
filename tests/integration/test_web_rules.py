"""`/v1/events`, `/v1/rules` and `/v1/runs` over HTTP: what they take, what they refuse, what they answer again."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.web.api.rule_types import DryRunOut, EventOut, RuleList, RuleOut, RunList, RunOut
from tests.support.web_client import ANA, Api, pointers
from tests.support.web_parts import bearer

DELIVERED = {"type": "order.delivered", "customer": "c-1", "id": "o-1", "data": {"order_id": "4711", "total": 30}}
THEN = {"category": "service", "content": {"text": "Order {{ event.order_id }} is there."}}
RULE: dict[str, Any] = {
    "on": "order.delivered",
    "when": [{"field": "event.total", "gte": 20}, {"field": "customer.attributes.area", "eq": "Kypseli"}],
    "wait": 3600,
    "unless": [{"type": "order.returned", "match": ["order_id"]}],
    "then": THEN,
}


async def ruled(api: Api, name: str = "ask", **changed: Any) -> dict[str, Any]:
    """A new rule in force."""
    return await api("PUT", f"/v1/rules/{name}", {**RULE, **changed}, status=201, kind=RuleOut)


async def test_an_event_begins_a_run_and_its_repeat_is_answered_the_same(ana: Api) -> None:
    await ruled(ana)
    first = await ana("POST", "/v1/events", DELIVERED, status=202, kind=EventOut)
    [begun] = first["runs"]
    assert begun["rule"] == "ask"
    assert "Idempotency-Replayed" not in ana.last.headers
    again = await ana("POST", "/v1/events", DELIVERED, status=200, kind=EventOut)
    assert again == first
    assert ana.last.headers["Idempotency-Replayed"] == "true"
    await ana("POST", "/v1/events", {**DELIVERED, "data": {"order_id": "4712"}}, status=409)
    await ana("POST", "/v1/events", {**DELIVERED, "type": "order.packed"}, status=202)
    run = await ana("GET", f"/v1/runs/{begun['run']}", status=200, kind=RunOut)
    assert (run["state"], run["customer"], run["event"]["id"]) == ("waiting", "c-1", "o-1")
    listed = await ana("GET", "/v1/runs?customer=c-1&rule=ask&state=waiting", status=200, kind=RunList)
    assert [one["id"] for one in listed["items"]] == [begun["run"]]
    assert (await ana("GET", "/v1/runs?state=acted", status=200))["items"] == []


async def test_told_twice_at_once_it_is_one_event(ana: Api) -> None:
    await ruled(ana)
    answers = await asyncio.gather(*(told(ana, DELIVERED) for _ in range(6)))
    assert sorted(status for status, _ in answers) == [200] * 5 + [202]
    assert len({str(body["runs"]) for _, body in answers}) == 1
    assert len((await ana("GET", "/v1/runs", status=200))["items"]) == 1


async def told(api: Api, event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with api.session.post("/v1/events", json=event, headers=api.headers) as response:
        return response.status, await response.json()


async def test_an_idempotency_key_answers_an_event_too(ana: Api) -> None:
    await ruled(ana)
    first = await ana("POST", "/v1/events", DELIVERED, status=202, Idempotency_Key="k")
    assert await ana("POST", "/v1/events", DELIVERED, status=202, Idempotency_Key="k") == first
    await ana("POST", "/v1/events", {**DELIVERED, "id": "o-2"}, status=409, Idempotency_Key="k")


def later(seconds: float) -> str:
    return (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    "changed, wrong",
    [
        ({"customer": "nobody"}, ["/customer"]),
        ({"type": "with blank", "id": "", "more": 1}, ["/id", "/more", "/type"]),
        ({"id": "x\n", "customer": "c-1\n"}, ["/customer", "/id"]),
        ({"at": "0001-01-01T00:00:00+14:00", "data": {"x": "y" * 70_000}}, ["/at", "/data"]),
        ({"at": "9999-12-31T23:59:59-14:00"}, ["/at"]),
        ({"at": "2026-11-22"}, ["/at"]),
        ({"data": []}, ["/data"]),
        ({"data": {"a": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}}, ["/data"]),
    ],
)
async def test_a_bad_event_names_every_bad_field(ana: Api, changed: dict[str, Any], wrong: list[str]) -> None:
    problem = await ana("POST", "/v1/events", {**DELIVERED, **changed}, status=422)
    assert sorted(pointers(problem)) == wrong
    assert (await ana("GET", "/v1/runs", status=200))["items"] == []


async def test_an_event_may_be_a_little_ahead_of_our_clock(ana: Api) -> None:
    problem = await ana("POST", "/v1/events", {**DELIVERED, "at": later(400)}, status=422)
    assert pointers(problem) == ["/at"]
    await ana("POST", "/v1/events", {**DELIVERED, "at": later(200)}, status=202)


async def test_rules_are_made_replaced_listed_and_deleted(ana: Api) -> None:
    made = await ruled(ana)
    assert (made["version"], made["enabled"], made["once_per"]) == (1, True, "event")
    assert await ana("PUT", "/v1/rules/ask", RULE, status=200) == made
    changed = await ana("PUT", "/v1/rules/ask", {**RULE, "enabled": False}, status=200)
    assert (changed["version"], changed["enabled"]) == (2, False)
    assert await ana("GET", "/v1/rules/ask", status=200, kind=RuleOut) == changed
    await ruled(ana, "second")
    page = await ana("GET", "/v1/rules?limit=1", status=200, kind=RuleList)
    assert [one["id"] for one in page["items"]] == ["second"]
    rest = await ana("GET", f"/v1/rules?limit=1&cursor={page['next']}", status=200)
    assert [one["id"] for one in rest["items"]] == ["ask"]
    await ana("DELETE", "/v1/rules/ask", status=204)
    await ana("DELETE", "/v1/rules/ask", status=404)
    await ana("GET", "/v1/rules/ask", status=404)
    assert [one["id"] for one in (await ana("GET", "/v1/rules", status=200))["items"]] == ["second"]


BAD_RULES: list[tuple[dict[str, Any], list[str]]] = [
    ({"then": {**THEN, "category": "nothing"}}, ["/then/category"]),
    ({"then": {}}, ["/then"]),
    (
        {"then": {"reach": {"channels": ["fax"], "rounds": 0}}},
        ["/then", "/then/reach/channels/0", "/then/reach/rounds"],
    ),
    (
        {"then": {**THEN, "category": "nothing", "reach": {"channels": ["fax"]}, "x": 1}, "wait": -1},
        ["/then/category", "/then/reach/channels/0", "/then/x", "/wait"],
    ),
    (
        {"then": {"survey": "none", "reach": {"channels": ["fax"]}, "priority": "now"}, "on": 5},
        ["/on", "/then/priority", "/then/reach/channels/0", "/then/survey"],
    ),
    (
        {"when": [{"field": "bogus.x", "eq": 1}, {"field": 5, "eq": 1}, {"field": "event.y", "like": 1}]},
        ["/when/0/field", "/when/1/field", "/when/2", "/when/2/like"],
    ),
    ({"then": {"category": "service"}}, ["/then/template"]),
    ({"then": {"category": "service", "template": "no-such"}}, ["/then/template"]),
    (
        {"then": {"category": "outage", "template": "outage-notice", "data": {"restored_by": {"event": "until"}}}},
        ["/then/data/area"],
    ),
    ({"then": {**THEN, "content": {"text": "{{ order }} {{ event.x"}}}, ["/then/content/text"]),
    ({"then": {**THEN, "content": {"text": "{{ order }}"}}}, ["/then/content/text"]),
    (
        {"then": {**THEN, "reach": {"channels": ["pigeon"]}, "priority": "critical", "thread": "{{ x }}"}},
        ["/then/priority", "/then/reach/channels/0", "/then/thread"],
    ),
    ({"then": {**THEN, "prompt": {"kind": "scale"}}}, ["/then/prompt/max", "/then/prompt/min"]),
    ({"then": {**THEN, "survey": "s"}}, ["/then/category", "/then/content", "/then/survey"]),
    ({"when": {"field": "event.total"}}, ["/when"]),
    ({"when": {"field": "total", "eq": 1}}, ["/when/field"]),
    ({"when": {"field": "customer.plan", "eq": 1}}, ["/when/field"]),
    ({"when": [{"all": [{"any": [], "field": "event.a", "eq": 1}]}]}, ["/when/0/all/0/any"]),
    ({"when": {"not": {"eq": 1}}}, ["/when/not"]),
    ({"once_per": "customer", "wait": -1}, ["/per", "/wait"]),
    ({"once_per": "event", "per": 5}, ["/per"]),
    ({"wait": {"until_local": "25:00"}}, ["/wait/until_local"]),
    ({"unless": [{"type": "x", "match": ["a..b"]}]}, ["/unless/0/match"]),
    ({"on": "", "then": {**THEN, "category": "nothing"}, "extra": 1}, ["/extra", "/on", "/then/category"]),
]


@pytest.mark.parametrize("changed, wrong", BAD_RULES)
async def test_a_bad_rule_names_every_bad_field(admin: Api, changed: dict[str, Any], wrong: list[str]) -> None:
    problem = await admin("PUT", "/v1/rules/ask", {**RULE, **changed}, status=422)
    assert sorted(pointers(problem)) == wrong
    await admin("GET", "/v1/rules/ask", status=404)


async def test_a_rule_is_tried_out_and_nothing_is_kept(ana: Api) -> None:
    await ruled(ana)
    event = {"customer": "c-1", "data": {"order_id": "4711", "total": 30}}
    tried = await ana("POST", "/v1/rules/ask/dry-run", event, status=200, kind=DryRunOut)
    assert (tried["acts"], tried["why"], tried["problems"]) == (True, [], [])
    assert [(one["field"], one["found"], one["holds"]) for one in tried["conditions"]] == [
        ("event.total", 30, True),
        ("customer.attributes.area", "Kypseli", True),
    ]
    assert tried["message"]["route"][0]["channel"] == "sms"
    assert tried["cancelled_by"] == [{"type": "order.returned", "values": {"order_id": "4711"}}]
    poor = await ana("POST", "/v1/rules/ask/dry-run", {"customer": "c-1", "data": {"total": 3}}, status=200)
    assert [one["code"] for one in poor["why"]] == ["conditions", "refused"]
    assert poor["problems"][0]["pointer"] == "/then/content/text"
    other = await ana("POST", "/v1/rules/ask/dry-run", {**event, "type": "order.lost"}, status=200)
    assert [one["code"] for one in other["why"]] == ["another_event"]
    await ana("POST", "/v1/rules/ask/dry-run", {"customer": "nobody"}, status=422)
    await ana("POST", "/v1/rules/none/dry-run", event, status=404)
    assert (await ana("GET", "/v1/runs", status=200))["items"] == []
    assert (await ana("GET", "/v1/messages", status=200))["items"] == []


async def test_a_run_is_cancelled_once(ana: Api) -> None:
    await ruled(ana)
    [begun] = (await ana("POST", "/v1/events", DELIVERED, status=202))["runs"]
    ended = await ana("POST", f"/v1/runs/{begun['run']}/cancel", status=202, kind=RunOut)
    assert (ended["state"], ended["why"]["code"]) == ("cancelled", "by_request")
    await ana("POST", f"/v1/runs/{begun['run']}/cancel", status=409)
    for name in ("nothing", "r" + "0" * 24, begun["run"][:-1] + "!"):
        await ana("POST", f"/v1/runs/{name}/cancel", status=404)
        await ana("GET", f"/v1/runs/{name}", status=404)


@pytest.mark.parametrize("query", ["cursor=x", "state=new", "limit=0", "cursor=000000000run:x.zz", "type=a"])
async def test_bad_parameters_are_refused(admin: Api, query: str) -> None:
    await admin("GET", f"/v1/runs?{query}", status=422)


async def test_scopes_and_modes_are_kept_apart(gateway: Gateway, ana: Api) -> None:
    await ruled(ana)
    sender = Api(ana.session, await bearer(gateway, "send"))
    reader = Api(ana.session, await bearer(gateway, "read"))
    operator = Api(ana.session, await bearer(gateway, "operate"))
    [begun] = (await sender("POST", "/v1/events", DELIVERED, status=202))["runs"]
    await reader("POST", "/v1/events", DELIVERED, status=403)
    await sender("PUT", "/v1/rules/ask", RULE, status=403)
    await reader("DELETE", "/v1/rules/ask", status=403)
    await sender("GET", "/v1/rules", status=403)
    await sender("POST", f"/v1/runs/{begun['run']}/cancel", status=403)
    await operator("GET", "/v1/rules/ask", status=200)
    await operator("GET", f"/v1/runs/{begun['run']}", status=200)

    test = Api(ana.session, await bearer(gateway, "admin", mode="test"))
    await test("GET", "/v1/rules/ask", status=404)
    await test("GET", f"/v1/runs/{begun['run']}", status=404)
    assert (await test("POST", "/v1/events", DELIVERED, status=202))["runs"] == [], "its own ids, its own rules"
    await ruled(test)
    assert len((await test("POST", "/v1/events", {**DELIVERED, "id": "o-2"}, status=202))["runs"]) == 1


async def test_the_requests_on_the_page_can_be_copied(admin: Api) -> None:
    await admin("PUT", "/v1/customers/c-1001", ANA, status=201)
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    found = re.findall(r"curl -sS (?:-X (\w+) )?\$GW(/v1/\S+) .*?-d '(.*?)'\n", page, re.DOTALL)
    assert [path for _, path, _ in found] == ["/v1/events", "/v1/rules/left", "/v1/rules/left/dry-run"]
    for method, path, body in found:
        status = 201 if method else 200 if "dry-run" in path else 202
        answer = await admin(method or "POST", path, json.loads(body), status=status)
        assert answer.get("problems", []) == []
    conditions = re.findall(r"```json\n(\[.*?\])\n```", page, re.DOTALL)
    for n, tree in enumerate(conditions):
        await admin("PUT", f"/v1/rules/c{n}", {**RULE, "when": json.loads(tree)}, status=201)
