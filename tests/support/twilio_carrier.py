"""Twilio's side of the wire, scripted: answers as told, in order, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
import msgspec
from aiohttp import web
from redis.asyncio import Redis

from gateway.channels.base import Callback, Deps, Outbound, Rendered
from gateway.message import Attempt, Message, Reach
from gateway.prompts import Prompt
from gateway.settings import ChannelSettings, Settings, load

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "5ecre7-auth-70ken-of-the-test-acc"
SERVICE = "MG" + "fedcba9876543210" * 2
SMS_SID = "SM" + "00112233445566778899aabbccddeeff"
CALL_SID = "CA" + "ffeeddccbbaa99887766554433221100"
PERSON = "+306912345678"
SENDER = "+302101234567"
PUBLIC = "https://gateway.example.com"
NOW = 1_795_337_462_000  # 2026-11-22T08:51:02Z
CREATED = "Sun, 22 Nov 2026 08:51:02 +0000"


class Answer(msgspec.Struct, frozen=True):
    """One answer. `drop`: the connection ends once the request was read; `hang`: nothing comes."""

    status: int = 201
    body: Any = None
    headers: Mapping[str, str] = {}
    drop: bool = False
    hang: bool = False


class Asked(msgspec.Struct, frozen=True):
    """One request, as it came."""

    method: str
    path: str
    query: list[tuple[str, str]]
    form: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes


class Carrier:
    """A server on a free port; every scripted answer must be fetched."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []
        self.arrived = asyncio.Event()
        self.released = asyncio.Event()
        self.url = ""

    def script(self, *answers: Answer) -> None:
        self.answers.extend(answers)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(
            Asked(
                request.method,
                request.path,
                parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True),
                parse_qsl(body.decode(), keep_blank_values=True),
                dict(request.headers),
                body,
            )
        )
        self.arrived.set()
        answer = self.answers.pop(0)
        if answer.hang:
            await self.released.wait()
        if answer.drop or answer.hang:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        text = answer.body if isinstance(answer.body, str) else msgspec.json.encode(answer.body).decode()
        return web.Response(status=answer.status, text=text, headers=answer.headers, content_type="application/json")


@asynccontextmanager
async def carrier() -> AsyncGenerator[Carrier]:
    """A running carrier."""
    made = Carrier()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        made.released.set()
        await runner.cleanup()
    assert made.answers == [], "scripted, but never asked for"


def settings(api_base: str, folder: Path, *, timeout: float | None = None, **more: str) -> Settings:
    """Settings of a gateway whose Twilio is at `api_base`."""
    given = {
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_SMS_FROM": SENDER,
        "TWILIO_VOICE_FROM": SENDER,
        "TWILIO_API_BASE": api_base,
        "SECRET_KEY": "a-key-for-tests-only-0123456789abcdef",
        "PUBLIC_URL": PUBLIC,
        **more,
    }
    made = load({f"GATEWAY_{name}": value for name, value in given.items() if value}, folder)
    channels = {name: ChannelSettings(timeout=timeout) for name in ("sms", "voice")} if timeout else made.channels
    return msgspec.structs.replace(made, channels=channels)


@asynccontextmanager
async def deps() -> AsyncGenerator[Deps]:
    """A session of its own; Redis is never asked by these channels."""
    async with aiohttp.ClientSession() as session:
        yield Deps(session, Redis(), lambda: NOW)


def outbound(*, prompt: Prompt | None = None, **changes: Any) -> Outbound:
    """A notice to a person."""
    words = Rendered(
        language="en",
        text="Power cut in Kypseli until 18:00.",
        speech="This is the electricity company. There is a power cut in Kypseli & around, until 18:00.",
        asks="Press 1 to confirm that you have heard this.",
        thanks="Thank you. Goodbye.",
        again="That key was not understood.",
    )
    made = Outbound(
        message="msg-1",
        attempt="a1",
        mode="live",
        round=1,
        token="token-1",
        to=PERSON,
        category="outage",
        words=words,
        valid_for=3600,
        callback_base=PUBLIC,
        prompt=prompt,
    )
    return msgspec.structs.replace(made, **changes)


def attempt(channel: str = "sms") -> Attempt:
    """The attempt that `outbound` belongs to."""
    return Attempt(id="a1", channel=channel, address=PERSON, times={"started": NOW})


def message(channel: str = "sms") -> Message:
    """The record that `outbound` belongs to, with its attempt."""
    return Message(
        id="msg-1",
        mode="live",
        customer="c-1",
        category="outage",
        lane="critical",
        reach=Reach(until="delivered", within=3600, step=300),
        created_at=NOW,
        due_at=NOW,
        attempts=[attempt(channel)],
    )


def sms_resource(**changes: Any) -> dict[str, Any]:
    """A message as the messages resource shows it."""
    return {
        "account_sid": ACCOUNT,
        "api_version": "2010-04-01",
        "body": "Power cut in Kypseli until 18:00.",
        "date_created": CREATED,
        "date_sent": None,
        "date_updated": CREATED,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": SENDER,
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": "USD",
        "sid": SMS_SID,
        "status": "queued",
        "subresource_uris": {"media": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{SMS_SID}/Media.json"},
        "to": PERSON,
        "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{SMS_SID}.json",
        **changes,
    }


def call_resource(**changes: Any) -> dict[str, Any]:
    """A call as the calls resource shows it."""
    return {
        "account_sid": ACCOUNT,
        "answered_by": None,
        "api_version": "2010-04-01",
        "date_created": CREATED,
        "date_updated": CREATED,
        "direction": "outbound-api",
        "duration": None,
        "end_time": None,
        "from": SENDER,
        "price": None,
        "price_unit": "USD",
        "queue_time": "0",
        "sid": CALL_SID,
        "start_time": None,
        "status": "queued",
        "to": PERSON,
        "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{CALL_SID}.json",
        **changes,
    }


def page(name: str, *resources: dict[str, Any], following: str | None = None) -> Answer:
    """One page of a list."""
    body = {
        name: list(resources),
        "page": 0,
        "page_size": 100,
        "start": 0,
        "end": len(resources),
        "first_page_uri": f"/2010-04-01/Accounts/{ACCOUNT}/{name.title()}.json?PageSize=100&Page=0",
        "next_page_uri": following,
        "previous_page_uri": None,
        "uri": f"/2010-04-01/Accounts/{ACCOUNT}/{name.title()}.json",
    }
    return Answer(200, body)


def refusal(status: int, code: int, text: str = "refused", **headers: str) -> Answer:
    """An error answer as the REST API writes it."""
    body = {"code": code, "message": text, "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status}
    return Answer(status, body, headers)


def signature(url: str, pairs: Sequence[tuple[str, str]], token: str = TOKEN) -> str:
    """X-Twilio-Signature, computed from its description: HMAC-SHA1 over the URL and the sorted parameters."""
    text = url + "".join(name + value for name, value in sorted(set(pairs)))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def callback(
    path: str,
    *extra: tuple[str, str],
    fields: Mapping[str, str] | None = None,
    now: int = NOW,
    account: str = ACCOUNT,
    **more: str,
) -> Callback:
    """A genuine callback; `path` is what follows /callbacks/ and begins with the channel."""
    pairs = [("AccountSid", account), *(fields or {}).items(), *more.items(), *extra]
    url = f"{PUBLIC}/callbacks/{path}"
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
        "x-twilio-signature": signature(url, pairs),
    }
    return Callback(
        method="POST",
        path=path.partition("/")[2],
        url=url,
        headers=headers,
        query={},
        body=urlencode(pairs).encode(),
        now=now,
    )
