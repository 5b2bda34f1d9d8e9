"""Surveys: asked on the channel of the last answer, counted once, acted on within seconds."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import time
from datetime import datetime
from typing import Any

import pytest

from tests.contract.survey_acts import (
    ALERT,
    QUESTIONS,
    asked,
    cases,
    given,
    invite,
    links,
    look,
    mine,
    post,
    put,
    question,
    results,
    results_when,
    texts,
)
from tests.contract.waiting import eventually
from tests.contract.wire import path_of
from tests.contract.world import Person, World

UNDERSTOOD = [
    "９",
    "九",
    "nine",
    "εννιά",
    "9/10",
    "９／１０",
    "9!",
    "  9 \n",
    "九分",
    "٩",
    "9 😀",
    "9\n\nThe man was rude",
]
NOT_UNDERSTOOD = ["11", "-1", "9 and 3", "9 or 10", "8,5", "100", "7 out of 7", "9/5", "1 0"]


async def test_how_people_write_a_nine(w: World) -> None:
    """Digits of any script and words are nines; what is not clear is none, and gets one kind word back."""
    await put(w, "words", "nps", "why")
    people = [await w.person("sms") for _ in (*UNDERSTOOD, *NOT_UNDERSTOOD)]
    await invite(w, "words", *people)

    async def say(who: Person, words: str) -> tuple[str, Any]:
        await asked(w, who, words)
        survey = next(one for one in await mine(w, who) if one["category"] == "survey")
        return words, survey["answer"] and survey["answer"]["value"]

    pairs = zip(people, (*UNDERSTOOD, *NOT_UNDERSTOOD), strict=True)
    heard = dict(await asyncio.gather(*(say(who, words) for who, words in pairs)))
    assert heard == {**dict.fromkeys(UNDERSTOOD, 9), **dict.fromkeys(NOT_UNDERSTOOD, None)}
    assert given(await results_when(w, "words", lambda one: one["responses"] == len(UNDERSTOOD)), "nps") == {
        "9": len(UNDERSTOOD)
    }
    for who in people[len(UNDERSTOOD) :]:
        assert "0 to 10" in texts(w, who)[1], "how to answer is said once more"
        await w.twilio.inbound(who.number, "3")
    await results_when(w, "words", lambda one: given(one, "nps").get("3") == len(NOT_UNDERSTOOD))


async def test_one_question_after_the_other(w: World) -> None:
    await put(w, "row", "nps", "csat", "yes", "why")
    who = await w.person("sms", "email")
    await invite(w, "row", who)
    assert "0 to 10" in await asked(w, who)
    for count, (words, then) in enumerate(
        (("8", "1 to 5"), ("5", "1 for yes"), ("no, it was awful", "main reason"), ("Slow\nand late", "Thank you")), 2
    ):
        await w.twilio.inbound(who.number, words)
        assert then in (await w.twilio.text(who.number, count)).form["Body"]
    shown = await results_when(w, "row", lambda one: one["completed"] == 1)
    assert [given(shown, name) for name in ("nps", "csat", "yes", "why")] == [
        {"8": 1}, {"5": 1}, {"no": 1}, {"answered": 1},
    ]  # fmt: skip
    assert {one["text"] for one in shown["verbatims"]} >= {"Slow\nand late"}
    later = [one for one in await mine(w, who) if one["category"] != "survey"]
    assert {one["category"] for one in later} == {"reply"}
    assert {tried["channel"] for one in later for tried in one["attempts"]} == {"sms"}


async def test_an_answer_to_the_first_while_the_second_is_open(w: World) -> None:
    """A 10 fits only the first question, which has its answer; the second waits for one that fits."""
    await put(w, "older", "nps", "csat")
    who = await w.person("sms")
    await invite(w, "older", who)
    await asked(w, who, "8")
    await w.twilio.inbound(who.number, "10")
    await w.twilio.inbound(who.number, "4")
    shown = await results_when(w, "older", lambda one: one["completed"] == 1)
    assert (given(shown, "nps"), given(shown, "csat")) == ({"8": 1}, {"4": 1})


async def test_a_low_answer_told_five_times_opens_one_case(w: World) -> None:
    await put(w, "low", "nps", "csat", alerts=[ALERT, {"question": "csat", "at_most": 2, "owner": "bob"}])
    who = await w.person("sms")
    await invite(w, "low", who)
    await asked(w, who)
    began = time.time()
    await asyncio.gather(*(w.twilio.inbound(who.number, "3", MessageSid="SM" + "3" * 32) for _ in range(5)))
    opened = (await cases(w, who))[0]
    assert time.time() - began < 10, "within seconds, also beside other tests"
    await w.twilio.text(who.number, 2)
    await w.twilio.inbound(who.number, "3", MessageSid="SM" + "3" * 32)
    await w.twilio.inbound(who.number, "1")
    assert "sorry" in (await w.twilio.text(who.number, 3)).form["Body"]
    shown = await results_when(w, "low", lambda one: one["completed"] == 1)
    assert (given(shown, "nps"), given(shown, "csat")) == ({"3": 1}, {"1": 1})
    assert [one["id"] for one in await mine(w, who, "/v1/cases")] == [opened["id"]], "one case per alerting response"
    assert (opened["owner"], opened["status"], opened["customer"]) == ("anna", "open", who.id)
    due, made = (datetime.fromisoformat(opened[name]) for name in ("due_at", "created_at"))
    assert (due - made).total_seconds() == ALERT["due_in"]
    assert len(texts(w, who)) == 3


async def test_stop_in_the_middle(w: World) -> None:
    await put(w, "stop", "nps", "csat")
    who = await w.person("sms", "email")
    await invite(w, "stop", who)
    await asked(w, who, "9")
    await w.twilio.inbound(who.number, "STOP")
    await w.twilio.inbound(who.number, "5")
    await results_when(w, "stop", lambda one: one["completed"] == 1)
    thanks = await eventually(lambda: _thanks(w, who))
    assert (thanks["verdict"]["state"], len(texts(w, who))) == ("suppressed", 2)
    assert not [one for _, one, _ in w.mail.taken if one == who.email], "the channel of the last answer, no other"


async def _thanks(w: World, who: Person) -> Any:
    found = [one for one in await mine(w, who) if one["category"] == "reply" and one["prompt"] is None]
    return found[0] if found and found[0]["status"] == "done" else None


async def test_two_keys_on_the_phone_then_words_by_sms(w: World) -> None:
    """What a channel can't ask goes by another one that the person has."""
    await put(w, "phone", "nps", "why", alerts=[ALERT])
    who = await w.person("voice", "sms", preferences={"channels": ["voice", "sms"]})
    low = await w.person("voice")
    await invite(w, "phone", who, low)
    call, wrong = await w.twilio.call(who.number), await w.twilio.call(low.number)
    assert (call.attribute("Gather", "numDigits"), call.attribute("Gather", "finishOnKey")) == ("2", "#")
    for one in (call, wrong):
        await w.twilio.picked_up(one, "human")
    assert "Thank you" in (await w.twilio.press(call, "10"))[1]
    assert "Sorry" in (await w.twilio.press(wrong, "11"))[1]
    await w.twilio.press(wrong, "3")
    assert "main reason" in await asked(w, who)
    await w.twilio.inbound(who.number, "All good")
    shown = await results_when(w, "phone", lambda one: one["responses"] == 2 and one["completed"] == 1)
    assert given(shown, "nps") == {"10": 1, "3": 1}
    assert set(question(shown, "nps")["by_channel"]) == {"voice"}
    assert set(question(shown, "why")["by_channel"]) == {"sms"}
    assert [one["owner"] for one in await cases(w, low)] == ["anna"]


