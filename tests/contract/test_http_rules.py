"""Common rules of HTTP: keys, errors, request ids, bodies that aren't JSON."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.contract.client import Answer, Api
from tests.contract.waiting import eventually
from tests.contract.world import World

OPEN = ["/openapi.json", "/docs", "/healthz", "/readyz"]
CLOSED = [
    ("GET", "/v1/messages"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/batch"),
    ("GET", "/v1/messages/x"),
    ("PUT", "/v1/customers/x"),
    ("GET", "/v1/customers/x/export"),
    ("PUT", "/v1/templates/x"),
    ("GET", "/v1/channels"),
    ("GET", "/v1/keys"),
]


def is_problem(answer: Answer, status: int) -> None:
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.body["status"] == status
    assert answer.body["type"].startswith("/problems/")
    assert answer.body["title"]
    assert isinstance(answer.body["detail"], str)


@pytest.mark.parametrize("path", OPEN)
async def test_what_needs_no_key(nobody: Api, path: str) -> None:
    answer = await nobody("GET", path)
    assert answer.status == 200


async def test_openapi_is_31_and_names_every_path_of_this_version(nobody: Api) -> None:
    document = (await nobody("GET", "/openapi.json")).body
    assert document["openapi"].startswith("3.1")
    for path in ("/v1/messages", "/v1/messages/{id}/cancel", "/v1/customers/{id}", "/v1/templates/{id}/preview"):
        assert path in document["paths"]


async def test_docs_works_offline(nobody: Api) -> None:
    """Nothing on the page is fetched from another host."""
    page = (await nobody("GET", "/docs")).text
    for mark in ('src="http', "src='http", 'rel="stylesheet" href="http', "@import"):
        assert mark not in page


@pytest.mark.parametrize("method, path", CLOSED)
async def test_no_key_is_401(nobody: Api, method: str, path: str) -> None:
    is_problem(await nobody(method, path, {} if method != "GET" else None), 401)


@pytest.mark.parametrize(
    "given",
    [
        "Bearer",
        "Bearer ",
        "Basic eDp5",
        "Bearer gw_live_0000000000000000_00",
        "Bearer gw_other_0000000000000000_" + "0" * 64,
        "Bearer " + "x" * 4000,
        "Bearer gw_live_\u00e9_\u00e9",
        "gw_live_0000000000000000_" + "0" * 64,
    ],
)
async def test_a_bad_key_is_401(nobody: Api, given: str) -> None:
    answer = await nobody("GET", "/v1/messages", headers={"Authorization": given})
    is_problem(answer, 401)


async def test_a_true_id_with_another_secret_or_mode_is_401(w: World) -> None:
    key = w.api.key or ""
    for wrong in (
        key[:-1] + ("0" if key[-1] != "0" else "1"),
        key.replace("gw_live", "gw_test"),
        key + "0",
        key.upper(),
    ):
        is_problem(await Api(w.http, w.gateway.base, wrong)("GET", "/v1/messages"), 401)


async def test_unknown_paths_are_404_with_and_without_key(w: World, nobody: Api) -> None:
    is_problem(await w.api("GET", "/v1/nothing"), 404)
    is_problem(await w.api("GET", "/v1/messages/m1nope"), 404)
    is_problem(await w.api("GET", "/v1/customers/nobody-here"), 404)
    assert (await nobody("GET", "/nothing")).status == 404


async def test_another_method_is_405_with_allow(w: World) -> None:
    answer = await w.api("DELETE", "/v1/messages")
    is_problem(answer, 405)
    assert {one.strip() for one in answer.headers["Allow"].split(",")} >= {"GET", "POST"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nope",
        b"{'a': 1}",
        b'{"customer": NaN}',
        b'{"customer": Infinity}',
        b'{"a": 1,}',
        b'{"customer": "\xff"}',
        b"\xff\xfe{\x00}\x00",
        b'{"a": 1} {"b": 2}',
        b'{"customer": "a\nb"}',
    ],
)
async def test_no_json_is_400(w: World, body: bytes) -> None:
    is_problem(await w.api("POST", "/v1/messages", raw=body), 400)


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true"])
async def test_json_that_is_no_object_is_422(w: World, body: bytes) -> None:
    is_problem(await w.api("POST", "/v1/messages", raw=body), 422)


async def test_a_key_twice_in_an_object_is_refused(w: World) -> None:
    """The contract is silent on duplicates; what no one may do is send something other than what a reader sees."""
    person = await w.person("sms")
    raw = f'{{"customer":"{person.id}","category":"outage","category":"marketing","content":{{"text":"x"}}}}'
    answer = await w.api("POST", "/v1/messages", raw=raw.encode(), dry_run="true")
    assert answer.status in {400, 422}, answer


@pytest.mark.parametrize("depth", [200, 5000, 100_000])
async def test_deep_nesting_is_refused_and_the_service_lives(w: World, depth: int) -> None:
    person = await w.person("sms")
    head = f'{{"customer":"{person.id}","category":"outage","content":{{"text":"x"}},"metadata":'
    answer = await w.api("POST", "/v1/messages", raw=head.encode() + b'{"a":' * depth + b"1" + b"}" * depth + b"}")
    assert answer.status in {400, 413, 422}, answer
    assert (await w.api("GET", "/healthz")).status == 200


@pytest.mark.parametrize("escape", [r"\ud800", r"\udfff", r"\udc00\ud800", r"a\ud83d"])
async def test_lone_surrogates_are_refused(w: World, escape: str) -> None:
    person = await w.person("sms")
    raw = f'{{"customer":"{person.id}","category":"outage","content":{{"text":"{escape}"}}}}'
    answer = await w.api("POST", "/v1/messages", raw=raw.encode())
    assert answer.status in {400, 422}, answer


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data"]
)
async def test_another_content_type_is_415(w: World, kind: str) -> None:
    is_problem(await w.api("POST", "/v1/messages", raw=b"{}", headers={"Content-Type": kind}), 415)


async def test_json_with_a_charset_is_fine(w: World) -> None:
    answer = await w.api("POST", "/v1/messages", raw=b"{}", headers={"Content-Type": "application/json; charset=utf-8"})
    is_problem(answer, 422)


async def test_a_huge_body_is_413(w: World) -> None:
    raw = b'{"customer":"c","category":"outage","content":{"text":"' + b"x" * 40_000_000 + b'"}}'
    is_problem(await w.api("POST", "/v1/messages", raw=raw), 413)


async def test_a_compressed_bomb_is_refused(w: World) -> None:
    import gzip

    raw = gzip.compress(b'{"a":"' + b"x" * 60_000_000 + b'"}')
    answer = await w.api("POST", "/v1/messages", raw=raw, headers={"Content-Encoding": "gzip"})
    assert answer.status in {400, 413, 415}, answer.status


async def test_a_slow_body_holds_nobody_up(w: World) -> None:
    parts = urlsplit(w.gateway.base)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {w.api.key}\r\nContent-Type: application/json\r\n"
    try:
        writer.write(head.encode() + b"Content-Length: 100\r\n\r\n{")
        await writer.drain()
        async with asyncio.timeout(10):
            assert (await w.api("GET", "/v1/messages", limit=1)).status == 200
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_request_id_is_made_or_taken(w: World) -> None:
    made = await w.api("GET", "/v1/channels")
    assert made.headers["X-Request-Id"]
    taken = await w.api("GET", "/v1/channels", headers={"X-Request-Id": "my-own-id-4711"})
    assert taken.headers["X-Request-Id"] == "my-own-id-4711"
    await eventually(lambda: "my-own-id-4711" in w.gateway.log(), 5, "no such id in the log")
    failed = await w.api("POST", "/v1/messages", raw=b"{", headers={"X-Request-Id": "my-own-id-4712"})
    assert failed.headers["X-Request-Id"] == "my-own-id-4712"


@pytest.mark.parametrize(
    "path", ["/v1/messages?colour=red", "/v1/channels?x=", "/v1/customers/a?y=1", "/v1/messages?limit=1&limit=2"]
)
async def test_unknown_parameters_are_422(w: World, path: str) -> None:
    is_problem(await w.api("GET", path), 422)


async def test_unknown_parameters_and_fields_stand_in_one_list(w: World) -> None:
    answer = await w.api("POST", "/v1/messages?dry_run=true&colour=red", {"zzz": 1, "customer": 5})
    is_problem(answer, 422)
    assert {"?colour", "/zzz", "/customer"} <= answer.pointers


async def test_problem_pages_exist(nobody: Api) -> None:
    """`type` is a reference (RFC 9457): following it leads somewhere."""
    kind = (await nobody("GET", "/v1/channels")).body["type"]
    assert (await nobody("GET", kind)).status == 200


@pytest.mark.parametrize(
    "path", ["/v1/customers/%00", "/v1/customers/..%2f..%2fetc", "/v1/messages/%ff%fe", "/v1/customers/" + "a" * 5000]
)
async def test_odd_ids_in_paths_are_no_server_error(w: World, path: str) -> None:
    answer = await w.api("GET", path)
    assert answer.status in {400, 404, 414, 422}, answer


async def test_no_secret_stands_in_the_log(w: World) -> None:
    await w.send(await w.person("sms"), "a very private text")
    log = w.gateway.log()
    secrets: list[Any] = [w.api.key, w.gateway.variables["GATEWAY_TWILIO_AUTH_TOKEN"], "contract-wechat-secret"]
    assert not [one for one in [*secrets, "a very private text"] if one in log]
