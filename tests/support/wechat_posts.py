"""What WeChat posts to us, signed as it signs, plain and encrypted."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
from redis.asyncio import Redis
from wechatpy.crypto import WeChatCrypto

from gateway.channels.base import Callback, Reading
from gateway.channels.wechat import WeChatChannel
from tests.support.wechat_carrier import AES_KEY, NOW, OPENID, Clock, account

STAMP = str(NOW // 1000)
Channels = Callable[..., WeChatChannel]


@asynccontextmanager
async def readers() -> AsyncGenerator[Channels]:
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


TEXT = xml("text", Content="停电 <!DOCTYPE html> 1", MsgId=23000000000000001)
