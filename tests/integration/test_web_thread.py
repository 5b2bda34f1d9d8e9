"""One thread per person over HTTP: the timeline, who is calling, and the answer in the thread."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Inbound
from gateway.delivery.inbox import Wanted
from gateway.message import Mode
from tests.support.running import Running, running, until

PHONE = "+447400000321"
OTHER = "+447400000322"
STRANGER = "+447400000323"


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Running]:
    async with running(redis_url, tmp_path) as made:
        yield made


async def wrote(gw: Running, text: str, sender: str = PHONE, *, mode: Mode = "live", channel: str = "sms") -> str:
    """Somebody writes, and the worker has understood it; the item's id."""
    parts = gw.service.gateway
    now = parts.clock.now()
    item = Inbound(id=f"SM{text}{now}", channel=channel, sender=sender, text=text, at=now)
    assert await parts.inbox.note(mode, item) == "ok"

    async def there() -> list[str]:
        items, _ = await parts.inbound.page(mode, Wanted(), 500, None)
        found[:] = [one.id for one in items if one.item.inbound.id == item.id]
        return found

    found: list[str] = []
    await until(there)
    return found[0]


async def thread(gw: Running, customer: str, query: str = "", key: str | None = None) -> list[dict[str, Any]]:
    answer = await gw.api("GET", f"/v1/customers/{customer}/timeline{query}", key=key)
    assert answer.status == 200, answer
    return answer.body["items"]


async def looked_up(gw: Running, address: str) -> dict[str, Any]:
    answer = await gw.api("GET", f"/v1/lookup?address={address}")
    assert answer.status == 200, answer
    return answer.body


def hinted(found: dict[str, Any]) -> list[str]:
    return [hint["code"] for hint in found["hints"]]


async def test_everything_that_happened_newest_first(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE)
    sent = await gw.send("maria", prompt={"kind": "acknowledge"}, content={"text": "The power is out."})
    await gw.when(sent["id"], lambda m: m["attempts"])
    item = await wrote(gw, "1")
    await gw.when(sent["id"], lambda m: m["answer"])
    await gw.api("PUT", "/v1/customers/maria/preferences", {"channels": ["sms"], "language": "el"})
    await gw.api(
        "PATCH", "/v1/customers/maria", {"addresses": [{"channel": "sms", "value": OTHER}], "attributes": {"area": "A"}}
    )
    await gw.api(
        "POST",
        "/v1/customers/maria/consents",
        {"channel": "email", "category": "*", "state": "withdrawn", "way": "phone", "wording": "No mails, please."},
    )
    found = await thread(gw, "maria")
    kinds = [one["kind"] for one in found]
    assert kinds[-1] == "message"
    assert {"message", "attempt", "answer", "verdict", "inbound", "preferences", "profile", "address", "consent"} <= {
        *kinds
    }
    by = {one["kind"]: one for one in reversed(found)}
    assert (by["message"]["text"], by["message"]["message"], by["message"]["direction"]) == (
        "The power is out.",
        sent["id"],
        "out",
    )
    assert by["message"]["details"]["category"] == "outage"
    assert (by["answer"]["text"], by["answer"]["details"]["value"], by["answer"]["channel"]) == ("1", True, "sms")
    assert (by["inbound"]["text"], by["inbound"]["inbound"], by["inbound"]["direction"]) == ("1", item, "in")
    assert by["attempt"]["details"]["address"] == PHONE
    assert (by["verdict"]["details"]["state"], by["consent"]["text"]) == ("reached", "No mails, please.")
    assert set(by["preferences"]["details"]["changed"]) <= {"channels", "language"}
    assert "attributes.area" in by["profile"]["details"]["changed"]
    moved = {(one["details"]["change"], one["details"].get("address")) for one in found if one["kind"] == "address"}
    assert {("removed", None), ("added", OTHER)} <= moved


