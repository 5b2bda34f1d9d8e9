"""What pretends to come from WeChat: forged, sealed for somebody else, hostile."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, cast

import msgspec
import pytest
from wechatpy.crypto import WeChatCrypto

from gateway.channels.base import Forged, Malformed
from tests.support.wechat_carrier import AES_KEY, NOW
from tests.support.wechat_posts import STAMP, TEXT, Channels, call, event, readers, sealed, signed, xml


@pytest.fixture
async def channels() -> AsyncGenerator[Channels]:
    async with readers() as made:
        yield made


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
