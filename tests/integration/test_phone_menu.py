"""The telephone menu over a real store: who is spoken to, what is written down, and what goes wrong meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.channels.base import Dialled, Inbound, Speech
from gateway.delivery.inbox import Listed, Wanted
from gateway.selfservice import ivr_service
from gateway.selfservice.ivr_service import PhoneMenu, phone_menu
from gateway.selfservice.ivr_state import State, read_state
from gateway.selfservice.ivr_words import words_in
from gateway.store.customers import Customers
from tests.support.core import until
from tests.support.running import Running, running

PHONE: Final = "+447400000351"
EN: Final = words_in("en")


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Running]:
    async with running(redis_url, tmp_path) as made:
        yield made


@pytest.fixture
def menu(gw: Running) -> PhoneMenu:
    gateway = gw.service.gateway
    parts = (gateway.desk, gateway.words, gateway.people, gateway.inbox, gateway.inbound)
    return phone_menu(*parts, gateway.settings, gateway.channels["live"])


def call(state: str | None = "", keys: str = "", *, at: int = 1_795_337_462_000, trusted: bool = True) -> Dialled:
    return Dialled(call="CA1", caller=PHONE, state=state or "", keys=keys, at=at, trusted=trusted)


def texts(speech: Speech) -> list[str]:
    return [line.text for line in speech.lines]


def main(language: str = "en") -> str:
    return State(node="main", language=language).written()


async def test_a_number_that_is_proved_to_be_borrowed_opens_nothing(gw: Running, menu: PhoneMenu) -> None:
    await gw.customer("maria", voice=PHONE)
    heard = texts(await menu.answer("live", call(trusted=False)))
    assert EN.unknown in heard
    await menu.answer("live", call(main(), "4", trusted=False))
    place = State(node="confirm", language="en", picked=("voice",)).written()
    await menu.answer("live", call(place, "1", trusted=False))
    assert (await _preferences(gw)) == {}


async def test_a_borrowed_number_closes_and_opens_nothing_of_what_was_closed(gw: Running, menu: PhoneMenu) -> None:
    """The network's verdict may come with the call's first request alone, so it goes along from key to key."""
    await gw.customer("maria", voice=PHONE, sms=PHONE)
    await menu.answer("live", call(main(), "2"))
    ledger = await gw.service.gateway.customers.ledger("maria")
    assert len(ledger) == 1
    heard = await menu.answer("live", call(trusted=False))
    for keys in ("1", "9", "0", "9"):
        heard = await menu.answer("live", call(heard.state, keys, at=1_795_337_500_000))
        assert EN.main.started not in texts(heard)
        assert EN.main.start not in texts(heard), "what can't be done isn't offered"
    assert await gw.service.gateway.customers.ledger("maria") == ledger
    heard = await menu.answer("live", call(heard.state, "2", at=1_795_337_600_000))
    assert EN.main.number_stopped in texts(heard), "it is kind to everybody to stop"
    assert ("sms", "withdrawn") in {(e.channel, e.state) for e in await gw.service.gateway.customers.ledger("maria")}
    heard = await menu.answer("live", call())
    heard = await menu.answer("live", call(heard.state, "9", at=1_795_337_700_000))
    assert EN.main.started in texts(heard), "whoever has the telephone may"


async def test_a_place_of_another_release_begins_again(gw: Running, menu: PhoneMenu) -> None:
    await gw.customer("maria", voice=PHONE)
    for state in ("main", "attic.en.1.0.all....", "main.en.1.0.gas....", "x" * 200):
        assert EN.main.stop_calls in texts(await menu.answer("live", call(state, "2")))
    assert await gw.service.gateway.customers.ledger("maria") == []


async def test_the_same_key_delivered_again_is_written_down_once(gw: Running, menu: PhoneMenu) -> None:
    """Twilio repeats a request that it got no answer to."""
    await gw.customer("maria", voice=PHONE, sms=PHONE)
    for number in range(3):
        said = await menu.answer("live", call(main(), "2", at=1_795_337_462_000 + number))
        assert EN.main.calls_stopped in texts(said)
    assert len(await gw.service.gateway.customers.ledger("maria")) == 1


async def test_a_store_that_hangs_is_not_waited_for(
    gw: Running, menu: PhoneMenu, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: object) -> list[str]:
        await asyncio.Event().wait()
        return []

    assert ivr_service.PATIENCE_S <= 10, "well before Twilio gives up"
    monkeypatch.setattr(ivr_service, "PATIENCE_S", 0.05)
    monkeypatch.setattr(Customers, "owners", hangs)
    said = await menu.answer("live", call(main("el"), "1"))
    assert (texts(said), said.state) == ([words_in("el").later], None)


async def test_changes_made_elsewhere_meanwhile_are_kept(gw: Running, menu: PhoneMenu) -> None:
    await gw.customer("maria", voice=PHONE, sms=PHONE)
    keys = [(State(node="quiet", language="en").written(), "1"), (State(node="language", language="en").written(), "4")]
    await asyncio.gather(*(menu.answer("live", call(*pressed)) for pressed in keys for _ in range(10)))
    assert await _preferences(gw) == {"language": "el", "quiet_hours": None}


async def test_nobody_is_told_that_something_is_saved_when_it_is_not(
    gw: Running, menu: PhoneMenu, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gw.customer("maria", voice=PHONE, sms=PHONE)

    async def refuses(*_: object, **__: object) -> None:
        raise KeyError("maria")

    monkeypatch.setattr(gw.service.gateway.people, "change_preferences", refuses)
    said = await menu.answer("live", call(State(node="quiet", language="en").written(), "1"))
    assert (texts(said), said.state) == ([EN.later], None)


async def test_a_one_off_recipient_is_known_by_the_number(gw: Running, menu: PhoneMenu) -> None:
    recipient = {"addresses": [{"channel": "sms", "value": PHONE}], "locale": "el"}
    body = {"recipient": recipient, "category": "service", "content": {"text": "Hello"}}
    assert (await gw.api("POST", "/v1/messages", body)).status == 202
    said = await menu.answer("live", call())
    assert words_in("el").main.stop_all in texts(said)


async def test_who_puts_offers_in_order_hears_that_they_must_agree(gw: Running, menu: PhoneMenu) -> None:
    await gw.customer("maria", voice=PHONE, sms=PHONE)
    offers = State(node="confirm", language="en", group="marketing", picked=("sms",)).written()
    assert EN.order.agree in texts(await menu.answer("live", call(offers, "1")))
    surveys = State(node="confirm", language="en", group="survey", picked=("sms",)).written()
    assert EN.order.agree not in texts(await menu.answer("live", call(surveys, "1")))
    agreed = {"channel": "sms", "category": "marketing", "state": "granted", "way": "form", "wording": "Yes, offers."}
    assert (await gw.api("POST", "/v1/customers/maria/consents", agreed)).status == 201
    assert EN.order.agree not in texts(await menu.answer("live", call(offers, "1")))


async def test_who_stopped_everything_elsewhere_is_told_why_nothing_comes(gw: Running, menu: PhoneMenu) -> None:
    await gw.customer("maria", voice=PHONE, sms=PHONE)
    assert EN.main.order in texts(await menu.answer("live", call()))
    stop = {"channel": "*", "category": "*", "state": "withdrawn", "way": "page", "wording": "No more messages."}
    assert (await gw.api("POST", "/v1/customers/maria/consents", stop)).status == 201
    for keys in ("", "1", "9"):
        heard = texts(await menu.answer("live", call(main(), keys)))
        assert EN.main.stopped in heard
        assert not {EN.main.order, EN.main.nothing_stopped, EN.reach.nothing} & set(heard)
    back = {**stop, "state": "granted", "proof": "call 7", "wording": "Write to me again."}
    assert (await gw.api("POST", "/v1/customers/maria/consents", back)).status == 201
    assert EN.main.order in texts(await menu.answer("live", call()))
    await menu.answer("live", call(State(node="stop_all", language="en").written(), "1"))
    heard = texts(await menu.answer("live", call()))
    assert EN.main.start in heard, "from here it is opened from here"
    assert EN.main.stopped not in heard


async def test_places_name_nobody(gw: Running, menu: PhoneMenu) -> None:
    """They stand in addresses, which are logged on the way."""
    await gw.customer("maria", voice=PHONE, sms=PHONE)
    said = await menu.answer("live", call())
    for keys in ("1", "1", "2", "1", "1"):
        assert said.state is not None
        assert "maria" not in said.state
        assert PHONE.removeprefix("+") not in said.state
        assert read_state(said.state) is not None
        said = await menu.answer("live", call(said.state, keys))
    assert (await _preferences(gw))["channels"] == ["voice", "sms"]


async def test_a_number_that_an_operator_linked_is_known(gw: Running, menu: PhoneMenu) -> None:
    """Nobody is known to own it; somebody wrote from there, and an operator said who that is."""
    await gw.customer("maria", email="maria@example.org")
    gateway = gw.service.gateway
    await gateway.inbox.note("live", Inbound(id="i1", channel="sms", sender=PHONE, text="Me!", at=1_795_337_462_000))
    assert EN.unknown in texts(await menu.answer("live", call()))

    async def written() -> list[Listed]:
        return (await gateway.inbound.page("live", Wanted(), 10, None))[0]

    await until(written)
    [item] = await written()
    await gateway.inbound.link("live", item.id, "maria")
    assert EN.unknown not in texts(await menu.answer("live", call()))

    async def allowed() -> bool:
        body = {"customer": "maria", "category": "service", "content": {"text": "Hello"}}
        done = await gw.api("POST", "/v1/messages?dry_run=true", body)
        return bool(done.body["verdict"]["state"] != "suppressed")

    assert await allowed()
    said = await menu.answer("live", call(State(node="stop_all", language="en").written(), "1"))
    assert EN.stop_all.done in texts(said)
    assert not await allowed(), "what they were told is true"
    said = await menu.answer("live", call(main(), "2"))
    assert len(await gateway.customers.ledger("maria")) == 1, "calls to the number bind the number"
    said = await menu.answer("live", call(said.state, "9", at=1_795_337_500_000))
    assert EN.main.started in texts(said)
    assert await allowed()


async def test_somebody_who_is_erased_during_the_call_is_a_stranger(gw: Running, menu: PhoneMenu) -> None:
    await gw.customer("maria", voice=PHONE, sms=PHONE)
    said = await menu.answer("live", call())
    await gw.service.gateway.customers.delete("maria")
    said = await menu.answer("live", call(said.state or "", "3"))
    assert EN.main.stop_number in texts(said)


async def _preferences(gw: Running) -> dict[str, Any]:
    found = await gw.service.gateway.people.preferences("maria")
    assert found is not None
    return found.view
