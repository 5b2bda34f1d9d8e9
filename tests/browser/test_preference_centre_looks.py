"""Every page of the preference centre: no fault that axe finds, nothing wider than 320 px, nothing too small to hit.

English is looked at with all rules, by day and by night; the other languages for the room that other words take.
"""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page

from gateway.web.centre.texts import texts_in
from gateway.web.page_texts import languages
from tests.support.browsing import LAYOUT, faultless, faultless_by_night, link, phone
from tests.support.centre import ANA
from tests.support.running import Running

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
LANGUAGES = sorted(languages())
PAGES = (
    "",
    "/about/outage",
    "/about/marketing",
    "/quiet",
    "/language",
    "/addresses/add",
    "/data",
    "/forget",
    "/about/none",
)

BY_NIGHT = ("", "/about/marketing", "/data", "with what was done", "all stopped", "a bad address")
"""Each colour of the style sheet stands on one of these."""


async def person(house: Running, name: str) -> str:
    """Somebody with a bit of everything; the link."""
    people = house.service.gateway.people
    await people.put(
        name, {**ANA, "addresses": [*ANA["addresses"][:2], {"channel": "email", "value": f"{name}@example.com"}]}
    )
    wishes = {"channels": ["sms", "email", "wechat"], "categories": {"outage": {"channels": ["voice", "sms"]}}}
    await people.put_preferences(name, wishes)
    for category, state in (("marketing", "granted"), ("service", "withdrawn")):
        entry = {"channel": "email", "category": category, "state": state, "way": "form", "wording": "Yes, <do> so."}
        await people.add_consent(name, entry)
    await house.ended((await house.send(name))["id"])
    return await link(house, name)


def rules(tag: str, path: str = "-") -> tuple[str, ...] | None:
    """All rules in English and for the first page; the templates are the same in every language."""
    return None if tag == "en" or not path else LAYOUT


async def all_pages(page: Page, base: str, tag: str) -> list[str]:
    texts, found = texts_in(tag), list[str]()

    async def look(what: str) -> None:
        wrong = await faultless(page, rules(tag, what))
        wrong += await faultless_by_night(page) if tag == "en" and what in BY_NIGHT else []
        found.extend(f"{what}: {one}" for one in wrong)

    for path in PAGES:
        await page.goto(f"{base}{path}?lang={tag}")
        await page.evaluate("document.querySelectorAll('main details, .tongues').forEach(one => one.open = true)")
        await look(path)
    await page.goto(f"{base}/forget?lang={tag}")
    await page.get_by_role("button", name=texts.forget.next).click()
    await look("forget, second step")
    await page.goto(f"{base}?lang={tag}")
    await page.locator("#down-sms").click()
    await look("with what was done")
    await page.get_by_role("button", name=texts.stop.button).click()
    await look("all stopped")
    await page.locator("#resume").click()
    await page.locator("a[href*='/remove']").first.click()
    await look("to remove an address")
    await page.goto(f"{base}/addresses/add?lang={tag}")
    await page.locator("#value").fill("nonsense")
    await page.locator("main button").click()
    await look("a bad address")
    return found


@pytest.mark.parametrize("tag", LANGUAGES)
async def test_every_page_on_a_small_phone(house: Running, chromium: Browser, tag: str) -> None:
    base = await person(house, f"small-{tag}")
    async with phone(chromium) as page:
        assert await all_pages(page, base, tag) == []


@pytest.mark.parametrize("tag", LANGUAGES)
async def test_when_the_time_of_the_link_is_over(house: Running, chromium: Browser, tag: str) -> None:
    await person(house, f"late-{tag}")
    async with phone(chromium) as page:
        await page.goto(await link(house, f"late-{tag}", -60) + f"?lang={tag}")
        found = await faultless(page, rules(tag))
        await page.get_by_role("radio").last.check()
        await page.get_by_role("button", name=texts_in(tag).lapsed.send).click()
        await page.locator("#code").fill("0")
        found += await faultless(page, rules(tag))
        await page.get_by_role("button", name=texts_in(tag).code.check).click()
        await page.get_by_role("alert").wait_for()
        assert [*found, *await faultless(page, rules(tag))] == []


async def test_the_language_is_switched_before_anything_is_saved(house: Running, chromium: Browser) -> None:
    base = await person(house, "tongues")
    async with phone(chromium) as page:
        await page.goto(f"{base}/quiet")
        for tag in LANGUAGES:
            await page.locator(".tongues summary").click()
            await page.locator(f".tongues a[lang={tag}]").click()
            assert await page.locator("h1").text_content() == texts_in(tag).quiet.title
            assert await page.locator("html").get_attribute("lang") == tag
        await page.get_by_role("button", name=texts_in(LANGUAGES[-1]).page.save).click()
        assert await page.locator("h1").text_content() == texts_in(LANGUAGES[-1]).home.title
