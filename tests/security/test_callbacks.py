"""Callbacks from strangers: nothing forged is taken, nothing odd breaks the door, and neither leaves a trace in the store."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

from multidict import MultiDict
from redis.asyncio import Redis
from twilio.request_validator import RequestValidator

from gateway.app import Gateway
from tests.support.front import Front, front
from tests.support.hostile import HOSTILE
from tests.support.web_gateway import SETTINGS, gateway_on

ACCOUNT = SETTINGS["GATEWAY_TWILIO_ACCOUNT_SID"]
BASE = SETTINGS["GATEWAY_PUBLIC_URL"]
FORM = "Content-Type: application/x-www-form-urlencoded"
GOOD = {
    "AccountSid": ACCOUNT,
    "MessageSid": "SM" + "1" * 32,
    "From": "+306912345678",
    "To": "+15005550006",
    "Body": "STOP",
}
INBOUND = "/callbacks/sms/inbound"
PATHS = [INBOUND, "/callbacks/sms/status/m1/a1", "/callbacks/voice/inbound", "/callbacks/voice/status/m1/a1", "/callbacks/wechat"]  # fmt: skip


def signature(path: str, fields: Mapping[str, Any], token: str = SETTINGS["GATEWAY_TWILIO_AUTH_TOKEN"]) -> str:
    sign: Any = cast("Any", RequestValidator(token)).compute_signature
    pairs = parse_qsl(urlencode(fields, doseq=True), keep_blank_values=True)
    return f"X-Twilio-Signature: {sign(BASE + path, MultiDict(pairs))}"


def wechat(body: bytes, now: int, *, stamp: int = 0, nonce: str = "n1", token: str = "atoken") -> str:
    at = str(now // 1000 + stamp)
    signed = hashlib.sha1("".join(sorted((token, at, nonce))).encode(), usedforsecurity=False).hexdigest()
    return f"/callbacks/wechat?{urlencode({'signature': signed, 'timestamp': at, 'nonce': nonce})}"


def text(words: str, number: int = 1) -> bytes:
    return (
        f"<xml><ToUserName>gh_1</ToUserName><FromUserName>oAbcdef123456</FromUserName><CreateTime>1</CreateTime>"
        f"<MsgType>text</MsgType><Content>{words}</Content><MsgId>{number}</MsgId></xml>"
    ).encode()


async def test_the_honest_ones_are_taken(door: Front) -> None:
    """So that the refusals below are refusals of what is wrong with them."""
    before = await door.stored()
    assert await door.post(INBOUND, urlencode(GOOD).encode(), FORM, signature(INBOUND, GOOD)) == 200
    now = door.gateway.clock.now()
    assert await door.post(wechat(text("hello"), now), text("hello"), "Content-Type: text/xml") == 200
    assert await door.stored() != before


def _forged() -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    yield "no signature", GOOD, []
    yield "an empty one", GOOD, ["X-Twilio-Signature: "]
    yield "not base64", GOOD, ["X-Twilio-Signature: \xff\xfe"]
    yield "of another token", GOOD, [signature(INBOUND, GOOD, "another-token")]
    yield "of another path", GOOD, [signature("/callbacks/sms/status/m1/a1", GOOD)]
    yield "of other fields", GOOD, [signature(INBOUND, GOOD | {"Body": "hello"})]
    for name, account in (
        ("another account", "AC" + "f" * 32),
        ("an account with a tail", ACCOUNT + "0"),
        ("none", ""),
    ):
        fields = GOOD | {"AccountSid": account}
        yield name, fields, [signature(INBOUND, fields)]
    twice = {"AccountSid": [ACCOUNT, "AC" + "f" * 32], "MessageSid": "SM1", "From": "+30", "Body": "STOP"}
    yield "two accounts", twice, [signature(INBOUND, twice)]


async def test_forged_forms_are_refused_and_leave_nothing(door: Front) -> None:
    before = await door.stored()
    for name, fields, headers in _forged():
        body = urlencode(fields, doseq=True).encode()
        assert await door.post(INBOUND, body, FORM, *headers) == 403, name
    assert await door.stored() == before


async def test_a_signature_counts_for_the_public_url_whatever_host_is_named(door: Front) -> None:
    """The Host header is the caller's: it never decides what was signed."""
    sign: Any = cast("Any", RequestValidator(SETTINGS["GATEWAY_TWILIO_AUTH_TOKEN"])).compute_signature
    before = await door.stored()
    for host in ("evil.example", "gateway.example.com.evil.example"):
        forged = f"X-Twilio-Signature: {sign(f'http://{host}{INBOUND}', GOOD)}"
        headers = (f"X-Forwarded-Host: {host}", f"Forwarded: host={host}", "X-Forwarded-Proto: http", forged)
        assert await door.post(INBOUND, urlencode(GOOD).encode(), FORM, *headers) == 403
    assert await door.stored() == before


