"""Messages, templates and channels over the API, as a business system uses it, on the real gateway and real Redis."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.web.api.templates import PreviewOut, TemplateList
from gateway.web.api.types_out import BatchOut, MessageList, MessageOut
from tests.support.web_client import ANA, NOTICE, Api, pointers
from tests.support.web_parts import bearer

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


async def test_a_message_from_acceptance_to_its_own_page(ana: Api) -> None:
    asked = {
        **NOTICE,
        "reference": "SAP-4711",
        "thread": "visit-1",
        "metadata": {"n": 1},
        "reach": {"step": 600},
        "prompt": {"kind": "yes_no", "question": "Is that fine?"},
    }  # fmt: skip - one request
    made = await ana("POST", "/v1/messages", asked, status=202, kind=MessageOut)
    assert (made["mode"], made["customer"], made["category"], made["priority"]) == ("live", "c-1", "service", "normal")
    assert made["reach"] == {
        "until": "delivered",
        "within": 86400,
        "step": 600,
        "mode": "in_turn",
        "rounds": 1,
        "channels": None,
        "unproven": "settle",
    }  # fmt: skip - as in the contract
    assert made["verdict"]["state"] == "pending"
    assert [step["channel"] for step in made["route"]] == ["sms", "email", "voice"]
    assert made["route"][0]["address"] == "+30…5678"
    assert set(made["route"][0]["why"]) == {"code", "text"}
    assert {one["channel"] for one in made["skipped"]} == {"wechat"}
    assert made["prompt"]["kind"] == "yes_no"
    assert (made["reference"], made["thread"], made["metadata"]) == ("SAP-4711", "visit-1", {"n": 1})
    assert all(RFC3339.fullmatch(made[name]) for name in ("created_at", "due_at", "deadline"))
    again = await ana("GET", f"/v1/messages/{made['id']}", status=200, kind=MessageOut)
    assert again["route"][0]["address"] == "+306912345678"


async def test_addresses_are_masked_without_the_scope(ana: Api, gateway: Gateway) -> None:
    made = await ana("POST", "/v1/messages", NOTICE, status=202)
    reader = Api(ana.session, await bearer(gateway, "read"))
    shown = await reader("GET", f"/v1/messages/{made['id']}", status=200)
    assert "+306912345678" not in str(shown)
    assert "ana@example.com" not in str(shown)


async def test_a_dry_run_shows_the_route_and_stores_nothing(ana: Api) -> None:
    shown = await ana("POST", "/v1/messages?dry_run=true", NOTICE, status=200, kind=MessageOut)
    assert [step["channel"] for step in shown["route"]] == ["sms", "email", "voice"]
    await ana("GET", f"/v1/messages/{shown['id']}", status=404)
    assert (await ana("GET", "/v1/messages", status=200))["items"] == []


async def test_every_fault_of_a_message_at_once(ana: Api) -> None:
    found = await ana("POST", "/v1/messages", {"category": "sevrice", "priority": "high", "extra": 1}, status=422)
    assert set(pointers(found)) == {"/priority", "/extra", "/category", "/customer", "/template"}
    bad = {
        "category": "sevrice",
        "customer": "nobody",
        "recipient": {"addresses": [{"channel": "sms", "value": "12"}]},
        "template": "no-such",
        "prompt": {"kind": "scale"},
        "reach": {"channels": ["pigeon"]},
        "send_at": "2026-11-22T10:00:00Z",
        "send_at_local": "09:00",
    }  # fmt: skip - one request
    found = await ana("POST", "/v1/messages", bad, status=422)
    assert {"/recipient/addresses/0/value", "/category", "/template"} <= set(pointers(found))
    del bad["recipient"]
    found = await ana("POST", "/v1/messages", bad, status=422)
    assert {"/category", "/customer", "/template", "/prompt/min", "/prompt/max", "/send_at_local"} <= set(
        pointers(found)
    )


async def test_a_recipient_who_is_no_customer(admin: Api) -> None:
    recipient = {
        "addresses": [{"channel": "sms", "value": "+306900000001"}],
        "locale": "el-CY",
        "time_zone": "Asia/Nicosia",
    }
    made = await admin(
        "POST", "/v1/messages", {**NOTICE, "customer": None, "recipient": recipient}, status=202, kind=MessageOut
    )
    assert made["customer"].startswith("~")
    listed = await admin("GET", f"/v1/messages?customer={made['customer']}", status=200, kind=MessageList)
    assert [one["id"] for one in listed["items"]] == [made["id"]]


async def test_a_repeat_makes_one_message(ana: Api) -> None:
    first = await ana("POST", "/v1/messages", NOTICE, status=202, Idempotency_Key="k1")
    both = await asyncio.gather(
        *(ana("POST", "/v1/messages", NOTICE, status=202, Idempotency_Key="k1") for _ in range(5))
    )
    assert all(one == first for one in both)
    assert ana.last.headers["Idempotency-Replayed"] == "true"
    assert len((await ana("GET", "/v1/messages", status=200))["items"]) == 1


async def test_a_batch_judges_each_and_a_repeat_makes_only_what_is_missing(ana: Api) -> None:
    batch = {"messages": [NOTICE, {**NOTICE, "customer": "nobody"}, {"category": 5}, "text", NOTICE]}
    made = await ana("POST", "/v1/messages/batch", batch, status=202, kind=BatchOut, Idempotency_Key="b1")
    assert ["id" in one for one in made["results"]] == [True, False, False, False, True]
    assert made["results"][1]["problem"]["errors"][0]["pointer"] == "/customer"
    assert made["results"][2]["problem"]["status"] == 422
    again = await ana("POST", "/v1/messages/batch", batch, status=202, Idempotency_Key="b1")
    assert again == made
    assert len((await ana("GET", "/v1/messages", status=200))["items"]) == 2
    await ana("POST", "/v1/messages/batch", {"messages": []}, status=422)
    await ana("POST", "/v1/messages/batch", {"messages": [NOTICE] * 1001}, status=422)


async def test_lists_page_without_being_moved_by_new_entries(ana: Api) -> None:
    ids = [
        (await ana("POST", "/v1/messages", {**NOTICE, "reference": f"r{n % 2}"}, status=202))["id"] for n in range(5)
    ]
    first = await ana("GET", "/v1/messages?limit=2", status=200, kind=MessageList)
    await ana("POST", "/v1/messages", NOTICE, status=202)
    second = await ana("GET", f"/v1/messages?limit=2&cursor={first['next']}", status=200)
    third = await ana("GET", f"/v1/messages?limit=2&cursor={second['next']}", status=200)
    assert {one["id"] for page in (first, second, third) for one in page["items"]} == set(ids)
    odd = await ana("GET", "/v1/messages?reference=r1", status=200)
    assert {one["id"] for one in odd["items"]} == {ids[1], ids[3]}
    since = second["items"][0]["created_at"].replace("Z", "+00:00")
    assert len((await ana("GET", f"/v1/messages?since={since}", status=200))["items"]) >= 3
    for bad in ("cursor=zzz", "status=gone", "since=yesterday", "limit=0", "order=up"):
        await ana("GET", f"/v1/messages?{bad}", status=422)


async def test_modes_never_meet(ana: Api, gateway: Gateway) -> None:
    made = await ana("POST", "/v1/messages", NOTICE, status=202)
    test = Api(ana.session, await bearer(gateway, "admin", mode="test"))
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/acknowledge"), ("POST", "/retry")):
        await test(method, f"/v1/messages/{made['id']}{path}", status=404)
    assert (await test("GET", "/v1/messages", status=200))["items"] == []
    await test("PUT", "/v1/customers/c-1", ANA, status=403)
    await test("GET", "/v1/customers/c-1", status=200)


@pytest.mark.parametrize("name", ["x", "m" + "0" * 23, "..%2f", "m000000000zz000000000000", "%00"])
async def test_ids_that_are_none_are_not_found(admin: Api, name: str) -> None:
    await admin("GET", f"/v1/messages/{name}", status=404)


async def test_cancel_acknowledge_retry(ana: Api) -> None:
    made = await ana("POST", "/v1/messages", {**NOTICE, "prompt": {"kind": "acknowledge"}}, status=202)
    here = f"/v1/messages/{made['id']}"
    told = await ana(
        "POST", f"{here}/acknowledge", {"by": "call centre", "note": "She called."}, status=200, kind=MessageOut
    )
    assert told["verdict"]["state"] == "reached"
    assert "call centre" in told["verdict"]["text"]
    assert (await ana("POST", f"{here}/cancel", status=409))["type"] == "/problems/conflict"
    again = await ana("POST", f"{here}/retry", {"reach": {"channels": ["voice"]}}, status=202, kind=MessageOut)
    assert again["retry_of"] == made["id"]
    assert [step["channel"] for step in again["route"]] == ["voice"]
    await ana("POST", f"/v1/messages/{again['id']}/cancel", status=202, kind=MessageOut)
    await ana("POST", f"{here}/retry", {"reach": {"channels": ["pigeon"]}}, status=422)


async def test_templates_have_versions_and_previews(ana: Api) -> None:
    listed = await ana("GET", "/v1/templates", status=200, kind=TemplateList)
    assert "outage-notice" in {one["id"] for one in listed["items"]}
    texts = {"locales": {"en": {"text": "We come on {{ day | date }}."}, "el": {"text": "Στις {{ day | date }}."}}}
    assert await ana("PUT", "/v1/templates/visit", texts, status=201) == {"id": "visit", "version": 1}
    texts["locales"]["en"]["sms"] = "On {{ day | date }}."
    assert await ana("PUT", "/v1/templates/visit", texts, status=200) == {"id": "visit", "version": 2}
    assert "sms" not in (await ana("GET", "/v1/templates/visit?version=1", status=200))["locales"]["en"]
    await ana("GET", "/v1/templates/none", status=404)
    shown = await ana(
        "POST",
        "/v1/templates/visit/preview",
        {"data": {"day": "2026-11-22"}, "locale": "en"},
        status=200,
        kind=PreviewOut,
    )
    assert shown["channels"]["sms"]["segments"]["units"] == 1
    found = await ana("POST", "/v1/templates/visit/preview", {"data": {}}, status=422)
    assert pointers(found) == ["/data/day"]
    broken = {"locales": {"en": {"text": "{{ x"}, "xx-bad-locale-x": {"text": "y"}}}
    assert len((await ana("PUT", "/v1/templates/visit", broken, status=422))["errors"]) == 2
    made = await ana(
        "POST",
        "/v1/messages",
        {"customer": "c-1", "category": "service", "template": "visit", "data": {"day": "2026-11-22"}},
        status=202,
    )
    assert made["template"] == {"id": "visit", "version": 2}


async def test_channels_are_paused_and_resumed(admin: Api) -> None:
    before = await admin("GET", "/v1/channels", status=200)
    assert {one["name"]: one["state"] for one in before["items"]}["sms"] == "up"
    paused = await admin("POST", "/v1/channels/sms/pause", {"reason": "Wrong sender"}, status=200)
    assert (paused["state"], paused["reason"]) == ("paused", "Wrong sender")
    assert (await admin("POST", "/v1/channels/sms/resume", {"reason": "Mended"}, status=200))["state"] == "up"
    await admin("POST", "/v1/channels/pigeon/pause", {"reason": "x"}, status=404)
    await admin("POST", "/v1/channels/sms/pause", {}, status=422)


async def test_health(session: aiohttp.ClientSession, gateway: Gateway) -> None:
    async with session.get("/healthz") as response:
        assert response.status == 200
    async with session.get("/readyz") as response:
        body = await response.json()
        assert (response.status, body["checks"]["store"]) == (503, "ok")
        assert body["checks"]["worker"] != "ok"
