"""`/v1/inbound`: the list of what came in, and whose it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Inbound
from gateway.delivery.inbox import Wanted
from gateway.message import Mode
from gateway.privacy import export
from tests.support.keyleaks import leaks
from tests.support.running import Running, running, until

PHONE = "+447400000321"
OTHER = "+447400000322"


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Running]:
    async with running(redis_url, tmp_path) as made:
        yield made


async def came(gw: Running, *words: str, sender: str = PHONE, mode: Mode = "live", **more: Any) -> None:
    """People write, and the worker has understood it."""
    parts = gw.service.gateway
    known = len((await parts.inbound.page(mode, Wanted(), 500, None))[0])
    now = parts.clock.now()
    for n, text in enumerate(words):
        item = Inbound(id=f"SM{text}{now}", channel="sms", sender=sender, text=text, at=now - len(words) + n, **more)
        assert await parts.inbox.note(mode, item) == "ok"

    async def all_there() -> bool:
        return len((await parts.inbound.page(mode, Wanted(), 500, None))[0]) == known + len(words)

    await until(all_there)
    await until(lambda: parts.clock.now() > now + 10)  # what comes next is later


async def listed(gw: Running, query: str = "", key: str | None = None) -> list[dict[str, Any]]:
    answer = await gw.api("GET", f"/v1/inbound{query}", key=key)
    assert answer.status == 200, answer
    return answer.body["items"]


def texts(items: Sequence[dict[str, Any]]) -> list[str]:
    return [one["text"] for one in items]


async def test_newest_first_by_pages_that_new_ones_do_not_move(gw: Running) -> None:
    await came(gw, *(f"word {n}" for n in range(7)))
    await came(gw, "another", sender=OTHER)
    first = (await gw.api("GET", "/v1/inbound?limit=3")).body
    assert texts(first["items"]) == ["another", "word 6", "word 5"]
    await came(gw, "newer")
    second = (await gw.api("GET", f"/v1/inbound?limit=3&cursor={first['next']}")).body
    third = (await gw.api("GET", f"/v1/inbound?limit=3&cursor={second['next']}")).body
    assert texts(second["items"]) + texts(third["items"]) == ["word 4", "word 3", "word 2", "word 1", "word 0"]
    assert third["next"] is None
    [one] = [item for item in first["items"] if item["text"] == "another"]
    assert (await gw.api("GET", f"/v1/inbound/{one['id']}")).body == one
    assert {"id", "mode", "channel", "kind", "from", "to", "text", "at", "outcome", "customer", "message"} == set(one)


async def test_filters(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE)
    await came(gw, "STOP", "don't stop", "hello")
    await came(gw, "who are you", sender=OTHER)
    assert texts(await listed(gw, "?customer=maria")) == ["hello", "don't stop", "STOP"]
    assert texts(await listed(gw, "?outcome=doubtful")) == ["don't stop"]
    assert texts(await listed(gw, "?unlinked=true")) == ["who are you"]
    assert texts(await listed(gw, "?unlinked=false")) == ["hello", "don't stop", "STOP"]
    assert texts(await listed(gw, "?channel=wechat")) == []
    assert texts(await listed(gw, "?customer=maria&outcome=linked")) == ["hello"]


async def test_an_export_holds_every_page_of_it(gw: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_PAGE", 2)
    await gw.customer("maria", sms=PHONE)
    tomorrow = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
    sent = [(await gw.send("maria", "service", send_at=tomorrow))["id"] for _ in range(5)]
    await came(gw, *(f"word {n}" for n in range(5)))
    held = (await gw.api("GET", "/v1/customers/maria/export")).body
    assert sorted(texts(held["inbound"])) == [f"word {n}" for n in range(5)]
    assert {one["id"] for one in held["messages"]} >= set(sent)


async def test_a_one_off_recipient_is_nobody_who_could_be_asked_for(gw: Running) -> None:
    recipient = {"addresses": [{"channel": "sms", "value": OTHER}]}
    made = await gw.send(None, "service", recipient=recipient, content={"text": "Your order is ready."})
    assert made["customer"].startswith("~")
    await came(gw, "thank you", sender=OTHER)
    [item] = await listed(gw, "?unlinked=true")
    assert (item["text"], item["customer"], item["outcome"]) == ("thank you", None, "unlinked")


@pytest.mark.parametrize(
    "query, names",
    [
        ("unlinked=maybe", ["?unlinked"]),
        ("outcome=nothing&limit=0", ["?limit", "?outcome"]),
        ("cursor=i0", ["?cursor"]),
        ("sender=1", ["?sender"]),
    ],
)
async def test_bad_parameters_are_named(gw: Running, query: str, names: list[str]) -> None:
    answer = await gw.api("GET", f"/v1/inbound?{query}")
    assert answer.status == 422, answer
    assert sorted(one["pointer"] for one in answer.body["errors"]) == names


async def test_linked_texts_are_the_customers_while_nobody_owns_the_address(gw: Running) -> None:
    await gw.customer("maria", email="maria@example.org")
    await gw.customer("nikos", email="nikos@example.org")
    await came(gw, "one", "two")
    [_, first] = await listed(gw)
    path = f"/v1/inbound/{first['id']}"

    linked = await gw.api("POST", f"{path}/link", {"customer": "maria"})

    assert (linked.status, linked.body["customer"], linked.body["outcome"]) == (200, "maria", "linked")
    assert texts(await listed(gw, "?unlinked=true")) == ["two"], "others are linked by whoever knows"
    await came(gw, "three")
    assert texts(await listed(gw, "?customer=maria")) == ["three", "one"]
    customer = (await gw.api("GET", "/v1/customers/maria")).body
    assert [one["channel"] for one in customer["addresses"]] == ["email"], "and gets no address by it"

    await gw.customer("nikos", sms=PHONE)
    await came(gw, "four")
    assert texts(await listed(gw, "?customer=nikos")) == ["four"], "the owner comes first"
    await gw.customer("nikos", email="nikos@example.org")

    taken_back = await gw.api("POST", f"{path}/unlink")

    assert (taken_back.status, taken_back.body["customer"], taken_back.body["outcome"]) == (200, None, "unlinked")
    await came(gw, "five")
    assert texts(await listed(gw, "?unlinked=true")) == ["five", "two", "one"]
    assert await leaks(gw.service.gateway.client) == []


async def test_a_linked_strangers_language_is_the_customers(gw: Running) -> None:
    await gw.customer("maria", email="maria@example.org")
    await came(gw, "hello")
    [item] = await listed(gw)
    await gw.api("POST", f"/v1/inbound/{item['id']}/link", {"customer": "maria"})
    await came(gw, "LANG el")
    assert (await gw.api("GET", "/v1/customers/maria/preferences")).body == {"language": "el"}
    told = [one.body for one in gw.sandbox.world.texts(PHONE)]
    await until(lambda: gw.sandbox.world.texts(PHONE))
    assert all("ελληνικά" in one for one in told)


async def test_refusals(gw: Running) -> None:
    await came(gw, "hello")
    [item] = await listed(gw)
    path = f"/v1/inbound/{item['id']}/link"
    assert (await gw.api("POST", path, {"customer": "nobody"})).status == 422
    assert (await gw.api("POST", path, {"customer": "a", "more": 1})).status == 422
    assert (await gw.api("POST", path, {})).status == 422
    for name in ("i" + "0" * 43, "nothing", item["id"][:-1] + ("0" if item["id"][-1] != "0" else "1")):
        assert (await gw.api("GET", f"/v1/inbound/{name}")).status == 404
        assert (await gw.api("POST", f"/v1/inbound/{name}/unlink")).status == 404
    for mode in ("test", "team"):
        key = await gw.new_key(mode)
        assert await listed(gw, key=key) == [], "what came in is kept apart by mode"
        assert (await gw.api("GET", f"/v1/inbound/{item['id']}", key=key)).status == 404
        assert (await gw.api("POST", path, {"customer": "maria"}, key=key)).status == 403
    assert (await gw.api("GET", "/v1/inbound", key=await gw.new_key(scopes=["read"]))).status == 403


async def test_one_click_is_idempotent_and_nobody_is_sent_elsewhere(gw: Running) -> None:
    """RFC 8058: a POST without cookies acts at once, answers without a redirect, and may be repeated."""
    await gw.customer("maria", email="maria@example.org")
    for key, lines in ((await gw.new_key("test"), 0), (None, 1)):
        sent = await gw.send("maria", "service", key=key)
        await gw.when(sent["id"], lambda found: found["attempts"], key=key)
        links = gw.service.gateway.links
        url = links.url("u", "unsubscribe", sent["id"], 3600)
        for _ in range(2):
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            body = b"List-Unsubscribe=One-Click"
            async with gw.http.post(url, data=body, headers=form, allow_redirects=False) as answer:
                assert answer.status == 200
                assert "Set-Cookie" not in answer.headers
        ledger = (await gw.api("GET", "/v1/customers/maria/consents")).body["items"]
        assert len([one for one in ledger if "address" not in one]) == lines, ledger
