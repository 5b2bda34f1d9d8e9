"""Cases: somebody owns what went wrong until the person says that it is solved."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from tests.contract.survey_acts import (
    asked,
    case_when,
    cases,
    invite,
    links,
    look,
    mine,
    new_case,
    post,
    put,
    texts,
)
from tests.contract.waiting import eventually
from tests.contract.world import World, in_time, world

OPTIONS = [{"id": "credit", "label": "20 euros"}, {"id": "visit", "label": "Voucher"}]
DONE = {"root_cause": "Wrong unit", "action": "We mended it.", "follow_up_after": 0}
TABLES = """
[cases.billing]
owner = "billing-team"
due_in = 28800
[cases.quick]
owner = "first"
due_in = 1
escalate_to = ["second"]
escalate_after = 1
[cases.praise]
complaint = false
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tabled(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    """A gateway with owners by kind."""
    folder = tmp_path_factory.mktemp("tabled")
    (folder / "gateway.toml").write_text(TABLES)
    async with world(folder) as made:
        yield made


async def test_from_opened_to_closed(w: World) -> None:
    who = await w.person("sms")
    path = await new_case(w, who, description="twice the usual")
    made = await w.api("POST", path + "/offer", {"options": OPTIONS})
    assert (made.status, (await case_when(w, path, lambda one: one["status"] == "waiting"))["chosen"]) == (201, None)
    for step, body in (("offer", {"options": OPTIONS}), ("resolve", DONE)):
        assert (await w.api("POST", f"{path}/{step}", body)).status == 409, "one offer at a time"
    assert "Voucher" in await asked(w, who, "the voucher")
    assert (await case_when(w, path, lambda one: one["status"] == "open"))["chosen"] == "visit"
    await w.twilio.inbound(who.number, "1")
    assert (await w.api("POST", path + "/resolve", DONE)).body["status"] == "resolved"
    assert "solved" in (await w.twilio.text(who.number, 3)).form["Body"]
    await w.twilio.inbound(who.number, "no, the meter still beeps")
    again = await case_when(w, path, lambda one: one["status"] == "reopened")
    assert (again["chosen"], again["closed_at"]) == ("visit", None), "the first choice counts"
    await case_when(w, path, lambda one: any("the meter still beeps" in note["text"] for note in one["notes"]))
    await w.twilio.text(who.number, 4)
    assert (await w.api("POST", path + "/resolve", DONE)).status == 200
    await w.twilio.text(who.number, 5)
    await w.twilio.inbound(who.number, "Yes, thank you!")
    closed = await case_when(w, path, lambda one: one["status"] == "closed")
    assert (closed["root_cause"], closed["action"]) == ("Wrong unit", "We mended it.")
    for step, body in (("offer", {"options": OPTIONS}), ("resolve", DONE)):
        assert (await w.api("POST", f"{path}/{step}", body)).status == 409
    kinds = {one["category"] for one in await mine(w, who)}
    assert kinds == {"service", "follow_up", "reply"}


CHOICES = [("1", "credit"), ("2.", "visit"), ("the voucher please", "visit"), ("第二个", "visit"), ("δύο", "visit"), ("VOUCHER!", "visit")]  # fmt: skip
NO_CHOICES = ["1 or 2", "both", "neither", "3", "no"]


async def test_choosing_in_ones_own_words(w: World) -> None:
    """What is no clear choice stays with the owner as a note, and the offer stays out."""

    async def choose(words: str) -> Any:
        who = await w.person("sms")
        path = await new_case(w, who)
        await w.api("POST", path + "/offer", {"options": OPTIONS})
        await asked(w, who, words)
        now = await case_when(w, path, lambda one: one["chosen"] or one["notes"])
        return now["chosen"] or (now["status"], now["notes"][0]["text"])

    said = [words for words, _ in CHOICES] + NO_CHOICES
    became = await asyncio.gather(*map(choose, said))
    assert dict(zip(said, became, strict=True)) == {**dict(CHOICES), **{one: ("waiting", one) for one in NO_CHOICES}}


async def test_choosing_on_the_page(w: World) -> None:
    who = await w.person("email")
    path = await new_case(w, who, subject="your <b>bill")
    await w.api("POST", path + "/offer", {"options": OPTIONS})
    found = await links(w, who)
    shown = await look(w, found[1])
    assert re.findall(r"<input[^>]*value=\"(\d)\"[^>]* checked", shown) == ["2"]
    assert "<b>bill" not in shown
    assert (await w.api("GET", path)).body["status"] == "waiting", "looking chooses nothing"
    for value in ("2", "1", "2"):
        await post(w, found[0], {"v": value})
    assert (await case_when(w, path, lambda one: one["status"] == "open"))["chosen"] == "visit"
    for wrong in ({"v": "9"}, {"v": ""}, {}):
        await post(w, found[0], wrong, 422)


async def test_a_withdrawn_offer_is_chosen_no_more(w: World) -> None:
    who = await w.person("sms")
    path = await new_case(w, who)
    await w.api("POST", path + "/offer", {"options": OPTIONS})
    await asked(w, who)
    assert (await w.api("PATCH", path, {"status": "open"})).body["offer"]["state"] == "withdrawn"
    await w.twilio.inbound(who.number, "1")
    now = await case_when(w, path, lambda one: one["notes"])
    assert (now["status"], now["chosen"], now["notes"][0]["text"]) == ("open", None, "20 euros")
    four = [{"id": str(one), "label": f"number {one}"} for one in range(4)]
    assert (await w.api("POST", path + "/offer", {"options": four})).status == 201
    await w.twilio.text(who.number, 2)
    await w.twilio.inbound(who.number, "4")
    assert (await case_when(w, path, lambda one: one["chosen"]))["chosen"] == "3"


async def test_a_no_counts_after_the_case_was_closed(w: World) -> None:
    who = await w.person("sms")
    path = await new_case(w, who)
    same = {"Idempotency-Key": f"resolve-{who.id}"}
    answers = await asyncio.gather(*(w.api("POST", path + "/resolve", DONE, headers=same) for _ in range(4)))
    assert {one.status for one in answers} == {200}
    await asked(w, who)
    assert (await w.api("PATCH", path, {"status": "closed"})).status == 200
    await w.twilio.inbound(who.number, "No! It is worse")
    now = await case_when(w, path, lambda one: one["status"] == "reopened" and one["notes"])
    assert "It is worse" in now["notes"][0]["text"]
    assert sum("solved?" in one for one in texts(w, who)) == 1, "asked once, however often it was resolved"


REFUSED: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("POST", "/offer", {"options": OPTIONS[:1]}, {"/options"}),
    ("POST", "/offer", {"options": [{"id": str(one), "label": f"l{one}"} for one in range(5)]}, {"/options"}),
    ("POST", "/offer", {"options": [OPTIONS[0], OPTIONS[0] | {"label": "x"}]}, {"/options/1/id"}),
    ("POST", "/resolve", {}, {"/root_cause", "/action"}),
    ("POST", "/resolve", {"root_cause": " ", "action": "", "follow_up_after": -1}, {"/root_cause", "/action", "/follow_up_after"}),
    ("POST", "/notes", {"text": "", "x": 1}, {"/text", "/x"}),
    ("PATCH", "", {"status": "gone", "owner": 5, "due_at": "soon", "customer": "x"}, {"/status", "/owner", "/due_at", "/customer"}),
    ("PATCH", "", {"subject": None}, {"/subject"}),
]  # fmt: skip


