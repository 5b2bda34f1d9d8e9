"""Story 6. The caller knows nothing of channels; a dry run shows the route and why."""

from __future__ import annotations

from typing import Final

from tests.support.running import Running, ask, until

PHONE: Final = "+447400000302"
NOTICE: Final = {"area": "Kypseli", "restored_by": "2026-11-22T18:00:00+02:00"}
CALL: Final = {"customer": "c-1001", "category": "outage", "template": "outage-notice", "data": NOTICE}


async def test_a_dry_run_shows_the_route_and_why(gw: Running) -> None:
    preferences = {"channels": ["email"], "categories": {"outage": {"channels": ["wechat", "sms", "voice"]}}}
    await gw.customer("c-1001", sms=PHONE, voice=PHONE, email="c@example.org", preferences=preferences)

    answer = await gw.api("POST", "/v1/messages?dry_run=true", CALL)

    assert answer.status == 200, answer
    shown = answer.body
    assert [(step["channel"], step["after"]) for step in shown["route"]] == [("sms", 0), ("voice", 300)]
    assert shown["route"][0]["why"] == {
        "code": "customer_category_order",
        "text": "Choice 2 in the order the customer set for outage messages.",
    }
    skipped = {one["channel"]: one["why"]["code"] for one in shown["skipped"]}
    assert skipped == {"wechat": "no_address", "email": "not_wanted"}
    assert shown["verdict"]["state"] == "pending"
    assert (await gw.api("GET", "/v1/messages?customer=c-1001")).body["items"] == [], "nothing was stored"
    assert gw.taken() == {}


async def test_one_call_is_all_it_takes(gw: Running) -> None:
    await gw.customer("c-1001", sms=PHONE, preferences={"channels": ["sms"]})

    answer = await gw.api("POST", "/v1/messages", {**CALL, "reference": "SAP-4711", "metadata": {"order": 7}})

    assert answer.status == 202, answer
    told = await gw.ended(answer.body["id"])
    assert (told["verdict"]["state"], told["verdict"]["channel"], told["verdict"]["proven"]) == ("reached", "sms", True)
    [text] = gw.sandbox.world.texts(PHONE)
    assert "Kypseli" in text.body
    [found] = (await gw.api("GET", "/v1/messages?reference=SAP-4711")).body["items"]
    assert (found["id"], found["metadata"]) == (told["id"], {"order": 7})


async def test_a_refusal_names_every_bad_field_at_once(gw: Running) -> None:
    answer = await gw.api("POST", "/v1/messages", {"customer": "nobody", "category": "outage", "template": "no-such"})
    assert answer.status == 422, answer
    pointers = {error["pointer"] for error in answer.body["errors"]}
    assert pointers == {"/customer", "/template"}


async def test_without_a_key_nothing_is_said(gw: Running) -> None:
    assert (
        await ask(gw.http, gw.url, "gw_live_0000000000000000_" + "0" * 64, "POST", "/v1/messages", CALL)
    ).status == 401
    reader = await gw.new_key(scopes=["read"])
    assert (await gw.api("POST", "/v1/messages", CALL, key=reader)).status == 403


async def test_somebody_who_is_no_customer(gw: Running) -> None:
    them = {"addresses": [{"channel": "sms", "value": "+44 7400 000303"}], "locale": "en", "time_zone": "Europe/London"}
    body = {"recipient": them, "category": "outage", "template": "outage-notice", "data": NOTICE}

    answer = await gw.api("POST", "/v1/messages", body)

    assert answer.status == 202, answer
    told = await gw.ended(answer.body["id"])
    assert (told["verdict"]["state"], told["verdict"]["channel"]) == ("reached", "sms"), told
    assert len(gw.sandbox.world.texts("+447400000303")) == 1

    await gw.texts_us("+447400000303", "STOP")

    async def is_off() -> bool:
        shown = (await gw.api("POST", "/v1/messages?dry_run=true", body)).body
        return [one["why"]["code"] for one in shown["skipped"] if one["channel"] == "sms"] == ["opted_out"]

    await until(is_off)
    again = await gw.api("POST", "/v1/messages", body)
    assert again.body["verdict"]["state"] == "suppressed", "a STOP binds one-off recipients too"


async def test_a_batch_with_good_and_bad_rows(gw: Running) -> None:
    await gw.customer("c-1001", sms=PHONE, preferences={"channels": ["sms"]})
    rows = [CALL, {**CALL, "customer": "nobody"}, {"customer": "c-1001"}, {**CALL, "data": {}}, "not a message", CALL]

    answer = await gw.api("POST", "/v1/messages/batch", {"messages": rows})

    assert answer.status == 202, answer
    results = answer.body["results"]
    assert [bool(one.get("id")) for one in results] == [True, False, False, False, False, True]
    assert all(one["problem"]["status"] == 422 for one in results[1:5])
    assert results[1]["problem"]["errors"][0]["pointer"] == "/customer"
    for one in (results[0], results[5]):
        assert (await gw.ended(one["id"]))["verdict"]["state"] == "reached"
    assert gw.taken() == {"sms": 2}
