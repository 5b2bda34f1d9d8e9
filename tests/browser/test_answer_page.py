"""The page of a question in a browser: one tap answers, links show their answer, and it fits a thumb at 320 px."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.delivery.following import Question
from gateway.delivery.request import NewMessage
from gateway.links import ANSWER
from gateway.message import Message
from gateway.prompts import Answer, Option, Prompt
from gateway.web.page_texts import languages, texts_in
from tests.support.browsing import LAYOUT, faultless, faultless_by_night, phone
from tests.support.running import Running

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
NPS = Prompt(kind="scale", min=0, max=10, question="How likely are you to recommend us?")
CHOICE = Prompt(
    kind="choice", options=(Option("a", "Refund of 10 euro"), Option("b", "A call, at a time that suits you"))
)
WHY = Question(id="why", prompt=Prompt(kind="text", question="Why that number?"))
EASY = Question(id="easy", prompt=Prompt(kind="scale", min=1, max=7, question="How easy was it?"))
AGAIN = Question(id="again", prompt=Prompt(kind="yes_no", question="May we ask again?"))


class Survey:
    """Three questions more; what was answered."""

    def __init__(self) -> None:
        self.given: dict[str, object] = {}

    async def following(self, _message: Message) -> Sequence[Question]:
        """What is still open."""
        return [one for one in (WHY, EASY, AGAIN) if one.id not in self.given]

    async def answered(self, _message: Message, given: Mapping[str, Answer]) -> None:
        """Keep it."""
        self.given |= {name: answer.value for name, answer in given.items()}


async def asked(house: Running, prompt: Prompt, about: str | None = None) -> tuple[str, str]:
    """A question to somebody; the link, and the message's id."""
    gateway = house.service.gateway
    await house.customer("ana-answers", email="ana-answers@example.com")
    content = {"subject": "Your new connection", "text": "Hello."}
    new = NewMessage(customer="ana-answers", category="reply", content=content, prompt=prompt, about=about)
    message, _ = await gateway.intake.accept("test", new, gateway.intake.origin())
    return gateway.links.url("a", ANSWER, message.id, 3600), message.id


async def answer(house: Running, message_id: str) -> Answer | None:
    loaded = await house.service.gateway.messages.load(message_id)
    assert loaded is not None
    return loaded.message.answer


async def told_of(_message: Message) -> None:
    """A follower that has nothing to do."""


async def test_one_tap_counts_and_the_rest_follows(chromium: Browser, house: Running) -> None:
    survey = Survey()
    house.service.gateway.following["trial"] = survey
    house.service.gateway.followers["trial"] = told_of
    async with phone(chromium, java_script_enabled=False) as page:
        link, message = await asked(house, NPS, "trial:1")
        await page.goto(link)
        await expect(page.locator(".ahead li")).to_have_count(3)
        assert await answer(house, message) is None, "looking counts nothing"
        await page.get_by_role("button", name="9", exact=True).click()
        given = await answer(house, message)
        assert (given and (given.value, given.channel)) == (9, "page")
        await page.get_by_label("Why that number?").fill("Quick.")
        await page.locator('input[name="q.easy"][value="6"]').check()
        await page.get_by_label(texts_in("en").answer.add).fill("The staff were great")
        await page.get_by_role("button", name="Send").click()
        await expect(page.get_by_role("status")).to_contain_text(texts_in("en").answer.noted)
    assert survey.given == {"why": "Quick.", "easy": 6}, "what was left out is not answered"
    given = await answer(house, message)
    assert (given and given.text) == "The staff were great"


async def test_a_link_with_an_answer_shows_one_button(chromium: Browser, house: Running) -> None:
    async with phone(chromium, java_script_enabled=False) as page:
        link, message = await asked(house, NPS)
        await page.goto(f"{link}?v=7")
        await expect(page.locator("main button")).to_have_count(1)
        await expect(page.locator("input:checked")).to_have_value("7")
        await page.locator("main button").click()
        given = await answer(house, message)
        assert (given and given.value) == 7
        await page.goto(f"{link}?v=3")
        await expect(page.get_by_role("status")).to_contain_text("7")


async def all_states(page: Page, house: Running, tag: str) -> list[str]:
    """What is wrong with the page in every state, in one language."""
    found: list[str] = []
    english = tag == "en"

    async def look(what: str) -> None:
        wrong = await faultless(page, None if english else LAYOUT)
        wrong += await faultless_by_night(page) if english else []
        found.extend(f"{what}: {one}" for one in wrong)

    for what, prompt, path in (("scale", NPS, ""), ("scale, chosen", NPS, "&v=9"), ("choice", CHOICE, "")):
        link, _ = await asked(house, prompt)
        await page.goto(f"{link}?lang={tag}{path}")
        await look(what)
    for what, prompt in (("text", Prompt(kind="text")), ("acknowledge", Prompt(kind="acknowledge"))):
        link, _ = await asked(house, prompt)
        await page.goto(f"{link}?lang={tag}")
        await look(what)
    link, _ = await asked(house, CHOICE, "looked:1")
    await page.goto(f"{link}?lang={tag}&v=2")
    await look("choice, chosen")
    await page.locator("main button").click()
    await look("answered, and more")
    await page.locator("main button[type=submit]").last.click()
    await look("over")
    await page.goto(f"{link}?lang={tag}&v=1")
    await look("another answer")
    return found


@pytest.mark.parametrize("tag", sorted(languages()))
async def test_every_state_of_the_page_is_for_everybody(chromium: Browser, house: Running, tag: str) -> None:
    house.service.gateway.following["looked"] = Survey()
    house.service.gateway.followers["looked"] = told_of
    async with phone(chromium) as page:
        assert await all_states(page, house, tag) == []
