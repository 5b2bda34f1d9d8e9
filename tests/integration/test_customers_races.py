from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.customer import Address, ConsentEntry, Customer, Evidence
from gateway.store.addresses import Addresses
from gateway.store.clock import Clock
from gateway.store.customers import Conflict, Customers
from gateway.store.keys import of_customer
from gateway.store.scripts import Scripts
from tests.support.turns import interleavings

pytestmark = pytest.mark.usefixtures("no_key_leaks")
PEPPER = b"pepper of the tests"
SAMPLE = 60  # where there are thousands of orders


def numbered(run: int) -> str:
    return f"+3069{run:08}"


def person(run: int, *values: str) -> Customer:
    return Customer(id=f"c{run}", addresses=tuple(Address("sms", value) for value in values))


def stop(key: str, at: int = 1000) -> ConsentEntry:
    return ConsentEntry(
        channel="sms", category="*", state="withdrawn", way="sms_keyword", wording="STOP", at=at, address=key
    )


class Pair:
    """Two processes and an observer, on one server."""

    def __init__(self, client: Redis, scripts: Scripts, clock: Clock) -> None:
        self.client, self.clock = client, clock
        self.seen = Customers(scripts, clock, PEPPER)
        self.addresses = Addresses(scripts.pipe, PEPPER)

    def two(self, first: Scripts, second: Scripts) -> tuple[Customers, Customers]:
        return Customers(first, self.clock, PEPPER), Customers(second, self.clock, PEPPER)

    async def hinted(self, value: str) -> set[str]:
        return set(await self.addresses.hints(self.seen.address_key(value)))

    async def bound(self, customer: str, value: str) -> bool:
        found = await self.seen.load(customer)
        return found is not None and stop(self.seen.address_key(value)) in found[0].consents


@pytest.fixture
def pair(redis_client: Redis, scripts: Scripts, clock: Clock) -> Pair:
    return Pair(redis_client, scripts, clock)


async def test_a_stop_is_never_missed_by_a_customer_who_is_new(pair: Pair) -> None:
    async def start(run: int, first: Scripts, second: Scripts) -> Sequence[Coroutine[Any, Any, Any]]:
        a, b = pair.two(first, second)
        value = numbered(run)
        return a.write(person(run, value), None), b.withdraw("sms", value, [stop(a.address_key(value))])

    async for run, results in interleavings(pair.client, start, sample=SAMPLE):
        assert not any(isinstance(result, BaseException) for result in results), results
        assert await pair.bound(f"c{run}", numbered(run)), run
        assert await pair.hinted(numbered(run)) == {f"c{run}"}, run
        assert [e.state for e in await pair.seen.ledger(f"c{run}")] == ["withdrawn"]


async def test_a_stop_is_never_missed_by_a_customer_who_takes_the_number_over(pair: Pair) -> None:
    async def start(run: int, first: Scripts, second: Scripts) -> Sequence[Coroutine[Any, Any, Any]]:
        a, b = pair.two(first, second)
        value = numbered(run)
        version = await pair.seen.write(person(run, "+302100000000"), 0)
        return a.write(person(run, value), version), b.withdraw("sms", value, [stop(a.address_key(value))])

    async for run, (written, stopped) in interleavings(pair.client, start, sample=SAMPLE):
        assert not isinstance(stopped, BaseException)
        if isinstance(written, Conflict):  # a bump came between: told to the caller, and no hint stays
            assert await pair.hinted(numbered(run)) == set(), run
        else:
            assert await pair.bound(f"c{run}", numbered(run)), run
            assert await pair.hinted(numbered(run)) == {f"c{run}"}, run


async def test_who_takes_a_number_while_another_write_drops_it_keeps_his_hint(pair: Pair) -> None:
    async def start(run: int, first: Scripts, second: Scripts) -> Sequence[Coroutine[Any, Any, Any]]:
        a, b = pair.two(first, second)
        await pair.seen.write(person(run, numbered(run)), 0)
        return a.write(person(run, "+302100000000"), None), b.write(person(run, numbered(run)), None)

    async for run, results in interleavings(pair.client, start, sample=SAMPLE):
        assert not any(isinstance(result, BaseException) for result in results), results
        found = await pair.seen.load(f"c{run}")
        assert found is not None
        has = numbered(run) in found[0].keys
        assert await pair.hinted(numbered(run)) == ({f"c{run}"} if has else set()), run


async def test_two_writers_with_one_version_leave_the_winners_hint(pair: Pair) -> None:
    async def start(run: int, first: Scripts, second: Scripts) -> Sequence[Coroutine[Any, Any, Any]]:
        a, b = pair.two(first, second)
        version = await pair.seen.write(person(run), 0)
        # Both add one number; one of them has to lose.
        return a.write(person(run, numbered(run)), version), b.write(
            person(run, numbered(run), "+302100000000"), version
        )

    async for run, results in interleavings(pair.client, start, sample=SAMPLE):
        lost = [result for result in results if isinstance(result, BaseException)]
        assert all(isinstance(result, Conflict) for result in lost), results
        found = await pair.seen.load(f"c{run}")
        assert found is not None
        assert await pair.hinted(numbered(run)) == ({f"c{run}"} if numbered(run) in found[0].keys else set()), run


async def test_a_stop_binds_whoever_is_created_again_while_the_customer_is_erased(pair: Pair) -> None:
    async def start(run: int, first: Scripts, second: Scripts) -> Sequence[Coroutine[Any, Any, Any]]:
        a, b = pair.two(first, second)
        await pair.seen.write(person(run, numbered(run)), 0)
        return a.delete(f"c{run}"), b.withdraw("sms", numbered(run), [stop(a.address_key(numbered(run)))])

    async for run, results in interleavings(pair.client, start, sample=SAMPLE):
        assert results[0] is True, results
        assert not isinstance(results[1], BaseException)
        assert await pair.seen.load(f"c{run}") is None
        assert await pair.hinted(numbered(run)) == set(), run
        await pair.seen.write(person(run, numbered(run)), None)
        assert await pair.bound(f"c{run}", numbered(run)), run


async def test_copies_and_lists_follow_all_that_is_known_of_an_address(pair: Pair) -> None:
    now = pair.clock.now()
    bad, doubt = Evidence("m1/a1", now, "bad_address"), Evidence("m2/a1", now, "unreachable")

    async def start(run: int, first: Scripts, second: Scripts) -> Sequence[Coroutine[Any, Any, Any]]:
        a, b = pair.two(first, second)
        await pair.seen.write(person(run, numbered(run)), 0)
        return a.learn("sms", numbered(run), doubt), b.learn("sms", numbered(run), bad)

    async for run, results in interleavings(pair.client, start, sample=SAMPLE):
        assert results == [None, None]
        key = pair.seen.address_key(numbered(run))
        facts = (await pair.addresses.facts([key], now))[key]
        found = await pair.seen.load(f"c{run}")
        assert found is not None
        assert {k.split(":")[0]: v for k, v in found[0].health.items()} == facts.health, run
        assert facts.health["sms"].state == "suppressed", run
        at = of_customer(key)
        client: Any = pair.client
        listed = [await client.zscore(at.health(state), f"sms:{key}") for state in ("suspect", "suppressed")]
        assert listed == [None, now], run
