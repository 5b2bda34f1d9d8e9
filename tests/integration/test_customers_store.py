from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
import pytest
from redis.asyncio import Redis

from gateway.customer import Address, ConsentEntry, Customer, Evidence
from gateway.store import keys
from gateway.store.addresses import Addresses, compacted
from gateway.store.clock import Clock
from gateway.store.connect import connect
from gateway.store.customers import Conflict, Customers
from gateway.store.pipe import StoreUnavailable
from gateway.store.scripts import Scripts
from tests.support.customer_records import LANDLINE, MAIL, MOBILE, PEPPER, STATES, allowed, ana, entry, got

pytestmark = pytest.mark.usefixtures("no_key_leaks")


@pytest.fixture
def store(scripts: Scripts, clock: Clock) -> Customers:
    return Customers(scripts, clock, PEPPER)


@pytest.fixture
def addresses(scripts: Scripts) -> Addresses:
    return Addresses(scripts.pipe, PEPPER)


async def test_a_record_comes_back_as_it_was_written_with_its_keys(store: Customers, clock: Clock) -> None:
    assert await store.load("ana") is None
    assert await store.write(ana(name="Ana", attributes={"area": "Kypseli", "n": [1, {"a": None}]}), 0) == 1
    found = await got(store, "ana")
    assert (found.name, found.attributes) == ("Ana", {"area": "Kypseli", "n": [1, {"a": None}]})
    assert found.keys == {value: store.address_key(value) for value in (MOBILE, MAIL)}
    assert abs(found.created_at - clock.now()) < 60_000


async def test_versions_count_up_and_an_outdated_one_is_refused(store: Customers) -> None:
    with pytest.raises(Conflict):
        await store.write(ana(), 1)
    version = await store.write(ana(), 0)
    with pytest.raises(Conflict):
        await store.write(ana(name="Second"), 0)
    assert await store.write(ana(name="Second"), version) == version + 1
    assert await store.write(ana(name="Second"), None) == version + 1  # nothing changed, nothing written
    assert await store.write(ana(name="Third"), None) == version + 2


async def test_changes_at_once_all_count(store: Customers) -> None:
    await store.write(ana(attributes={"n": 0}), 0)

    def more(customer: Customer) -> tuple[Customer, tuple[ConsentEntry, ...]]:
        customer.attributes["n"] += 1
        return customer, ()

    await asyncio.gather(*(store.change("ana", more) for _ in range(20)))
    assert (await got(store, "ana")).attributes == {"n": 20}
    with pytest.raises(KeyError):
        await store.change("nobody", more)


async def test_owners_are_those_who_have_the_address_now(store: Customers, addresses: Addresses) -> None:
    await store.write(ana(), 0)
    await store.write(Customer(id="bo", addresses=(Address("voice", MOBILE),)), 0)
    assert await store.owners(MOBILE) == ["ana", "bo"]
    await store.write(Customer(id="bo", addresses=(Address("sms", LANDLINE),)), None)
    assert await store.owners(MOBILE) == ["ana"]
    assert await store.owners(LANDLINE) == ["bo"]
    assert set(await addresses.hints(store.address_key(MOBILE))) == {"ana"}


async def test_a_hint_that_a_crash_left_is_no_owner_and_goes_with_the_next_stop(
    store: Customers, addresses: Addresses
) -> None:
    key = store.address_key(MOBILE)
    await addresses.hint([key], "ghost")
    await store.write(ana(), 0)
    assert await store.owners(MOBILE) == ["ana"]
    assert await store.withdraw("sms", MOBILE, [entry("withdrawn", 10)]) == ["ana"]
    assert set(await addresses.hints(key)) == {"ana"}
    assert (await store.upsert("ghost", lambda _: (Customer(id="ghost"), ()), 0)).created


async def test_health_is_copied_lifted_and_a_doubt_does_not_hide_a_suppression(store: Customers, clock: Clock) -> None:
    await store.write(ana(), 0)
    key, now = f"sms:{store.address_key(MOBILE)}", clock.now()
    await store.learn("sms", MOBILE, Evidence("m1/a1", now - 2, "bad_address", "21614"))
    await store.learn("sms", MOBILE, Evidence("m2/a1", now - 1, "unreachable"))
    assert (await got(store, "ana")).health[key].state == "suppressed"
    await store.learn("sms", MOBILE, Evidence("m1/a1", now - 2, ""))
    assert (await got(store, "ana")).health[key].state == "suspect", "the first got through after all"
    await store.proved("sms", MOBILE, now - 1)
    assert (await got(store, "ana")).health == {}
    await store.learn("sms", MOBILE, Evidence("m3/a1", now, "bad_address"))
    await store.proved("sms", MOBILE, now)
    assert (await got(store, "ana")).health[key].state == "suppressed", "a sign of life takes back doubts alone"
    await store.lift("sms", MOBILE)
    assert (await got(store, "ana")).health == {}


async def test_health_of_an_earlier_release_is_read_and_lifted(store: Customers, redis_client: Redis) -> None:
    place = keys.address_facts(store.address_key(MOBILE))
    old = {"state": "suppressed", "reason": "gone", "at": 1}
    await cast("Any", redis_client).hset(place, "h:sms:suppressed", msgspec.msgpack.encode(old))
    await store.write(ana(), 0)
    assert [found.reason for found in (await got(store, "ana")).health.values()] == ["gone"]
    await store.lift("sms", MOBILE)
    assert (await got(store, "ana")).health == {}


