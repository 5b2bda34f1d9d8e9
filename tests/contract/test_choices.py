"""A choice counts at once, everywhere it was meant to, and nobody is told otherwise."""

from __future__ import annotations

import pytest

from tests.contract.self_service import Call, Centre, open_to, outcome, said
from tests.contract.world import World, fresh


@pytest.mark.parametrize("words", ["STOP", "STOPALL"])
async def test_a_stop_that_the_provider_confirmed_binds_before_it_is_answered(w: World, words: str) -> None:
    person = await w.person("sms", "email")
    await w.twilio.inbound(person.number, words, OptOutType="STOP")
    assert [state for _, _, state in await said(w, person)] == ["withdrawn"]


async def test_leaving_wechat_binds_before_it_is_answered(w: World) -> None:
    person = await w.person("wechat")
    await w.wechat.post(person.openid, "<MsgType>event</MsgType><Event>unsubscribe</Event>")
    assert [state for _, _, state in await said(w, person)] == ["withdrawn"]


async def test_who_comes_back_on_the_page_is_told_that_the_phone_stays_closed(w: World) -> None:
    person = await w.person("sms", "email")
    await w.twilio.inbound(person.number, "STOP ALL")
    page = await Centre.of(w, person)
    await page.post("/resume", seen=await page.seen())
    assert await open_to(w, person) == {"email"}
    assert "text START" in (await page.get()).text


async def test_start_claims_no_more_than_it_lifts(w: World) -> None:
    person = await w.person("sms")
    await w.twilio.inbound(person.number, "STOP survey")
    await w.twilio.text(person.number)
    await w.twilio.inbound(person.number, "START")
    assert "except surveys" in (await w.twilio.text(person.number, 2)).form["Body"]


async def test_two_taps_on_a_switch_are_one(w: World) -> None:
    page = await Centre.of(w, await w.person("sms"))
    seen = await page.seen()
    taps = [await page.post("/switch", seen=seen, kind="survey", on="0") for _ in range(2)]
    assert [one.status for one in taps] == [303, 303]


async def test_a_no_on_an_old_page_counts(w: World) -> None:
    person = await w.person("sms")
    page = await Centre.of(w, person)
    seen = await page.seen()
    await w.api("PUT", f"/v1/customers/{person.id}/preferences", {"language": "el"})
    await page.post("/switch", seen=seen, kind="service", on="0")
    assert await open_to(w, person, "service") == set()


@pytest.mark.parametrize("words", ["ORDER wechat", "ORDER sms pigeon", "ORDER pigeon"])
async def test_an_order_that_cannot_be_is_answered(w: World, words: str) -> None:
    person = await w.person("sms", "email")
    await w.twilio.inbound(person.number, words)
    assert await outcome(w, person.number, words) in {"unclear", "preferences"}
    await w.twilio.text(person.number)


async def test_the_phone_does_not_say_that_offers_come_without_consent(w: World) -> None:
    person = await w.person("sms", "voice")
    call = await (await Call(w, person.number).ring()).press("1", "5", "1", "9")
    assert "we send you a text" not in call.words
    assert await open_to(w, person, "marketing") == set()


async def test_a_number_that_is_given_up_takes_its_stop_all_along(w: World) -> None:
    """STOP ALL came before the number was theirs: it closes the number, and nothing else of theirs."""
    person, number = await w.person("email"), fresh()
    await w.twilio.inbound(number, "STOP ALL")
    own = {"channel": "email", "value": person.email}
    for addresses in ([own, {"channel": "sms", "value": number}], [own]):
        await w.api("PATCH", f"/v1/customers/{person.id}", {"addresses": addresses})
        assert await open_to(w, person) == {"email"}


async def test_every_language_is_confirmed(w: World) -> None:
    person = await w.person("sms")
    for count, words in enumerate(("LANG el", "English"), 1):
        await w.twilio.inbound(person.number, words)
        await w.twilio.text(person.number, count)


async def test_a_linked_phone_speaks_for_its_customer(w: World) -> None:
    person, number = await w.person("email", "voice"), fresh()
    await w.twilio.inbound(number, "hello")
    await outcome(w, number, "hello")
    items = (await w.api("GET", "/v1/inbound", unlinked="true", limit=100)).body["items"]
    item = next(one["id"] for one in items if one["from"] == number)
    await w.api("POST", f"/v1/inbound/{item}/link", {"customer": person.id})
    _, text = await w.twilio.inbound(number, "STOP ALL")
    assert "any channel" in text
    assert await open_to(w, person) == set()


async def test_a_borrowed_number_lifts_nothing(w: World) -> None:
    person = await w.person("sms", "voice")
    await w.twilio.inbound(person.number, "STOP")
    await (await Call(w, person.number, StirVerstat="TN-Validation-Failed").ring()).press("1", "9")
    assert await open_to(w, person) == {"voice"}


@pytest.mark.parametrize("words", ["STOP", "STOP ALL"])
async def test_following_lifts_no_stop(w: World, words: str) -> None:
    person = await w.person("wechat", "sms")
    await w.wechat.writes(person.openid, words)
    closed = await open_to(w, person)
    await w.wechat.post(person.openid, "<MsgType>event</MsgType><Event>subscribe</Event><EventKey></EventKey>")
    await w.wechat.writes(person.openid, "hello")
    await outcome(w, person.openid, "hello")
    assert await open_to(w, person) == closed
