"""What WeChat posts to us: genuine, forged, repeated, hostile."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any, cast
from xml.etree import ElementTree as ET

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis
from wechatpy.crypto import WeChatCrypto

from gateway.channels.base import Callback, Forged, Inbound, Malformed, Reading
from gateway.channels.wechat import WeChatChannel
from gateway.channels.wechat_menu import entries, menu
from gateway.message import Fault, Receipt
from gateway.preferences.keywords import understand
from gateway.sandbox.wechat_menu import fault
from tests.support.wechat_carrier import AES_KEY, NOW, OPENID, Clock, account

STAMP = str(NOW // 1000)
Channels = Callable[..., WeChatChannel]


@pytest.fixture
async def channels() -> AsyncIterator[Channels]:
    """Makes channels that only read: neither session nor Redis is ever connected."""
    async with aiohttp.ClientSession() as session, Redis(unix_socket_path="/nowhere") as redis:

        def made(*, aes: bool = False) -> WeChatChannel:
            return WeChatChannel(account("http://unused", aes=aes), session=session, redis=redis, clock=Clock())

        yield made


def signed(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(("callback-token", *parts))).encode(), usedforsecurity=False).hexdigest()


def call(body: str | bytes = b"", *, method: str = "POST", nonce: str = "n1", **query: str) -> Callback:
    given = {"timestamp": STAMP, "nonce": nonce, "signature": signed(query.get("timestamp", STAMP), nonce)} | query
    raw = body.encode() if isinstance(body, str) else body
    return Callback(method=method, path="", url="", headers={}, query=given, body=raw, now=NOW)


def xml(kind: str, **fields: str | int) -> str:
    named = {"ToUserName": "gh_1", "FromUserName": OPENID, "CreateTime": NOW // 1000 - 2, "MsgType": kind} | fields
    cells = (
        f"<{name}>{value}</{name}>" if isinstance(value, int) else f"<{name}><![CDATA[{value}]]></{name}>"
        for name, value in named.items()
    )
    return f"<xml>{''.join(cells)}</xml>"


def event(name: str, **fields: str | int) -> str:
    return xml("event", Event=name, **fields)


def sealed(text: str, *, nonce: str = "n1", **query: str) -> Callback:
    crypto = cast("Any", WeChatCrypto)("callback-token", AES_KEY, "wx-app")
    outer = str(crypto.encrypt_message(text, nonce, STAMP))
    secret = outer.partition("<Encrypt><![CDATA[")[2].partition("]]>")[0]
    body = f"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><Encrypt><![CDATA[{secret}]]></Encrypt></xml>"
    return call(body, nonce=nonce, **({"msg_signature": signed(STAMP, nonce, secret), "encrypt_type": "aes"} | query))


def answer(reading: Reading) -> str:
    reply = reading.respond(None)
    assert (reply.status, reply.content_type) == (200, "text/plain")
    return reply.body


async def test_echo(channels: Channels) -> None:
    channel = channels()
    assert answer(channel.read(call(method="GET", echostr="58384792"))) == "58384792"
    with pytest.raises(Forged):
        channel.read(call(method="GET", echostr="58384792", signature="0" * 40))


async def test_encrypted_echo(channels: Channels) -> None:
    channel = channels(aes=True)
    crypto = cast("Any", WeChatCrypto)("callback-token", AES_KEY, "wx-app")
    outer = str(crypto.encrypt_message("58384792", "n1", STAMP))
    secret = outer.partition("<Encrypt><![CDATA[")[2].partition("]]>")[0]
    query = {"echostr": secret, "msg_signature": signed(STAMP, "n1", secret)}
    assert answer(channel.read(call(method="GET", **query))) == "58384792"
    assert answer(channel.read(call(method="GET", echostr="plain"))) == "plain"


TEXT = xml("text", Content="停电 <!DOCTYPE html> 1", MsgId=23000000000000001)
SAID = Inbound(
    id="23000000000000001",
    channel="wechat",
    sender=OPENID,
    text="停电 <!DOCTYPE html> 1",
    to="gh_1",
    at=NOW - 2000 + 999,
)


async def test_text_plain_and_encrypted(channels: Channels) -> None:
    plain = channels().read(call(TEXT))
    assert (plain.inbound, plain.receipts, plain.by_provider_id) == ((SAID,), (), ())
    assert answer(plain) == "success"
    assert channels(aes=True).read(sealed(TEXT)).inbound == (SAID,)


async def test_other_messages_come_without_words(channels: Channels) -> None:
    channel = channels()
    (picture,) = channel.read(call(xml("image", PicUrl="http://x", MediaId="1", MsgId=5))).inbound
    assert (picture.kind, picture.text, picture.raw) == ("text", "", {"type": "image"})
    voice = xml("voice", MediaId="1", Format="amr", Recognition="yes please", MsgId=6)
    assert channel.read(call(voice, nonce="n2")).inbound[0].text == "yes please"


@pytest.mark.parametrize(
    "status, receipt",
    [
        ("success", Receipt(attempt="", at=NOW, status="delivered")),
        (
            "failed:user block",
            Receipt(attempt="", at=NOW, status="failed", fault=Fault.OPTED_OUT, provider_code="failed:user block"),
        ),
        (
            "failed: system failed",
            Receipt(
                attempt="", at=NOW, status="failed", fault=Fault.UNREACHABLE, provider_code="failed: system failed"
            ),
        ),
        (
            "failed:new reason",
            Receipt(attempt="", at=NOW, status="failed", fault=Fault.UNEXPLAINED, provider_code="failed:new reason"),
        ),
    ],
)
async def test_template_receipts(channels: Channels, status: str, receipt: Receipt) -> None:
    channel = channels()
    news = call(event("TEMPLATESENDJOBFINISH", MsgID=200163836, Status=status))
    assert channel.read(news).by_provider_id == (("200163836", receipt),)
    assert channel.read(news).by_provider_id == (("200163836", receipt),), "WeChat repeats itself"


async def test_unknown_news_is_answered_and_ignored(channels: Channels) -> None:
    channel = channels()
    for number, body in enumerate(
        (
            event("TEMPLATESENDJOBFINISH", MsgID=1, Status="pondering"),
            event("subscribe_msg_change_event", SubscribeMsgChangeEvent="x"),
            event("CLICK", EventKey="menu-1"),
            event("something_new"),
            xml("something_newer", MsgId=9),
        )
    ):
        reading = channel.read(call(body, nonce=f"n{number}"))
        assert (reading.inbound, reading.receipts, reading.by_provider_id) == ((), (), ())
        assert answer(reading) == "success"


async def test_following_and_scanning(channels: Channels) -> None:
    channel = channels()

    def kinds(body: str, nonce: str) -> list[tuple[str, str, str]]:
        found = channel.read(call(body, nonce=nonce)).inbound
        assert all(item.sender == OPENID and item.at == NOW - 2000 + 999 for item in found)
        return [(item.kind, item.text, item.id.partition(":")[2]) for item in found]

    second = NOW // 1000 - 2
    assert kinds(event("subscribe", EventKey=""), "1") == [("follow", "", f"{second}:subscribe")]
    assert kinds(event("unsubscribe", EventKey=""), "2") == [("unfollow", "", f"{second}:unsubscribe")]
    assert kinds(event("SCAN", EventKey="tok-9", Ticket="t"), "3") == [("scan", "tok-9", f"{second}:scan:tok-9")]
    assert kinds(event("subscribe", EventKey="qrscene_tok-9", Ticket="t"), "4") == [
        ("follow", "", f"{second}:subscribe_scan"),
        ("scan", "tok-9", f"{second}:subscribe_scan:tok-9"),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": "0" * 40},
        {"signature": ""},
        {"signature": "é\ud800"},
        {"timestamp": ""},
        {"timestamp": "soon"},
        {"timestamp": "٣" * 10},
        {"timestamp": "9" * 400},
        {"timestamp": str(NOW // 1000 - 301)},
        {"timestamp": str(NOW // 1000 + 301)},
        {"nonce": "other", "signature": signed(STAMP, "n1")},
    ],
)
async def test_forged(channels: Channels, changes: dict[str, str]) -> None:
    with pytest.raises(Forged):
        channels().read(call(TEXT, **changes))
    with pytest.raises(Forged):
        channels().read(msgspec.structs.replace(call(TEXT), query={}))


async def test_a_reading_names_its_nonce_and_body(channels: Channels) -> None:
    channel = channels()
    mark, digest = channel.read(call(TEXT)).once or ("", b"")
    assert mark == f"{STAMP}:n1"
    assert channel.read(call(TEXT)).once == (mark, digest)
    assert channel.read(call(xml("text", Content="forged", MsgId=1))).once != (mark, digest)


async def test_forged_encryption(channels: Channels) -> None:
    channel = channels(aes=True)
    with pytest.raises(Forged):
        channel.read(call(TEXT))
    with pytest.raises(Forged):
        channel.read(sealed(TEXT, msg_signature="0" * 40))
    with pytest.raises(Forged):
        channel.read(sealed(TEXT, signature="0" * 40))
    crypto = cast("Any", WeChatCrypto)("callback-token", AES_KEY, "another-app")
    outer = str(crypto.encrypt_message(TEXT, "n1", STAMP))
    secret = outer.partition("<Encrypt><![CDATA[")[2].partition("]]>")[0]
    with pytest.raises(Malformed):
        channel.read(call(f"<xml><Encrypt>{secret}</Encrypt></xml>", msg_signature=signed(STAMP, "n1", secret)))
    with pytest.raises(Malformed):
        channel.read(call("<xml><Encrypt>AAAA</Encrypt></xml>", msg_signature=signed(STAMP, "n1", "AAAA")))


BOMB = '<?xml version="1.0"?><!DOCTYPE xml [<!ENTITY a "aaaa">]><xml><MsgType>&a;</MsgType></xml>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"{}",
        b"<xml>",
        b"<xml></xml>",
        b"<xml/>",
        b"<xml>\xff\xfe</xml>",
        b"\xff\xfe<\x00x\x00m\x00l\x00>\x00",
        b"<html></html>",
        b"<xml><MsgType>text</MsgType></xml>",
        b"<xml><MsgType><a>text</a></MsgType></xml>",
        b"<xml><MsgType>text</MsgType><MsgType>text</MsgType></xml>",
        b"<xml>" + b"<a>" * 12_000 + b"</a>" * 4_000,
        b"<xml>" * 6_000 + b"</xml>" * 6_000,
        b"<xml>" + b"x" * 70_000 + b"</xml>",
        BOMB.encode(),
        xml("text", Content="x").encode(),
        xml("text", Content="x", MsgId="abc").encode(),
        xml("text", Content="x", MsgId="9" * 5000).encode(),
        xml("text", Content="x", MsgId=1, FromUserName="").encode(),
        xml("text", Content="x", MsgId=1, FromUserName="o" * 300).encode(),
        xml("text", Content="x", MsgId=1, CreateTime="tomorrow").encode(),
        xml("text", Content="x", MsgId=1).replace("CDATA", "CDATE").encode(),
        xml("text", Content="x", MsgId=1).replace("<FromUserName>", "<FromUserName><b>1</b>").encode(),
        event("TEMPLATESENDJOBFINISH", Status="success").encode(),
        event("TEMPLATESENDJOBFINISH", MsgID=5).encode(),
        event("SCAN").encode(),
        xml("event").encode(),
    ],
)
async def test_hostile_bodies(channels: Channels, body: bytes) -> None:
    channel = channels()
    try:
        reading = channel.read(call(body))
    except Malformed:
        return
    assert (reading.inbound, reading.by_provider_id) == ((), ()), "at best it says nothing"


async def test_other_paths(channels: Channels) -> None:
    with pytest.raises(Malformed):
        channels().read(msgspec.structs.replace(call(TEXT), path="other"))


# The menu, and words that go back with the answer


@pytest.mark.parametrize(
    "key, words",
    [("pref", "PREF"), ("stop", "STOP"), ("start", "START"), ("help", "HELP"), ("language:zh-Hant", "LANG zh-Hant")],
)
async def test_an_entry_of_the_menu_counts_as_its_word(channels: Channels, key: str, words: str) -> None:
    [pressed] = channels().read(call(event("CLICK", EventKey=key))).inbound
    assert (pressed.kind, pressed.text, pressed.sender, pressed.raw) == ("text", words, OPENID, {"menu": key})
    assert pressed.opens == 60, "an event opens a minute, not two days"
    assert understand(words) is not None


async def test_entries_of_somebody_elses_menu_and_pages_say_nothing(channels: Channels) -> None:
    for body in (event("CLICK", EventKey="V1001_GOOD"), event("VIEW", EventKey="https://example.org/")):
        assert channels().read(call(body)).inbound == ()


@pytest.mark.parametrize("aes", [False, True])
async def test_words_go_back_with_the_answer(channels: Channels, aes: bool) -> None:
    body = xml("text", Content="STOP", MsgId=23456)
    reading = channels(aes=aes).read(sealed(body) if aes else call(body))
    assert reading.say is not None
    said = reading.say("Done ]]> & <here>").body
    if aes:
        crypto = cast("Any", WeChatCrypto)("callback-token", AES_KEY, "wx-app")
        outer = ET.fromstring(said)  # noqa: S314 - made just here
        parts = [outer.findtext(name) for name in ("MsgSignature", "TimeStamp", "Nonce")]
        said = crypto.decrypt_message(said, *parts)
    told = ET.fromstring(said)  # noqa: S314 - made just here
    fields = {name: told.findtext(name) for name in ("ToUserName", "FromUserName", "MsgType", "Content")}
    assert fields == {
        "ToUserName": OPENID,
        "FromUserName": "gh_1",
        "MsgType": "text",
        "Content": "Done ]]> & <here>",
    }


def test_our_menu_keeps_within_wechats_limits() -> None:
    for tag in ("en", "el", "zh-Hans", "zh-Hant", "fr"):
        made = menu(tag, "en")
        assert fault(made["button"]) == 0
        assert len(entries(made)) == 8
    assert menu("zh-HK", "en") == menu("zh-Hant", "el")
    assert fault([{"name": "x" * 17, "type": "click", "key": "k"}]) == 40018
    assert fault([{"name": "x", "type": "click", "key": ""}]) == 40019
    assert fault([{"name": "x", "type": "scan"}]) == 40017
    assert fault([]) == 40016
