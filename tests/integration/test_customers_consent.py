"""What one person said binds everybody who shares the address, and one-off recipients too."""

from __future__ import annotations

from typing import Any, Literal, cast

import pytest
from redis.asyncio import Redis

from gateway.customer import Address, ConsentEntry, Customer, Evidence
from gateway.store.addresses import Addresses
from gateway.store.clock import Clock
from gateway.store.customers import ONE_OFF, Customers
from gateway.store.scripts import Scripts
from tests.support.customer_records import LANDLINE, MAIL, MOBILE, PEPPER, allowed, ana, entry, got

pytestmark = pytest.mark.usefixtures("no_key_leaks")


@pytest.fixture
def store(scripts: Scripts, clock: Clock) -> Customers:
    return Customers(scripts, clock, PEPPER)


@pytest.fixture
def addresses(scripts: Scripts) -> Addresses:
    return Addresses(scripts.pipe, PEPPER)


async def test_a_stop_binds_everybody_who_shares_the_number_and_bumps_their_versions(store: Customers) -> None:
    versions = {
        "ana": await store.write(ana(), 0),
        "bo": await store.write(Customer(id="bo", addresses=(Address("sms", MOBILE), Address("sms", LANDLINE))), 0),
    }
    assert await store.withdraw("sms", MOBILE, [entry("withdrawn", 10)]) == ["ana", "bo"]
    for name, version in versions.items():
        found = await store.load(name)
        assert found is not None
        assert found[1] > version
        assert not allowed(found[0], "sms", MOBILE)
        assert len(await store.ledger(name)) == 1
    assert allowed(await got(store, "bo"), "sms", LANDLINE)
    assert allowed(await got(store, "ana"), "voice", MOBILE)


async def test_the_same_stop_again_adds_nothing(store: Customers) -> None:
    await store.write(ana(), 0)
    for _ in range(3):
        await store.withdraw("sms", MOBILE, [entry("withdrawn", 10)])
    assert len(await store.ledger("ana")) == 1


async def test_a_stop_from_a_number_nobody_has_binds_whoever_gets_it(store: Customers) -> None:
    assert await store.withdraw("sms", MOBILE, [entry("withdrawn", 10)]) == []
    await store.write(ana(), 0)
    assert not allowed(await got(store, "ana"), "sms", MOBILE)
    assert [line.state for line in await store.ledger("ana")] == ["withdrawn"]
    assert [line.at for line in await store.bound([MOBILE])] == [10]


async def test_start_lifts_it_again_for_all(store: Customers) -> None:
    await store.write(ana(), 0)
    await store.withdraw("sms", MOBILE, [entry("withdrawn", 10)])
    await store.withdraw("sms", MOBILE, [entry("granted", 20)])
    assert allowed(await got(store, "ana"), "sms", MOBILE)
    await store.withdraw("sms", MOBILE, [entry("withdrawn", 15)])  # late news of an older STOP
    assert allowed(await got(store, "ana"), "sms", MOBILE)


async def test_stop_all_binds_the_owner_on_every_channel(store: Customers) -> None:
    await store.write(ana(), 0)
    await store.withdraw("sms", MOBILE, [entry("withdrawn", 10, channel="*")])
    assert not allowed(await got(store, "ana"), "email", MAIL)


def stop_all(store: Customers, at: int, state: Literal["granted", "withdrawn"] = "withdrawn") -> ConsentEntry:
    """STOP ALL, or its START, as it is written when it comes from MOBILE."""
    way = "sms_keyword" if state == "withdrawn" else "lifted_by_sms_keyword"
    return ConsentEntry("*", "*", state, way, "words", at, source=store.address_key(MOBILE))


async def open_ways(store: Customers) -> set[str]:
    found = await got(store, "ana")
    return {one.channel for one in found.addresses if allowed(found, one.channel, one.value, "service")}


async def test_stop_all_of_an_earlier_owner_binds_the_number_alone(store: Customers) -> None:
    await store.withdraw("sms", MOBILE, [stop_all(store, 10)])
    await store.write(ana(), 0)
    assert await open_ways(store) == {"email"}
    await store.write(ana(name="Ana"), None)
    assert await open_ways(store) == {"email"}, "also when the record is written again"
    mail_alone = tuple(one for one in ana().addresses if one.channel == "email")
    for held in (mail_alone, ana().addresses, mail_alone):
        await store.write(ana(addresses=held), None)
        assert await open_ways(store) == {"email"}
    assert len(await store.ledger("ana")) == 1


async def test_who_says_stop_all_stays_closed_whatever_becomes_of_the_number(store: Customers) -> None:
    await store.write(ana(), 0)
    await store.withdraw("sms", MOBILE, [stop_all(store, 10)])
    mail_alone = tuple(one for one in ana().addresses if one.channel == "email")
    for held in (mail_alone, ana().addresses, mail_alone):
        await store.write(ana(addresses=held), None)
        assert await open_ways(store) == set()
    assert len(await store.ledger("ana")) == 1


async def test_a_later_owner_who_says_it_too_is_closed_everywhere_and_opens_all_of_it(store: Customers) -> None:
    await store.withdraw("sms", MOBILE, [stop_all(store, 10)])
    await store.write(ana(), 0)
    await store.withdraw("sms", MOBILE, [stop_all(store, 20)])
    assert await open_ways(store) == set()
    await store.withdraw("sms", MOBILE, [stop_all(store, 30, "granted")])
    assert await open_ways(store) == {"sms", "voice", "email"}
    await store.write(ana(name="Ana"), None)
    assert await open_ways(store) == {"sms", "voice", "email"}