async def test_consents_are_compacted_and_the_ledger_has_them_all(store: Customers) -> None:
    await store.write(ana(), 0)
    for at in range(1, 8):
        said = entry("withdrawn" if at % 2 else "granted", at)
        await store.change("ana", lambda current, said=said: (current, [said]))
    assert [(e.state, e.at) for e in (await got(store, "ana")).consents] == [("granted", 6), ("withdrawn", 7)]
    assert [e.at for e in await store.ledger("ana")] == list(range(1, 8))


async def test_facts_are_compacted_too(store: Customers, redis_client: Redis) -> None:
    for at in (3, 1, 2, 5, 4):
        await store.withdraw("sms", MOBILE, [entry("withdrawn", at)])
    assert [e.at for e in await store.bound([MOBILE])] == [5]
    assert await cast("Any", redis_client).hlen(keys.address_facts(store.address_key(MOBILE))) == 1


def test_compacting_keeps_the_newest_of_each_scope_in_any_order() -> None:
    entries = [
        entry(s, at, channel=c, address=a) for s in STATES for at in (2, 1) for c in ("sms", "*") for a in (None, "k")
    ]
    assert compacted(entries) == compacted(reversed(entries))
    assert {e.at for e in compacted(entries)} == {2}
    assert len(compacted(entries)) == 8


async def test_who_was_last_written_to(store: Customers, redis_client: Redis, clock: Clock) -> None:
    now = clock.now()
    for name, ago in (("ana", 5_000), ("bo", 1_000), ("cy", 10)):
        value = LANDLINE if name == "cy" else MOBILE
        await store.write(Customer(id=name, addresses=(Address("sms", value),)), 0)
        await cast("Any", redis_client).hset(keys.of_customer(name).customer(name), "w:sms", now - ago)
    assert await store.last_written(MOBILE, "sms") == "bo"
    assert await store.last_written(MOBILE, "voice") is None
    await cast("Any", redis_client).hset(keys.of_customer("bo").customer("bo"), "w:sms", now - 31 * 86_400_000)
    assert await store.last_written(MOBILE, "sms") == "ana"


async def test_an_erased_customer_leaves_only_keyed_hashes_that_bind(store: Customers, redis_client: Redis) -> None:
    said = entry("withdrawn", 10, channel="*", category="marketing", wording="No offers to Ana", proof="letter of Ana")
    await store.write(ana(name="Ana", consents=(said,)), 0)
    await store.withdraw("sms", MOBILE, [entry("withdrawn", 11)])
    assert await store.delete("ana")
    assert not await store.delete("ana")
    assert await store.load("ana") is None
    assert await store.ledger("ana") == []
    left = [key async for key in cast("Any", redis_client).scan_iter()]
    assert left
    for key in left:
        assert key.startswith(b"{a:")
        whole = key + str(await cast("Any", redis_client).hgetall(key)).encode()
        assert not any(word in whole for word in (b"ana", b"Ana", MOBILE.encode()))
    await store.write(ana(addresses=()), 0)  # the same id
    assert not allowed(await got(store, "ana"), "email", MAIL)
    await store.write(
        Customer(id="new", addresses=(Address("email", MAIL), Address("sms", MOBILE))), 0
    )  # the same addresses
    assert not allowed(await got(store, "new"), "email", MAIL)
    assert allowed(await got(store, "new"), "email", MAIL, "service")
    assert not allowed(await got(store, "new"), "sms", MOBILE, "service")


async def test_erasing_one_of_two_does_not_bind_the_other(store: Customers) -> None:
    await store.write(ana(consents=(entry("withdrawn", 10, channel="*"),)), 0)
    await store.write(Customer(id="bo", addresses=(Address("sms", MOBILE),)), 0)
    await store.delete("ana")
    await store.write(Customer(id="bo", name="Bo", addresses=(Address("sms", MOBILE),)), None)
    assert allowed(await got(store, "bo"), "sms", MOBILE)


async def test_many_are_loaded_in_order_and_all_ids_lists_each_once(store: Customers) -> None:
    names = [f"c-{n}" for n in range(1200)]
    await asyncio.gather(*(store.write(Customer(id=name), 0) for name in names))
    found = await store.load_many([*names, "nobody", "c-3"])
    assert [pair[0].id if pair else None for pair in found] == [*names, None, "c-3"]
    assert sorted([name async for name in store.all_ids()]) == sorted(names)


async def test_a_full_server_is_unavailable_and_nothing_is_half_written(
    redis_server: str, redis_client: Redis, clock: Clock
) -> None:
    other = await connect(redis_server, max_connections=4)
    scripts = Scripts(other)
    store = Customers(scripts, clock, PEPPER)
    await store.write(Customer(id="bo"), 0)
    await cast("Any", redis_client).config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable):
            await store.write(ana(), 0)
        with pytest.raises(StoreUnavailable):
            await store.withdraw("sms", MOBILE, [entry("withdrawn", 10)])
        assert await store.load("ana") is None
    finally:
        await cast("Any", redis_client).config_set("maxmemory", 512 * 2**20)
    await store.write(ana(), 0)
    await scripts.close()
    await other.aclose()
