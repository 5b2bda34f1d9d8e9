"""Operators see which addresses are in doubt or no longer used, and why, and give them back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.app import Gateway
from gateway.customer import Evidence
from gateway.store.keys import PARTITIONS, of_customer, partition
from gateway.web.api.addresses import AddressList
from tests.support.core import Scripted, core
from tests.support.redis_nodes import cluster
from tests.support.web_client import ANA, Api
from tests.support.web_parts import bearer

DAY = 86_400_000
SMS, MAIL = "+306912345678", "ana@example.com"


@pytest.fixture
def learn(gateway: Gateway) -> Callable[..., Any]:
    async def learnt(channel: str, value: str, number: int, fault: str, ago: int = 0, code: str | None = None) -> None:
        at = gateway.clock.now() - ago
        bounce = "b-1" if channel == "email" else None
        await gateway.customers.learn(channel, value, Evidence(f"m{number}/a1", at, fault, code, bounce))

    return learnt


async def keys_of_lists(client: Redis) -> set[str]:
    """What stands on the lists and on that of addresses to look at."""
    store: Any = client
    names = [partition(n).health(name) for n in range(PARTITIONS) for name in ("suspect", "suppressed", "due")]
    return {f"{name.rpartition(':')[2]} {m.decode()[:5]}" for name in names for m in await store.zrange(name, 0, -1)}


async def test_the_list_says_what_and_why_and_hides_addresses_from_readers(
    gateway: Gateway, ana: Api, learn: Callable[..., Any]
) -> None:
    await learn("email", MAIL, 1, "bad_address", ago=5000, code="550 5.1.1")
    await learn("sms", SMS, 2, "unreachable", code="30003")
    found = await ana("GET", "/v1/addresses", status=200, kind=AddressList)
    assert [(one["channel"], one["address"], one["health"]["state"]) for one in found["items"]] == [
        ("sms", SMS, "suspect"),
        ("email", MAIL, "suppressed"),
    ]
    assert found["next"] is None
    mail = found["items"][1]
    assert mail["customers"] == ["c-1"]
    seen = mail["health"].pop("evidence")
    assert {**seen, "at": ""} == {
        "message": "m1",
        "attempt": "a1",
        "at": "",
        "provider_code": "550 5.1.1",
        "bounce": "b-1",
    }
    assert mail["health"].pop("at") == seen["at"]
    assert mail["health"].pop("until") > seen["at"]
    assert mail["health"] == {
        "state": "suppressed",
        "reason": {"code": "bad_address", "text": "The address does not exist on this channel."},
        "count": 1,
    }
    for query, channels in (
        ("health=suspect", ["sms"]),
        ("health=suppressed", ["email"]),
        ("channel=sms", ["sms"]),
        ("health=suspect&channel=email", []),
    ):  # fmt: skip - a table
        items = (await ana("GET", f"/v1/addresses?{query}", status=200))["items"]
        assert [one["channel"] for one in items] == channels, query
    for query in ("health=good", "channel=pigeon!", "limit=0", "cursor=%21", "cursor=eA", "state=suspect"):
        await ana("GET", f"/v1/addresses?{query}", status=422)
    reader = Api(ana.session, await bearer(gateway, "read"))
    masked = [one["address"] for one in (await reader("GET", "/v1/addresses", status=200))["items"]]
    assert masked == ["+30…5678", "a…@example.com"]
    clerk = Api(ana.session, await bearer(gateway, "customers"))
    assert [one["address"] for one in (await clerk("GET", "/v1/addresses", status=200))["items"]] == [SMS, MAIL]
    await Api(ana.session, await bearer(gateway, "send"))("GET", "/v1/addresses", status=403)


async def test_pages_are_unmoved_by_what_comes_in(admin: Api, learn: Callable[..., Any]) -> None:
    numbers = [f"+30691234{n:04}" for n in range(23)]
    for number, value in enumerate(numbers):
        await admin("PUT", f"/v1/customers/c{number}", {"addresses": [{"channel": "sms", "value": value}]}, status=201)
        # Several in the same millisecond: a page may end between them.
        await learn("sms", value, number, "bad_address", ago=(100 - number // 5) * 1000)
    seen: list[str] = []
    path = "/v1/addresses?health=suppressed&limit=4"
    cursor: str | None = ""
    while cursor is not None:
        page = await admin("GET", path + (f"&cursor={cursor}" if cursor else ""), status=200)
        seen += [one["address"] for one in page["items"]]
        cursor = page["next"]
        new = f"+30699{len(seen):07}"
        await admin("PUT", f"/v1/customers/{new[1:]}", {"addresses": [{"channel": "sms", "value": new}]}, status=201)
        await learn("sms", new, 1000 + len(seen), "bad_address")
    assert sorted(seen) == numbers, "each once"
    assert [numbers.index(one) // 5 for one in seen] == sorted((n // 5 for n in range(23)), reverse=True), (
        "newest first"
    )


async def test_what_is_lifted_leaves_the_list_and_later_news_brings_it_back(
    ana: Api, learn: Callable[..., Any], redis_client: Redis
) -> None:
    await learn("email", MAIL, 1, "bad_address", ago=5)
    asked = {"channel": "email", "value": "ANA@example.com", "reason": "Moved back."}
    assert (await ana("POST", "/v1/addresses/lift", asked, status=200))["customers"] == ["c-1"]
    assert (await ana("GET", "/v1/addresses", status=200))["items"] == []
    assert not {one for one in await keys_of_lists(redis_client) if not one.startswith("due")}
    shown = await ana("GET", "/v1/customers/c-1", status=200)
    assert not [one for one in shown["addresses"] if "health" in one]
    await learn("email", MAIL, 2, "bad_address", ago=-1)
    assert len((await ana("GET", "/v1/addresses?health=suppressed", status=200))["items"]) == 1
    shown = await ana("GET", "/v1/customers/c-1", status=200)
    assert [one["health"]["state"] for one in shown["addresses"] if "health" in one] == ["suppressed"]


async def test_doubts_lapse_and_leave_nothing(
    gateway: Gateway, ana: Api, learn: Callable[..., Any], redis_client: Redis
) -> None:
    await learn("sms", SMS, 1, "unreachable", ago=31 * DAY)
    await learn("sms", SMS, 2, "unreachable", ago=29 * DAY)
    (one,) = (await ana("GET", "/v1/addresses?health=suspect", status=200))["items"]
    assert one["health"]["count"] == 1
    key = gateway.customers.address_key(SMS)
    store: Any = redis_client
    for number in (1, 2):  # as if a year had gone by
        await gateway.customers.learn("sms", SMS, Evidence(f"m{number}/a1", 1, "unreachable"))
    await store.zadd(of_customer(key).health("due"), {f"sms:{key}": 1})
    await gateway.housekeeper.walk()
    assert (await ana("GET", "/v1/addresses", status=200))["items"] == []
    assert await keys_of_lists(redis_client) == set()
    assert await store.hkeys(f"{{a:{key}}}:facts") == []


async def test_an_erased_person_s_addresses_are_on_no_list(
    gateway: Gateway, ana: Api, learn: Callable[..., Any], redis_client: Redis
) -> None:
    await ana("PUT", "/v1/customers/c-2", {"addresses": [{"channel": "sms", "value": SMS}]}, status=201)
    await learn("sms", SMS, 1, "bad_address")
    await learn("email", MAIL, 2, "bad_address")
    assert await gateway.customers.delete("c-1")
    (left,) = (await ana("GET", "/v1/addresses", status=200))["items"]
    assert (left["channel"], left["customers"]) == ("sms", ["c-2"])
    assert {one.split(" ")[1] for one in await keys_of_lists(redis_client)} == {
        "sms:" + gateway.customers.address_key(SMS)[:1]
    }
    assert await gateway.customers.delete("c-2")
    assert await keys_of_lists(redis_client) == set()


async def test_an_address_that_nobody_has_any_more_is_not_shown(ana: Api, learn: Callable[..., Any]) -> None:
    await learn("email", MAIL, 1, "bad_address")
    await ana("PUT", "/v1/customers/c-1", {**ANA, "addresses": []}, status=200)
    assert (await ana("GET", "/v1/addresses", status=200))["items"] == []
    await ana("PUT", "/v1/customers/c-1", ANA, status=200)
    assert len((await ana("GET", "/v1/addresses", status=200))["items"]) == 1, "a PUT changes no health"


async def test_on_a_cluster(tmp_path: Path) -> None:
    with cluster(3, 0, node_timeout_ms=15_000) as nodes:
        async with core(nodes.url, tmp_path, Scripted("email")) as gw:
            customers = gw.gateway.customers
            for number in range(8):
                await gw.person(f"c{number}", email=f"p{number}@example.org")
                at = gw.gateway.clock.now() - number * 1000
                await customers.learn("email", f"p{number}@example.org", Evidence(f"m{number}/a1", at, "bad_address"))
            first, cursor = await customers.health.page(("suppressed",), "email", 5, None)
            rest, end = await customers.health.page(("suppressed",), "email", 5, cursor)
            assert [one.health.refs[0] for one in first + rest] == [f"m{n}/a1" for n in range(8)]
            assert end is None
            await customers.lift("email", "p3@example.org")
            assert len((await customers.health.page(("suppressed",), None, 50, None))[0]) == 7
