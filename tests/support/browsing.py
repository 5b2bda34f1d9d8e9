"""A person's phone with a real browser, at their preference centre."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Final, cast

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from gateway.links import PREFERENCES
from tests.support.running import Running, until

SMALL: Final = {"width": 320, "height": 640}
TARGET_PX: Final = 44
_TARGETS: Final = """() => [...document.querySelectorAll('a, button, summary, select, input')].map(one => {
  const box = (['radio', 'checkbox'].includes(one.type) ? one.closest('label') : one).getBoundingClientRect();
  return {what: one.outerHTML.slice(0, 120), skip: one.type === 'hidden' || one.matches('.whole') || !box.width,
          width: box.width, height: box.height};
}).filter(one => !one.skip)"""


@contextlib.asynccontextmanager
async def phone(chromium: Browser, **options: Any) -> AsyncGenerator[Page]:
    """A small screen; fails when the browser complains of a page (a blocked script or style, an error)."""
    context = await chromium.new_context(**cast("Any", {"viewport": SMALL, "locale": "en-GB", **options}))
    page = await context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    await context.close()
    # The status of a page that says no is no complaint about it.
    assert [one for one in complaints if "Failed to load resource" not in one] == []


def link(house: Running, customer: str, seconds: int = 3600) -> str:
    """The address of a person's centre."""
    return f"{house.url}/p/{house.service.gateway.links.sign(PREFERENCES, customer, seconds)}"


async def code_by_sms(house: Running, number: str) -> str:
    """The code that stands in the newest text on a phone."""
    await until(lambda: any("code is" in text.body for text in house.sandbox.world.texts(number)))
    body = house.sandbox.world.texts(number)[-1].body
    return body.partition("code is ")[2][:6]


async def faultless(page: Page, *, contrast: bool = True) -> list[str]:
    """What axe-core finds wrong with a page as it stands, what doesn't fit the screen, and what is too small to hit.

    `contrast`: look at colours too, which takes longest and is the same in every language.
    """
    axe = cast("Any", Axe())  # its own types are partly unknown
    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": contrast}}}
    violations: list[dict[str, Any]] = (await axe.run(page, options=options)).response["violations"]
    wrong = [f"{one['id']}: {[node['html'][:150] for node in one['nodes']]}" for one in violations]
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    wrong += [f"wider than the screen by {wide} px"] if wide > 0 else []
    targets = cast("list[dict[str, Any]]", await page.evaluate(_TARGETS))
    return wrong + [f"too small: {one}" for one in targets if min(one["height"], one["width"]) < TARGET_PX - 0.5]
