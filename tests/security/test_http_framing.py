"""Requests made by hand: framing that two servers could read in two ways, endless ones, slow ones, and plain noise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from gateway.app import Gateway
from gateway.web.api.table import OPERATIONS
from tests.support.front import Front, front, memory, status, statuses

MB = 1024 * 1024
TEXT = b'{"category": "service", "content": {"text": "x"}, "customer": "c"}'


def post(*headers: bytes, body: bytes = TEXT, path: bytes = b"/v1/messages") -> bytes:
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Content-Type: application/json", b"AUTH", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def length(body: bytes = TEXT) -> bytes:
    return b"Content-Length: %d" % len(body)


SMUGGLED = {
    "both lengths": post(length(), b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "two lengths": post(length(), b"Content-Length: 5"),
    "a list of lengths": post(b"Content-Length: 67, 67"),
    "a negative length": post(b"Content-Length: -1"),
    "a signed length": post(b"Content-Length: +67"),
    "a length in hex": post(b"Content-Length: 0x43"),
    "an endless length": post(b"Content-Length: " + b"9" * 40),
    "an unknown coding": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked not last": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "two codings": post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "a coding in HTTP/1.0": post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a huge chunk": post(b"Transfer-Encoding: chunked", body=b"FFFFFFFFFFFFFFFFF\r\nx"),
    "a negative chunk": post(b"Transfer-Encoding: chunked", body=b"-1\r\nx\r\n0\r\n\r\n"),
    "a chunk without end": post(b"Transfer-Encoding: chunked", body=b"1\r\nxx\r\n0\r\n\r\n"),
    "a chunk by bare LF": post(b"Transfer-Encoding: chunked", body=b"1\nx\n0\n\n"),
    "a blank before the colon": post(b"Content-Length : 67"),
    "a folded header": post(length(), b"X-A: b\r\n c: d"),
    "bare CR in a header": post(length(), b"X-A: b\rX-B: c"),
    "a NUL in a header": post(length(), b"X-A: \x00"),
    "a NUL in a name": post(length(), b"X\x00A: b"),
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a long line": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long header": post(length(), b"X-A: " + b"b" * 9000),
    "a thousand headers": post(length(), *(b"X-%d: b" % n for n in range(1000))),
    "another version": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "SMTP": b"EHLO x\r\nMAIL FROM:<a@b>\r\n",
    "noise": bytes(range(256)) * 40,
    "an odd method": b"G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in the path": b"GET /v1/customers/%00 HTTP/1.1\r\nHost: x\r\nAUTH\r\n\r\n",
    "half an escape": b"GET /v1/customers/%f HTTP/1.1\r\nHost: x\r\nAUTH\r\n\r\n",
    "dots": b"GET /assets/../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "dots in escapes": b"GET /assets/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\n\r\n",
    "an absolute path": b"GET /assets//etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "somebody else's URL": b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\n\r\n",
    "a proxy": b"CONNECT 127.0.0.1:6379 HTTP/1.1\r\nHost: x\r\n\r\n",
    "everything": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "an expectation": post(length(), b"Expect: the-unexpected"),
    "an upgrade": b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
}  # fmt: skip - a table
MEANT_WELL = {"an upgrade", "two hosts", "no host", "a coding in HTTP/1.0"}
"""Refused or answered as if it were nothing special: both are safe, since nothing is passed on to another server."""


async def test_what_could_be_read_in_two_ways_is_refused(door: Front) -> None:
    before = await door.stored()
    for name, request in SMUGGLED.items():
        sent = request.replace(b"AUTH", door.bearer.encode())
        answer = await door.talk(sent + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        first = status(answer)
        assert first == 0 or 400 <= first < 500 or (name in MEANT_WELL and first == 200), (name, answer)
        assert b"root:" not in answer, name
    assert await door.stored() == before
    assert await door.alive()


async def test_noise_behind_requests_ends_the_connection(door: Front) -> None:
    good = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert statuses(await door.talk(good * 5 + good[:-2] + b"Connection: close\r\n\r\n")) == [200] * 6
    # What came in one piece with the noise may go unanswered; nothing behind the noise is ever answered.
    answers = statuses(await door.talk(good * 50 + b"nonsense\r\n\r\n" + good * 50))
    assert answers[-1] == 400
    assert answers[:-1] == [200] * (len(answers) - 1)
    assert len(answers) <= 51


async def test_a_refused_body_is_never_taken_for_the_next_request(door: Front) -> None:
    inner = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    head = post(length(inner), b"Connection: close", body=inner).replace(b"AUTH", b"X-A: b")
    assert statuses(await door.talk(head)) == [401]


CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"


async def _endless(head: bytes, part: bytes, parts: int) -> AsyncIterator[bytes]:
    yield head
    for _ in range(parts):
        yield part


FLOODS = [
    ("/v1/messages", "json", True),
    ("/v1/messages", "json", False),
    ("/v1/messages/batch", "json", True),
    ("/callbacks/sms/inbound", "x-www-form-urlencoded", False),
    ("/callbacks/wechat", "xml", False),
    ("/u/x", "json", False),
]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_hundred_megabytes_cost_no_memory(door: Front, declared: bool) -> None:
    """Six strangers at once, who go on sending whatever they are answered."""
    before, kept = memory(), await door.stored()
    size, part = ("Content-Length: 209715200", b"x" * 65536) if declared else ("Transfer-Encoding: chunked", CHUNK)

    async def flood(path: str, kind: str, keyed: bool) -> int:
        lines = [f"POST {path} HTTP/1.1", "Host: x", size, f"Content-Type: application/{kind}"]
        head = "\r\n".join([*lines, *([door.bearer] if keyed else []), "", ""]).encode()
        return status(await door.talk(_endless(head, part, 1600), seconds=30))

    found = await asyncio.gather(*(flood(*one) for one in FLOODS))
    assert all(one == 0 or 400 <= one < 500 for one in found), found
    assert memory() - before < 40 * MB
    assert await door.stored() == kept


@pytest.fixture
async def hasty(gateway: Gateway, redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Front]:
    """The public listener with its patience cut to half a second."""
    operations = tuple(msgspec.structs.replace(one, seconds=0.5) for one in OPERATIONS)
    monkeypatch.setattr("gateway.web.server.OPERATIONS", operations)
    monkeypatch.setattr("gateway.web.callbacks.SECONDS", 0.5)
    monkeypatch.setattr("gateway.web.server.KEEPALIVE_SECONDS", 0.5)
    async with front(gateway, redis_client) as made:
        yield made


async def _trickle(head: bytes) -> AsyncIterator[bytes]:
    """One byte after the other, for as long as somebody listens: the slowness is the attack."""
    yield head
    for _ in range(200):
        yield b"x"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("path", [b"/v1/messages", b"/v1/templates/a/preview", b"/callbacks/sms/inbound"])
async def test_a_body_that_trickles_is_not_waited_for(hasty: Front, path: bytes) -> None:
    head = post(b"Content-Length: 1000", body=b"", path=path).replace(b"AUTH", hasty.bearer.encode())
    assert status(await hasty.talk(_trickle(head))) == 408


@pytest.mark.parametrize("head", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-", b"POST /v1/messages HT"])
async def test_headers_that_never_end_are_not_waited_for(hasty: Front, head: bytes) -> None:
    assert status(await hasty.talk(_trickle(head))) in (0, 400)


async def test_what_the_parser_refuses_is_logged_without_its_words(door: Front) -> None:
    with capture_logs() as logs:
        assert status(await door.talk(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: secret\x00words\r\n\r\n")) == 400
    assert [(one["event"], one["error"]) for one in logs] == [("http_unreadable", "BadHttpMessage")]
    assert "secret" not in str(logs)


async def test_a_line_without_an_end_costs_the_import_no_memory(door: Front) -> None:
    before, kept = memory(), await door.stored()
    head = f"POST /v1/customers/import HTTP/1.1\r\nHost: x\r\n{door.bearer}\r\nContent-Type: application/x-ndjson\r\n"
    head += f"Content-Length: {512 * 65536}\r\nConnection: close\r\n\r\n"
    answer = await door.talk(_endless(head.encode(), b"x" * 65536, 512), seconds=20)
    assert status(answer) == 200
    assert b'"kept":0,"rejected":1' in answer
    assert memory() - before < 16 * MB
    assert await door.stored() == kept