async def test_whatever_is_posted_to_the_doors_is_refused_and_leaves_nothing(door: Front) -> None:
    before = await door.stored()
    bomb = zlib.compress(b"a" * 50_000_000)
    for path in PATHS:
        for name, body in HOSTILE.items():
            for kind in (FORM, "Content-Type: text/xml", "Content-Type: application/json", "Content-Type: \xff"):
                assert 400 <= await door.post(path, body, kind, "X-Twilio-Signature: a") < 500, (path, name, kind)
        for coding in ("deflate", "gzip", "br", "deflate, gzip", "x", "\xff"):
            for body in (bomb, bomb[:-9], b"\xff"):
                assert await door.post(path, body, FORM, f"Content-Encoding: {coding}") == 415, (path, coding)
    assert await door.stored() == before
    assert await door.alive()


async def test_wechat_is_refused_by_time_and_token(door: Front) -> None:
    before, now = await door.stored(), door.gateway.clock.now()
    body = text("hello")
    for change in ({"stamp": 305}, {"stamp": -305}, {"token": "another"}, {"stamp": 10**9}):
        assert await door.post(wechat(body, now, **cast("Any", change)), body, "Content-Type: text/xml") == 403, change
    for path in ("/callbacks/wechat", "/callbacks/wechat?signature=a", "/callbacks/wechat?timestamp=%00&nonce=%ff"):
        assert await door.post(path, body) == 403
    assert await door.stored() == before
    assert await door.post(wechat(body, now, stamp=290), body) == 200


ENTITY = b'<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


async def test_genuine_signatures_open_no_door_for_bad_xml(door: Front) -> None:
    before, now = await door.stored(), door.gateway.clock.now()
    bad = {
        "doctype": ENTITY + text("&a;"),
        "declared": b'<?xml version="1.0"?>' + ENTITY + text("&a;"),
        "undeclared entity": text("&a;"),
        "utf-16": text("a").decode().encode("utf-16"),
        "nesting": b"<xml>" + b"<a>" * 9000,
        "64 KB": b"<xml>" + b"a" * 65_536 + b"</xml>",
        "comment first": b"<!-- x -->" + text("a"),
        "no id": text("a").replace(b"MsgId", b"Other"),
        "NUL": text("\x00"),
    }
    for number, (name, body) in enumerate(bad.items()):
        assert 400 <= await door.post(wechat(body, now, nonce=f"bad{number}"), body) < 500, name
    assert await door.stored() == before


async def test_a_nonce_serves_one_body_in_all_processes(gateway: Gateway, redis_url: str, redis_client: Redis) -> None:
    """In plain mode the signature leaves the body out: who has seen one request could send another text with it."""
    async with gateway_on(redis_url) as other, front(gateway, redis_client) as one, front(other, redis_client) as two:
        now = gateway.clock.now()
        path = wechat(b"", now)
        assert await one.post(path, text("yes")) == 200
        kept = await one.stored()
        for door in (one, two):
            assert await door.post(path, text("STOP", 2)) == 403
            assert await door.post(path, text("yes")) == 200, "a provider's own repeat is no forgery"
        assert await one.stored() == kept
        race = await asyncio.gather(
            *(
                door.post(wechat(b"", now, nonce="n2"), text(f"race {n}", n + 10))
                for n, door in enumerate((one, two) * 4)
            )
        )
        assert sorted(race) == [200, *[403] * 7]
