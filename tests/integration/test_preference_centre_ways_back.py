"""What is closed on the preference page has one way back, and a button opens what it names; links and codes are a person's own."""

from __future__ import annotations

import re

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.customer import Address
from gateway.delivery.request import NewMessage
from gateway.selfservice.verification import Challenge, Wrong
from gateway.web.centre.texts import texts_in
from gateway.web.page_texts import languages
from tests.support.centre import ANA, Visitor, last_code, said, token

EN = texts_in("en")


@pytest.fixture
async def ana(gateway: Gateway, session: aiohttp.ClientSession) -> Visitor:
    await gateway.people.put("ana", ANA)
    visitor = Visitor(gateway, session)
    await visitor.look()
    return visitor


async def closed(ana: Visitor, channel: str, category: str) -> None:
    entry = {"channel": channel, "category": category, "state": "withdrawn", "way": "form", "wording": "x"}
    await ana.gateway.people.add_consent("ana", entry)


def ways_back(page: str) -> set[str]:
    """The buttons of the first page by which something is opened."""
    found = {f"switch {name}" for name in re.findall(r'id="switch-(\w+)" aria-checked="false"', page)}
    found |= {
        f"allow {name}"
        for name in re.findall(r'name="channel" value="(\w+)">(?:(?!</form>).)*?/allow', page, re.DOTALL)
    }
    return found | ({"resume"} if 'id="resume"' in page else set())


COMBINATIONS = [
    ([("email", "*")], {"allow email"}),
    ([("*", "survey")], {"switch survey"}),
    ([("*", "*")], {"resume"}),
    ([("email", "*"), ("*", "survey")], {"allow email", "switch survey"}),
    ([("email", "*"), ("email", "survey")], {"allow email"}),
    ([("*", "*"), ("*", "survey")], {"resume"}),
    ([("*", "*"), ("email", "*")], {"resume", "allow email"}),
]


@pytest.mark.parametrize("withdrawn, ways", COMBINATIONS)
async def test_each_closed_state_has_its_own_way_back(
    ana: Visitor, withdrawn: list[tuple[str, str]], ways: set[str]
) -> None:
    for channel, category in withdrawn:
        await closed(ana, channel, category)
    assert ways_back(await ana.look()) == ways
    if "resume" in ways:
        await ana.press("/resume")
    if "allow email" in ways:
        await ana.press("/allow", channel="email")
    if ("*", "survey") in withdrawn:
        assert (await ana.dry("survey"))["email"] == "opted_out", "by its own switch alone"
        await ana.press("/switch", kind="survey", on="1")
    if ("email", "survey") in withdrawn:
        assert (await ana.dry("survey"))["email"] == "opted_out"
        assert EN.kind.again.format(channel="e-mail") in await ana.look("/about/survey")
        await ana.press("/about/survey/agree", channel="email", agree="1")
    for category in ("survey", "outage"):
        assert {name for name, code in (await ana.dry(category)).items() if code == "yes"} == {"sms", "email", "voice"}
    assert ways_back(await ana.look()) == set()


async def test_a_kind_switched_on_leaves_the_channel_stopped(ana: Visitor) -> None:
    """Surveys were left by one click, and e-mail as a whole was stopped too."""
    await closed(ana, "email", "survey")
    await closed(ana, "email", "*")
    await closed(ana, "*", "survey")
    await ana.look()
    await ana.press("/switch", kind="survey", on="1")
    dry = await ana.dry("survey")
    assert (dry["sms"], dry["email"]) == ("yes", "opted_out")
    await ana.press("/allow", channel="email")
    assert (await ana.dry("survey"))["email"] == "yes", "the switch had lifted what named surveys"


async def test_while_everything_is_stopped_no_switch_opens_anything(ana: Visitor) -> None:
    await ana.press("/stop")
    assert EN.kind.stop_all in ana.page
    assert said(await ana.press("/switch", kind="survey", on="1")) == EN.kind.stop_all
    page = await ana.look("/about/marketing")
    assert 'value="1" class="main" id="agree-' not in page
    assert said(await ana.press("/about/marketing/agree", channel="email", agree="1")) == EN.kind.stop_all
    assert [line[2] for line in await ana.ledger()] == ["withdrawn"]


async def test_nobody_agrees_by_a_channel_that_is_stopped(ana: Visitor) -> None:
    await closed(ana, "email", "*")
    page = await ana.look("/about/marketing")
    words = EN.kind.channel_first.format(channel="e-mail")
    assert words in page
    assert 'id="agree-email"' not in page
    assert 'id="agree-sms"' in page
    assert said(await ana.press("/about/marketing/agree", channel="email", agree="1")) == words
    assert (await ana.dry("outage"))["email"] == "opted_out"


def test_what_is_read_out_holds_what_is_written_on_the_button() -> None:
    """WCAG 2.5.3: who speaks to the page says what they see."""
    for tag in languages():
        words = texts_in(tag)
        for group, seen, heard in (
            *((words.kind, name, f"{name}_name") for name in ("agree", "take_back")),
            *((words.order, name, f"{name}_name") for name in ("use", "leave", "allow")),
        ):
            assert (group.get(seen) or "-").lower() in (group.get(heard) or "").lower(), (tag, seen)


# Of two who had the same id, a link is for one


async def again(gateway: Gateway) -> None:
    """Ana is erased, and somebody else is given her id."""
    found = await gateway.customers.load("ana")
    assert found is not None
    await gateway.customers.delete("ana")
    while gateway.clock.now() <= found[0].created_at:
        await gateway.scripts.pipe.send("PING")
    await gateway.people.put("ana", {**ANA, "name": "Another Person"})


async def test_an_old_link_never_opens_the_page_of_who_has_the_id_now(ana: Visitor) -> None:
    gateway, other = ana.gateway, Visitor(ana.gateway, ana.session)
    trial = await token(gateway, "ana", 60, "test")
    ended = await token(gateway, "ana", -60)
    new = NewMessage(customer="ana", category="service", content={"text": "x"})
    message, _ = await gateway.intake.preview("live", new)
    category = gateway.rules.categories["service"]
    mailed = gateway.words.links(message, category).preferences
    assert mailed is not None
    async with ana.session.get("/p/" + mailed.rpartition("/p/")[2]) as answer:
        assert answer.status == 200, "the link of her own message opens her page"
    await again(gateway)
    for old in (ana.base, f"/p/{trial}", f"/p/{ended}", "/p/" + mailed.rpartition("/p/")[2]):
        for path in ("", "/data", "/export", "/wechat", "/about/outage"):
            async with ana.session.get(old + path) as answer:
                page = await answer.text()
                assert (answer.status, EN.forget.gone in page) == (410, True), (old, path)
        async with ana.session.post(old + "/open", data={"to": "0"}) as answer:
            assert answer.status == 410
            assert "5678" not in await answer.text(), "not even a masked address"
    await ana.press("/stop")
    assert (ana.status, await ana.ledger()) == (410, [])
    assert "Another Person" in await other.look()


async def test_codes_and_invitations_are_for_who_asked(ana: Visitor) -> None:
    gateway = ana.gateway
    before = await ana.person()
    wanted = Challenge(
        customer="ana", born=before.created_at, purpose="open", address=Address("email", "ana@example.com")
    )
    name = await gateway.verification.begin(wanted, language="en", time_zone=None)
    code, _ = await last_code(gateway)
    await again(gateway)
    assert await gateway.verification.check(name, await ana.person(), "open", code) == Wrong(0)
    assert await gateway.verification.check(name, before, "open", code) == wanted
