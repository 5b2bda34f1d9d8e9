"""`/v1/surveys` over HTTP: made, sent out, answered by text and on the page, read as figures and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.channels.base import Inbound
from gateway.links import ANSWER
from tests.support.asking import FORM
from tests.support.keyleaks import leaks
from tests.support.running import Running, running, until

PHONE: Final = "+447400000421"
OTHER: Final = "+447400000422"


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Running]:
    async with running(redis_url, tmp_path) as made:
        yield made


async def put(gw: Running, form: dict[str, Any] = FORM, name: str = "visit", key: str | None = None) -> Any:
    answer = await gw.api("PUT", f"/v1/surveys/{name}", form, key=key)
    assert answer.status in (200, 201), answer
    return answer


async def invite(gw: Running, *customers: str, key: str | None = None, **more: Any) -> dict[str, Any]:
    body = {"audience": {"customers": customers}, "data": {"who": "us"}, **more}
    answer = await gw.api("POST", "/v1/surveys/visit/invitations", body, key=key)
    assert answer.status == 202, answer
    return answer.body


async def results(gw: Running, query: str = "", key: str | None = None) -> dict[str, Any]:
    answer = await gw.api("GET", f"/v1/surveys/visit/results{query}", key=key)
    assert answer.status == 200, answer
    return answer.body


async def asked(gw: Running, customer: str, number: int = 1) -> dict[str, Any]:
    """The newest of so many messages to a customer, the provider having taken it."""
    last: list[dict[str, Any]] = []

    async def there() -> bool:
        last[:] = (await gw.api("GET", f"/v1/messages?customer={customer}")).body["items"]
        return len(last) >= number and any("accepted" in a["times"] for a in last[0]["attempts"])

    await until(there, seen=lambda: last)
    return last[0]


async def says(gw: Running, words: str, sender: str = PHONE) -> None:
    now = gw.service.gateway.clock.now()
    inbound = Inbound(id=f"SM{words}{now}", channel="sms", sender=sender, text=words, at=now)
    assert await gw.service.gateway.inbox.note("live", inbound) == "ok"


async def table(gw: Running, key: str | None = None) -> list[dict[str, str]]:
    headers = {"Authorization": f"Bearer {key or gw.key}", "Accept": "text/csv"}
    async with gw.http.get(f"{gw.url}/v1/surveys/visit/results", headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/csv"
        return list(csv.DictReader(io.StringIO(await answer.text())))


async def test_made_read_listed_changed_and_removed(gw: Running) -> None:
    made = await put(gw)
    assert (made.status, made.body["version"]) == (201, 1)
    assert (await put(gw)).status == 200
    shown = (await gw.api("GET", "/v1/surveys/visit")).body
    assert shown == made.body
    assert [one["id"] for one in (await gw.api("GET", "/v1/surveys")).body["items"]] == ["visit"]
    other = await gw.new_key("test")
    assert (await gw.api("GET", "/v1/surveys/visit", key=other)).status == 404
    assert (await gw.api("GET", "/v1/surveys", key=other)).body["items"] == []
    await gw.customer("maria", sms=PHONE)
    await invite(gw, "maria")
    await asked(gw, "maria")
    await says(gw, "4")
    await asked(gw, "maria", 2)
    changed = await put(gw, {**FORM, "title": "Another"})
    assert changed.body["version"] == 2
    assert (await gw.api("DELETE", "/v1/surveys/visit")).status == 204
    assert (await gw.api("GET", "/v1/surveys/visit")).status == 404
    assert (await gw.api("DELETE", "/v1/surveys/visit")).status == 404
    client: Any = gw.service.gateway.client

    async def gone() -> bool:
        patterns = ("*:survey:*", "*:response:*", "*:invitation:*", "*:tally:live:survey:*", "*:invited:*")
        return not [key for one in patterns for key in await client.keys(one)]

    await until(gone)
    assert (await put(gw)).status == 201
    assert (await results(gw))["responses"] == 0


async def test_bad_surveys_and_invitations_name_every_field(gw: Running) -> None:
    bad = {"questions": [{"id": "a", "kind": "nps", "text": ""}, {"id": "a", "kind": "choice", "text": "?"}], "x": 1}
    answer = await gw.api("PUT", "/v1/surveys/visit", bad)
    assert answer.status == 422
    named = {error["pointer"] for error in answer.body["errors"]}
    assert {"/x", "/questions/0/text", "/questions/1/id", "/questions/1/options"} <= named
    assert (await gw.api("PUT", "/v1/surveys/a%20b", FORM)).status == 422
    assert (await gw.api("PUT", "/v1/surveys/visit", {"questions": []})).status == 422
    assert (await gw.api("POST", "/v1/surveys/visit/invitations", {"audience": {"customers": ["a"]}})).status == 404
    await put(gw)
    wrong: dict[str, Any] = {
        "audience": {"customers": []},
        "case": "none",
        "remind_after": 900_000,
        "reach": {"channels": ["pigeon"]},
    }
    answer = await gw.api("POST", "/v1/surveys/visit/invitations", wrong)
    assert answer.status == 422
    wrong["audience"] = {"customers": ["a"], "group": "b"}
    answer = await gw.api("POST", "/v1/surveys/visit/invitations", wrong)
    assert answer.status == 422
    named = {error["pointer"] for error in answer.body["errors"]}
    assert {"/audience", "/case", "/remind_after", "/reach/channels/0", "/data/who"} <= named
    for query in ("?version=9", "?cursor=x.zz", "?by=year", "?nonsense=1", "?limit=0"):
        assert (await gw.api("GET", f"/v1/surveys/visit/results{query}")).status == 422, query
    assert (await gw.api("GET", "/v1/surveys/none/results")).status == 404
    assert (await gw.api("GET", "/v1/surveys?cursor=x.zz")).status == 422
    reader = await gw.new_key("live", ["read"])
    assert (await gw.api("PUT", "/v1/surveys/visit", FORM, key=reader)).status == 403


async def test_answered_by_text_and_read_as_figures_and_as_a_table(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, attributes={"region": "north"})
    await gw.customer("nikos", sms=OTHER, attributes={"region": ["south", "islands"]})
    await put(gw)
    first = await invite(gw, "maria", "nikos")
    assert (first["invited"], first["skipped"]) == (2, 0)
    question = (await asked(gw, "maria"))["prompt"]["question"]
    assert question == {"en": "How likely are you to recommend us?"}
    await asked(gw, "nikos")
    await says(gw, "3 - too slow")
    await asked(gw, "maria", 2)
    await says(gw, "6")
    await asked(gw, "maria", 3)
    await says(gw, "=1+1, that is why")
    await says(gw, "9", OTHER)
    await asked(gw, "nikos", 2)

    last: list[Any] = []

    async def all_in() -> bool:
        found = await results(gw)
        last[:] = [found]
        return (found["responses"], found["completed"], found["told"]) == (2, 1, 2)

    await until(all_in, seen=lambda: last)
    found = await results(gw, "?by=week&segment=region")
    assert (found["invited"], found["response_rate"]) == (2, 100.0)
    nps, easy, why = found["questions"]
    assert (nps["score"], nps["answers"], nps["mean"]) == (0.0, 2, 6.0)
    assert nps["interval"][0] < 0 < nps["interval"][1]
    assert (nps["counts"]["3"], nps["counts"]["9"], nps["counts"]["10"]) == (1, 1, 0)
    assert nps["groups"] == {"promoters": 1, "passives": 0, "detractors": 1}
    assert nps["by_channel"]["sms"]["answers"] == 2
    assert easy["score"] == 6.0
    assert why["score"] is None
    assert len(found["trend"]) == 1
    assert found["trend"][0]["questions"]["nps"]["answers"] == 2
    segments = {one["value"]: one["questions"]["nps"]["score"] for one in found["segments"]}
    assert segments == {"north": -100.0, "south": 100.0, "islands": 100.0}
    assert [(one["question"], one["customer"]) for one in found["verbatims"]] == [("why", "maria"), ("nps", "maria")]
    reader = await gw.new_key("live", ["read"])
    assert {one["customer"] for one in (await results(gw, key=reader))["verbatims"]} == {None}
    rows = {row["nps"]: row for row in await table(gw)}
    assert rows["3"]["customer"] == "maria"
    assert rows["3"]["why"] == "'=1+1, that is why"
    assert (rows["3"]["state"], rows["9"]["state"]) == ("completed", "partial")
    assert {row["customer"] for row in await table(gw, reader)} == {""}
    case = (await gw.api("GET", "/v1/cases?customer=maria")).body["items"]
    assert [(one["owner"], one["kind"]) for one in case] == [("anna", "survey")]
    assert await leaks(gw.service.gateway.client) == []


async def test_one_tap_and_the_rest_on_the_page(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE)
    await put(gw)
    await invite(gw, "maria")
    message = await asked(gw, "maria")
    link = gw.service.gateway.links.url("a", ANSWER, message["id"], 3600)
    async with gw.http.get(link) as page:
        shown = await page.text()
    assert "How likely are you to recommend us?" in shown
    assert (await results(gw))["responses"] == 0
    async with gw.http.post(link, data={"v": "8"}) as page:
        shown = await page.text()
    assert "It was easy." in shown
    assert "Why?" in shown
    async with gw.http.post(link, data={"more": "1", "q.easy": "7", "q.why": "Fast help."}) as page:
        assert page.status == 200

    async def complete() -> bool:
        return (await results(gw))["completed"] == 1

    await until(complete)
    found = await results(gw)
    assert found["questions"][1]["by_channel"]["page"]["counts"]["7"] == 1
    assert [one["text"] for one in found["verbatims"]] == ["Fast help."]
    assert len((await gw.api("GET", "/v1/messages?customer=maria")).body["items"]) == 1
    lines = (await gw.api("GET", "/v1/customers/maria/timeline")).body["items"]
    assert any(line["kind"] == "survey" for line in lines)


async def test_invited_once_for_a_key_and_counted_as_the_audience_is_gone_through(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, attributes={"region": "north"})
    await gw.customer("nikos", sms=OTHER, attributes={"region": "north"})
    await put(gw)
    body = {"audience": {"where": {"region": "north"}}, "data": {"who": "us"}}
    once = {"Idempotency-Key": "inv-1"}
    first = await gw.api("POST", "/v1/surveys/visit/invitations", body, headers=once)
    again = await gw.api("POST", "/v1/surveys/visit/invitations", body, headers=once)
    assert first.status == again.status == 202
    assert first.body == again.body
    assert (first.body["invited"], first.body["skipped"]) == (None, None)
    await asked(gw, "maria")
    await asked(gw, "nikos")

    async def counted() -> bool:
        return (await results(gw))["invited"] == 2

    await until(counted)
    second = await invite(gw, "maria", "nikos")
    assert (second["invited"], second["skipped"]) == (0, 2)
    items = (await gw.api("GET", "/v1/surveys/visit/invitations")).body["items"]
    assert [one["broadcast"] for one in items] == [second["broadcast"], first.body["broadcast"]]
    broadcast = (await gw.api("GET", f"/v1/broadcasts/{first.body['broadcast']}")).body
    assert broadcast["counts"]["audience"] == 2


async def test_results_of_a_case(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE)
    await gw.customer("nikos", sms=OTHER)
    await put(gw)
    case = await gw.api("POST", "/v1/cases", {"id": "c-1", "customer": "nikos", "subject": "Late", "kind": "website"})
    assert case.status in (201, 202), case
    await invite(gw, "maria")
    await asked(gw, "maria")
    await gw.api("PATCH", "/v1/cases/c-1", {"status": "closed"})
    await invite(gw, "nikos", case="c-1", again=True)
    survey = "/v1/messages?customer=nikos&category=survey"

    async def invited() -> list[dict[str, Any]]:
        return (await gw.api("GET", survey)).body["items"]

    await until(invited)
    link = gw.service.gateway.links.url("a", ANSWER, (await invited())[0]["id"], 3600)
    async with gw.http.post(link, data={"v": "10"}) as page:
        assert page.status == 200

    async def in_it() -> bool:
        return (await results(gw, "?case=c-1"))["responses"] == 1

    await until(in_it)
    found = await results(gw, "?case=c-1")
    assert found["questions"][0]["counts"]["10"] == 1
    assert (await results(gw, "?case=c-2"))["responses"] == 0


async def test_forgotten_people_leave_their_score_alone(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE)
    await put(gw)
    await invite(gw, "maria")
    await asked(gw, "maria")
    await says(gw, "2 - nobody came")
    await asked(gw, "maria", 2)
    export = (await gw.api("GET", "/v1/customers/maria/export")).body
    assert "nobody came" in str(export)
    assert "survey_responses" in str(export)
    erasure = (await gw.api("DELETE", "/v1/customers/maria")).body["erasure"]

    async def done() -> bool:
        erased = (await gw.api("GET", f"/v1/erasures/{erasure}")).body["erased"]
        return erased.get("survey_responses") == 1

    await until(done)
    found = await results(gw)
    assert found["questions"][0]["counts"]["2"] == 1
    assert found["verbatims"] == []
    row = (await table(gw))[0]
    assert (row["customer"], row["nps"], row["nps words"], row["case"]) == ("", "2", "", "")
    client: Any = gw.service.gateway.client
    for key in await client.keys("*}:response:*"):
        assert b"maria" not in (await client.hget(key, "s"))
    await gw.customer("maria", sms=PHONE)
    assert (await invite(gw, "maria"))["invited"] == 1
