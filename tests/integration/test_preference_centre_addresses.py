"""Addresses at the preference centre: nothing is written into a profile that wasn't proved by a code."""

from __future__ import annotations

import re

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.customer import ConsentEntry
from gateway.links import PREFERENCES, preference_subject
from gateway.selfservice.verification import ADDRESS_LIMITS, CUSTOMER_LIMITS, TRIES
from gateway.web.centre.texts import texts_in
from tests.support.centre import ANA, Visitor, last_code, said, token
from tests.support.keyleaks import leaks

EN = texts_in("en")
NEW = "+306987654321"


@pytest.fixture
async def ana(gateway: Gateway, session: aiohttp.ClientSession) -> Visitor:
    """Ana, with the form for a new address open."""
    await gateway.people.put("ana", ANA)
    visitor = Visitor(gateway, session)
    await visitor.look("/addresses/add")
    return visitor


async def asked(ana: Visitor, value: str = NEW, channel: str = "sms", **more: str) -> str:
    """Ask for a code; the path of the page where it is typed in."""
    where = await ana.press("/addresses/add", follow=False, channel=channel, value=value, **more)
    assert ana.status == 303, ana.page
    return where.removeprefix(ana.base)


async def held(ana: Visitor) -> list[tuple[str, str, str | None]]:
    return [(one.channel, one.value, one.label) for one in (await ana.person()).addresses]


async def test_an_address_is_added_by_its_code(ana: Visitor) -> None:
    before = await held(ana)
    path = await asked(ana, "698 765 4321", label=" my  <b>second</b> ")
    assert await held(ana) == before, "an unproven address is never in the profile"
    page = await ana.look(path)
    assert NEW in page
    code, message = await last_code(ana.gateway)
    assert re.fullmatch(r"\d{6}", code)
    assert (message.addresses, message.category, message.locale) == ((("sms", NEW),), "code", "en")
    assert said(await ana.press(path, code="000000" if code != "000000" else "1")) == EN.code.wrong.format(
        left=TRIES - 1
    )
    page = await ana.press(path, code=f" {code[:3]} {code[3:]} ")
    assert said(page, "status") == EN.done.added
    assert await held(ana) == [*before, ("sms", NEW, "my <b>second</b>")]
    assert "<b>second" not in page
    assert said(await ana.press(path, code=code)) == EN.code.void, "a code opens once"
    assert EN.data.from_page.partition("{")[0] in await ana.look("/data")
    ref = re.findall(r"addresses/(sms-[0-9a-f]+)/remove", await ana.look())[-1]
    await ana.press(f"/addresses/{ref}/remove")
    assert (await ana.person()).confirmed == {}, "of what is gone nothing stays"
    assert await leaks(ana.gateway.client) == []


async def test_a_number_for_calls_too_and_in_the_place_of_another(ana: Visitor) -> None:
    page = await ana.look()
    [ref] = set(re.findall(r"instead=(sms-[0-9a-f]+)", page))
    page = await ana.look(f"/addresses/add?instead={ref}")
    assert "<s>+306912345678</s>" in page
    path = await asked(ana, calls="1", instead=ref)
    await ana.press(path, code=(await last_code(ana.gateway))[0])
    assert [one[:2] for one in await held(ana)] == [
        ("sms", NEW),
        ("voice", NEW),
        ("voice", "+306912345678"),
        ("email", "ana@example.com"),
    ]


async def test_an_order_without_a_channel_does_not_keep_its_address_from_being_proved(ana: Visitor) -> None:
    await ana.gateway.people.put_preferences("ana", {"channels": ["email"]})
    await ana.gateway.people.patch("ana", {"addresses": [{"channel": "sms", "value": NEW}]})
    await asked(ana, NEW, channel="voice")
    _, message = await last_code(ana.gateway)
    assert (message.customer, message.status) == ("ana", "queued"), message.skipped