async def test_the_page_counts_on_post_and_once(w: World) -> None:
    """Scanners look at every link of an e-mail; only sending counts, and the first time."""
    await put(w, "mail", "nps", "pick", "why")
    who = await w.person("email")
    await invite(w, "mail", who)
    found = await links(w, who)
    assert len(found) == 11
    for link in found:
        chosen = re.findall(r'value="(\d+)"[^>]* checked', await look(w, link))
        assert chosen == [link.rpartition("=")[2]]
        await look(w, link, "HEAD")
    assert (await results(w, "mail"))["responses"] == 0
    shown = await post(w, found[4], {"v": "4"})
    assert "Which &lt;b&gt;?" in shown
    assert "Alpha &amp; co" in shown, "all that is left"
    await asyncio.gather(*(post(w, found[9], {"v": "9"}) for _ in range(4)))
    rest = {"more": "1", "q.pick": "2", "q.why": "=1+1\r\n<script>"}
    for _ in range(2):
        await post(w, found[4], rest)
    now = await results_when(w, "mail", lambda one: one["completed"] == 1)
    assert (now["responses"], given(now, "nps"), given(now, "pick")) == (1, {"4": 1}, {"b": 1})
    assert [one["text"] for one in now["verbatims"]] == ["=1+1\n<script>"]
    assert sum(to == who.email for _, to, _ in w.mail.taken) == 1, "the page goes on, no second mail"


async def test_by_wechat_and_then_its_page(w: World) -> None:
    await put(w, "chat", "nps", "pick", "yes")
    who = await w.person("wechat", "sms", preferences={"channels": ["wechat", "sms"]})
    await w.wechat.writes(who.openid, "谢谢")
    await invite(w, "chat", who)
    sent = await eventually(lambda: _chats(w, who, "How likely?"))
    await w.wechat.writes(who.openid, "九分")
    then = await eventually(lambda: _chats(w, who, "Which <b>?"))
    first, second = (path_of(re.findall(r"https?://\S+/a/[^\s]+", one)[0]) for one in (sent, then))
    assert 'name="q.pick"' in await look(w, first), "the page of the first question shows the rest"
    await post(w, second, {"v": "1"})
    await post(w, second, {"more": "1", "q.yes": "1"})
    shown = await results_when(w, "chat", lambda one: one["completed"] == 1)
    assert [given(shown, name) for name in ("nps", "pick", "yes")] == [{"9": 1}, {"a": 1}, {"yes": 1}]
    assert not texts(w, who)


