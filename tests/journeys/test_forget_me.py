"""Forget me: Ana asks to be forgotten. What was held goes, here and at the providers; what she refused stays refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.behaviour import State
from tests.support.running import Answer, Running, running, until

PHONE, MAIL = "+306912345001", "ana@example.org"
NEXT_MONTH = (dt.datetime.now(dt.UTC) + dt.timedelta(days=30)).isoformat()


async def forgotten(world: Running, asked: Answer) -> dict[str, Any]:
    """The certificate once the erasure has ended."""
    last: dict[str, Any] = {}

    async def ended() -> bool:
        last.update((await world.api("GET", asked.headers["Location"])).body)
        return last["state"] != "running"

    await until(ended, 30, lambda: last)
    return last


@pytest.mark.usefixtures("no_key_leaks")
async def test_ana_is_forgotten_and_what_she_refused_stays_refused(redis_url: str, tmp_path: Path) -> None:
    async with running(redis_url, tmp_path) as world:
        await world.customer("ana", sms=PHONE, email=MAIL)
        told = await world.send("ana", "service", reach={"channels": ["sms"], "until": "delivered"})
        mailed = await world.send("ana", "service", reach={"channels": ["email"], "until": "accepted"})
        for sent in (told, mailed):
            assert (await world.ended(sent["id"]))["verdict"]["state"] == "reached"
        later = await world.send("ana", "service", send_at=NEXT_MONTH)
        await world.texts_us(PHONE, "STOP")
        await until(lambda: stopped(world))
        held = (await world.api("GET", "/v1/customers/ana/export")).body
        assert [message["id"] for message in held["messages"]] == [later["id"], mailed["id"], told["id"]]
        assert [item["text"] for item in held["inbound"]] == ["STOP"]

        asked = await world.api("DELETE", "/v1/customers/ana")
        assert asked.status == 202
        assert asked.headers["Location"] == f"/v1/erasures/{asked.body['erasure']}"
        for path in ("", "/export", "/preferences", "/consents"):
            assert (await world.api("GET", f"/v1/customers/ana{path}")).status == 404
        refused = await world.api(
            "POST", "/v1/messages", {"customer": "ana", "category": "service", "content": {"text": "Hello?"}}
        )
        assert refused.status == 422
        assert (await world.api("DELETE", "/v1/customers/ana")).body == asked.body, "asked again, it is the same"
        assert (await world.api("DELETE", "/v1/customers/nobody")).status == 404

        certificate = await forgotten(world, asked)
        assert certificate["state"] == "done"
        assert certificate["erased"]["messages"] >= 3
        outcomes = {one["channel"]: one["outcome"] for one in certificate["providers"]}
        assert outcomes == {"sms": "erased", "email": "not_possible"}
        assert [m for m in world.sandbox.twilio.sms.messages.values() if m.to == PHONE] == []
        assert (await world.message(later["id"]))["verdict"]["state"] == "cancelled"
        assert (await world.api("GET", "/v1/messages?customer=ana")).body["items"] == []
        assert (await world.api("GET", "/v1/inbound")).body["items"] == []

        await world.customer("ana-again", sms=PHONE, email="ana.again@example.org")
        new = await world.send("ana-again", "service", reach={"until": "accepted"})
        reached = await world.ended(new["id"])
        assert {one["why"]["code"] for one in reached["skipped"] if one["channel"] == "sms"} == {"opted_out"}
        assert reached["verdict"]["channel"] == "email"


async def stopped(world: Running) -> bool:
    """Whether the STOP has been understood."""
    items = (await world.api("GET", "/v1/inbound")).body["items"]
    return bool(items) and items[0]["outcome"] == "consent"


async def test_a_provider_that_is_down_is_asked_again_later(redis_url: str, tmp_path: Path) -> None:
    async with running(redis_url, tmp_path) as world:
        await world.customer("ana", sms=PHONE)
        sent = await world.send("ana", "service", reach={"until": "delivered"})
        await world.ended(sent["id"])
        world.switch("sms", State.REFUSES)
        asked = await world.api("DELETE", "/v1/customers/ana")

        async def pending() -> bool:
            found = (await world.api("GET", asked.headers["Location"])).body
            copies = found["providers"]
            return bool(copies) and copies[0]["outcome"] == "pending" and "HTTP 503" in copies[0]["text"]

        await until(pending)
        world.switch("sms", State.UP)
        certificate = await forgotten(world, asked)
        assert [(one["outcome"], one["count"]) for one in certificate["providers"]] == [("erased", 1)]
        assert world.sandbox.twilio.sms.messages == {}