async def test_what_can_not_be_added(ana: Visitor) -> None:
    words = EN.address
    cases = {
        ("sms", "nonsense"): words.bad.format(hint=words.value_hint),
        ("email", "ana@"): words.bad.format(hint=words.value_hint),
        ("sms", "+306912345678"): words.known,
        ("wechat", "oABCDEFGH"): EN.page.wrong,
        ("pigeon", "x"): EN.page.wrong,
        ("sms", "+3069090000000000000"): words.bad.format(hint=words.value_hint),
        ("sms", "+4490987654321"): None,
    }
    for (channel, value), wanted in cases.items():
        page = await ana.press("/addresses/add", channel=channel, value=value)
        assert ana.status == 422, (channel, value)
        assert wanted is None or said(page) == wanted
        assert channel in ("pigeon", "wechat") or f'value="{value}"' in page, "what was typed stays"


async def test_a_family_may_share_an_address(ana: Visitor) -> None:
    await ana.gateway.people.put("nikos", {"addresses": [{"channel": "sms", "value": NEW}]})
    path = await asked(ana)
    await ana.press(path, code=(await last_code(ana.gateway))[0])
    assert ("sms", NEW, None) in await held(ana)
    assert await ana.gateway.customers.owners(NEW) == ["ana", "nikos"]


async def test_what_was_stopped_at_an_address_holds_for_codes_too(ana: Visitor) -> None:
    stop = ConsentEntry("sms", "*", "withdrawn", "sms_keyword", "STOP", ana.gateway.clock.now())
    await ana.gateway.customers.withdraw("sms", NEW, [stop])
    assert said(await ana.press("/addresses/add", channel="sms", value=NEW)) == EN.code.opted_out
    assert ana.status == 422


async def test_five_tries_and_the_code_is_void(ana: Visitor) -> None:
    path = await asked(ana)
    code, _ = await last_code(ana.gateway)
    wrong = "111111" if code != "111111" else "222222"
    for left in range(TRIES - 1, 0, -1):
        words = EN.code.wrong.format(left=left) if left > 1 else EN.code.wrong_one
        assert said(await ana.press(path, code=wrong)) == words
        assert ana.status == 422
    assert said(await ana.press(path, code=wrong)) == EN.code.void
    assert (ana.status, said(await ana.press(path, code=code))) == (410, EN.code.void)
    assert ("sms", NEW, None) not in await held(ana)


async def test_what_is_no_code_costs_no_try_and_digits_are_read_as_they_are_typed(ana: Visitor) -> None:
    path = await asked(ana)
    code, _ = await last_code(ana.gateway)
    for typed in ("", "abc", "12345", "1234567", "١٢٣"):
        assert said(await ana.press(path, code=typed)) == EN.code.wrong.format(left=TRIES), typed
    await ana.press(path, code="".join(chr(0xFF10 + int(digit)) for digit in code))
    assert ("sms", NEW, None) in await held(ana)


async def test_a_code_is_no_use_to_anybody_else(ana: Visitor) -> None:
    await ana.gateway.people.put("eve", {"addresses": [{"channel": "email", "value": "eve@example.com"}]})
    path = await asked(ana)
    code, _ = await last_code(ana.gateway)
    eve = Visitor(ana.gateway, ana.session, "eve")
    assert said(await eve.press(path, code=code)) == EN.code.void
    assert [one.value for one in (await eve.person()).addresses] == ["eve@example.com"]
    await ana.press(path, code=code)
    assert ("sms", NEW, None) in await held(ana)