def _chats(w: World, who: Person, words: str) -> str | None:
    found = [one["text"]["content"] for one in w.wechat.sent if one["touser"] == who.openid]
    return next((one for one in found if words in one), None)


async def test_one_survey_in_thirty_days(w: World) -> None:
    for name in ("cap-a", "cap-b"):
        await put(w, name, "nps")
    who = await w.person("sms")
    await invite(w, "cap-a", who)
    await asked(w, who, "9")
    await invite(w, "cap-b", who)
    assert (await invite(w, "cap-a", who)) | {"broadcast": ""} == {"broadcast": "", "invited": 0, "skipped": 1}
    await invite(w, "cap-a", who, again=True)

    async def over() -> list[Any] | None:
        found = [one for one in await mine(w, who) if one["category"] == "survey"]
        return found if len(found) == 3 and all(one["status"] == "done" for one in found) else None

    verdicts = [(one["verdict"]["state"], one["verdict"]["code"]) for one in await eventually(over)]
    assert sorted(verdicts, key=str) == [("reached", None), ("suppressed", "cap"), ("suppressed", "cap")]
    assert len(texts(w, who)) == 2, "the question and the thanks"


async def test_results_of_few_are_honest(w: World) -> None:
    await put(w, "few", "nps", "csat")
    empty = await results(w, "few")
    assert (empty["invited"], empty["responses"], question(empty, "nps")["score"]) == (0, 0, None)
    assert question(empty, "nps")["interval"] is None
    people = [await w.person("sms") for _ in range(3)]
    await invite(w, "few", *people)
    for who, words in zip(people, ("10", "7", "2"), strict=True):
        await asked(w, who, words)
    shown = await results_when(w, "few", lambda one: one["responses"] == 3)
    low, high = question(shown, "nps")["interval"]
    assert question(shown, "nps")["score"] == 0
    assert -100 <= low < 0 < high <= 100


async def test_the_table_is_no_formula(w: World) -> None:
    option = {"id": "=1+1", "label": "Sum"}
    pick = {**QUESTIONS["pick"], "options": [option, {"id": "-2", "label": "Other"}]}
    await w.api("PUT", "/v1/surveys/@table", {"questions": [pick, QUESTIONS["why"]]})
    who = await w.person("sms")
    await invite(w, "@table", who)
    await asked(w, who, "1", '@SUM(1)|"/c calc"!A0\nand, a line')
    await results_when(w, "@table", lambda one: one["completed"] == 1)
    table = await w.api("GET", "/v1/surveys/@table/results", headers={"Accept": "text/csv"})
    assert table.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert len(rows) == 1
    assert not [cell for row in rows for cell in row.values() if cell and cell[0] in "=+-@\t\r"]
    assert rows[0]["customer"] == who.id
    assert rows[0]["why"].endswith("\nand, a line")
    hidden = await (await w.key("read"))("GET", "/v1/surveys/@table/results", headers={"Accept": "text/csv"})
    assert hidden.status == 200
    assert who.id not in hidden.text


async def test_who_was_invited_before_a_change_finishes_as_begun(w: World) -> None:
    await put(w, "change", "nps", "csat")
    old, new = await w.person("sms"), await w.person("sms")
    await invite(w, "change", old)
    await asked(w, old)
    assert (await put(w, "change", "nps", "yes")).body["version"] == 2
    assert (await put(w, "change", "nps", "yes")).body["version"] == 2, "nothing changed"
    assert (await invite(w, "change", old, new))["invited"] == 1
    assert "1 to 5" in await asked(w, old, "9")
    assert "1 for yes" in await asked(w, new, "2")
    first = await results_when(w, "change", lambda one: one["responses"] == 2)
    assert given(first, "nps") == {"9": 1, "2": 1}
    assert given(await results(w, "change", version=1), "nps") == {"9": 1}


WRONG: list[tuple[dict[str, Any], set[str]]] = [
    ({"questions": [QUESTIONS["nps"], QUESTIONS["nps"]]}, {"/questions/1/id"}),
    ({"questions": [QUESTIONS["why"]], "alerts": [ALERT | {"question": "why"}]}, {"/alerts/0/question"}),
    ({"questions": [QUESTIONS["pick"] | {"options": []}]}, {"/questions/0/options"}),
    ({"questions": [QUESTIONS["nps"] | {"kind": "stars"}], "x": 1}, {"/questions/0/kind", "/x"}),
]


@pytest.mark.parametrize("wrong, pointers", WRONG)
async def test_wrong_surveys(w: World, wrong: dict[str, Any], pointers: set[str]) -> None:
    refused = await w.api("PUT", "/v1/surveys/wrong", wrong)
    assert (refused.status, refused.pointers) == (422, pointers)
    assert (await w.api("GET", "/v1/surveys/wrong")).status == 404
