"""What a phone stopped stays stopped at that phone, whoever presses what on their page; and the page says so."""

from __future__ import annotations

import re
from typing import Final

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.customer import ConsentEntry
from gateway.web.centre.texts import texts_in
from tests.support.centre import ANA, Visitor, said

EN: Final = texts_in("en")
PHONE: Final = "+306912345678"


@pytest.fixture
async def ana(gateway: Gateway, session: aiohttp.ClientSession) -> Visitor:
    """Ana, whose telephone is Ben's, too, with her first page open."""
    await gateway.people.put("ana", ANA)
    await gateway.people.put("ben", {"addresses": [{"channel": "sms", "value": PHONE}]})
    visitor = Visitor(gateway, session)
    await visitor.look()
    return visitor


async def texted(gateway: Gateway, word: str, state: str, category: str = "*") -> None:
    """Somebody writes STOP ALL, STOP survey or START from the telephone."""
    customers = gateway.customers
    entry = ConsentEntry(
        "*",
        category,
        "granted" if state == "granted" else "withdrawn",
        "sms_keyword" if state == "withdrawn" else "lifted_by_sms_keyword",
        word,
        gateway.clock.now(),
        source=customers.address_key(PHONE),
    )
    await customers.withdraw("sms", PHONE, [entry])


async def test_a_page_opens_nothing_at_the_phone_that_said_stop_all(ana: Visitor) -> None:
    await texted(ana.gateway, "STOP ALL", "withdrawn")
    page = await ana.look()
    assert EN.stop.resume in page
    assert EN.stop.stopped_at.format(address=PHONE, date="~").partition("~")[0] in page
    for words in (EN.order.stopped_sms, EN.order.stopped_voice):
        assert words.partition("{")[0] in page
    assert "START" in page
    page = await ana.press("/resume")
    assert said(page, "status") == EN.done.resumed
    assert EN.stop.resume not in page
    for words in (EN.order.stopped_sms, EN.order.stopped_voice):
        assert words.partition("{")[0] in page
    found = await ana.dry("outage")
    assert (found["email"], found["sms"], found["voice"]) == ("yes", "opted_out", "opted_out")
    for channel in ("sms", "voice"):
        await ana.press("/allow", channel=channel)
        assert (await ana.dry("outage"))[channel] == "opted_out"
    assert (await Visitor(ana.gateway, ana.session, "ben").dry("outage"))["sms"] == "opted_out"
    await texted(ana.gateway, "START", "granted")
    assert (await ana.dry("outage"))["sms"] == "yes"
    assert "START" not in await ana.look()


async def test_a_kind_that_a_phone_stopped_is_on_everywhere_else(ana: Visitor) -> None:
    await texted(ana.gateway, "STOP survey", "withdrawn", "survey")
    await ana.look()
    page = await ana.press("/switch", kind="survey", on="1")
    assert EN.kind.partly.format(channels="text message, phone") in page
    found = await ana.dry("survey")
    assert (found["email"], found["sms"], found["voice"]) == ("yes", "opted_out", "opted_out")
    page = await ana.look("/about/survey")
    assert EN.order.stopped_kind.partition("{")[0] in page
    assert "START survey" in page
    await texted(ana.gateway, "START survey", "granted", "survey")
    assert (await ana.dry("survey"))["sms"] == "yes"
    assert "START survey" not in await ana.look("/about/survey")


async def test_what_was_stopped_in_wechat_is_opened_there(gateway: Gateway, session: aiohttp.ClientSession) -> None:
    openid = "oLVPpjqs9BhvzwPj5A-vTYAX3GLc"
    await gateway.people.put("eva", {"addresses": [{"channel": "wechat", "value": openid}]})
    await gateway.customers.withdraw(
        "wechat", openid, [ConsentEntry("wechat", "*", "withdrawn", "wechat_keyword", "STOP", gateway.clock.now())]
    )
    page = await Visitor(gateway, session, "eva").look()
    assert EN.order.stopped_chat.partition("{")[0] in page
    assert EN.order.stopped_wechat.partition("{")[0] not in page


async def test_nothing_comes_always_while_everything_is_stopped(ana: Visitor) -> None:
    assert EN.kind.always_why in ana.page
    page = await ana.press("/stop")
    assert EN.kind.always_why not in page
    assert f">{EN.kind.always}<" not in page
    assert (await ana.dry("code"))["sms"] == "opted_out"
    assert f">{EN.kind.always}<" in await ana.press("/resume")


async def test_each_wechat_account_has_a_name_of_its_own(gateway: Gateway, session: aiohttp.ClientSession) -> None:
    openids = ("oLVPpjqs9BhvzwPj5A-vTYAX3GLc", "oLVPpjqs9BhvzwPj5A-vTYAX3GLd", "oLVPpjqs9BhvzwPj5A-vTYAX3GLe")
    addresses = [{"channel": "wechat", "value": value} for value in openids]
    addresses[2]["label"] = "mother"
    await gateway.people.put("eva", {"addresses": addresses})
    eva = Visitor(gateway, session, "eva")
    page = await eva.look()
    named = re.findall(rf'aria-label="{EN.home.remove}: ([^"]*)"', page)
    assert named == ["WeChat 1", "WeChat 2", "mother (WeChat)"]
    assert not any(openid in page for openid in openids)
    await gateway.people.put("eva", {"addresses": addresses[:1]})
    page = await eva.look()
    assert re.findall(rf'aria-label="{EN.home.remove}: ([^"]*)"', page) == ["WeChat"]
    section = page.partition('id="addresses"')[2].partition("</section>")[0]
    assert len(re.findall(r">WeChat<", section)) == 1, "said once"