async def test_what_is_refused_changes_nothing(w: World) -> None:
    who = await w.person("sms")
    path = await new_case(w, who)
    before = await w.api("GET", path)
    for method, step, body, pointers in REFUSED:
        answer = await w.api(method, path + step, body)
        assert (answer.status, answer.pointers) == (422, pointers), body
    for status in ("closed", "reopened", "resolved", "waiting"):
        assert (await w.api("PATCH", path, {"status": status})).status == 409, status
    after = await w.api("GET", path)
    assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])
    wrong = await w.api("POST", "/v1/cases", {"customer": "nobody", "subject": "s\n", "kind": 5, "x": 1})
    assert (wrong.status, wrong.pointers) == (422, {"/customer", "/subject", "/kind", "/x"})


async def test_patch_merges_and_if_match_guards(w: World) -> None:
    who = await w.person("sms")
    path = await new_case(w, who, owner="anna")
    tag = (await w.api("GET", path)).headers["ETag"]
    due = in_time(hours=3)
    one = await w.api("PATCH", path, {"due_at": due}, headers={"If-Match": tag})
    assert (one.status, one.body["owner"]) == (200, "anna")
    assert (await w.api("PATCH", path, {"owner": "bob"}, headers={"If-Match": tag})).status == 412
    gone = await w.api("PATCH", path, {"owner": None})
    assert (gone.body["owner"], gone.body["subject"]) == (None, "your bill")
    found = await w.api("GET", "/v1/cases", customer=who.id, status="open", kind="billing")
    assert [case["id"] for case in found.body["items"]] == [gone.body["id"]]
    assert (await w.api("GET", "/v1/cases", customer=who.id, status="closed")).body["items"] == []
    assert (await w.api("GET", "/v1/cases", status="gone")).status == 422
    trial = await w.key(mode="test")
    assert {(await trial("GET", path)).status, (await trial("POST", path + "/resolve", DONE)).status} == {404}


