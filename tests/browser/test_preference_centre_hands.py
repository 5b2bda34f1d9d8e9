"""The preference centre by hand: without scripts, by keyboard alone, and by dragging."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.customer import Customer, QuietHours
from gateway.web.centre.texts import texts_in
from tests.support.browsing import code_by_sms, link, phone
from tests.support.centre import ANA
from tests.support.running import Running, until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
EN = texts_in("en")


async def settled(house: Running, name: str) -> Customer:
    found = await house.service.gateway.customers.load(name)
    assert found is not None
    return found[0]


async def done(page: Page, words: str) -> None:
    await expect(page.get_by_role("status")).to_have_text(words)


async def test_the_whole_journey_without_a_script(house: Running, chromium: Browser) -> None:
    await house.service.gateway.people.put("plain", ANA)
    base = await link(house, "plain")
    async with phone(chromium, java_script_enabled=False) as page:
        await page.goto(base)
        await page.get_by_role("button", name="Move E-mail up").click()
        await done(page, EN.done.order)
        await page.get_by_role("button", name="Don't use Phone call").click()
        await page.get_by_role("switch", name="Surveys", exact=True).click()
        await done(page, EN.done.off.format(kind="Surveys"))

        await page.get_by_role("link", name=re.compile("^Quiet hours")).click()
        await page.get_by_role("radio", name=EN.quiet.own).check()
        await page.get_by_label(EN.quiet.start).fill("22:00")
        await page.get_by_label(EN.quiet.end, exact=True).fill("07:30")
        await page.get_by_label(EN.quiet.zone).select_option("Europe/London")
        await page.get_by_role("button", name="Save").click()
        await done(page, EN.done.quiet)

        await page.get_by_role("link", name="Outages", exact=True).click()
        await page.get_by_role("radio", name=EN.kind.own).check()
        await page.get_by_role("button", name="Save").click()
        await page.get_by_role("button", name="Move E-mail up").click()
        await page.get_by_role("link", name="Back").click()

        await page.get_by_role("link", name="Add an address").click()
        await page.get_by_label("The address").fill("+306900000177")
        await page.get_by_role("button", name="Send the code").click()
        await page.get_by_label("Your code").fill(await code_by_sms(house, "+306900000177"))
        await page.get_by_role("button", name="Check").click()
        await done(page, EN.done.added)

        person = await settled(house, "plain")
        wishes = person.preferences
        assert wishes.channels == ("sms", "email", "wechat")
        assert wishes.categories["outage"].channels == ("email", "sms", "wechat")
        assert wishes.quiet_hours == QuietHours("22:00", "07:30")
        assert person.time_zone == "Europe/London"
        assert "+306900000177" in [one.value for one in person.addresses]

        await page.get_by_role("link", name="Forget me").click()
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_role("checkbox", name=EN.forget.sure).check()
        await page.get_by_role("button", name="Forget me now").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(EN.forget.begun)
        assert (await page.locator("dd").text_content() or "").strip()
        await page.goto(base)
        await expect(page.get_by_role("status")).to_have_text(EN.forget.gone)
    assert await house.service.gateway.customers.load("plain") is None


async def test_by_keyboard_alone(house: Running, chromium: Browser) -> None:
    await house.service.gateway.people.put("keys", ANA)

    async def focus(page: Page, selector: str) -> None:
        """Tab to an element, as far as it takes."""
        for _ in range(80):
            if await page.evaluate("sel => document.activeElement?.matches(sel)", selector):
                return
            await page.keyboard.press("Tab")
        raise AssertionError(selector)

    async with phone(chromium) as page:
        await page.goto(await link(house, "keys"))
        await focus(page, "#down-sms")
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", "where one is can be seen"
        await page.keyboard.press("Enter")
        await done(page, EN.done.order)
        assert await page.evaluate("document.activeElement.id") == "down-sms", "and pressed again"
        await page.keyboard.press("Space")
        await page.wait_for_function(
            "[...document.querySelectorAll('.name')].findIndex(n => n.textContent == 'Text message') == 2"
        )
        assert (await settled(house, "keys")).preferences.channels == ("wechat", "email", "sms", "voice")
        await focus(page, "#switch-follow_up")
        await page.keyboard.press("Space")
        await done(page, EN.done.off.format(kind="Follow-ups"))
        assert await page.evaluate("document.activeElement.id") == "switch-follow_up"
        assert await page.evaluate("document.activeElement.ariaChecked") == "false"
        await page.evaluate("scrollTo(0, 0)")
        await page.goto(await link(house, "keys") + "/about/marketing")
        await focus(page, "#agree-email")
        await page.keyboard.press("Enter")
        await done(page, EN.done.agreed)


async def test_a_line_is_dragged_to_its_place(house: Running, chromium: Browser) -> None:
    await house.service.gateway.people.put("drag", ANA)
    async with phone(chromium, viewport={"width": 320, "height": 1000}, reduced_motion="no-preference") as page:
        await page.goto(await link(house, "drag"))
        grip, last = page.locator("#way-sms .grip"), page.locator("#way-voice")
        start, end = await grip.bounding_box(), await last.bounding_box()
        assert start is not None
        assert end is not None
        await page.mouse.move(start["x"] + 5, start["y"] + 20)
        await page.mouse.down()
        await page.mouse.move(start["x"] + 5, start["y"] + 120, steps=4)
        await page.mouse.move(start["x"] + 5, end["y"] + end["height"] - 5, steps=6)
        assert await page.locator(".way.held .name").text_content() == "Text message"
        await page.mouse.up()
        await done(page, EN.done.order)
        assert (await settled(house, "drag")).preferences.channels == ("wechat", "email", "voice", "sms")
        assert await page.locator("#order .name").all_text_contents() == [
            "WeChat",
            "E-mail",
            "Phone call",
            "Text message",
        ]
        assert await page.locator("#order .number").all_text_contents() == ["1", "2", "3", "4"]


async def test_a_page_goes_on_where_one_was(house: Running, chromium: Browser) -> None:
    await house.service.gateway.people.put("place", ANA)
    async with phone(chromium) as page:
        await page.goto(await link(house, "place"))
        await page.locator("#switch-survey").scroll_into_view_if_needed()
        before = await page.evaluate("scrollY")
        assert before > 300
        await page.locator("#switch-survey").click()
        await done(page, EN.done.off.format(kind="Surveys"))
        await until_near(page, before)


async def until_near(page: Page, before: float) -> None:
    async def near() -> bool:
        return abs(await page.evaluate("scrollY") - before) < 120

    await until(near)
