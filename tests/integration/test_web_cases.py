"""`/v1/cases` as callers use it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings_types import CaseSettings
from tests.support.running import Answer, Running, running, until

PHONE = "+447400000731"
OTHER = "+447400000732"
OPTIONS = [{"id": "credit", "label": "20 euros off"}, {"id": "visit", "label": "A visit tomorrow"}]
MENDED = {"root_cause": "A worn cable", "action": "We replaced the cable", "follow_up_after": 86400}
KINDS = {"billing": CaseSettings(owner="billing-team", due_in=3600), "website": CaseSettings()}


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Running]:
    async with running(redis_url, tmp_path) as made:
        await made.customer("ana", sms=PHONE, preferences={"channels": ["sms"]})
        yield made


async def opened(gw: Running, **more: Any) -> dict[str, Any]:
    asked = {"customer": "ana", "subject": "The bill", "kind": "website", "description": "Twice the usual.", **more}
    answer = await gw.api("POST", "/v1/cases", asked)
    assert answer.status == 201, answer
    assert answer.headers["Location"] == f"/v1/cases/{answer.body['id']}"
    return answer.body


async def begun(gw: Running, name: str) -> None:
    """An outage of that id."""
    outage = {"id": name, "title": "Dark", "audience": {"customers": ["ana"]}, "content": {"text": "The power is out."}}
    answer = await gw.api("POST", "/v1/outages", outage)
    assert answer.status == 202, answer


async def case(gw: Running, name: str) -> dict[str, Any]:
    answer = await gw.api("GET", f"/v1/cases/{name}")
    assert answer.status == 200, answer
    return answer.body


def pointers(answer: Answer) -> list[str]:
    assert answer.status == 422, answer
    return sorted(error["pointer"] for error in answer.body["errors"])


async def test_opened_offered_resolved_and_closed_by_hand(gw: Running) -> None:
    gw.service.gateway.cases.kinds = KINDS
    await begun(gw, "out-7")
    made = await opened(gw, kind="billing", id="C-1", outage="out-7")
    assert (made["id"], made["status"], made["owner"], made["outage"]) == ("C-1", "open", "billing-team", "out-7")
    late = dt.datetime.fromisoformat(made["due_at"]) - dt.datetime.fromisoformat(made["created_at"])
    assert late == dt.timedelta(hours=1)

    note = await gw.api("POST", "/v1/cases/C-1/notes", {"text": "Called her.", "by": "maria"})
    assert (note.status, note.body["text"], note.body["by"], note.body["of"]) == (
        201,
        "Called her.",
        "maria",
        "operator",
    )

    offered = await gw.api("POST", "/v1/cases/C-1/offer", {"options": OPTIONS, "closes_in": 3600})
    assert (offered.status, offered.body["status"], offered.body["offer"]["state"]) == (201, "waiting", "out")
    message = await gw.message(offered.body["offer"]["message"])
    assert (message["category"], message["prompt"]["kind"]) == ("service", "choice")
    for path, body in (("offer", {"options": OPTIONS}), ("resolve", MENDED)):
        refused = await gw.api("POST", f"/v1/cases/C-1/{path}", body)
        assert (refused.status, "withdraw the offer" in refused.body["detail"]) == (409, True)
    withdrawn = await gw.api("PATCH", "/v1/cases/C-1", {"status": "open"})
    assert (withdrawn.status, withdrawn.body["offer"]["state"]) == (200, "withdrawn")

    resolved = await gw.api("POST", "/v1/cases/C-1/resolve", MENDED)
    assert (resolved.status, resolved.body["status"], resolved.body["root_cause"]) == (200, "resolved", "A worn cable")
    ask_at = dt.datetime.fromisoformat(resolved.body["follow_up"]["ask_at"])
    assert ask_at - dt.datetime.fromisoformat(resolved.body["resolved_at"]) == dt.timedelta(days=1)
    closed = await gw.api("PATCH", "/v1/cases/C-1", {"status": "closed"})
    assert closed.body["closed_at"]
    assert (await gw.api("PATCH", "/v1/cases/C-1", {"status": "open"})).status == 409
    found = await case(gw, "C-1")
    steps = [step["what"] for step in found["history"]]
    assert steps == ["opened", "noted", "offered", "offer_withdrawn", "resolved", "closed"]


async def test_bad_fields_are_all_named(gw: Running) -> None:
    gw.service.gateway.cases.kinds = KINDS
    bad = {"customer": "nobody", "subject": "", "kind": "gardening", "x": 1, "id": "no way", "due_in": 0}
    answer = await gw.api("POST", "/v1/cases", bad)
    assert pointers(answer) == ["/customer", "/due_in", "/id", "/kind", "/subject", "/x"]
    assert any("billing, website" in error["detail"] for error in answer.body["errors"])
    unknown = {"customer": "nobody", "subject": "S", "kind": "gardening", "outage": "none"}
    assert pointers(await gw.api("POST", "/v1/cases", unknown)) == ["/customer", "/kind", "/outage"]
    assert pointers(await gw.api("POST", "/v1/cases", {"outage": "none", "kind": "website"})) == [
        "/customer",
        "/outage",
        "/subject",
    ]
    assert pointers(await gw.api("POST", "/v1/cases", {})) == ["/customer", "/kind", "/subject"]
    await opened(gw, id="c")
    assert pointers(await gw.api("PATCH", "/v1/cases/c", {"subject": None, "kind": "z", "y": 1})) == [
        "/kind",
        "/subject",
        "/y",
    ]
    far = {"due_at": "9999-12-31T23:59:59+00:00"}
    assert pointers(await gw.api("PATCH", "/v1/cases/c", far)) == ["/due_at"]
    assert pointers(await gw.api("POST", "/v1/cases/c/offer", {"options": OPTIONS[:1]})) == ["/options"]
    five = [{"id": str(n), "label": f"Gift {n}"} for n in range(5)]
    assert pointers(await gw.api("POST", "/v1/cases/c/offer", {"options": five, "closes_in": 5})) == [
        "/closes_in",
        "/options",
    ]
    same = [*OPTIONS[:1], {"id": "credit", "label": "stop"}]
    assert pointers(await gw.api("POST", "/v1/cases/c/offer", {"options": same})) == [
        "/options/1/id",
        "/options/1/label",
    ]
    assert pointers(await gw.api("POST", "/v1/cases/c/resolve", {"root_cause": " "})) == ["/action", "/root_cause"]
    assert pointers(await gw.api("POST", "/v1/cases/c/notes", {"text": "  "})) == ["/text"]
    for choice in ({}, {"cases": ["c"], "root_cause": "x"}):
        answer = await gw.api("POST", "/v1/cases/announce", {**choice, "content": {"text": "Mended."}})
        assert pointers(answer) == ["/cases"]
    missing = {"cases": ["c", "gone"], "content": {"text": "Mended."}}
    assert pointers(await gw.api("POST", "/v1/cases/announce", missing)) == ["/cases/1"]
    assert pointers(await gw.api("POST", "/v1/cases/announce", {"root_cause": "Nobody's"})) == ["/root_cause"]
    assert pointers(await gw.api("POST", "/v1/cases/announce", {"cases": ["c"]})) == ["/content"]
    assert pointers(await gw.api("GET", "/v1/cases?status=lost&cursor=&colour=red")) == ["?colour", "?status"]
    for cursor in ("zzz", "a.zz", "%00.00", "."):
        assert pointers(await gw.api("GET", f"/v1/cases?cursor={cursor}")) == ["?cursor"], cursor


async def test_a_version_that_is_not_the_present_one_is_refused(gw: Running) -> None:
    made = await gw.api("POST", "/v1/cases", {"customer": "ana", "subject": "S", "kind": "website", "id": "c"})
    tag = made.headers["Etag"]
    assert (await gw.api("GET", "/v1/cases/c")).headers["Etag"] == tag
    first = await gw.api("PATCH", "/v1/cases/c", {"owner": "eva"}, headers={"If-Match": tag})
    assert (first.status, first.body["owner"]) == (200, "eva")
    assert (await gw.api("PATCH", "/v1/cases/c", {"owner": "ion"}, headers={"If-Match": tag})).status == 412
    nobody = await gw.api("PATCH", "/v1/cases/c", {"owner": None}, headers={"If-Match": first.headers["Etag"]})
    assert (nobody.status, nobody.body["owner"]) == (200, None)
    same = await gw.api("PATCH", "/v1/cases/c", {})
    assert same.headers["Etag"] == nobody.headers["Etag"]


async def test_null_takes_a_description_away(gw: Running) -> None:
    await opened(gw, id="c")
    gone = await gw.api("PATCH", "/v1/cases/c", {"description": None})
    assert (gone.status, gone.body["description"]) == (200, "")


async def test_an_outage_of_another_mode_is_none(gw: Running) -> None:
    await begun(gw, "out-7")
    asked = {"customer": "ana", "subject": "S", "kind": "website", "outage": "out-7"}
    assert pointers(await gw.api("POST", "/v1/cases", asked, key=await gw.new_key("test"))) == ["/outage"]
    assert (await gw.api("POST", "/v1/cases", asked)).status == 201


async def test_the_same_request_twice_is_one_case(gw: Running) -> None:
    asked = {"customer": "ana", "subject": "S", "kind": "website"}
    key = {"Idempotency-Key": "once"}
    both = await asyncio.gather(*(gw.api("POST", "/v1/cases", asked, headers=key) for _ in range(2)))
    assert {answer.status for answer in both} == {201}
    assert len({answer.body["id"] for answer in both}) == 1
    name = both[0].body["id"]
    offers = [
        await gw.api("POST", f"/v1/cases/{name}/offer", {"options": OPTIONS}, headers={"Idempotency-Key": "o"})
        for _ in "12"
    ]
    assert [answer.status for answer in offers] == [201, 201]
    assert offers[1].headers["Idempotency-Replayed"] == "true"
    taken = await gw.api("POST", "/v1/cases", {**asked, "id": name})
    assert taken.status == 409


async def test_listed_by_owner_status_customer_kind(gw: Running) -> None:
    await gw.customer("eva", sms=OTHER)
    for n, (customer, owner, kind) in enumerate(
        [("ana", "a", "billing"), ("ana", "b", "billing"), ("eva", "a", "website"), ("eva", "a", "billing")]
    ):
        await opened(gw, id=f"c{n}", customer=customer, owner=owner, kind=kind)
    await gw.api("POST", "/v1/cases/c3/resolve", MENDED)

    async def ids(query: str) -> list[str]:
        return [one["id"] for one in (await gw.api("GET", f"/v1/cases?{query}")).body["items"]]

    assert await ids("") == ["c3", "c2", "c1", "c0"]
    assert await ids("owner=a") == ["c3", "c2", "c0"]
    assert await ids("owner=a&status=open") == ["c2", "c0"]
    assert await ids("customer=ana&owner=b") == ["c1"]
    assert await ids("kind=billing&status=resolved") == ["c3"]
    assert await ids("overdue=true") == []
    assert await ids("overdue=false&customer=eva") == ["c3", "c2"]
    seen: list[str] = []
    following: str | None = ""
    while following is not None:
        page = (await gw.api("GET", f"/v1/cases?owner=a&limit=1{following and '&cursor=' + following}")).body
        seen += [one["id"] for one in page["items"]]
        following = page["next"]
    assert seen == ["c3", "c2", "c0"]


async def test_scopes_and_modes(gw: Running) -> None:
    await opened(gw, id="c")
    reader, operator = await gw.new_key(scopes=["read"]), await gw.new_key(scopes=["operate"])
    for key, wanted in ((reader, 403), (operator, 201)):
        assert (await gw.api("POST", "/v1/cases/c/notes", {"text": "x"}, key=key)).status == wanted
        assert (await gw.api("GET", "/v1/cases/c", key=key)).status == 200
    test = await gw.new_key("test")
    assert (await gw.api("GET", "/v1/cases/c", key=test)).status == 404
    assert (await gw.api("POST", "/v1/cases/c/resolve", MENDED, key=test)).status == 404
    asked = {"customer": "ana", "subject": "S", "kind": "website", "id": "c"}
    assert (await gw.api("POST", "/v1/cases", asked, key=test)).status == 201
    await gw.api("POST", "/v1/cases/c/offer", {"options": OPTIONS}, key=test)
    assert (await case(gw, "c"))["status"] == "open"


async def test_announced_once_to_each_person(gw: Running) -> None:
    await gw.customer("eva", sms=OTHER, preferences={"channels": ["sms"]})
    for name, customer in (("c1", "ana"), ("c2", "ana"), ("c3", "eva")):
        await opened(gw, id=name, customer=customer)
        await gw.api("POST", f"/v1/cases/{name}/resolve", MENDED)
    key = {"Idempotency-Key": "announced"}
    told = await gw.api("POST", "/v1/cases/announce", {"root_cause": "a worn  cable"}, headers=key)
    assert told.status == 202, told
    assert told.body["people"] == 2
    texts = gw.sandbox.world.texts
    await until(lambda: texts(PHONE) and texts(OTHER))
    assert told.body["told"] in (0, 1, 2)
    for number in (PHONE, OTHER):
        assert ["We replaced the cable" in text.body for text in texts(number)] == [True]
    again = await gw.api("POST", "/v1/cases/announce", {"root_cause": "a worn  cable"}, headers=key)
    assert again.body == told.body
    board = await gw.api("GET", f"/v1/broadcasts/{told.body['broadcast']}")
    assert board.status == 200, board
    assert [step["what"] for step in (await case(gw, "c2"))["history"]].count("announced") == 1


async def test_told_that_we_know(gw: Running) -> None:
    made = await opened(gw, notify=True)
    page = await gw.api("GET", "/v1/messages?customer=ana")
    [sent] = page.body["items"]
    assert (sent["template"]["id"], sent["category"]) == ("case-opened", "service")
    assert made["history"][0]["what"] == "opened"
