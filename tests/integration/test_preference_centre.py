"""The preference centre, form by form: what is pressed is what counts, in the words that stood there."""

from __future__ import annotations

import re

import aiohttp
import msgspec
import pytest

from gateway.app import Gateway
from gateway.customer import QuietHours
from gateway.links import PREFERENCES, preference_payload
from gateway.web.centre.texts import texts_in
from gateway.web.centre.zones import choices
from gateway.web.page_texts import languages
from tests.support.centre import ANA, Visitor, said

EN = texts_in("en")


@pytest.fixture
async def ana(gateway: Gateway, session: aiohttp.ClientSession) -> Visitor:
    """Ana, with her first page open."""
    await gateway.people.put("ana", ANA)
    visitor = Visitor(gateway, session)
    await visitor.look()
    assert visitor.status == 200, visitor.page
    return visitor


async def test_the_order_of_all_messages(ana: Visitor) -> None:
    assert EN.order.usual in ana.page
    page = await ana.press("/order", do="down", channel="sms")
    assert said(page, "status") == EN.done.order
    assert (await ana.person()).preferences.channels == ("wechat", "sms", "email", "voice")
    assert 'id="down-sms"' in page
    assert "autofocus" in page.partition('id="down-sms"')[2][:200], "the same button can be pressed again"
    await ana.press("/order", do="leave", channel="voice")
    await ana.press("/order", do="up", channel="sms")
    await ana.press("/order", do="sort", order="email,sms,wechat")
    assert (await ana.person()).preferences.channels == ("email", "sms", "wechat")
    assert await ana.dry("outage") == {"email": "yes", "sms": "yes", "wechat": "no_address", "voice": "not_wanted"}
    await ana.press("/order", do="use", channel="voice")
    assert (await ana.person()).preferences.channels == ("email", "sms", "wechat", "voice")
    for act, channel, order in (("sort", "", "email"), ("up", "pigeon", ""), ("up", "", ""), ("x", "", "")):
        await ana.look()
        assert said(await ana.press("/order", do=act, channel=channel, order=order)) == EN.page.wrong
        assert ana.status == 422
    assert (await ana.person()).preferences.channels == ("email", "sms", "wechat", "voice")


async def test_one_way_must_stay(ana: Visitor) -> None:
    for channel in ("wechat", "email", "voice"):
        await ana.press("/order", do="leave", channel=channel)
    assert said(await ana.press("/order", do="leave", channel="sms")) == EN.order.last
    assert (await ana.person()).preferences.channels == ("sms",)


async def test_who_leaves_out_a_channel_leaves_it_out_of_every_kind(ana: Visitor) -> None:
    await ana.gateway.people.put_preferences("ana", {"categories": {"outage": {"channels": ["voice", "sms"]}, "survey": {"channels": ["voice"]}}})  # fmt: skip
    await ana.look()
    await ana.press("/order", do="leave", channel="voice")
    wishes = (await ana.person()).preferences
    assert wishes.categories["outage"].channels == ("sms",)
    assert "survey" not in wishes.categories, "it follows the general order again"


async def test_a_kind_with_an_order_of_its_own(ana: Visitor) -> None:
    await ana.look("/about/outage")
    page = await ana.press("/about/outage/own", order="own")
    assert said(page, "status") == EN.done.own
    await ana.press("/about/outage/order", kind="outage", do="sort", order="voice,sms,wechat,email")
    assert (await ana.person()).preferences.categories["outage"].channels == ("voice", "sms", "wechat", "email")
    assert (await ana.person()).preferences.channels is None
    assert "Phone call → Text message" in await ana.look()
    await ana.look("/about/outage")
    await ana.press("/about/outage/own", order="same")
    assert (await ana.person()).preferences.categories == {}
    assert await ana.ledger() == [], "an order says nothing of consent"


async def test_a_kind_off_and_on_again(ana: Visitor) -> None:
    page = await ana.press("/switch", kind="survey", on="0")
    assert said(page, "status") == EN.done.off.format(kind="Surveys")
    assert (await ana.dry("survey"))["sms"] == "not_wanted"
    [entry] = await ana.gateway.customers.ledger("ana")
    assert (entry.channel, entry.category, entry.state, entry.way) == ("*", "survey", "withdrawn", "page")
    assert entry.version == EN.version
    for words in (EN.kinds["survey"].title, EN.kinds["survey"].what):
        assert words in entry.wording
        assert words in page
    page = await ana.press("/switch", kind="survey", on="1")
    assert (await ana.dry("survey"))["sms"] == "yes"
    assert (await ana.ledger())[-1] == ("*", "survey", "granted", "page")
    assert re.search(r'id="switch-survey" aria-checked="true"', page)


