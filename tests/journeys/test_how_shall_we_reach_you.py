"""Story 2. A welcome message carries a link; she puts her channels in order, and the next notice follows it."""

from __future__ import annotations

import re

from tests.support.centre import Visitor, token
from tests.support.running import Running, until

PHONE = "+306900000155"
MAIL = "ana.pappas@example.org"


async def test_she_says_it_once_and_it_is_so(gw: Running) -> None:
    await gw.customer("ana", sms=PHONE, voice=PHONE, email=MAIL)
    await gw.ended((await gw.send("ana", "service", template="welcome", data={"name": "Ana"}))["id"])
    [text] = gw.sandbox.world.texts(PHONE)
    found = re.search(rf"{re.escape(gw.url)}(/p/\S+)", text.body)
    assert found is not None, text.body

    ana = Visitor(gw.service.gateway, gw.http)
    ana.base = gw.url + found[1]
    assert "How shall we reach you?" in await ana.look()
    await ana.press("/order", do="sort", order="email,sms,voice,wechat")
    await ana.look("/about/outage")
    await ana.press("/about/outage/own", order="own")
    await ana.press("/about/outage/order", kind="outage", do="sort", order="voice,sms,email,wechat")

    outage = await gw.ended((await gw.send("ana"))["id"])
    assert (outage["verdict"]["state"], outage["verdict"]["channel"]) == ("reached", "voice"), outage
    assert len(gw.sandbox.world.texts(PHONE)) == 1, "nobody wrote besides"
    service = await gw.send("ana", "service")
    told = await gw.when(service["id"], lambda found: found["attempts"])
    assert told["attempts"][0]["channel"] == "email", told


async def test_she_switches_surveys_off_and_the_wording_is_kept(gw: Running) -> None:
    await gw.customer("ana", sms=PHONE)
    ana = Visitor(gw.service.gateway, gw.http)
    ana.base = f"{gw.url}/p/{await token(gw.service.gateway, ana.id)}"
    page = await ana.look()
    await ana.press("/switch", kind="survey", on="0")
    sent = await gw.send("ana", "survey")
    assert (sent["status"], sent["verdict"]["state"]) == ("done", "suppressed"), sent
    consents = (await gw.api("GET", "/v1/customers/ana/consents")).body["items"]
    assert [(one["category"], one["state"], one["way"]) for one in consents] == [("survey", "withdrawn", "page")]
    assert consents[0]["version"].startswith("centre en ")
    words, _, pressed = consents[0]["wording"].partition(" [")
    assert all(sentence in page for sentence in words.split(". ", 1)), "in the words that she saw"
    assert pressed == "Off]"
    outage = await gw.ended((await gw.send("ana"))["id"])
    assert outage["verdict"]["state"] == "reached", "what she still wants still comes"


async def test_an_address_is_hers_once_she_has_typed_in_its_code(gw: Running) -> None:
    await gw.customer("ana", email=MAIL)
    ana = Visitor(gw.service.gateway, gw.http)
    ana.base = f"{gw.url}/p/{await token(gw.service.gateway, ana.id)}"
    await ana.look("/addresses/add")
    where = await ana.press("/addresses/add", follow=False, channel="sms", value=PHONE)
    await until(lambda: gw.sandbox.world.texts(PHONE))
    [text] = gw.sandbox.world.texts(PHONE)
    found = re.search(r"\b\d{6}\b", text.body)
    assert found is not None
    assert "/p/" not in text.body, "a code leads nowhere"
    await ana.press(where.removeprefix(ana.base.removeprefix(gw.url)), code=found[0])
    notice = await gw.ended((await gw.send("ana", reach={"channels": ["sms"]}))["id"])
    assert notice["verdict"]["channel"] == "sms", notice