async def test_a_later_owner_opens_the_number_from_there_or_with_proof(store: Customers) -> None:
    await store.withdraw("sms", MOBILE, [stop_all(store, 10)])
    await store.write(ana(), 0)
    general = entry("granted", 20, channel="*")
    await store.change("ana", lambda known: (known, [general]))
    assert await open_ways(store) == {"email"}, "a general word doesn't speak for whoever has the phone"
    await store.withdraw("sms", MOBILE, [stop_all(store, 30, "granted")])
    assert await open_ways(store) == {"sms", "voice", "email"}


async def test_what_was_lifted_before_they_got_the_number_binds_them_no_more(store: Customers) -> None:
    await store.withdraw("sms", MOBILE, [stop_all(store, 10)])
    await store.withdraw("sms", MOBILE, [stop_all(store, 20, "granted")])
    await store.write(ana(consents=(entry("withdrawn", 5, channel="*"),)), 0)
    assert await open_ways(store) == set(), "their own word stands: what was lifted was another's"


async def test_mail_addresses_that_differ_in_case_alone_are_one(store: Customers) -> None:
    await store.withdraw("email", "Ana@example.org", [entry("withdrawn", 10, channel="email")])
    await store.write(ana(), 0)
    assert not allowed(await got(store, "ana"), "email", MAIL)


async def test_a_put_never_takes_consent_or_health_away(store: Customers) -> None:
    await store.write(ana(consents=(entry("withdrawn", 5, channel="*", category="survey"),)), 0)
    await store.learn("sms", MOBILE, Evidence("m1/a1", Clock().now(), "bad_address"))
    await store.write(ana(name="Other"), None)
    found = await got(store, "ana")
    assert not allowed(found, "email", MAIL, "survey")
    assert set(found.health) == {f"sms:{store.address_key(MOBILE)}"}
    assert len(await store.ledger("ana")) == 1


async def test_a_number_given_up_and_taken_again_is_bound_still(store: Customers) -> None:
    await store.write(ana(), 0)
    await store.withdraw("sms", MOBILE, [entry("withdrawn", 10)])
    await store.write(Customer(id="ana"), None)
    await store.write(ana(), None)
    assert not allowed(await got(store, "ana"), "sms", MOBILE)
    assert len(await store.ledger("ana")) == 1


async def test_a_one_off_recipient_is_the_only_customer_with_the_address(store: Customers) -> None:
    version = await store.write(ana(), 0)
    found, seen = await store.resolve([Address("sms", MOBILE)], "el", None, None)
    assert (found.id, found.locale, seen) == ("ana", None, version)


async def test_a_one_off_recipient_nobody_knows_becomes_a_customer_of_his_own(store: Customers) -> None:
    found, version = await store.resolve([Address("sms", MOBILE), Address("email", MAIL)], "el", "Europe/Athens", None)
    assert (found.id, found.locale, found.time_zone) == (ONE_OFF + store.address_key(MOBILE), "el", "Europe/Athens")
    again = await store.resolve([Address("sms", MOBILE)], None, None, entry("granted", 5, category="marketing"))
    assert again[0].id == found.id
    assert again[1] == version + 1
    assert set(again[0].keys) == {MOBILE, MAIL}
    assert [e.at for e in again[0].consents] == [5]
    assert [name async for name in store.all_ids()] == []
    assert [name async for name in store.all_ids(one_off=True)] == [found.id]


async def test_a_dry_run_stores_nobody(store: Customers, redis_client: Redis) -> None:
    await store.withdraw("sms", MOBILE, [entry("withdrawn", 10)])
    before = await cast("Any", redis_client).dbsize()
    found, version = await store.resolve([Address("sms", MOBILE)], None, None, None, store=False)
    assert version == 0
    assert not allowed(found, "sms", MOBILE)
    assert await cast("Any", redis_client).dbsize() == before


async def test_a_one_off_recipient_is_bound_by_every_owners_withdrawal(store: Customers) -> None:
    await store.write(ana(consents=(entry("withdrawn", 5, channel="*", category="marketing"),)), 0)
    await store.write(Customer(id="bo", addresses=(Address("sms", MOBILE),)), 0)
    found, _ = await store.resolve([Address("sms", MOBILE)], None, None, None)
    assert found.id.startswith(ONE_OFF)
    assert not allowed(found, "sms", MOBILE)
    assert allowed(found, "sms", MOBILE, "service")
    await store.change("ana", lambda c: (c, [entry("granted", 6, channel="*", category="marketing", proof="p")]))
    found, _ = await store.resolve([Address("sms", MOBILE)], None, None, None)
    assert allowed(found, "sms", MOBILE)
    assert await store.ledger(found.id) == []


async def test_a_one_off_consent_without_proof_lifts_nothing(store: Customers) -> None:
    await store.withdraw("sms", MOBILE, [entry("withdrawn", 10)])
    found, _ = await store.resolve([Address("sms", MOBILE)], None, None, entry("granted", 20))
    assert not allowed(found, "sms", MOBILE)
    found, _ = await store.resolve([Address("sms", MOBILE)], None, None, entry("granted", 20, proof="form 7"))
    assert allowed(found, "sms", MOBILE)
