"""A form sent twice, or from a page that is old: what is so already is done, what takes back is never refused."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.web.centre.texts import texts_in
from tests.support.centre import ANA, Visitor, said

EN: Final = texts_in("en")


@pytest.fixture
async def ana(gateway: Gateway, session: aiohttp.ClientSession) -> Visitor:
    """Ana, with her first page open."""
    await gateway.people.put("ana", ANA)
    visitor = Visitor(gateway, session)
    await visitor.look()
    return visitor


def seen(page: str) -> str:
    found = re.search(r'name="seen" value="(\w+)"', page)
    assert found is not None
    return found[1]


async def twice(ana: Visitor, path: str, page: str = "", /, **fields: Any) -> None:
    """Two taps: both are answered as done, and the second changes nothing."""
    old = seen(await ana.look(page))
    await ana.press(path, seen=old, **fields)
    assert ana.status == 200, said(ana.page)
    first, done, wishes = await ana.ledger(), said(ana.page, "status"), (await ana.person()).preferences
    assert done
    await ana.press(path, seen=old, **fields)
    assert (ana.status, said(ana.page, "status")) == (200, done)
    assert await ana.ledger() == first
    assert (await ana.person()).preferences == wishes


async def test_two_taps_are_one_change(ana: Visitor) -> None:
    await twice(ana, "/switch", kind="survey", on="0")
    await twice(ana, "/switch", kind="survey", on="1")
    await twice(ana, "/order", do="down", channel="sms", place="1")
    await twice(ana, "/order", do="up", channel="email", place="3")
    await twice(ana, "/order", do="leave", channel="voice")
    await twice(ana, "/order", do="use", channel="voice")
    await twice(ana, "/order", do="sort", order="voice,email,sms,wechat")
    await twice(ana, "/about/outage/own", "/about/outage", order="own")
    await twice(ana, "/about/outage/order", "/about/outage", kind="outage", do="leave", channel="voice")
    await twice(ana, "/about/outage/own", "/about/outage", order="same")
    await twice(ana, "/about/marketing/agree", "/about/marketing", channel="sms", agree="1")
    await twice(ana, "/about/marketing/agree", "/about/marketing", channel="sms", agree="0")
    await twice(ana, "/quiet", "/quiet", quiet="own", start="22:00", end="07:00", zone="Europe/Rome")
    await twice(ana, "/language", "/language", language="el")
    await twice(ana, "/stop")
    await twice(ana, "/resume")
    withdrawn = {"channel": "email", "category": "*", "state": "withdrawn", "way": "api", "wording": "x"}
    await ana.gateway.people.add_consent("ana", withdrawn)
    await twice(ana, "/allow", channel="email")
    ref = re.search(r"/addresses/([a-z0-9_-]+)/remove", await ana.look())
    assert ref is not None
    await twice(ana, f"/addresses/{ref[1]}/remove", f"/addresses/{ref[1]}/remove")


async def test_two_taps_at_the_same_moment_are_both_done(ana: Visitor) -> None:
    other = Visitor(ana.gateway, ana.session)
    other.base, other.page = ana.base, ana.page
    await asyncio.gather(
        ana.press("/switch", kind="survey", on="0"),
        other.press("/switch", kind="survey", on="0"),
        other.press("/order", do="leave", channel="voice"),
    )
    assert (ana.status, other.status) == (200, 200)
    assert (await ana.dry("survey"))["sms"] == "not_wanted"


async def test_what_is_taken_back_from_an_old_page_is_taken_back(ana: Visitor) -> None:
    people = ana.gateway.people
    await ana.look("/about/marketing")
    await ana.press("/about/marketing/agree", channel="sms", agree="1")
    old = seen(await ana.look())
    await people.put_preferences("ana", {"channels": ["email", "sms", "voice"]})
    await ana.press("/switch", seen=old, kind="survey", on="0")
    assert (ana.status, said(ana.page, "status")) == (200, EN.done.off.format(kind="Surveys"))
    assert (await ana.dry("survey"))["sms"] == "not_wanted"
    await ana.press("/about/marketing/agree", seen=old, channel="sms", agree="0")
    assert said(ana.page, "status") == EN.done.taken_back
    assert (await ana.dry("marketing"))["sms"] == "opted_out"
    await ana.press("/order", seen=old, do="leave", channel="voice")
    assert (await ana.person()).preferences.channels == ("email", "sms")


async def test_what_is_given_from_an_old_page_is_asked_again(ana: Visitor) -> None:
    old = seen(ana.page)
    await ana.press("/switch", kind="survey", on="0")
    forms: list[tuple[str, dict[str, Any]]] = [
        ("/switch", {"kind": "survey", "on": "1"}),
        ("/about/marketing/agree", {"channel": "sms", "agree": "1"}),
        ("/order", {"do": "up", "channel": "email", "place": "3"}),
        ("/quiet", {"quiet": "none"}),
    ]
    for path, fields in forms:
        await ana.press(path, seen=old, **fields)
        assert (ana.status, said(ana.page)) == (409, EN.page.changed), path
    await ana.press("/stop")
    await ana.press("/resume", seen=old)
    assert (ana.status, said(ana.page)) == (409, EN.page.changed)
