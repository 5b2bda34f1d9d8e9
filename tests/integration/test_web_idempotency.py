"""The same request twice happens once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.store.clock import Clock
from gateway.store.idempotency import Fresh, Idempotency, Mismatch, Replay, Resume, body_digest
from gateway.store.pipe import StoreUnavailable
from gateway.store.scripts import Scripts
from gateway.web.context import Gateway
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import Problem, invalid, unavailable
from tests.support.web_parts import api, bearer, parts, served

pytestmark = pytest.mark.usefixtures("no_key_leaks")


class Order(msgspec.Struct, forbid_unknown_fields=True):
    what: str = ""
    n: int = 0


class Shop:
    """Makes things, counts how often it was asked to, and fails on demand."""

    def __init__(self) -> None:
        self.runs: list[bytes] = []
        self.fails: list[Problem] = []
        self.gate: asyncio.Event | None = None
        self.full = asyncio.Event()

    async def make(self, call: Call[Order, NoQuery]) -> Answer:
        self.runs.append(call.seed.seed)
        if len(self.runs) == 8:
            self.full.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise self.fails.pop(0)
        return Answer(status=202, body={"id": call.seed.seed.hex(), "at": call.seed.at, "run": len(self.runs)})


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def gateway(scripts: Scripts, clock: Clock) -> Gateway:
    return parts(scripts, clock)


@pytest.fixture
async def client(gateway: Gateway, shop: Shop) -> AsyncGenerator[aiohttp.ClientSession]:
    def creating(path: str, **more: Any) -> Operation:
        return Operation(
            method="POST",
            path=path,
            name=path,
            tag="Messages",
            summary="",
            scope="send",
            handler=shop.make,
            body=Order,
            creates=True,
            answers={202: None},
            **more,
        )  # fmt: skip - one operation, one line

    async with served(
        api(gateway, [creating("/v1/a"), creating("/v1/b"), creating("/v1/s", keeps_answer=False)])
    ) as session:
        session.headers.update(await bearer(gateway, "send"))
        yield session


async def post(
    client: aiohttp.ClientSession, key: str, body: Any, path: str = "/v1/a", **headers: str
) -> tuple[int, bool, Any]:
    async with client.post(path, json=body, headers={"Idempotency-Key": key, **headers}) as response:
        return (
            response.status,
            response.headers.get("Idempotency-Replayed") == "true",
            await response.json(content_type=None),
        )


async def test_a_repeat_gets_the_first_answer_whatever_its_spelling_and_path(
    client: aiohttp.ClientSession, shop: Shop
) -> None:
    first = await post(client, "k1", {"what": "x", "n": 1})
    assert first[:2] == (202, False)
    again = await post(client, "k1", {"n": 1, "what": "x"}, "/v1/b")
    assert again == (202, True, first[2])
    assert len(shop.runs) == 1
    assert (await post(client, "k2", {"what": "x", "n": 1}))[1] is False


async def test_another_body_is_a_conflict(client: aiohttp.ClientSession) -> None:
    await post(client, "k", {"n": 1})
    status, _, body = await post(client, "k", {"n": 2})
    assert (status, body["type"]) == (409, "/problems/idempotency-mismatch")


async def test_modes_are_apart(client: aiohttp.ClientSession, gateway: Gateway) -> None:
    first = await post(client, "k", {"n": 1})
    other = await post(client, "k", {"n": 2}, **(await bearer(gateway, "send", mode="test")))
    assert other[0] == 202
    assert other[2]["id"] != first[2]["id"]


async def test_refusals_are_not_kept(client: aiohttp.ClientSession, shop: Shop) -> None:
    shop.fails.append(invalid([("/n", "no")]))
    assert (await post(client, "k", {"n": 1}))[0] == 422
    assert (await post(client, "k", {"n": 2}))[:2] == (202, False)


async def test_after_a_break_it_runs_again_with_the_same_seed(client: aiohttp.ClientSession, shop: Shop) -> None:
    shop.fails.append(unavailable("away"))
    assert (await post(client, "k", {"n": 1}))[0] == 503
    assert (await post(client, "k", {"n": 2}))[0] == 409
    status, _, body = await post(client, "k", {"n": 1})
    assert (status, shop.runs[0]) == (202, shop.runs[1])
    assert body["id"] == shop.runs[0].hex()


async def test_two_at_once_get_one_answer(client: aiohttp.ClientSession, shop: Shop) -> None:
    shop.gate = asyncio.Event()
    both = [asyncio.create_task(post(client, "k", {"n": 1})) for _ in range(8)]
    await asyncio.wait_for(shop.full.wait(), 5)
    shop.gate.set()
    answers = await asyncio.gather(*both)
    assert {status for status, _, _ in answers} == {202}
    assert len({msgspec.json.encode(body) for _, _, body in answers}) == 1
    assert sum(replayed for _, replayed, _ in answers) == 7
    assert len(set(shop.runs)) == 1


async def test_answers_that_may_not_be_kept_are_made_again(client: aiohttp.ClientSession, shop: Shop) -> None:
    first = await post(client, "k", {"n": 1}, "/v1/s")
    again = await post(client, "k", {"n": 1}, "/v1/s")
    assert (first[1], again[1]) == (False, True)
    assert first[2]["id"] == again[2]["id"]
    assert len(shop.runs) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9"])
async def test_bad_keys(client: aiohttp.ClientSession, key: str) -> None:
    status, _, body = await post(client, key, {})
    assert (status, body["errors"][0]["pointer"]) == (422, ":Idempotency-Key")


@pytest.mark.parametrize("key", ["~", "a b", "x" * 255])
async def test_good_keys(client: aiohttp.ClientSession, key: str) -> None:
    assert (await post(client, key, {}))[0] == 202


async def test_the_store_alone(scripts: Scripts, clock: Clock) -> None:
    store = Idempotency(scripts, clock)
    digest, other = body_digest({"a": 1, "b": 2}), body_digest({"b": 2, "a": 3})
    assert digest == body_digest({"b": 2, "a": 1})
    first = await store.claim("live", "k", digest)
    assert isinstance(first, Fresh)
    assert len(first.seed) == 32
    assert await store.claim("live", "k", other) == Mismatch()
    assert await store.claim("live", "k", digest) == Resume(first.seed, first.at)
    assert await store.finish("live", "k", digest, first, 202, b"{}") is None
    assert await store.finish("live", "k", digest, first, 202, b"[]") == Replay(202, b"{}")
    await store.forget("live", "k", first)
    assert await store.claim("live", "k", digest) == Replay(202, b"{}")


async def test_an_answer_outlives_a_refusal_beside_it(scripts: Scripts, clock: Clock) -> None:
    store = Idempotency(scripts, clock)
    digest = body_digest({})
    first = await store.claim("live", "k", digest)
    assert isinstance(first, Fresh)
    await store.forget("live", "k", first)
    assert await store.finish("live", "k", digest, first, 202, b"1") is None
    assert await store.claim("live", "k", digest) == Replay(202, b"1")


async def test_full_memory_refuses_new_claims(scripts: Scripts, clock: Clock, redis_client: Any) -> None:
    store = Idempotency(scripts, clock)
    limit = (await redis_client.config_get("maxmemory"))["maxmemory"]
    await redis_client.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable):
            await store.claim("live", "k", body_digest({}))
    finally:
        await redis_client.config_set("maxmemory", limit)
