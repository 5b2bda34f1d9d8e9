from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.customer import Address, ConsentEntry, Customer
from gateway.store.addresses import Addresses
from gateway.store.clock import Clock
from gateway.store.customers import Change, Customers, Written
from gateway.store.scripts import Scripts
from tests.support.customer_records import PEPPER, entry
from tests.support.turns import interleavings

pytestmark = pytest.mark.usefixtures("no_key_leaks")
SAMPLE = 60


def becoming(customer: str, *values: str) -> tuple[str, Change]:
    made = Customer(id=customer, addresses=tuple(Address("sms", value) for value in values))
    return customer, lambda _: (made, ())


async def test_many_are_written_together_and_each_meets_its_own_fate(scripts: Scripts, clock: Clock) -> None:
    store = Customers(scripts, clock, PEPPER)

    def refuses(_: Customer | None) -> None:
        raise LookupError

    many = [becoming(f"c{n}", f"+3069{n:08}") for n in range(300)]
    done = await store.upsert_many([*many, ("none", lambda _: None), ("bad", refuses)])
    assert all(isinstance(one, Written) and one.created for one in done[:300])
    assert [type(one) for one in done[300:]] == [KeyError, LookupError]
    assert [await store.owners(f"+3069{n:08}") for n in (0, 299)] == [["c0"], ["c299"]]
    again = await store.upsert_many(many)
    assert [(one.version, one.created) for one in again if isinstance(one, Written)] == [(1, False)] * 300
    moved = await store.upsert_many([becoming("c0", "+302100000000")])
    assert isinstance(moved[0], Written)
    assert await store.owners("+306900000000") == []
    with pytest.raises(ValueError, match="twice"):
        await store.upsert_many([many[0], many[0]])


async def test_a_stop_is_never_missed_by_those_who_come_together(
    redis_client: Redis, scripts: Scripts, clock: Clock
) -> None:
    seen, addresses = Customers(scripts, clock, PEPPER), Addresses(scripts.pipe, PEPPER)

    async def start(run: int, first: Scripts, second: Scripts) -> Sequence[Coroutine[Any, Any, Any]]:
        a, b = Customers(first, clock, PEPPER), Customers(second, clock, PEPPER)
        one, two = f"+3069{run:08}", f"+3068{run:08}"
        stop: ConsentEntry = entry("withdrawn", 1000, address=a.address_key(one))
        return a.upsert_many([becoming(f"a{run}", one), becoming(f"b{run}", one, two)]), b.withdraw("sms", one, [stop])

    async for run, results in interleavings(redis_client, start, sample=SAMPLE):
        assert not any(isinstance(result, BaseException) for result in results), results
        key = seen.address_key(f"+3069{run:08}")
        for name in (f"a{run}", f"b{run}"):
            found = await seen.load(name)
            assert found is not None
            assert [one.address for one in found[0].consents] == [key], (run, name)
        assert set(await addresses.hints(key)) == {f"a{run}", f"b{run}"}
