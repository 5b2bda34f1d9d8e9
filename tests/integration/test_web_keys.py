"""API keys: kept as keyed hashes, found fast, gone when revoked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.store import keys
from gateway.store.api_keys import CACHED_MS, ApiKey, ApiKeys
from gateway.store.clock import Clock
from gateway.store.scripts import Scripts
from gateway.web.api.keys import OPERATIONS
from gateway.web.auth import Rates
from tests.support.web_parts import api, bearer, parts, served

NEW, OLD = b"n" * 32, b"o" * 32


class Turned(Clock):
    """The server's clock, moved on by hand."""

    def __init__(self, now: int) -> None:
        super().__init__()
        self.at = now

    def now(self) -> int:
        return self.at


@pytest.fixture
def time(clock: Clock) -> Turned:
    return Turned(clock.now())


async def test_only_a_keyed_hash_is_kept(scripts: Scripts, time: Turned, redis_client: Any) -> None:
    store = ApiKeys(scripts, time, NEW)
    made, text = await store.create("shop", "live", ["read", "send"])
    prefix, mode, key_id, secret = text.split("_")
    assert (prefix, mode, key_id, made.scopes) == ("gw", "live", made.id, ("send", "read"))
    stored = await redis_client.hget(keys.API_KEYS, key_id)
    assert secret.encode() not in stored
    assert await store.verify(text) == made
    for wrong in (
        text[:-1],
        text[:-1] + ("0" if text[-1] != "0" else "1"),
        text.replace("live", "test"),
        "",
        "gw_live_x_y",
    ):
        assert await store.verify(wrong) is None
    assert await ApiKeys(scripts, time, OLD).verify(text) is None


async def test_scopes() -> None:
    key = ApiKey(id="a", name="", mode="live", scopes=("send",), digest=b"", created_at=0)
    assert (key.may("send"), key.may("read"), key.may("admin")) == (True, False, False)
    assert msgspec.structs.replace(key, scopes=("admin",)).may("customers")


async def test_a_key_ends_at_its_time(scripts: Scripts, time: Turned) -> None:
    store = ApiKeys(scripts, time, NEW)
    _, text = await store.create("short", "live", ["read"], expires_at=time.at + 1000)
    assert await store.verify(text) is not None
    time.at += 1000
    assert await store.verify(text) is None


async def test_a_revoked_key_is_refused_by_other_processes_within_two_seconds(scripts: Scripts, time: Turned) -> None:
    here, there = ApiKeys(scripts, time, NEW), ApiKeys(scripts, time, NEW)
    made, text = await here.create("x", "live", ["read"])
    assert await there.verify(text) is not None
    assert await here.revoke(made.id)
    assert not await here.revoke(made.id)
    assert await here.verify(text) is None
    assert await there.verify(text) is not None
    time.at += CACHED_MS
    assert await there.verify(text) is None
    assert await here.listed() == []


async def test_a_repeated_creation_does_not_bring_a_revoked_key_back(scripts: Scripts, time: Turned) -> None:
    store = ApiKeys(scripts, time, NEW)
    text = ApiKeys.new_text("live", b"seed")
    made, _ = await store.create("x", "live", ["read"], text=text)
    time.at += 5
    assert (await store.create("x", "live", ["read"], text=text))[0] == made
    await store.revoke(made.id)
    await store.create("x", "live", ["read"], text=text)
    assert await store.verify(text) is None


async def test_keys_move_to_the_new_pepper_when_used(scripts: Scripts, time: Turned) -> None:
    _, text = await ApiKeys(scripts, time, OLD).create("x", "live", ["read"])
    assert await ApiKeys(scripts, time, NEW, OLD).verify(text) is not None
    assert await ApiKeys(scripts, time, NEW).verify(text) is not None
    assert await ApiKeys(scripts, time, OLD).verify(text) is None


def test_a_bucket_refills_and_never_overflows() -> None:
    now = [0]
    rates = Rates(lambda: now[0])
    assert [rates.wait("k", 2) for _ in range(3)] == [0, 0, 0.5]
    now[0] += 500
    assert (rates.wait("k", 2), rates.wait("k", 2)) == (0, 0.5)
    now[0] -= 10_000
    assert rates.wait("k", 2) > 0
    now[0] += 3_600_000
    assert [rates.wait("k", 2) > 0 for _ in range(3)] == [False, False, True]
    assert [rates.wait("slow", 0.1), rates.wait("slow", 0.1)] == [0, 10]


async def test_over_http(scripts: Scripts, clock: Clock) -> None:
    gateway = parts(scripts, clock)
    async with served(api(gateway, OPERATIONS)) as session:
        admin = await bearer(gateway, "admin")
        wanted = {"name": "billing", "scopes": ["send", "read"], "mode": "test", "rate": 5}
        once = {**admin, "Idempotency-Key": "k1"}
        async with session.post("/v1/keys", json=wanted, headers=once) as response:
            made = await response.json()
            assert response.status == 201
            assert (made["name"], made["mode"], made["scopes"], made["rate"]) == (
                "billing",
                "test",
                ["send", "read"],
                5,
            )
        async with session.post("/v1/keys", json=wanted, headers=once) as response:
            assert response.headers["Idempotency-Replayed"] == "true"
            assert await response.json() == made
        async with session.get("/v1/keys", headers=admin) as response:
            listed = (await response.json())["items"]
        assert made["id"] in {one["id"] for one in listed}
        assert all("key" not in one for one in listed)
        mine = {"Authorization": f"Bearer {made['key']}"}
        async with session.get("/v1/keys", headers=mine) as response:
            assert response.status == 403
        async with session.delete(f"/v1/keys/{made['id']}", headers=admin) as response:
            assert response.status == 204
        async with session.get("/v1/keys", headers=mine) as response:
            assert response.status == 401
        async with session.delete(f"/v1/keys/{made['id']}", headers=admin) as response:
            assert response.status == 404
        for bad in (
            {"name": "x", "scopes": ["fly"]},
            {"name": "x", "scopes": ["read"], "expires": "2001-01-01T00:00:00Z"},
        ):
            async with session.post("/v1/keys", json=bad, headers=admin) as response:
                assert response.status == 422, await response.text()


async def test_no_secret_of_a_key_is_in_redis_after_it_was_made_over_http(
    scripts: Scripts, clock: Clock, redis_client: Any
) -> None:
    gateway = parts(scripts, clock)
    async with served(api(gateway, OPERATIONS)) as session:
        headers = {**await bearer(gateway, "admin"), "Idempotency-Key": "k"}
        async with session.post("/v1/keys", json={"name": "x", "scopes": ["read"]}, headers=headers) as response:
            secret = (await response.json())["key"].split("_")[3]
    async for key in redis_client.scan_iter():
        stored = await redis_client.dump(key)
        assert secret.encode() not in stored
        assert bytes.fromhex(secret) not in stored