async def test_codes_are_few_for_an_address_and_for_a_person(ana: Visitor) -> None:
    for _ in range(ADDRESS_LIMITS[0][0]):
        await asked(ana)
    page = await ana.press("/addresses/add", channel="sms", value=NEW)
    assert ana.status == 429
    assert said(page).startswith(EN.code.too_many.partition("{")[0])
    await ana.gateway.people.patch("ana", {"time_zone": None})
    here = said(await ana.press("/addresses/add", channel="sms", value=NEW))
    assert here == said(page), "the number says that she is in Athens"
    greek = said(await ana.press("/addresses/add?lang=el", channel="sms", value=NEW))
    assert not greek.endswith(".."), greek
    for number in range(CUSTOMER_LIMITS[0][0] - ADDRESS_LIMITS[0][0]):
        await asked(ana, f"new{number}@example.com", "email")
    await ana.press("/addresses/add", channel="email", value="one-more@example.com")
    assert ana.status == 429


async def test_an_address_is_removed_after_a_question(ana: Visitor) -> None:
    page = await ana.look()
    ref = re.findall(r"addresses/(email-[0-9a-f]+)/remove", page)[0]
    page = await ana.look(f"/addresses/{ref}/remove")
    assert "ana@example.com" in page
    page = await ana.press(f"/addresses/{ref}/remove")
    assert said(page, "status") == EN.done.removed
    assert [one[0] for one in await held(ana)] == ["sms", "voice"]
    assert await ana.gateway.customers.owners("ana@example.com") == []
    await ana.look(f"/addresses/{ref}/remove")
    assert ana.status == 404


# When the time of a link is over


@pytest.fixture
async def late(ana: Visitor) -> Visitor:
    """Ana, whose link is old."""
    ana.base = "/p/" + await token(ana.gateway, "ana", -60)
    return ana


async def test_an_old_link_offers_a_code_to_a_known_address(late: Visitor) -> None:
    page = await late.look()
    assert late.status == 410
    assert EN.lapsed.lead in page
    assert "+30…5678" in page
    assert "a…@example.com" in page
    for hidden in ("306912345678", "ana@example.com", "Ana Pappas"):
        assert hidden not in page, "whoever holds an old link may be anybody"
    where = (await late.press("/open", follow=False, to="2")).removeprefix(late.base)
    code, message = await last_code(late.gateway)
    assert message.addresses == (("email", "ana@example.com"),)
    assert "a…@example.com" in await late.look(where)
    assert said(await late.press(where, code="x")).startswith("That is not the code")
    opened = await late.press(where, follow=False, code=code)
    assert (late.status, late.base not in opened) == (303, True)
    async with late.session.get(opened) as answer:
        assert answer.status == 200
        assert "Ana Pappas" in await answer.text()
    payload, ends = late.gateway.links.opened(PREFERENCES, opened.removeprefix("/p/"))
    assert (preference_subject(payload)[1], ends <= late.gateway.clock.now() + 3_600_000) == ("ana", True)
    assert said(await late.press(where, code=code)) == EN.code.void


async def test_an_old_link_opens_nothing_else(late: Visitor) -> None:
    for path in ("/order", "/switch", "/stop", "/quiet", "/addresses/add", "/forget"):
        assert EN.lapsed.title in await late.press(path, on="0", kind="survey")
        assert late.status == 410
    for path in ("/data", "/export", "/about/outage"):
        assert "ana@example.com" not in await late.look(path)
        assert late.status == 410
    assert (await late.person()).preferences.categories == {}
    assert await late.ledger() == []
    for to in ("9", "-1", "x", "", "²"):
        assert said(await late.press("/open", to=to)) == EN.page.wrong


async def test_who_has_stopped_everything_gets_no_code(late: Visitor) -> None:
    stop = {"channel": "*", "category": "*", "state": "withdrawn", "way": "page", "wording": "x"}
    await late.gateway.people.add_consent("ana", stop)
    assert EN.lapsed.nothing in await late.look()


async def test_old_links_send_few_codes(late: Visitor) -> None:
    for _ in range(ADDRESS_LIMITS[0][0]):
        await late.press("/open", follow=False, to="0")
        assert late.status == 303
    await late.press("/open", to="0")
    assert late.status == 429
