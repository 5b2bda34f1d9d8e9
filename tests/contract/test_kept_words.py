"""What people say is kept as they said it, what is left is asked, and every fault is named."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.contract.survey_acts import (
    asked,
    cases,
    given,
    invite,
    links,
    look,
    new_case,
    post,
    put,
    results,
    results_when,
    texts,
    timeline,
)
from tests.contract.waiting import eventually
from tests.contract.world import World


async def test_any_link_of_a_mail_shows_what_is_left(w: World) -> None:
    await put(w, "left", "nps", "pick", "why")
    who = await w.person("email")
    await invite(w, "left", who)
    found = await links(w, who)
    await post(w, found[4], {"v": "4"})
    for link in (found[4], found[9]):
        assert 'name="q.pick"' in await look(w, link)


async def test_who_was_passed_over_was_not_invited(w: World) -> None:
    """Five invitations at once: one asks, the others skipped the person."""
    await put(w, "passed", "nps")
    who = await w.person("sms")
    await asyncio.gather(*(invite(w, "passed", who) for _ in range(5)))
    await asked(w, who, "9")

    async def counted() -> bool:
        made = (await w.api("GET", "/v1/surveys/passed/invitations")).body["items"]
        return [sum(one[name] for one in made) for name in ("invited", "skipped", "told")] == [1, 4, 1]

    await eventually(counted)
    shown = await results_when(w, "passed", lambda one: one["responses"] == 1)
    assert (shown["invited"], len(texts(w, who))) == (1, 2)


async def test_words_beside_a_score_are_kept_whole(w: World) -> None:
    await put(w, "remark", "nps")
    who, other = await w.person("sms"), await w.person("sms")
    await invite(w, "remark", who, other)
    await asked(w, who, '7 - all fine, "quoted"')
    await asked(w, other, "ten out of ten")
    shown = await results_when(w, "remark", lambda one: one["responses"] == 2)
    assert [one["text"] for one in shown["verbatims"]] == ['all fine, "quoted"'], "a score in words is no remark"


async def test_the_newest_words_stand_first(w: World) -> None:
    await put(w, "order", "nps", "why")
    who = await w.person("sms")
    await invite(w, "order", who)
    await asked(w, who, '7 - all fine, "quoted"', "Later words")
    shown = await results_when(w, "order", lambda one: one["completed"] == 1)
    assert [one["text"] for one in shown["verbatims"]] == ["Later words", 'all fine, "quoted"']


async def test_braces_that_people_write_stay_braces(w: World) -> None:
    who = await w.person("sms", name="{{ 7*7 }}")
    then = {"category": "service", "content": {"text": "{{ event.text }}, {{ customer.name }}"}}
    assert (await w.api("PUT", "/v1/rules/braces", {"on": "braces", "then": then})).status == 201
    event = {"type": "braces", "customer": who.id, "id": who.id, "data": {"text": "{{ customer.id }} {% if %}"}}
    assert (await w.api("POST", "/v1/events", event)).status == 202
    assert await asked(w, who) == "{{ customer.id }} {% if %}, {{ 7*7 }}"


async def test_the_timeline_shows_the_words_that_were_sent(w: World) -> None:
    await put(w, "sent", "nps")
    who = await w.person("sms")
    await invite(w, "sent", who)
    sent = await asked(w, who)

    async def shown() -> Any:
        return [one["text"] for one in await timeline(w, who) if one["kind"] == "attempt"]

    said = await eventually(shown)
    assert said[0].partition("\n")[0] == sent.partition("\n")[0]


async def test_null_takes_a_description_away(w: World) -> None:
    path = await new_case(w, await w.person("sms"), description="long")
    assert (await w.api("PATCH", path, {"description": None})).status == 200
    assert (await w.api("GET", path)).body["description"] in {"", None}


async def test_every_bad_field_at_once(w: World) -> None:
    wrong: dict[str, Any] = {
        "questions": [{"id": "a", "kind": "nps", "text": ""}, {"id": "b", "kind": "choice", "text": "x"}],
        "alerts": [{"question": "zz", "at_most": 3, "owner": ""}],
    }
    assert (await w.api("PUT", "/v1/surveys/every", wrong)).pointers >= {
        "/questions/0/text", "/questions/1/options", "/alerts/0/question", "/alerts/0/owner",
    }  # fmt: skip
    who = await w.person("sms")
    bad = {"text": "", "channel": "fax"}
    assert (await w.api("POST", f"/v1/customers/{who.id}/reply", bad)).pointers == {"/text", "/channel"}
    nul = await w.api("POST", f"/v1/customers/{who.id}/reply", {"text": "\0", "channel": "sms"})
    assert nul.pointers == {"/text"}
    long = await w.api("POST", f"/v1/customers/{who.id}/reply", {"text": "x" * 2000, "channel": "sms"})
    assert (long.status, long.pointers) == (422, {"/text"}), "said at once, not accepted and then dropped"
    rule = {"on": "a", "then": {"category": "service", "content": {"text": "x"}, "reach": {"channels": ["fax"]}}}
    assert (await w.api("PUT", "/v1/rules/every", rule)).status == 422


async def test_an_erased_person_leaves_the_score_alone(w: World) -> None:
    """The score stays, nothing names the person, and the link is dead."""
    alert = {"question": "nps", "at_most": 6, "owner": "anna"}
    await put(w, "gone", "nps", "why", "csat", alerts=[alert])
    who, mailed = await w.person("sms"), await w.person("email")
    await invite(w, "gone", who, mailed)
    await asked(w, who, "2 - the man Zorbas was rude", "Zorbas shouted")
    case = (await cases(w, who))[0]
    await results_when(w, "gone", lambda one: len(one["verbatims"]) == 2)
    export = (await w.api("GET", f"/v1/customers/{who.id}/export")).text
    assert all(words in export for words in ("Zorbas was rude", "Zorbas shouted", case["id"]))
    link = (await links(w, mailed))[3]
    erasures = [(await w.api("DELETE", f"/v1/customers/{one.id}")).body["erasure"] for one in (who, mailed)]

    async def over() -> bool:
        seen = [(await w.api("GET", f"/v1/erasures/{one}")).body["state"] for one in erasures]
        return seen == ["done", "done"]

    await eventually(over)
    await w.twilio.inbound(who.number, "4")
    for method, status in (("GET", 410), ("POST", 410)):
        assert (await w.api(method, link, headers={"Authorization": None})).status == status
    shown = await results(w, "gone")
    assert (given(shown, "nps"), given(shown, "csat"), shown["verbatims"]) == ({"2": 1}, {}, [])
    table = await w.api("GET", "/v1/surveys/gone/results", headers={"Accept": "text/csv"})
    left = await w.api("GET", f"/v1/cases/{case['id']}")
    for text in (str(shown), table.text, left.text):
        assert "Zorbas" not in text
        assert who.id not in text


async def test_one_way_for_all_that_is_read(w: World) -> None:
    """`operate` writes, `read` looks; an outage that doesn't exist is no outage of a case."""
    await put(w, "scoped", "nps")
    who = await w.person("sms")
    case = await new_case(w, who)
    operate, read = await w.key("operate"), await w.key("read")
    looked = ["/v1/surveys", "/v1/surveys/scoped/results", "/v1/cases", case, "/v1/rules", "/v1/runs"]
    assert {(await read("GET", path)).status for path in looked} == {200}
    assert len({(await operate("GET", path)).status for path in looked}) == 1
    assert (await read("POST", case + "/notes", {"text": "x"})).status == 403
    given = {"customer": who.id, "subject": "s", "kind": "billing", "outage": "no-such-outage"}
    refused = await w.api("POST", "/v1/cases", given)
    assert (refused.status, refused.pointers) == (422, {"/outage"})
