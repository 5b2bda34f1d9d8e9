"""Surveys on a real core: one question after the other where the person is, each answer counted once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest

from gateway.channels.base import Accepted
from gateway.store.entries import Entry
from gateway.store.listing import Filter
from gateway.surveys.nouns import Alert, Form
from gateway.surveys.results import Wanted
from tests.support.asking import ALERTING, EASY, NPS, TWO, WHY, Desk, asking, handed, shifted, taken, told
from tests.support.core import OTHER_PHONE, PHONE, core, until
from tests.support.scripted import Scripted

THREE = Form(questions=(NPS, EASY, WHY))


@pytest.fixture
def sms() -> Scripted:
    return Scripted("sms")


@pytest.fixture
def voice() -> Scripted:
    called = Scripted("voice", usual=Accepted(provider_id=None, status="delivered"), rings=5)
    called.traits = msgspec.structs.replace(called.traits, prompts=frozenset(("yes_no", "scale", "choice")))
    return called


@pytest.fixture
async def desk(redis_url: str, tmp_path: Path, sms: Scripted, voice: Scripted) -> AsyncGenerator[Desk]:
    async with asking(redis_url, tmp_path, sms, voice) as made:
        yield made


async def test_the_next_question_goes_at_once_where_the_last_answer_came_from(desk: Desk, sms: Scripted) -> None:
    await desk.survey(TWO)
    invited = await desk.invite("maria")
    assert (invited.invited, invited.skipped) == (1, 0)
    first = await handed(sms, 1)
    assert first.prompt is not None
    assert (first.prompt.min, first.prompt.max) == (0, 10)
    assert await desk.core.hears(PHONE, "9 - the engineer was kind") == "answer"
    second = await handed(sms, 2)
    assert second.category == "reply"
    assert second.prompt is not None
    assert second.prompt.kind == "text"
    await desk.core.hears(PHONE, "He explained everything.")
    response = await desk.response(answers=2)
    assert response.answers["nps"].value == 9
    assert response.answers["nps"].words == "the engineer was kind"
    assert response.answers["why"].words == "He explained everything."
    thanks = await handed(sms, 3)
    assert thanks.prompt is None
    figures = await desk.figures()
    assert (figures.invited, figures.told, figures.responses, figures.completed) == (1, 1, 1, 1)
    assert figures.questions[0].all.score is not None
    assert figures.questions[0].all.score.value == 100
    assert figures.questions[0].by_channel["sms"].answers == 1
    assert figures.questions[1].all.counts == {"answered": 1}


async def test_the_page_shows_all_that_is_left_and_no_message_asks_it_too(desk: Desk, sms: Scripted) -> None:
    await desk.survey(THREE)
    await desk.invite("maria")
    asked = (await handed(sms, 1)).message
    pages = desk.core.gateway.pages
    await desk.answers_page(asked, 8)
    message = await told(desk, asked)
    assert [one.id for one in await pages.following(message)] == ["easy", "why"]
    await pages.answer_following(message, {"easy": (6, "6")})
    assert [one.id for one in await pages.following(message)] == ["why"]
    await pages.answer_following(message, {"easy": (1, "1"), "why": ("It was quick.", "It was quick.")})
    assert list(await pages.following(message)) == []
    response = await desk.response(answers=3)
    assert response.answers["easy"].value == 6  # the first counts
    assert response.completed_at is not None
    assert len(sms.handed) == 1
    lines, _ = await desk.core.gateway.timeline.page("maria", "live", 50, None)
    told_of = [line.entry for line in lines if isinstance(line.entry, Entry) and line.entry.kind == "survey"]
    assert {entry.facts["question"] for entry in told_of} == {"nps", "easy", "why"}
    assert "It was quick." not in str(told_of)


async def test_words_added_on_the_page_are_kept_with_the_answer(desk: Desk, sms: Scripted) -> None:
    await desk.survey(Form(questions=(NPS,)))
    await desk.invite("maria")
    asked = (await handed(sms, 1)).message
    await desk.answers_page(asked, 3)
    await told(desk, asked)
    assert await desk.core.gateway.pages.add_words(asked, "Nobody called me back.") is not None

    async def kept() -> bool:
        return (await desk.response()).answers["nps"].words == "Nobody called me back."

    await until(kept)
    said, _ = await desk.results.verbatims(await desk.surveys.get("live", "visit"), Wanted(), 50, None)
    assert [(one.given.words, one.score) for one in said] == [("Nobody called me back.", 3)]


async def test_begun_by_text_and_finished_on_the_page(desk: Desk, sms: Scripted) -> None:
    await desk.survey(THREE)
    await desk.invite("maria")
    first = (await handed(sms, 1)).message
    await desk.core.hears(PHONE, "10")
    second = (await handed(sms, 2)).message
    message = await told(desk, first)
    given = {"easy": (7, "7"), "why": ("Kind people.", "Kind people.")}
    await desk.core.gateway.pages.answer_following(message, given)
    await desk.core.hears(PHONE, "2")  # the text that asked it came all the same
    await told(desk, second)
    response = (await desk.responses())[0]
    assert (response.answers["easy"].value, response.answers["easy"].channel) == (7, "page")
    assert response.completed_at is not None
    figures = await desk.figures()
    assert (figures.responses, figures.completed) == (1, 1)
    assert figures.questions[1].all.counts["7"] == 1
    assert figures.questions[1].all.answers == 1


async def test_a_low_answer_opens_one_case_within_seconds(desk: Desk, sms: Scripted) -> None:
    await desk.survey(ALERTING)
    await desk.invite("maria")
    asked = (await handed(sms, 1)).message
    await desk.core.hears(PHONE, "3 - I waited for two hours")
    message = await told(desk, asked)  # with the answer itself: nothing else has to come by
    name = (await desk.response()).alert_case
    case = await desk.core.gateway.cases.get("live", name or "")
    assert case is not None
    assert (case.customer, case.owner, case.kind) == ("maria", "anna", "survey")
    assert case.due_at - case.created_at == 3_600_000
    assert case.description == f"{NPS.text} 3 of 10\nI waited for two hours"
    # Told again, by several at once: still one case, one next question.
    follower = desk.core.gateway.followers["response"]
    await asyncio.gather(*(follower(message) for _ in range(5)))
    await handed(sms, 2)
    assert [one.id for one in await desk.core.gateway.cases.of_customer("live", "maria")] == [name]
    listing = desk.core.gateway.listing
    messages, _ = await listing.page("live", Filter(customer="maria"), 50, None)
    assert len([one for one in messages if one.about is not None and one.about.startswith("response:")]) == 2
    assert (await desk.figures()).questions[0].all.answers == 1


async def test_the_reason_given_afterwards_is_a_note_on_the_case(desk: Desk, sms: Scripted) -> None:
    await desk.survey(ALERTING)
    await desk.invite("maria")
    await handed(sms, 1)
    await desk.core.hears(PHONE, "1")
    await handed(sms, 2)
    await desk.core.hears(PHONE, "Nobody came at all.")
    thanks = await handed(sms, 3)
    assert "sorry" in thanks.words.text
    response = await desk.response(answers=2)
    case = await desk.core.gateway.cases.get("live", response.alert_case or "")
    assert case is not None
    assert [(note.text, note.of, note.channel) for note in case.notes] == [("Nobody came at all.", "customer", "sms")]


async def test_a_second_low_answer_opens_no_second_case(desk: Desk, sms: Scripted) -> None:
    alerts = (Alert(question="easy", at_most=3, owner="nikos"), Alert(question="nps", at_most=6, owner="anna"))
    await desk.survey(Form(questions=(NPS, EASY), alerts=alerts))
    await desk.invite("maria")
    await handed(sms, 1)
    await desk.core.hears(PHONE, "0")
    await handed(sms, 2)
    await desk.core.hears(PHONE, "1")
    response = await desk.response(answers=2)
    assert response.alerted == "nps"
    assert len(await desk.core.gateway.cases.of_customer("live", "maria")) == 1


async def test_killed_between_the_answer_and_what_it_sets_off(desk: Desk, sms: Scripted) -> None:
    await desk.survey(ALERTING)
    await desk.invite("maria")
    asked = (await handed(sms, 1)).message
    await desk.core.kill()
    await desk.answers_page(asked, 2)
    message = await desk.core.message(asked)
    assert message.owed
    desk.core.work()
    response = await desk.response()
    assert response.alert_case is not None
    await told(desk, asked)
    assert await desk.core.gateway.cases.get("live", response.alert_case) is not None


async def test_a_late_answer_counts_and_asks_nothing_more(desk: Desk, sms: Scripted) -> None:
    await desk.survey(ALERTING)
    made = await desk.invite("maria", closes_in=60)
    asked = (await handed(sms, 1)).message
    await taken(desk, asked)
    await desk.core.age(asked, 120)
    await shifted(desk, made.broadcast, 120)
    await desk.answers_page(asked, 1)
    message = await told(desk, asked)
    assert message.answer is not None
    assert message.answer.late
    response = await desk.response()
    assert response.answers["nps"].late
    assert response.asked == {}
    assert response.alert_case is not None
    assert list(await desk.core.gateway.pages.following(message)) == []


async def test_what_a_call_cannot_ask_goes_where_it_can_be_asked(desk: Desk, sms: Scripted, voice: Scripted) -> None:
    await desk.core.person("anna", channels=("voice", "sms"), voice=OTHER_PHONE, sms=OTHER_PHONE)
    await desk.survey(TWO)
    await desk.invite("anna")
    called = await handed(voice, 1)
    await desk.core.hears(OTHER_PHONE, "9", channel="voice", kind="key", message=called.message, attempt=called.attempt)
    text = await handed(sms, 1)
    assert text.prompt is not None
    assert text.prompt.kind == "text"
    assert len(voice.handed) == 1


async def test_thanks_ring_nobody(desk: Desk, sms: Scripted, voice: Scripted) -> None:
    await desk.core.person("anna", channels=("voice",), voice=OTHER_PHONE)
    await desk.survey(Form(questions=(NPS,)))
    await desk.invite("anna")
    called = await handed(voice, 1)
    await desk.core.hears(OTHER_PHONE, "9", channel="voice", kind="key", message=called.message, attempt=called.attempt)
    await told(desk, called.message)
    response = await desk.response()
    assert response.completed_at is not None
    assert (len(voice.handed), len(sms.handed)) == (1, 0)


async def test_in_a_chat_the_next_question_follows_there(redis_url: str, tmp_path: Path) -> None:
    wechat = Scripted("wechat", proves=1)
    async with core(redis_url, tmp_path, wechat) as made:
        made.work()
        await made.person("lin", wechat="oLin000000000000000000000001")
        desk = Desk(made)
        await desk.survey(Form(questions=(NPS, EASY)))
        await desk.invite("lin")
        await handed(wechat, 1)
        await made.hears("oLin000000000000000000000001", "八", channel="wechat")
        second = await handed(wechat, 2)
        assert second.prompt is not None
        assert second.prompt.max == 7
        await made.hears("oLin000000000000000000000001", "７", channel="wechat")
        response = await desk.response(answers=2)
        assert [response.answers[name].value for name in ("nps", "easy")] == [8, 7]
