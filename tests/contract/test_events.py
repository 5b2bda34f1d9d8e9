"""Events and rules: once, after the wait, and not after a contrary event."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.contract.client import Answer
from tests.contract.survey_acts import asked, mine, new_case, put, texts
from tests.contract.waiting import eventually
from tests.contract.world import Person, World, in_time


def says(text: str) -> dict[str, Any]:
    return {"category": "service", "content": {"text": text}}


async def rule(w: World, name: str, **given: Any) -> None:
    stored = await w.api("PUT", f"/v1/rules/{name}", {"on": f"{name}.done", **given})
    assert stored.status in {200, 201}, stored


async def tell(w: World, who: Person, kind: str, which: object = 1, *, at: str | None = None, **data: Any) -> Answer:
    event: dict[str, Any] = {"type": kind, "customer": who.id, "id": f"{who.id}-{which}", "data": data}
    return await w.api("POST", "/v1/events", event | ({"at": at} if at else {}))


async def ended(w: World, who: Person, count: int = 1) -> list[tuple[str, str | None]]:
    """State and reason of so many runs that have ended, the newest first."""

    async def look() -> list[Any] | None:
        found = await mine(w, who, "/v1/runs")
        over = all(one["state"] not in {"waiting", "acting"} for one in found)
        return found if len(found) == count and over else None

    return [(one["state"], one["why"] and one["why"]["code"]) for one in await eventually(look)]


async def test_the_same_event_often_and_at_once_acts_once(w: World) -> None:
    await rule(w, "once", wait=1, then=says("Was it {{ event.what }}?"))
    who = await w.person("sms")
    began = time.time()
    told = await asyncio.gather(*(tell(w, who, "once.done", what="good") for _ in range(8)))
    assert sorted(one.status for one in told) == [200] * 7 + [202]
    assert {one.headers.get("Idempotency-Replayed") for one in told if one.status == 200} == {"true"}
    assert len({one.text for one in told}) == 1
    other = await tell(w, who, "once.done", what="bad")
    assert (other.status, other.body["type"]) == (409, "/problems/conflict")
    sent = await w.twilio.text(who.number)
    assert sent.form["Body"] == "Was it good?"
    assert sent.at - began >= 0.9, "the wait is honoured"
    turned = {"data": {"what": "good"}, "id": f"{who.id}-1", "customer": who.id, "type": "once.done"}
    assert (await w.api("POST", "/v1/events", turned)).status == 200, "the same body in another order"
    assert (await tell(w, who, "once.other", what="bad")).status == 202, "each type has ids of its own"
    assert await ended(w, who) == [("acted", None)]
    assert len(texts(w, who)) == 1


async def test_contrary_events_before_after_and_of_something_else(w: World) -> None:
    contrary = [{"type": "left.sent", "match": ["form"]}]
    await rule(w, "left", wait=2, unless=contrary, then=says("You left {{ event.form }}."))
    before, after, other, older, strange = [await w.person("sms") for _ in range(5)]
    await tell(w, before, "left.sent", "s", at=in_time(seconds=20), form="A1")
    for who in (before, after, other, older, strange):
        assert (await tell(w, who, "left.done", form="A1")).status == 202
    await tell(w, after, "left.sent", "s", form="A1")
    await tell(w, other, "left.sent", "s", form="A2")
    await tell(w, older, "left.sent", "s", at=in_time(minutes=-1), form="A1")
    await tell(w, strange, "left.sent", "s", form=["A1"])
    for who in (other, older, strange):
        assert await asked(w, who) == "You left A1."
        assert await ended(w, who) == [("acted", None)]
    for who in (before, after):
        assert await ended(w, who) == [("cancelled", "contrary_event")]
        assert not texts(w, who)


async def test_of_a_row_of_events_the_last_is_acted_on(w: World) -> None:
    await rule(w, "last", wait=1, unless=[{"type": "last.done"}], then=says("Number {{ event.number }}"))
    who = await w.person("sms")
    for number in range(4):
        await tell(w, who, "last.done", number, number=number)
    assert await ended(w, who, 4) == [("acted", None), *[("cancelled", "contrary_event")] * 3]
    assert await asked(w, who) == "Number 3"
    assert len(texts(w, who)) == 1


async def test_once_per_customer_when_all_come_together(w: World) -> None:
    await rule(w, "person", once_per="customer", per=3600, then=says("Hello."))
    who = await w.person("sms")
    told = await asyncio.gather(*(tell(w, who, "person.done", number) for number in range(6)))
    assert sum(len(one.body["runs"]) for one in told) >= 1
    await asked(w, who)
    await tell(w, who, "person.done", "later")

    async def settled() -> bool:
        return all(one["state"] not in {"waiting", "acting"} for one in await mine(w, who, "/v1/runs"))

    await eventually(settled)
    assert len(texts(w, who)) == 1


async def test_conditions_of_the_event_and_of_the_person_when_it_acts(w: World) -> None:
    when = [{"field": "event.total", "gte": 20}, {"field": "customer.attributes.plan", "eq": "gold"}]
    await rule(w, "gold", when=when, wait=1, then=says("Gold."))
    gold, changed, plain = [await w.person("sms", attributes={"plan": plan}) for plan in ("gold", "gold", "tin")]
    for number, total in enumerate((10, "25", None)):
        assert (await tell(w, gold, "gold.done", f"no{number}", total=total)).body["runs"] == [], total
    for who in (gold, changed, plain):
        assert (await tell(w, who, "gold.done", total=20.0)).body["runs"], "people are looked at when it acts"
    await w.api("PATCH", f"/v1/customers/{changed.id}", {"attributes": {"plan": None}})
    assert await ended(w, gold) == [("acted", None)]
    for who in (changed, plain):
        assert await ended(w, who) == [("dropped", "conditions")]
    assert [len(texts(w, who)) for who in (changed, plain)] == [0, 0]


async def test_rules_deleted_switched_off_and_changed(w: World) -> None:
    gone, kept = [await w.person("sms") for _ in range(2)]
    await rule(w, "gone", wait=1, then=says("Gone."))
    await tell(w, gone, "gone.done")
    assert (await w.api("DELETE", "/v1/rules/gone")).status == 204
    await rule(w, "kept", wait=1, then=says("As it was."))
    await tell(w, kept, "kept.done")
    await rule(w, "kept", enabled=False, then=says("Changed."))
    assert (await w.api("GET", "/v1/rules/kept")).body["version"] == 2
    assert (await tell(w, kept, "kept.done", 2)).body["runs"] == []
    assert await ended(w, gone) == [("cancelled", "rule_deleted")]
    assert await asked(w, kept) == "As it was."
    assert not texts(w, gone)


async def test_a_contrary_event_cancels_what_is_still_held(w: World) -> None:
    then = {"category": "survey", "content": {"text": "How was it?"}, "prompt": {"kind": "yes_no"}}
    await rule(w, "hold", unless=[{"type": "hold.no"}], then=then)
    who = await w.person("sms")
    path = await new_case(w, who)
    await tell(w, who, "hold.done")
    assert await ended(w, who) == [("acted", None)]
    await eventually(lambda: _status(w, who, "held"))
    await tell(w, who, "hold.no")
    await eventually(lambda: _status(w, who, "done"))
    resolved = {"root_cause": "x", "action": "y", "follow_up_after": 3600}
    assert (await w.api("POST", path + "/resolve", resolved)).status == 200
    assert (await mine(w, who))[0]["verdict"]["state"] == "cancelled"
    assert not texts(w, who)


async def _status(w: World, who: Person, status: str) -> bool:
    return [one["status"] for one in await mine(w, who)] == [status]


async def test_a_survey_and_a_case_by_rule(w: World) -> None:
    await put(w, "by-rule", "nps")
    await rule(w, "asks", then={"survey": "by-rule"})
    await rule(
        w, "opens", then={"case": {"kind": "technical", "subject": "delivery {{ event.number }}", "owner": "bo"}}
    )
    asks, opens = await w.person("sms"), await w.person("sms")
    await tell(w, asks, "asks.done")
    for _ in range(3):
        await tell(w, opens, "opens.done", number=7)
    assert "How likely?" in await asked(w, asks)
    assert await ended(w, opens) == [("acted", None)]
    found = await mine(w, opens, "/v1/cases")
    assert [(one["subject"], one["owner"], one["status"]) for one in found] == [("delivery 7", "bo", "open")]
    await w.twilio.inbound(asks.number, "9")
    assert "Thank you" in (await w.twilio.text(asks.number, 2)).form["Body"]


async def test_a_dry_run_tells_all_and_sends_nothing(w: World) -> None:
    await rule(
        w, "dry", when={"field": "event.total", "gt": 5}, wait=60, unless=[{"type": "dry.no", "match": ["form"]}],
        then=says("Form {{ event.form }}"),
    )  # fmt: skip
    who = await w.person("sms")

    async def run(**data: Any) -> Any:
        answer = await w.api("POST", "/v1/rules/dry/dry-run", {"customer": who.id, "data": data})
        assert answer.status == 200, answer
        return answer.body

    acts = await run(total=6, form="A")
    assert acts["acts"]
    assert [one["channel"] for one in acts["message"]["route"]] == ["sms"]
    assert [one["type"] for one in acts["cancelled_by"]] == ["dry.no"]
    assert not (await run(total=5, form="A"))["acts"]
    lacking = await run(total=6)
    assert not lacking["acts"]
    assert lacking["problems"]
    unknown = await w.api("POST", "/v1/rules/dry/dry-run", {"customer": "nobody", "data": {}})
    assert (unknown.status, unknown.pointers) == (422, {"/customer"})
    assert (await mine(w, who), await mine(w, who, "/v1/runs"), texts(w, who)) == ([], [], [])


THEN = {"category": "service", "content": {"text": "x"}}
WRONG: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"/on", "/then"}),
    ({"on": "a", "then": {}}, {"/then"}),
    (
        {
            "on": "",
            "when": [{"nope": 1}],
            "wait": -1,
            "unless": [{"type": ""}],
            "once_per": "week",
            "x": 1,
            "then": THEN,
        },
        {"/on", "/when/0/nope", "/wait", "/unless/0/type", "/once_per", "/x"},
    ),
    ({"on": "a", "then": {"category": "no", "template": "no"}}, {"/then/category", "/then/template"}),
    ({"on": "a", "then": {"survey": "no-such"}}, {"/then/survey"}),
    ({"on": "a", "then": {"case": {"kind": "k", "subject": "{{ event.x"}}}, {"/then/case/subject"}),
    ({"on": "a", "then": THEN | {"prompt": {"kind": "choice"}}}, {"/then/prompt/options"}),
    ({"on": "a", "then": {"category": "service", "template": "outage-notice", "data": {}}}, {"/then/data/area"}),
]


@pytest.mark.parametrize("wrong, pointers", WRONG)
async def test_wrong_rules_name_every_fault(w: World, wrong: dict[str, Any], pointers: set[str]) -> None:
    answer = await w.api("PUT", "/v1/rules/wrong", wrong)
    assert answer.status == 422, answer
    assert answer.pointers >= pointers
    assert (await w.api("GET", "/v1/rules/wrong")).status == 404


async def test_wrong_events(w: World) -> None:
    who = await w.person("sms")
    unknown = await w.api("POST", "/v1/events", {"type": "a", "customer": "nobody", "id": "1", "data": {}})
    assert (unknown.status, unknown.pointers) == (422, {"/customer"})
    wrong: dict[str, Any] = {"type": "a b", "customer": 5, "id": "", "at": "x", "data": [], "x": 1}
    assert (await w.api("POST", "/v1/events", wrong)).pointers == {f"/{name}" for name in wrong}
    ahead = await tell(w, who, "wrong.done", at=in_time(minutes=6))
    assert (ahead.status, ahead.pointers) == (422, {"/at"})
    big = await tell(w, who, "wrong.done", text="x" * 70_000)
    assert (big.status, big.pointers) == (422, {"/data"})
    assert (await (await w.key("read"))("POST", "/v1/events", {})).status == 403
    assert (await (await w.key("send"))("PUT", "/v1/rules/x", {})).status == 403


async def test_modes_are_apart_and_the_erased_are_left_alone(w: World) -> None:
    trial = await w.key(mode="test")
    await rule(w, "mode", wait=1, then=says("Live."))
    who, leaving = await w.person("sms"), await w.person("sms")
    event: dict[str, Any] = {"type": "mode.done", "customer": who.id, "id": who.id, "data": {}}
    told = await trial("POST", "/v1/events", event)
    assert (told.status, told.body["runs"]) == (202, [])
    assert (await trial("GET", "/v1/rules/mode")).status == 404
    run = (await tell(w, leaving, "mode.done")).body["runs"][0]["run"]
    assert (await w.api("DELETE", f"/v1/customers/{leaving.id}")).status == 202
    assert (await w.api("POST", "/v1/events", event)).status == 202, "the test key's event is another one"
    assert await asked(w, who) == "Live."
    assert await mine(w, leaving, "/v1/runs") == []
    assert leaving.id not in (await w.api("GET", f"/v1/runs/{run}")).text
    assert not texts(w, leaving)