async def test_on_again_lifts_that_kind_and_nothing_else(ana: Visitor) -> None:
    add = ana.gateway.people.add_consent
    await add("ana", {"channel": "email", "category": "service", "state": "withdrawn", "way": "one", "wording": "x"})
    await add("ana", {"channel": "voice", "category": "*", "state": "withdrawn", "way": "two", "wording": "x"})
    await ana.look()
    await ana.press("/switch", kind="service", on="0")
    await ana.press("/switch", kind="service", on="1")
    assert (await ana.dry("service")) == {"sms": "yes", "email": "yes", "voice": "opted_out", "wechat": "no_address"}
    assert (await ana.dry("outage"))["voice"] == "opted_out"


async def test_a_whole_channel_that_was_stopped_is_allowed_again(ana: Visitor) -> None:
    stop = {"channel": "email", "category": "*", "state": "withdrawn", "way": "api", "wording": "x"}
    await ana.gateway.people.add_consent("ana", stop)
    assert EN.order.stopped.partition("{")[0] in await ana.look()
    assert (await ana.dry("service"))["email"] == "opted_out"
    await ana.press("/allow", channel="email")
    assert (await ana.dry("service"))["email"] == "yes"
    assert (await ana.dry("marketing"))["email"] == "no_consent", "to lift a stop is no opt-in"


async def test_what_a_phone_has_stopped_is_lifted_from_there_alone(ana: Visitor) -> None:
    from gateway.customer import ConsentEntry

    stop = ConsentEntry("sms", "*", "withdrawn", "sms_keyword", "STOP", ana.gateway.clock.now())
    await ana.gateway.customers.withdraw("sms", "+306912345678", [stop])
    page = await ana.look()
    assert "START" in page
    assert said(await ana.press("/allow", channel="sms")) == EN.page.wrong
    assert (await ana.dry("outage"))["sms"] == "opted_out"


async def test_a_kind_that_needs_consent_is_agreed_to_channel_by_channel(ana: Visitor) -> None:
    assert EN.kind.not_agreed in ana.page
    assert 'id="switch-marketing"' not in ana.page, "nobody agrees by a mere switch"
    assert said(await ana.press("/switch", kind="marketing", on="1")) == EN.page.wrong
    page = await ana.look("/about/marketing")
    sentence = EN.kind.agree_us.format(kind="Offers", channel="e-mail")
    assert sentence in re.sub(r"&#34;|&quot;", '"', page)
    await ana.press("/about/marketing/agree", channel="email", agree="1")
    [entry] = await ana.gateway.customers.ledger("ana")
    assert (entry.channel, entry.category, entry.state, entry.way) == ("email", "marketing", "granted", "page")
    assert sentence in entry.wording
    assert await ana.dry("marketing") == {"email": "yes", "sms": "no_consent", "voice": "no_consent", "wechat": "no_address"}  # fmt: skip
    await ana.press("/about/marketing/agree", channel="email", agree="0")
    assert (await ana.dry("marketing"))["email"] == "opted_out"
    await ana.press("/about/marketing/agree", channel="email", agree="1")
    assert (await ana.dry("marketing"))["email"] == "yes"
    await ana.look()
    await ana.press("/switch", kind="marketing", on="0")
    assert (await ana.dry("marketing"))["email"] in ("opted_out", "not_wanted")


async def test_what_one_asks_for_is_always_sent_and_said_so(ana: Visitor) -> None:
    assert ana.page.count(EN.kind.always_why) == 2
    for kind in ("code", "reply", "nonsense"):
        assert said(await ana.press("/switch", kind=kind, on="0")) == EN.page.wrong
        await ana.look(f"/about/{kind}")
        assert ana.status == 404
        await ana.look()
    assert await ana.ledger() == []


async def test_stop_everything_and_the_way_back(ana: Visitor) -> None:
    await ana.press("/switch", kind="survey", on="0")
    page = await ana.press("/stop", seen="whatever was seen")
    assert EN.stop.resume in page
    assert set((await ana.dry("outage")).values()) == {"opted_out", "no_address"}
    page = await ana.press("/resume")
    assert said(page, "status") == EN.done.resumed
    assert (await ana.dry("outage"))["sms"] == "yes"
    assert (await ana.dry("survey"))["sms"] == "not_wanted", "everything else is as it was"
    assert (await ana.dry("marketing"))["sms"] == "no_consent", "to write again is no opt-in"


async def test_quiet_hours_and_time_zone(ana: Visitor) -> None:
    page = await ana.look("/quiet")
    assert '<option value="Europe/Athens" selected>Athens' in page
    await ana.press("/quiet", quiet="own", start="22:30", end="07:00", zone="Europe/London")
    person = await ana.person()
    assert (person.preferences.quiet_hours, person.time_zone) == (QuietHours("22:30", "07:00"), "Europe/London")
    assert "22:30 to 07:00 · London" in ana.page
    await ana.look("/quiet")
    page = await ana.press("/quiet", quiet="own", start="22:30", end="22:30", zone="Asia/Tokyo")
    assert (ana.status, said(page)) == (422, EN.quiet.bad_times)
    assert '<option value="Asia/Tokyo" selected>' in page, "what was typed stays"
    assert said(await ana.press("/quiet", quiet="none", zone="Mars/Olympus")) == EN.page.wrong
    await ana.look("/quiet")
    await ana.press("/quiet", quiet="none", zone="")
    person = await ana.person()
    assert (person.preferences.quiet_hours, person.time_zone) == (None, None)
    await ana.look("/quiet")
    await ana.press("/quiet", quiet="usual", zone="")
    assert (await ana.person()).preferences.quiet_hours is not None


