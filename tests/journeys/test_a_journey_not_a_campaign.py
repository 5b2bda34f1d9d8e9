"""Story 10. An application is left half done, an order is delivered: a rule waits, and the right question goes out, once."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

from tests.support.running import Running, until

PHONE = "+447400000310"
ABANDONED: dict[str, Any] = {
    "on": "application.left",
    "wait": 3600,
    "unless": [{"type": "application.sent", "match": ["application"]}],
    "then": {
        "category": "service",
        "template": "application-abandoned",
        "data": {"what": {"event": "tariff"}, "link": "https://apply.example/{{ event.application }}"},
        "prompt": {"kind": "text"},
        "thread": "application-{{ event.application }}",
    },
}
DELIVERED: dict[str, Any] = {
    "on": "order.delivered",
    "when": [{"field": "event.total", "gte": 20}, {"not": {"field": "customer.attributes.vip", "eq": True}}],
    "wait": 3600,
    "unless": [{"type": "order.returned", "match": ["order"]}],
    "then": {
        "category": "survey",
        "content": {"text": "How did we do with order {{ event.order }}?"},
        "prompt": {"kind": "scale", "min": 0, "max": 10},
    },
}


def ago(gw: Running, seconds: float) -> str:
    now = gw.service.gateway.clock.now() / 1000
    return dt.datetime.fromtimestamp(now - seconds, dt.UTC).isoformat()


async def ruled(gw: Running, name: str, rule: dict[str, Any]) -> None:
    answer = await gw.api("PUT", f"/v1/rules/{name}", rule)
    assert answer.status == 201, answer


async def told(
    gw: Running, type_: str, id_: str, customer: str = "maria", *, at: str | None = None, **data: Any
) -> Any:
    event = {"type": type_, "customer": customer, "id": id_, "data": data, **({} if at is None else {"at": at})}
    answer = await gw.api("POST", "/v1/events", event)
    assert answer.status in (200, 202), answer
    return answer.body


async def run_in(gw: Running, run: str, *states: str) -> dict[str, Any]:
    last: dict[str, Any] = {}

    async def there() -> bool:
        last.update((await gw.api("GET", f"/v1/runs/{run}")).body)
        return last["state"] in states

    await until(there, seen=lambda: last)
    return last


async def test_an_application_left_half_done(gw: Running) -> None:
    """Begun an hour ago and not sent: she is asked once, however often we hear of it; her words reach somebody."""
    await gw.customer("maria", sms=PHONE, preferences={"channels": ["sms"]})
    await ruled(gw, "left", ABANDONED)
    event = {"type": "application.left", "customer": "maria", "id": "a-1", "at": ago(gw, 3599)}
    event |= {"data": {"application": "7Q2", "tariff": "a night tariff"}}
    answers = await asyncio.gather(*(gw.api("POST", "/v1/events", event) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [200, 200, 202]
    [begun] = answers[0].body["runs"]
    acted = await run_in(gw, begun["run"], "acted")
    asked = await gw.when(
        acted["message"], lambda found: found["attempts"] and found["attempts"][0]["status"] == "delivered"
    )
    assert asked["thread"] == "application-7Q2"
    assert gw.taken() == {"sms": 1}
    await gw.texts_us(PHONE, "I could not find my meter number")
    answered = await gw.when(asked["id"], lambda found: found["answer"])
    assert answered["answer"]["value"] == "I could not find my meter number"
    await until(lambda: _verdict(gw, begun["run"], "reached"))


async def _verdict(gw: Running, run: str, wanted: str) -> bool:
    return (await gw.api("GET", f"/v1/runs/{run}")).body["verdict"] == wanted


async def test_what_was_done_meanwhile_is_not_asked_about(gw: Running) -> None:
    """She sent it ten minutes later; her other application is still open."""
    await gw.customer("maria", sms=PHONE, preferences={"channels": ["sms"]})
    await ruled(gw, "left", ABANDONED)
    await told(gw, "application.sent", "s-0", at=ago(gw, 3000), application="early")
    early = await told(gw, "application.left", "a-0", at=ago(gw, 3599), application="early", tariff="gas")
    first = await told(gw, "application.left", "a-1", at=ago(gw, 60), application="7Q2", tariff="a night tariff")
    second = await told(gw, "application.left", "a-2", at=ago(gw, 3599), application="8R3", tariff="gas")
    await told(gw, "application.sent", "s-1", application="7Q2")
    for event in (early, first):
        ended = await run_in(gw, event["runs"][0]["run"], "cancelled")
        assert ended["why"]["code"] == "contrary_event"
    acted = await run_in(gw, second["runs"][0]["run"], "acted")
    await gw.when(acted["message"], lambda found: found["attempts"] and found["attempts"][0]["status"] == "delivered")
    await gw.sandbox.idle()
    assert gw.taken() == {"sms": 1}


async def test_an_order_delivered_and_the_rule_tried_out_first(gw: Running) -> None:
    """The dry run says what will be asked and of whom; then only those are asked whom the rule means."""
    await gw.customer("maria", sms=PHONE, preferences={"channels": ["sms"]})
    await gw.customer("vip", sms="+447400000311", attributes={"vip": True})
    await ruled(gw, "delivered", DELIVERED)
    event = {"customer": "maria", "data": {"order": "4711", "total": 59.9}}
    tried = (await gw.api("POST", "/v1/rules/delivered/dry-run", event)).body
    assert tried["acts"] is True
    assert tried["message"]["route"][0]["channel"] == "sms"
    assert tried["cancelled_by"] == [{"type": "order.returned", "values": {"order": "4711"}}]
    assert gw.taken() == {}

    small = await told(gw, "order.delivered", "d-1", order="4710", total=5)
    assert small["runs"] == []
    [begun] = (await told(gw, "order.delivered", "d-2", at=ago(gw, 3600), order="4711", total=59.9))["runs"]
    [passed] = (await told(gw, "order.delivered", "d-3", "vip", at=ago(gw, 3600), order="4712", total=80))["runs"]
    acted = await run_in(gw, begun["run"], "acted")
    assert (await run_in(gw, passed["run"], "dropped"))["why"]["code"] == "conditions"
    await gw.when(acted["message"], lambda found: found["attempts"])
    await gw.texts_us(PHONE, "9")
    answered = await gw.when(acted["message"], lambda found: found["answer"])
    assert answered["answer"]["value"] == 9
    lines = (await gw.api("GET", "/v1/customers/maria/timeline")).body
    assert {"event", "run", "message"} <= {line["kind"] for line in lines["items"]}
