"""A person's phone with a real browser, at their preference centre."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final, cast

import axe_playwright_python
import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.support.centre import token
from tests.support.running import Running, until

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS: Final = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SMALL: Final = {"width": 320, "height": 640}
TARGET_PX: Final = 44
_PHONE: Final = {"viewport": SMALL, "locale": "en-GB", "reduced_motion": "reduce"}
BY_COLOUR: Final = ("color-contrast",)
LAYOUT: Final[tuple[str, ...]] = ()
"""What another language may change of a page that axe has seen in English: how long its words are."""
_LOOK: Final = """async ([rules, targets]) => {
  const options = {resultTypes: ['violations'], ...(rules ? {runOnly: {type: 'rule', values: rules}} : {})};
  const found = rules?.length === 0 ? [] : (await axe.run(document, options)).violations;
  const wrong = found.map(one => one.id + ': ' + one.nodes.map(node => node.html.slice(0, 150)).join(' | '));
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) wrong.push(`wider than the screen by ${wide} px`);
  for (const one of document.querySelectorAll(targets ? 'a, button, summary, select, input' : 'none')) {
    const box = (['radio', 'checkbox'].includes(one.type) ? one.closest('label') : one).getBoundingClientRect();
    const skip = one.type === 'hidden' || one.matches('.whole') || !box.width;
    if (!skip && Math.min(box.width, box.height) < targets - 0.5)
      wrong.push(`too small: ${one.outerHTML.slice(0, 120)} ${box.width} x ${box.height}`);
  }
  return wrong;
}"""


@functools.cache
def _axe() -> str:
    return next(Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8")


@contextlib.asynccontextmanager
async def chromium_running() -> AsyncGenerator[Browser]:
    """A browser without windows; skips the test where there is none."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@contextlib.asynccontextmanager
async def phone(chromium: Browser, **options: Any) -> AsyncGenerator[Page]:
    """A small screen; fails when the browser complains of a page (a blocked script or style, an error)."""
    context = await chromium.new_context(**cast("Any", {**_PHONE, **options}))
    page = await context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    await context.close()
    # The status of a page that says no is no complaint about it.
    assert [one for one in complaints if "Failed to load resource" not in one] == []


async def link(house: Running, customer: str, seconds: int = 3600) -> str:
    """The address of a person's centre."""
    return f"{house.url}/p/{await token(house.service.gateway, customer, seconds)}"


async def code_by_sms(house: Running, number: str) -> str:
    """The code that stands in the newest text on a phone."""
    await until(lambda: any("code is" in text.body for text in house.sandbox.world.texts(number)))
    body = house.sandbox.world.texts(number)[-1].body
    return body.partition("code is ")[2][:6]


async def faultless(page: Page, rules: tuple[str, ...] | None = None, *, targets: int = TARGET_PX) -> list[str]:
    """What axe-core finds wrong with a page as it stands, what doesn't fit the screen, and what is too small to hit.

    `rules`: of axe's these alone, perhaps none; None: all of them. `targets`: the least size in px; 0: any will do.
    """
    if rules != () and not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(_axe())
    return cast("list[str]", await page.evaluate(_LOOK, [None if rules is None else list(rules), targets]))


async def faultless_by_night(page: Page) -> list[str]:
    """The same page with dark colours, and on a wide screen: what can't be read, what doesn't fit."""
    await page.emulate_media(color_scheme="dark")
    found = await faultless(page, BY_COLOUR, targets=0)
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": 1280, "height": 800})
    wide = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    await page.set_viewport_size(cast("Any", SMALL))
    return [*found, *(["wider than a wide screen"] if wide else [])]