@pytest.mark.parametrize("zone", ["UTC", "Etc/GMT-2", "Asia/Calcutta", "Europe/Athens"])
async def test_a_zone_that_stands_in_no_list_is_kept(ana: Visitor, zone: str) -> None:
    await ana.gateway.people.patch("ana", {"time_zone": zone})
    page = await ana.look("/quiet")
    [chosen] = re.findall(r'<option value="([^"]*)" selected', page)
    assert chosen == zone


def test_zones_are_listed_once_each_in_the_readers_language() -> None:
    for tag in languages():
        places = [name for _, found in choices(tag) for _, name in found]
        assert len(places) > 300
        assert len(set(places)) >= len(places) - 6, "a name is a city's own"
    assert ("Ευρώπη", "Αθήνα") in [(area, name) for area, found in choices("el") for _, name in found]


async def test_the_language_of_messages_and_of_the_pages(ana: Visitor) -> None:
    await ana.look("/language")
    page = await ana.press("/language", language="el")
    assert (await ana.person()).preferences.language == "el"
    assert '<html lang="el">' in page
    page = await ana.look("?lang=zh-Hant")
    assert '<html lang="zh-Hant">' in page
    assert f'action="{ana.base}/stop?lang=zh-Hant"' in page, "the pages stay in the language chosen for them"
    await ana.press("/switch?lang=zh-Hant", kind="survey", on="0")
    [entry] = await ana.gateway.customers.ledger("ana")
    assert texts_in("zh-Hant").kinds["survey"].what in entry.wording, "the words that she saw"
    await ana.look("/language")
    assert ana.status == 200
    await ana.press("/language", language="tlh")
    assert ana.status == 422
    assert (await ana.person()).preferences.language == "el"


async def test_two_devices_lose_nothing(ana: Visitor) -> None:
    other = Visitor(ana.gateway, ana.session)
    await other.look()
    await other.press("/order", do="leave", channel="voice")
    page = await ana.press("/order", do="down", channel="sms")
    assert (ana.status, said(page)) == (409, EN.page.changed)
    assert "voice" not in ((await ana.person()).preferences.channels or ())
    await ana.press("/order", do="down", channel="sms")
    assert (await ana.person()).preferences.channels == ("wechat", "sms", "email")
    await ana.look("/quiet")
    await other.look()
    await other.press("/switch", kind="survey", on="0")
    page = await ana.press("/quiet", quiet="own", start="22:15", end="06:45", zone="Europe/Athens")
    assert ana.status == 409
    assert 'value="22:15"' in page, "what was typed stays"


async def test_what_changes_beside_what_is_shown_is_no_hindrance(ana: Visitor) -> None:
    before = await ana.gateway.customers.load("ana")
    await ana.gateway.customers.change("ana", lambda known: (msgspec.structs.replace(known, wrote_at={"sms": 1}), ()))
    assert await ana.gateway.customers.load("ana") != before
    await ana.press("/order", do="down", channel="sms")
    assert ana.status == 200, ana.page


async def test_every_page_in_every_language(ana: Visitor) -> None:
    pages = ("", "/about/outage", "/about/marketing", "/quiet", "/language", "/addresses/add", "/data", "/forget")
    for tag in sorted(languages()):
        for path in pages:
            page = await ana.look(f"{path}?lang={tag}")
            assert ana.status == 200, (path, page)
            assert f'<html lang="{tag}">' in page
            assert re.search(r"<title>[^<]{2,}</title>", page)
            assert "{" not in re.sub(r"<[^>]+>", "", page), (path, tag)


def test_the_texts_are_whole() -> None:
    english = texts_in("en")
    for tag in languages():
        texts = texts_in(tag)
        assert texts.kinds.keys() == english.kinds.keys()
        for name, group in english.groups.items():
            assert group.names() == texts.groups[name].names(), (tag, name)
            for key in group.names():
                places = [sorted(re.findall(r"\{\w+\}", one.get(key) or "")) for one in (group, texts.groups[name])]
                assert places[0] == places[1], (tag, name, key)


async def test_a_link_that_does_not_open(ana: Visitor, gateway: Gateway, session: aiohttp.ClientSession) -> None:
    for bad in ("/p/x", "/p/x/nothing", ana.base[:-1], "/p/" + gateway.links.sign("message", "ana", 60)):
        async with session.get(bad) as answer:
            assert answer.status == 404, bad
    async with session.get(
        "/p/" + gateway.links.sign(PREFERENCES, preference_payload("live", "nobody", 1), 60)
    ) as answer:
        assert answer.status == 410
    async with session.get(
        "/p/" + gateway.links.sign(PREFERENCES, preference_payload("live", "nobody", 1), -60)
    ) as answer:
        assert answer.status == 410
