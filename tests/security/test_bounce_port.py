"""The port for returned mails: whoever connects is a stranger, and gets neither memory, nor time, nor a message's end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from gateway.app import Gateway
from gateway.channels.bounces import parse
from gateway.channels.verp import verp_address
from gateway.delivery import returns
from gateway.delivery.returns import BounceServer, Returns
from gateway.settings_types import Settings
from gateway.store.clock import Clock
from tests.support.front import HOST, memory, talk
from tests.support.web_gateway import settings
from tests.support.wire import closed

MB = 1024 * 1024
HELLO = b"EHLO x\r\nMAIL FROM:<>\r\n"


def at(bounces: str | None) -> Settings:
    """Settings with that domain for returned mails."""
    given = settings()
    assert given.smtp is not None
    return msgspec.structs.replace(given, smtp=msgspec.structs.replace(given.smtp, bounce_domain=bounces))


@pytest.fixture
def made(gateway: Gateway) -> Returns:
    return Returns(at("y.example"), gateway.receipts, gateway.messages, gateway.customers, gateway.metrics)


@pytest.fixture
async def port(made: Returns) -> AsyncGenerator[int]:
    server = BounceServer(made, Clock())
    await server.start(HOST, 0)
    yield server.port
    await server.stop()


def mail(body: bytes, *to: bytes) -> bytes:
    recipients = b"".join(b"RCPT TO:<" + one + b">\r\n" for one in to or (b"x@y.example",))
    return HELLO + recipients + b"DATA\r\n" + body + b"\r\n.\r\n"


def codes(answer: bytes) -> list[str]:
    return [line[:3].decode() for line in answer.split(b"\r\n") if line[3:4] == b" "]


async def test_a_line_without_an_end_costs_no_memory(port: int) -> None:
    """64 MB, of which none ends a line."""

    async def endless() -> AsyncIterator[bytes]:
        yield HELLO + b"RCPT TO:<x@y.example>\r\nDATA\r\n"
        for _ in range(1024):
            yield b"x" * 65536

    before = memory()
    await talk(port, endless(), seconds=20)
    assert memory() - before < 16 * MB


async def test_a_mail_beyond_the_limit_is_refused_and_the_next_one_taken(port: int) -> None:
    big = b"\r\n".join([b"x" * 900] * 1300)
    answer = await talk(port, mail(big) + mail(b"Subject: x\r\n\r\nx") + b"QUIT\r\n")
    assert [code for code in codes(answer) if code not in ("250", "354")] == ["220", "552", "221"]
    assert answer.count(b"250 2.0.0 Noted") == 1


async def test_ten_thousand_recipients_are_a_hundred(port: int) -> None:
    to = [b"%d@y.example" % number for number in range(10_000)]
    answer = await talk(port, mail(b"Subject: x\r\n\r\nx", *to) + b"QUIT\r\n", seconds=20)
    assert answer.count(b"452 4.5.3") == 9_900
    assert answer.count(b"250 2.0.0 Noted") == 1


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r.\r\n", b"\r\n\x00.\r\n"])
async def test_a_mail_ends_by_crlf_dot_crlf_alone(port: int, end: bytes) -> None:
    """Whatever else looks like an end is text, so what follows is no second mail."""
    inner = b"Subject: x\r\n\r\nx" + end + mail(b"smuggled")[:-5]
    answer = await talk(port, mail(inner) + b"QUIT\r\n")
    assert answer.count(b"250 2.0.0 Noted") == 1, answer


async def test_connections_are_counted(made: Returns) -> None:
    server = BounceServer(made, Clock(), sessions=2)
    await server.start(HOST, 0)
    held = [await asyncio.open_connection(HOST, server.port) for _ in range(2)]
    try:
        for reader, _ in held:
            assert (await reader.readline()).startswith(b"220 ")
        assert codes(await talk(server.port, b"")) == ["421"]
        await closed(held[0][1])
        async with asyncio.timeout(5):
            while codes(await talk(server.port, b"QUIT\r\n")) != ["220", "221"]:
                continue
    finally:
        for _, writer in held:
            await closed(writer)
        await server.stop()


async def test_a_session_ends_however_busy_it_is(made: Returns) -> None:
    server = BounceServer(made, Clock(), seconds=0.4)
    await server.start(HOST, 0)

    async def busy() -> AsyncIterator[bytes]:
        yield b"EHLO x\r\n"
        for _ in range(200):
            yield b"NOOP\r\n"
            await asyncio.sleep(0.02)  # the patience of an attacker

    try:
        assert b"250" in await talk(server.port, busy(), seconds=5)
    finally:
        await server.stop()


async def test_silence_is_not_waited_for(made: Returns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returns, "SILENCE_S", 0.3)
    server = BounceServer(made, Clock())
    await server.start(HOST, 0)
    try:
        assert codes(await talk(server.port, HELLO + b"RCPT TO:<x@y.example>\r\nDATA\r\nx", seconds=5))[-1] == "354"
    finally:
        await server.stop()


NESTED = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000))
ODD = {
    "nesting": NESTED,
    "a mail in a mail": b"Content-Type: message/rfc822\r\n\r\n" * 3000,
    "parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 20_000,
    "headers": b"X: y\r\n" * 100_000,
    "a long field": b"Content-Type: text/plain; " + b"a=b;\r\n " * 50_000,
    "words in code": b"To: " + b"=?utf-8?q?=ff?=\r\n " * 30_000,
    "addresses": b"To: " + b"a@b,\r\n " * 50_000,
    "comments": b"From: " + b"(" * 900 + b"\r\n\r\nx",
    "nothing": b"",
    "NUL": b"\x00" * 900,
    "eight bits": bytes(range(128, 256)) * 7,
}


@pytest.mark.parametrize("name", ODD)
async def test_mails_made_to_be_slow_end_soon_and_leave_nothing(port: int, redis_client: Redis, name: str) -> None:
    began = time.process_time()
    parse(ODD[name], lambda _: None, 0)
    assert time.process_time() - began < 1.2
    answer = await talk(port, mail(ODD[name]) + b"QUIT\r\n", seconds=15)
    assert b"250 2.0.0 Noted" in answer, answer
    assert b"451" not in answer
    store: Any = redis_client
    assert [key for key in await store.keys("*") if b"meta" not in key] == []


FORGED = verp_address("m1m81hcef00fwaesxk3mvye9", "a1", domain="y.example", key=b"another key of 32 bytes and more")
OURS = verp_address("m1m81hcef00fwaesxk3mvye9", "a1", domain="y.example", key=settings().secret_key)


@pytest.mark.parametrize(
    "to, taken",
    [
        (OURS, True),
        (OURS.upper().lower(), True),
        (OURS.replace("y.example", "before.example"), True),
        ("lost@y.example", True),
        ("Lost@Y.example", True),
        ("postmaster", True),
        (FORGED, False),
        ("b+x@y.example", False),
        ("B+x@y.example", False),
        ("lost@elsewhere.example", False),
        ("gateway@example.com", False),
        ("lost@sub.y.example", False),
        ("lost", False),
        ("", False),
    ],
)
async def test_only_mail_for_us_is_taken(port: int, to: str, *, taken: bool) -> None:
    """Nobody may sink their mail here and believe that it has arrived."""
    answer = await talk(port, HELLO + b"RCPT TO:<" + to.encode() + b">\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
    assert (b"250 2.0.0 Noted" in answer) is taken, answer
    assert (b"550 5.1.1" in answer) is not taken


async def test_without_a_domain_for_it_mail_comes_back_to_the_sender(gateway: Gateway) -> None:
    returns_ = Returns(at(None), gateway.receipts, gateway.messages, gateway.customers, gateway.metrics)
    given = ("Gateway@example.com", "postmaster", "x@example.com", "x@y.example", OURS, FORGED)
    assert [returns_.ours(to) for to in given] == [True, True, False, False, True, False]


async def test_a_stranger_among_the_recipients_costs_only_itself(port: int) -> None:
    answer = await talk(port, mail(b"Subject: x\r\n\r\nx", b"a@b.example", b"x@y.example") + b"QUIT\r\n")
    assert codes(answer) == ["220", "250", "250", "550", "250", "354", "250", "221"]


@pytest.mark.parametrize("to", [FORGED, OURS.replace("a1", "a2"), "lost@y.example"])
async def test_a_return_path_made_up_by_a_stranger_ends_nothing(port: int, redis_client: Redis, to: str) -> None:
    report = (
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
        b"Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--"
    )
    report = b"To: " + FORGED.encode() + b"\r\n" + report
    answer = await talk(port, mail(report, to.encode()) + b"QUIT\r\n")
    assert (b"250 2.0.0 Noted" in answer) is (to == "lost@y.example")
    store: Any = redis_client
    assert [key for key in await store.keys("*") if b"meta" not in key] == []


COMMANDS = [
    b"VRFY \xff\xfe@x\r\n",
    b"RCPT TO:<\xed\xa0\x80@x>\r\n",
    b"MAIL FROM:<" + b"a" * 900 + b">\r\n",
    b"AUTH PLAIN AAAA\r\n",
    b"STARTTLS\r\n",
    b"HELP " + b"x" * 5000 + b"\r\n",
    b"\x00\r\n",
    b"DATA\r\n",
    b"BDAT 5\r\n",
    b"MAIL FROM:<a@b> SIZE=99999999999\r\n",
    b"RCPT TO:<a@b\r\nDATA>\r\n",
    b"LHLO \xff\r\n",
    b"RSET x\r\n",
    b"EXPN all\r\n",
    b"GET / HTTP/1.1\r\n",
]  # fmt: skip - a table


async def test_odd_commands_say_nothing_of_the_inside(port: int) -> None:
    for command in COMMANDS:
        answer = await talk(port, HELLO + command + b"QUIT\r\n")
        assert b"Error: (" not in answer, (command, answer)
        assert b"Traceback" not in answer
        assert b"221" in answer, (command, answer)