async def test_owners_by_table_and_the_clock(tabled: World) -> None:
    who = await tabled.person("sms")
    unknown = {"customer": who.id, "subject": "s", "kind": "other"}
    refused = await tabled.api("POST", "/v1/cases", unknown)
    assert (refused.status, refused.pointers) == (422, {"/kind"})
    bill = (await tabled.api("GET", await new_case(tabled, who))).body
    own = (await tabled.api("GET", await new_case(tabled, who, owner="maria", due_in=60))).body
    assert (bill["owner"], own["owner"]) == ("billing-team", "maria")
    assert bill["due_at"] > own["due_at"]
    quick = await new_case(tabled, who, kind="quick")
    late = await case_when(tabled, quick, lambda one: one["owner"] == "second")
    assert late["overdue"]
    assert [one["what"] for one in late["history"]] == ["opened", "overdue", "escalated"]
    listed = await tabled.api("GET", "/v1/cases", overdue="true", owner="second")
    assert [one["id"] for one in listed.body["items"]] == [late["id"]]
    await tabled.api("PATCH", quick, {"due_at": in_time(hours=1)})
    assert not (await tabled.api("GET", quick)).body["overdue"]


async def test_an_open_complaint_holds_a_survey_until_the_last_is_resolved(tabled: World) -> None:
    w = tabled
    await put(w, "held", "nps")
    who, praising = await w.person("sms"), await w.person("sms")
    first, second = await new_case(w, who), await new_case(w, who)
    await new_case(w, praising, kind="praise")
    await invite(w, "held", who, praising)
    await asked(w, praising)

    async def held() -> bool:
        return [one["held"] and one["held"]["code"] for one in await mine(w, who)] == ["complaint_open"]

    await eventually(held)
    hints = (await w.api("GET", "/v1/lookup", address=who.number)).body["customers"][0]
    assert "complaint_open" in {one["code"] for one in hints["hints"]}
    assert len(hints["cases"]) == 2
    later = {**DONE, "follow_up_after": 3600}
    await w.api("POST", first + "/resolve", later)
    assert await held()
    assert not texts(w, who)
    await w.api("POST", second + "/resolve", later)
    assert "How likely?" in await asked(w, who)


async def test_you_said_we_did_once_per_person(w: World) -> None:
    people = [await w.person("sms") for _ in range(3)]
    fault = f"Broken fuse {people[0].id}"
    paths = [await new_case(w, who) for who in (people[0], *people)]
    for path in paths:
        await w.api("POST", path + "/resolve", {**DONE, "root_cause": fault, "follow_up_after": 3600})
    await w.twilio.inbound(people[2].number, "STOP")
    key = {"Idempotency-Key": fault}
    given = {"root_cause": f"  {fault.upper()} ", "content": {"text": "You said, we did."}}
    answers = [await w.api("POST", "/v1/cases/announce", given, headers=key) for _ in range(2)]
    assert {one.status for one in answers} == {202}
    assert answers[0].body == answers[1].body
    assert answers[0].body["people"] == 3
    for who in people[:2]:
        assert await asked(w, who) == "You said, we did."

    async def over() -> Any:
        made = (await w.api("GET", f"/v1/broadcasts/{answers[0].body['broadcast']}")).body
        return made["counts"] if made["counts"]["waiting"] == 0 and made["counts"]["audience"] == 3 else None

    counts = await eventually(over)
    assert (counts["told"], counts["suppressed"]) == (2, 1)
    assert [len(texts(w, who)) for who in people] == [1, 1, 0]
    refused: list[dict[str, Any]] = [
        {},
        {"cases": ["nope"]},
        {"root_cause": "unheard of"},
        {"cases": [], "outage": "x"},
    ]
    for wrong in refused:
        assert (await w.api("POST", "/v1/cases/announce", wrong)).status == 422, wrong


async def test_an_offer_that_reaches_nobody_does_not_wait_for_ever(w: World) -> None:
    who = await w.person("sms")
    await w.twilio.inbound(who.number, "STOP")
    path = await new_case(w, who)
    await w.api("POST", path + "/offer", {"options": OPTIONS})
    now = await case_when(w, path, lambda one: one["status"] == "open")
    assert (now["offer"]["state"], now["chosen"]) == ("unreached", None)
    assert len(await cases(w, who)) == 1
