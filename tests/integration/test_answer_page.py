"""The page of a question by HTTP: what it shows in each state, and what it counts."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from gateway.delivery.following import Question
from gateway.links import ANSWER
from gateway.message import Message
from gateway.prompts import Answer, Prompt
from gateway.web.page_texts import texts_in
from tests.support.core import PHONE, Core, Scripted, core
from tests.support.web_gateway import public

NPS = Prompt(kind="scale", min=0, max=10, question={"en": "How likely?", "zh-Hant": "有多大可能？"})
TEXTS = texts_in("en").answer
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Survey:
    """Two questions more, of which each is asked until it is answered."""

    def __init__(self) -> None:
        self.given: dict[str, Answer] = {}

    async def following(self, message: Message) -> Sequence[Question]:
        """What is left."""
        asked = {
            "why": Prompt(kind="text", question="Why?"),
            "easy": Prompt(kind="scale", min=1, max=7, question="Easy?"),
        }
        return [Question(id=name, prompt=prompt) for name, prompt in asked.items() if name not in self.given]

    async def answered(self, message: Message, given: Mapping[str, Answer]) -> None:
        """Keep what is new."""
        self.given = {**given, **self.given}


class Page:
    """Somebody's browser at the page of one message."""

    def __init__(self, gw: Core, session: aiohttp.ClientSession, message: Message) -> None:
        link = gw.gateway.links.url("a", ANSWER, message.id, 3600)
        self.path = link[link.index("/a/") :]
        self.gw, self.session, self.message = gw, session, message

    async def look(self, query: str = "", status: int = 200) -> str:
        async with self.session.get(self.path + query) as response:
            assert response.status == status
            return await response.text()

    async def press(self, status: int = 200, /, **fields: str) -> str:
        async with self.session.post(self.path, data=urlencode(fields), headers=FORM) as response:
            text = await response.text()
            assert response.status == status, text
            return text

    async def answers(self) -> list[Any]:
        found = await self.gw.message(self.message)
        return [one.value for one in (found.answer, *found.later_answers) if one is not None]


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Core]:
    """A core without a worker: what is asked stays asked."""
    async with core(redis_url, tmp_path, Scripted("sms"), PUBLIC_URL="https://gateway.example.com") as made:
        await made.person("maria", sms=PHONE)
        yield made


@pytest.fixture
async def session(gw: Core) -> AsyncGenerator[aiohttp.ClientSession]:
    async with public(gw.gateway) as made:
        yield made


async def test_one_button_for_each_mark_and_one_for_a_link_with_a_mark(
    gw: Core, session: aiohttp.ClientSession
) -> None:
    page = Page(gw, session, await gw.send("maria", prompt=NPS))
    text = await page.look()
    assert re.findall(r'<button type="submit" class="mark" name="v" value="(\d+)"', text) == [str(n) for n in range(11)]
    chosen = await page.look("?v=9")
    assert re.findall(r'value="(\d+)" required checked', chosen) == ["9"]
    assert chosen.count("<button") == 1
    assert "有多大可能" in await page.look("?lang=zh-Hant")
    await page.session.head(page.path)
    assert await page.answers() == [], "looking counts nothing"


async def test_what_was_chosen_is_shown_and_words_are_kept(gw: Core, session: aiohttp.ClientSession) -> None:
    page = Page(gw, session, await gw.send("maria", prompt=NPS))
    thanks = await page.press(v="9")
    assert TEXTS.thanks in thanks
    assert TEXTS.given.format(answer="9") in thanks
    noted = await page.press(more="1", words="The staff <b>were</b> great")
    assert TEXTS.noted in noted
    assert "The staff &lt;b&gt;were&lt;/b&gt; great" in noted
    found = await gw.message(page.message)
    assert found.answer is not None
    assert (found.answer.value, found.answer.text, found.answer.channel) == (9, "The staff <b>were</b> great", "page")
    again = await page.look("?v=9")
    assert TEXTS.answered in again
    assert TEXTS.given.format(answer="9") in again
    other = await page.look("?v=3")
    assert TEXTS.first.format(answer="9") in other
    assert TEXTS.already in await page.press(v="3")
    assert await page.answers() == [9, 3]
    assert TEXTS.over in await page.press(more="1", words="  ")


async def test_a_survey_is_listed_and_asked_at_once_after_the_first(gw: Core, session: aiohttp.ClientSession) -> None:
    survey = gw.gateway.following["trial"] = Survey()
    page = Page(gw, session, await gw.send("maria", prompt=NPS, about="trial:1"))
    text = await page.look()
    assert "Why?" in text
    assert "Easy?" in text
    assert 'name="q.easy"' not in text, "one thing at a time"
    assert 'name="q.easy"' in await page.press(v="9")
    assert TEXTS.noted in await page.press(**{"more": "1", "q.why": " Quick. ", "q.easy": "9", "q.none": "1"})
    assert {name: one.value for name, one in survey.given.items()} == {"why": "Quick."}, "9 is no mark from 1 to 7"
    left = await page.look()
    assert 'name="q.easy"' in left
    assert 'name="q.why"' not in left
    assert 'name="q.easy"' in await page.look("?v=3"), "another link of the same e-mail leads to what is left"
    await page.press(**{"more": "1", "q.easy": "6", "words": "And kind"})
    assert survey.given["easy"].value == 6
    assert survey.given["easy"].channel == "page"
    assert TEXTS.first.format(answer="9") in await page.look("?v=3"), "nothing is left: another mark may be noted"


async def test_nothing_is_taken_for_more_before_the_first_answer(gw: Core, session: aiohttp.ClientSession) -> None:
    survey = gw.gateway.following["trial"] = Survey()
    page = Page(gw, session, await gw.send("maria", prompt=NPS, about="trial:1"))
    assert TEXTS.missing in await page.press(422, **{"more": "1", "q.why": "Quick.", "words": "x"})
    assert (survey.given, await page.answers()) == ({}, [])


async def test_a_closed_question_says_so_and_takes_a_late_answer(gw: Core, session: aiohttp.ClientSession) -> None:
    page = Page(gw, session, await gw.send("maria", prompt=NPS))
    assert TEXTS.passed not in await page.look()
    await gw.age(page.message, NPS.closes_in + 10)
    assert TEXTS.passed in await page.look("?v=9")
    assert TEXTS.late in await page.press(v="9")
    found = await gw.message(page.message)
    assert found.answer is not None
    assert found.answer.late


async def test_an_older_message_leads_to_the_newest_of_its_thread(gw: Core, session: aiohttp.ClientSession) -> None:
    older = Page(gw, session, await gw.send("maria", prompt=NPS, thread="t"))
    newer = Page(gw, session, await gw.send("maria", prompt=NPS, thread="t"))
    gw.work()
    await gw.when(older.message, lambda m: m.superseded_by)
    assert TEXTS.newer in await older.look("?v=9")
    await older.press(v="9")
    assert (await older.answers(), await newer.answers()) == ([], [9])
    assert TEXTS.answered in await older.look()