async def test_pages_that_new_lines_do_not_move(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE)
    for n in range(5):
        await wrote(gw, f"word {n}")
    for n in range(3):
        consent = {"channel": "email", "category": f"c{n}", "state": "withdrawn", "way": "phone", "wording": f"No {n}"}
        await gw.api("POST", "/v1/customers/maria/consents", consent)
    every = [one["id"] for one in await thread(gw, "maria", "?limit=500")]
    assert len(every) >= 8
    cursor, seen = None, list[str]()
    while True:
        query = "?limit=2" if cursor is None else f"?limit=2&cursor={cursor}"
        page = (await gw.api("GET", f"/v1/customers/maria/timeline{query}")).body
        seen += [one["id"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        assert len(page["items"]) == 2
        await wrote(gw, f"newer {len(seen)}")
    assert seen == every


async def test_modes_and_strangers_are_kept_apart(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE)
    test = await gw.new_key("test")
    await gw.send("maria", key=test, content={"text": "A test."})
    await gw.send("maria", content={"text": "For real."})
    assert [one["text"] for one in await thread(gw, "maria") if one["kind"] == "message"] == ["For real."]
    seen = await thread(gw, "maria", key=test)
    assert [one["text"] for one in seen if one["kind"] == "message"] == ["A test."]
    assert (await gw.api("GET", "/v1/customers/nobody/timeline")).status == 404
    assert (await gw.api("GET", "/v1/customers/maria/timeline?cursor=x")).status == 422
    assert (await gw.api("GET", "/v1/customers/maria/timeline?since=x")).status == 422


async def test_codes_are_never_shown(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE)
    await gw.send("maria", "code", content={"text": "Your code is 471100."})
    [one] = [one for one in await thread(gw, "maria") if one["kind"] == "message"]
    assert one["text"] is None


async def test_an_attempt_shows_the_words_of_its_channel(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, email="maria@example.org")
    parts = {"subject": "Your view", "text": "Thank you. We would like to hear your view.", "sms": "Your view?"}
    put = await gw.api("PUT", "/v1/templates/view", {"locales": {"en": parts}})
    assert put.status in (200, 201), put
    reach = {"channels": ["sms", "email"], "mode": "all_at_once", "until": "read"}
    sent = await gw.send("maria", "service", template="view", reach=reach)
    await gw.when(sent["id"], lambda m: len(m["attempts"]) == 2)

    async def both() -> dict[str, str]:
        lines = [one for one in await thread(gw, "maria") if one["kind"] == "attempt"]
        said.update((one["channel"], one["text"]) for one in lines)
        return said if len(said) == 2 else {}

    said: dict[str, str] = {}
    await until(both)
    assert said == {"sms": parts["sms"], "email": parts["text"]}
    assert {one["text"] for one in await thread(gw, "maria") if one["kind"] == "message"} <= {*said.values()}
    page = await thread(gw, "maria", "?limit=1")
    assert page[0]["text"] == said[page[0]["channel"]], "whether or not the message stands on the page"


async def test_a_link_brings_words_into_the_thread_and_takes_them_out_again(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE)
    item = await wrote(gw, "It is Maria, from my sister's phone", sender=STRANGER)
    found = await looked_up(gw, STRANGER.replace("+", "%2B"))
    assert (found["customers"], [one["id"] for one in found["inbound"]]) == ([], [item])
    assert (await gw.api("POST", f"/v1/inbound/{item}/link", {"customer": "maria"})).status == 200
    assert [one["inbound"] for one in await thread(gw, "maria") if one["kind"] == "inbound"] == [item]
    found = await looked_up(gw, STRANGER.replace("+", "%20"))
    assert [one["customer"]["id"] for one in found["customers"]] == ["maria"]
    assert found["inbound"] == []
    assert (await gw.api("POST", f"/v1/inbound/{item}/unlink")).status == 200
    assert [one for one in await thread(gw, "maria") if one["kind"] == "inbound"] == []
    assert (await looked_up(gw, STRANGER.replace("+", "%2B")))["customers"] == []
    assert (await gw.api("POST", f"/v1/inbound/{item}/link", {"customer": "maria"})).status == 200
    assert [one["inbound"] for one in await thread(gw, "maria") if one["kind"] == "inbound"] == [item]


async def test_who_is_calling(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, email="maria@example.org")
    await gw.api("PATCH", "/v1/customers/maria", {"attributes": {"medical_priority": True}, "locale": "el"})
    await gw.api("PUT", "/v1/customers/maria/preferences", {"channels": ["email", "sms"]})
    await gw.customer("nikos", sms=PHONE)
    stop = {"channel": "*", "category": "*", "state": "withdrawn", "way": "phone", "wording": "Leave me alone."}
    await gw.api("POST", "/v1/customers/nikos/consents", stop)
    await gw.send("maria", content={"text": "The power is out."})
    case = {"customer": "maria", "subject": "No power", "kind": "technical", "description": "Since noon."}
    opened = await gw.api("POST", "/v1/cases", case, headers={"Idempotency-Key": "case-1"})
    assert opened.status == 201, opened
    found = await looked_up(gw, PHONE.replace("+", " ").replace(" ", "%20"))
    assert found["address"] == PHONE
    maria, nikos = found["customers"]
    assert (maria["customer"]["id"], nikos["customer"]["id"]) == ("maria", "nikos")
    assert hinted(maria)[0] == "medical_priority"
    assert {"prefers_channel", "language", "complaint_open"} <= {*hinted(maria)}
    assert hinted(nikos)[0] == "do_not_contact"
    assert [one["subject"] for one in maria["cases"]] == ["No power"]
    assert maria["last_contacts"][-1]["text"] == "The power is out."
    assert [one["customer"]["id"] for one in (await looked_up(gw, "Maria@Example.org"))["customers"]] in ([], ["maria"])
    assert [one["customer"]["id"] for one in (await looked_up(gw, "maria@example.org"))["customers"]] == ["maria"]
    assert (await looked_up(gw, "oNobodyWeKnow"))["customers"] == []
    assert (await gw.api("GET", "/v1/lookup?address=12")).status == 422
    assert (await gw.api("GET", "/v1/lookup")).status == 422


async def test_a_lookup_takes_milliseconds(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE)
    for _ in range(10):
        await gw.send("maria", "service", content={"text": "News."})
    parts, took = gw.service.gateway, list[float]()
    for _ in range(20):
        began = time.perf_counter()
        found = await parts.lookup.by_address("live", PHONE)
        took.append(time.perf_counter() - began)
        assert len(found.customers[0].contacts) == 5
    assert min(took) < 0.1, took  # a busy machine may slow some of them, not all


async def test_an_operator_answers_where_they_wrote_from(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, email="maria@example.org")
    addresses = [{"channel": "email", "value": "maria@example.org"}]
    addresses += [{"channel": "sms", "value": value} for value in (OTHER, PHONE)]
    await gw.api("PATCH", "/v1/customers/maria", {"addresses": addresses})
    reply = {"text": "On Friday between 9 and 11."}
    refused = await gw.api("POST", "/v1/customers/maria/reply", reply)
    assert (refused.status, refused.body["errors"][0]["pointer"]) == (422, "/channel")
    await wrote(gw, "When do you come?")
    headers = {"Idempotency-Key": "reply-1"}
    made = await gw.api("POST", "/v1/customers/maria/reply", reply, headers=headers)
    assert made.status == 202, made
    again = await gw.api("POST", "/v1/customers/maria/reply", reply, headers=headers)
    assert again.body["id"] == made.body["id"]
    done = await gw.ended(made.body["id"])
    assert [(a["channel"], a["address"][-3:]) for a in done["attempts"]] == [("sms", PHONE[-3:])]
    assert done["metadata"]["by"]
    newest = next(one for one in await thread(gw, "maria") if one["kind"] == "message")
    assert (newest["text"], newest["details"]["by"]) == (reply["text"], done["metadata"]["by"])
    for channel, why in (("wechat", "no address"), ("pigeon", "must be one of")):
        refused = await gw.api("POST", "/v1/customers/maria/reply", {**reply, "channel": channel})
        assert refused.status == 422, refused
        assert why in refused.body["errors"][0]["detail"]
    assert (await gw.api("POST", "/v1/customers/maria/reply", {"text": "  "})).status == 422
    assert (await gw.api("POST", "/v1/customers/nobody/reply", reply)).status == 404


async def test_a_reply_that_cannot_be_sent_is_refused(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, email="maria@example.org")
    await wrote(gw, "When do you come?")

    async def refused(text: str, **more: str) -> dict[str, str]:
        answer = await gw.api("POST", "/v1/customers/maria/reply", {"text": text, **more})
        assert answer.status == 422, answer
        return {one["pointer"]: one["detail"] for one in answer.body["errors"]}

    assert (
        set(await refused("", channel="fax"))
        == set(await refused("x" * 5000, channel="F A X"))
        == {"/text", "/channel"}
    )
    assert set(await refused("\u0000")) == {"/text"}
    long = await refused("On Friday. " * 180)
    assert set(long) == {"/text"}
    assert "too long for sms" in long["/text"]
    assert "email" in long["/text"], "the remedy"
    await wrote(gw, "STOP")
    stopped = await refused("On Friday.", channel="sms")
    assert set(stopped) == {"/channel"}
    assert "email" in stopped["/channel"]
    mailed = await gw.api("POST", "/v1/customers/maria/reply", {"text": "On Friday. " * 180, "channel": "email"})
    assert mailed.status == 202, mailed
    assert len((await gw.api("GET", "/v1/messages?customer=maria&category=reply")).body["items"]) <= 2


async def test_a_chat_is_answered_only_while_its_window_is_open(gw: Running) -> None:
    await gw.customer("maria", wechat="oMariaOnWeChat01")
    refused = await gw.api("POST", "/v1/customers/maria/reply", {"text": "Hello", "channel": "wechat"})
    assert refused.status == 422
    assert "48 hours" in refused.body["errors"][0]["detail"]
    await wrote(gw, "Hello?", sender="oMariaOnWeChat01", channel="wechat")
    made = await gw.api("POST", "/v1/customers/maria/reply", {"text": "Hello"})
    assert made.status == 202, made
    assert (await gw.ended(made.body["id"]))["attempts"][0]["channel"] == "wechat"


async def test_it_is_exported_and_erased_whole(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE)
    sent = await gw.send("maria", content={"text": "The power is out."})
    await gw.ended(sent["id"])
    await wrote(gw, "Thank you")
    held = (await gw.api("GET", "/v1/customers/maria/export")).body
    assert {"message", "attempt", "verdict", "inbound"} <= {one["kind"] for one in held["timeline"]}
    assert (await gw.api("DELETE", "/v1/customers/maria")).status == 202
    client: Any = gw.service.gateway.client
    assert await client.keys("*timeline:*") == []
    assert (await gw.api("GET", "/v1/customers/maria/timeline")).status == 404
    await gw.customer("maria", sms=OTHER)
    assert [one for one in await thread(gw, "maria") if one["kind"] != "consent"] == []
