"""Every request: its id, its key, its parameters and its body, before any operation sees it."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.store.clock import Clock
from gateway.store.scripts import Scripts
from gateway.web.context import Gateway
from gateway.web.operations import Page
from tests.support.web_echo import Sample, broken, echo, listed, operation, problem
from tests.support.web_parts import api, bearer, parts, raw, served

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def gateway(scripts: Scripts, clock: Clock) -> Gateway:
    return parts(scripts, clock)


@pytest.fixture
async def client(gateway: Gateway) -> AsyncGenerator[aiohttp.ClientSession]:
    operations = (
        operation("POST", "/v1/echo", echo, body=Sample, limit=2000),
        operation("GET", "/v1/list", listed, query=Page, scope="read"),
        operation("GET", "/v1/broken", broken),
        operation("POST", "/v1/live", echo, body=Sample, live_only=True),
    )
    async with served(api(gateway, operations)) as session:
        session.headers.update(await bearer(gateway, "send", "read"))
        yield session


@pytest.mark.parametrize(
    "body, said",
    [
        (b"", "empty"),
        (b"{", "line 1"),
        (b'{"name": NaN}', "NaN"),
        (b'{"name": -Infinity}', "Infinity"),
        (b'{"name": 1e999}', "too large"),
        (b'{"name": "a", "name": "b"}', '"name" stands twice'),
        (b'{"name": "\\ud800"}', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'{"name": "\xff"}', "UTF-8"),
        (b'{"name": "\xed\xa0\x80"}', "UTF-8"),
        (b'{"data": {"a": ' + b"[" * 31 + b"]" * 31 + b"}}", "deeper"),
        (b"[" * 900 + b"]" * 900, "deeper"),
        (b'{"data": {"n": ' + b"9" * 1900 + b"}} x", "64 bits"),
        (b'{"name": "a"} {}', "line 1"),
        (b'\xef\xbb\xbf{"name": "a"}', "line 1"),
    ],
)
async def test_what_is_not_strict_json_is_refused_with_the_remedy(
    client: aiohttp.ClientSession, body: bytes, said: str
) -> None:
    async with client.post("/v1/echo", data=body, headers=JSON) as response:
        assert said in (await problem(response, 400, "not-json"))["detail"]


async def test_good_bodies_pass_whole(client: aiohttp.ClientSession) -> None:
    tree: dict[str, Any] = {"name": "Ω😀", "data": {"deep": [[[[]]]], "pair": "\U0001f600", "n": 1.5}, "inner": None}
    for encoded in (msgspec.json.encode(tree), b'{"name":"\\ud83d\\ude00"}'):
        async with client.post("/v1/echo", data=encoded, headers=JSON) as response:
            assert response.status == 200
            assert (await response.json())["tree"] == msgspec.json.decode(encoded)


async def test_every_bad_field_is_named_at_once(client: aiohttp.ClientSession) -> None:
    body = {
        "nmae": "x",
        "inner": {"value": "", "count": 10, "extra": 1},
        "items": [{"value": "toolong"}, {"value": 5}, "text", {"count": True}],
        "text": 5,
        "data": [],
        "a/b~c": 1,
    }
    async with client.post("/v1/echo", json=body) as response:
        found = await problem(response, 422, "invalid")
    errors = {error["pointer"]: error["detail"] for error in found["errors"]}
    assert list(errors) == [
        "/nmae",
        "/inner/value",
        "/inner/count",
        "/inner/extra",
        "/items/0/value",
        "/items/1/value",
        "/items/2",
        "/items/3/count",
        "/items/3/value",
        "/text",
        "/data",
        "/a~1b~0c",
        "/name",
    ]  # fmt: skip - read as a list
    assert "did you mean name" in errors["/nmae"]
    assert errors["/inner/count"] == "must be a whole number from 1 to 9."
    assert errors["/items/1/value"] == "must be a string, not a number."
    assert errors["/text"] == "must be a string or an object, not a number."
    assert errors["/name"] == "is required."


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json; charset=latin-1", "application/x-www-form-urlencoded"]
)
async def test_other_media_types_are_refused(client: aiohttp.ClientSession, kind: str) -> None:
    async with client.post("/v1/echo", data=b'{"name": "a"}', headers={"Content-Type": kind}) as response:
        await problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x-unknown"])
@pytest.mark.parametrize("unpacks", [True, False])
async def test_packed_bodies_are_refused_even_broken_ones(gateway: Gateway, coding: str, unpacks: bool) -> None:
    bodies = {"gzip": gzip.compress(b'{"name": "a"}'), "deflate": zlib.compress(b'{"name": "a"}')}
    app = api(gateway, [operation("POST", "/v1/echo", echo, body=Sample)])
    headers = {**await bearer(gateway, "send"), **JSON, "Content-Encoding": coding}
    async with served(app, auto_decompress=unpacks) as session:
        for body in (bodies.get(coding, b"x"), b"not packed at all"):
            async with session.post("/v1/echo", data=body, headers=headers) as response:
                assert response.status in (400, 415), await response.text()


async def test_too_large_bodies_are_refused_with_and_without_a_length(client: aiohttp.ClientSession) -> None:
    async with client.post("/v1/echo", data=b" " * 3000, headers=JSON) as response:
        await problem(response, 413, "too-large")

    async def chunks() -> AsyncGenerator[bytes]:
        for _ in range(30):
            yield b" " * 100

    async with client.post("/v1/echo", data=chunks(), headers=JSON) as response:
        await problem(response, 413, "too-large")


async def test_a_body_that_does_not_come_is_not_waited_for(gateway: Gateway) -> None:
    key = (await bearer(gateway, "send"))["Authorization"]
    head = f"POST /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Type: application/json\r\n"
    app = api(gateway, [operation("POST", "/v1/echo", echo, body=Sample, seconds=0.05)])
    async with served(app, lingering_time=0.1) as session:
        answer = await asyncio.wait_for(raw(session, head.encode() + b"Content-Length: 100\r\n\r\n{"), 15)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"/problems/timeout"' in answer


async def test_broken_chunks_are_a_bad_request(client: aiohttp.ClientSession, gateway: Gateway) -> None:
    key = (await bearer(gateway, "send"))["Authorization"]
    head = f"POST /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Type: application/json\r\n"
    answer = await asyncio.wait_for(raw(client, head.encode() + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{"), 15)
    assert b" 400 " in answer.partition(b"\r\n")[0]


async def test_parameters_are_typed_and_unknown_ones_refused(client: aiohttp.ClientSession) -> None:
    async with client.get("/v1/list?limit=7&cursor=a%2Bb") as response:
        assert await response.json() == {"limit": 7, "cursor": "a+b"}
    async with client.get("/v1/list?limit=501&corsur=1") as response:
        found = await problem(response, 422, "invalid")
    assert [error["pointer"] for error in found["errors"]] == ["?limit", "?corsur"]
    async with client.get("/v1/list?cursor=null") as response:
        assert (await response.json())["cursor"] == "null"
    async with client.get("/v1/list?limit=null") as response:
        await problem(response, 422, "invalid")
    async with client.get("/v1/list?limit=1&limit=2") as response:
        await problem(response, 422, "invalid")


async def test_unknown_paths_and_methods_are_problems(client: aiohttp.ClientSession) -> None:
    async with client.get("/nowhere") as response:
        await problem(response, 404, "not-found")
    async with client.delete("/v1/list") as response:
        await problem(response, 405, "method-not-allowed")
        assert response.headers["Allow"] == "GET"


async def test_a_bug_says_nothing_of_the_inside(client: aiohttp.ClientSession) -> None:
    async with client.get("/v1/broken", headers={"X-Request-Id": "mine-1"}) as response:
        await problem(response, 500, "internal")
        assert response.headers["X-Request-Id"] == "mine-1"
        assert "secret" not in await response.text()


async def test_harmful_request_ids_are_replaced(client: aiohttp.ClientSession) -> None:
    async with client.get("/v1/list", headers={"X-Request-Id": "a b\tc"}) as response:
        assert len(response.headers["X-Request-Id"]) == 16
    async with client.get("/v1/list", headers={"X-Request-Id": "x" * 200}) as response:
        assert len(response.headers["X-Request-Id"]) == 16


async def test_who_may_do_what(client: aiohttp.ClientSession, gateway: Gateway) -> None:
    body = {"name": "a"}
    for bad in ("", "Bearer", "Bearer gw_live_0123456789abcdef_" + "0" * 64, "Basic abc", "Bearer \u00e9"):
        async with client.post("/v1/echo", json=body, headers={"Authorization": bad}) as response:
            await problem(response, 401, "unauthorized")
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
    async with client.post("/v1/echo", json=body, headers=await bearer(gateway, "read")) as response:
        assert "'send'" in (await problem(response, 403, "forbidden"))["detail"]
    async with client.post("/v1/echo", json=body, headers=await bearer(gateway, "admin")) as response:
        assert response.status == 200
    async with client.post("/v1/live", json=body, headers=await bearer(gateway, "admin", mode="test")) as response:
        await problem(response, 403, "forbidden")


async def test_a_key_has_a_rate(client: aiohttp.ClientSession, gateway: Gateway) -> None:
    mine = await bearer(gateway, "read", rate=2)
    statuses: list[int] = []
    for _ in range(8):
        async with client.get("/v1/list", headers=mine) as response:
            statuses.append(response.status)
            if response.status == 429:
                assert response.headers["Retry-After"] == "1"
                await problem(response, 429, "too-many-requests")
    assert statuses[:2] == [200, 200]
    assert 429 in statuses
