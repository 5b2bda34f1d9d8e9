"""For each channel: how it is built against its scripted carrier, how that carrier is told each situation, and callbacks.

What every channel must do in these situations stands in `tests/integration/test_channel_contract.py`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import msgspec
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis

from gateway.channels.base import Callback, Channel, Deps, Outbound, Refused, Unknown
from gateway.channels.email import EmailChannel
from gateway.channels.sms import Sms
from gateway.channels.voice import Voice
from gateway.channels.wechat import WeChatChannel
from gateway.message import Fault
from gateway.settings_types import SmtpSettings
from tests.data.toy_channel.pager import Options, Pager
from tests.support import email_bench, twilio_carrier, wechat_carrier
from tests.support.twilio_carrier import ACCOUNT, CALL_SID, NOW, PERSON, PUBLIC, SMS_SID, TOKEN, Answer, refusal
from tests.support.wire import Wire, wire_to

DEEP = '{"x":' + "[" * 100_000


class Case(msgspec.Struct, frozen=True):
    """What the carrier is told, and what a send must come to: `ends` a fault, Unknown, or None for Accepted."""

    told: Any
    ends: Fault | type[Unknown] | None = None
    retry_after: int | None = None

    def fits(self, result: object) -> bool:
        if isinstance(result, Refused):
            return (result.fault, result.retry_after) == (self.ends, self.retry_after)
        return isinstance(result, Unknown) if self.ends is Unknown else self.ends is None


class Driver:
    """One channel and its carrier. `opening` is what each request for a hand-over holds, `end` what completes it."""

    name: ClassVar[str]
    opening: ClassVar[bytes]
    end: ClassVar[bytes]
    head: ClassVar[tuple[bytes, int]] = (b"HTTP/1.1 ", 2)
    body: ClassVar[tuple[bytes, int]] = (b"\r\n\r\n", 5)
    private: ClassVar[tuple[str, ...]]
    cases: ClassVar[Mapping[str, Case]]
    wire: Wire

    async def open(self, stack: AsyncExitStack, redis: Redis, folder: Path) -> None:
        """Start the carrier."""
        self.folder, self.redis = folder, redis
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        self.deps = Deps(session, redis, lambda: NOW)
        self.wire = await stack.enter_async_context(wire_to(await self.serve(stack)))

    async def serve(self, stack: AsyncExitStack) -> int:
        raise AssertionError(self.name)

    def channel(self, port: int, timeout: float) -> Channel:
        raise AssertionError(self.name)

    def script(self, *told: Any) -> None:
        raise AssertionError(self.name)

    def taken(self, count: int) -> Sequence[Any]:
        """So many successes, each with an id of its own."""
        raise AssertionError(self.name)

    def had(self) -> int:
        """How many hand-overs have reached the carrier whole."""
        raise AssertionError(self.name)

    def unused(self) -> object:
        """What was scripted and never asked for."""
        raise AssertionError(self.name)

    def release(self) -> None:
        """Let go of whatever hangs."""
        raise AssertionError(self.name)

    def outbound(self, number: int = 1) -> Outbound:
        raise AssertionError(self.name)


class CallsBack(Driver):
    """A carrier that reports by HTTP."""

    paths: ClassVar[tuple[str, ...]]

    def signed(self, body: bytes, path: str, nonce: str = "n1") -> Callback:
        """Whatever body, with a genuine signature."""
        raise AssertionError(self.name)

    def forged(self) -> list[Callback]:
        """Callbacks that somebody else made."""
        raise AssertionError(self.name)

    def news(self) -> list[Callback]:
        """Everything the carrier may say about one attempt that ends delivered, failures included."""
        raise AssertionError(self.name)

    def odd(self) -> list[Callback]:
        """News in words that didn't exist when the channel was written."""
        raise AssertionError(self.name)


def _post(path: str, url: str, body: bytes, headers: Mapping[str, str], **query: str) -> Callback:
    return Callback(method="POST", path=path, url=url, headers=headers, query=query, body=body, now=NOW)


class Scripted(CallsBack):
    """Carriers behind the scripted HTTP server."""

    end = b"\r\n\r\n"
    private = (PERSON, PERSON[1:], TOKEN, "Kypseli")

    async def serve(self, stack: AsyncExitStack) -> int:
        self.carrier = await stack.enter_async_context(twilio_carrier.carrier())
        return urlsplit(self.carrier.url).port or 0

    def script(self, *told: Answer) -> None:
        self.carrier.script(*told)

    def had(self) -> int:
        return len(self.carrier.asked)

    def unused(self) -> object:
        return self.carrier.answers

    def release(self) -> None:
        self.carrier.released.set()

    def outbound(self, number: int = 1) -> Outbound:
        return twilio_carrier.outbound(attempt=f"a{number}", token=f"token-{number}")


_FORM = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}


class TwilioDriver(Scripted):
    fields: ClassVar[dict[str, str]]

    def settings(self, port: int, timeout: float) -> Any:
        return twilio_carrier.settings(f"http://127.0.0.1:{port}", self.folder, timeout=timeout)

    def signed(self, body: bytes, path: str, nonce: str = "") -> Callback:
        whole = body + ("&" if body else "").encode() + f"AccountSid={ACCOUNT}".encode()
        pairs = parse_qsl(whole.decode(errors="replace"), keep_blank_values=True)
        url = f"{PUBLIC}/callbacks/{self.name}/{path}"
        signature = twilio_carrier.signature(url.encode(errors="replace").decode(), pairs)
        return _post(path, url, whole, {**_FORM, "x-twilio-signature": signature})

    def say(self, path: str = "", **fields: str) -> Callback:
        where = f"{self.name}/{path or self.paths[0]}"
        return twilio_carrier.callback(where, fields={**self.fields, **fields})

    def forged(self) -> list[Callback]:
        genuine, change = self.say(), msgspec.structs.replace
        return [
            change(genuine, headers=_FORM),
            change(genuine, headers={**_FORM, "x-twilio-signature": "ключ\udcff"}),
            change(genuine, body=genuine.body + b"&ErrorCode=30003"),
            change(genuine, url=genuine.url.replace("/a1", "/a2")),
            twilio_carrier.callback(f"{self.name}/{self.paths[0]}", account="AC" + "f" * 32, fields=self.fields),
        ]


def _twilio_cases(bad: int, answer: dict[str, Any]) -> dict[str, Case]:
    told = f"{PERSON} {TOKEN} Kypseli"
    return {
        "taken": Case(Answer(body=answer)),
        "junk_in_success": Case(Answer(201, f"<html>{told}</html>"), Unknown),
        "empty_success": Case(Answer(201, ""), Unknown),
        "deep_success": Case(Answer(201, DEEP), Unknown),
        "throttled": Case(refusal(429, 20429, told, **{"Retry-After": "7"}), Fault.THROTTLED, 7),
        "trouble": Case(Answer(503, told), Unknown),
        "deep_refusal": Case(Answer(400, DEEP), Fault.UNEXPLAINED),
        "hangs": Case(Answer(hang=True), Unknown),
        "refused": Case(refusal(400, bad, told), Fault.BAD_ADDRESS),
        "unknown_code": Case(refusal(400, 99_999, told), Fault.UNEXPLAINED),
    }


class SmsDriver(TwilioDriver):
    name = "sms"
    opening = b"/Messages.json"
    paths = ("status/msg-1/a1", "inbound")
    fields = {"MessageSid": SMS_SID, "To": PERSON}  # noqa: RUF012 - read only
    cases = {  # noqa: RUF012 - read only
        **_twilio_cases(21211, twilio_carrier.sms_resource()),
        "error_in_success": Case(
            Answer(body=twilio_carrier.sms_resource(status="failed", error_code=30005)), Fault.BAD_ADDRESS
        ),
        "opted_out": Case(refusal(400, 21610, PERSON), Fault.OPTED_OUT),
    }

    def channel(self, port: int, timeout: float) -> Channel:
        made = Sms.build(self.settings(port, timeout), self.deps)
        assert made is not None
        return made

    def taken(self, count: int) -> list[Answer]:
        return [Answer(body=twilio_carrier.sms_resource(sid=f"SM{n:032x}")) for n in range(count)]

    def news(self) -> list[Callback]:
        return [
            self.say(MessageStatus="sent"),
            self.say(MessageStatus="undelivered", ErrorCode="30003"),
            self.say(MessageStatus="delivered"),
            self.say(MessageStatus="read"),
        ]

    def odd(self) -> list[Callback]:
        return [
            self.say(MessageStatus="teleported"),
            self.say(),
            self.say(MessageStatus="failed", ErrorCode="99999"),
            self.say(MessageStatus="failed", ErrorCode="x" * 40),
            self.say("inbound", From=PERSON, OptOutType="MAYBE"),
        ]


class VoiceDriver(TwilioDriver):
    name = "voice"
    opening = b"/Calls.json"
    paths = ("status/msg-1/a1", "amd/msg-1/a1", "gather/msg-1/a1/1", "reading/msg-1/a1/1", "inbound")
    fields = {"CallSid": CALL_SID, "To": PERSON}  # noqa: RUF012 - read only
    cases = {  # noqa: RUF012 - read only
        **_twilio_cases(21217, twilio_carrier.call_resource()),
        "error_in_success": Case(Answer(201, {"code": 21217, "message": PERSON, "status": 400}), Unknown),
    }

    def channel(self, port: int, timeout: float) -> Channel:
        made = Voice.build(self.settings(port, timeout), self.deps)
        assert made is not None
        return made

    def taken(self, count: int) -> list[Answer]:
        return [Answer(body=twilio_carrier.call_resource(sid=f"CA{n:032x}")) for n in range(count)]

    def news(self) -> list[Callback]:
        return [
            self.say(CallStatus="ringing"),
            self.say("amd/msg-1/a1", AnsweredBy="human"),
            self.say("reading/msg-1/a1/1"),
            self.say(CallStatus="completed", CallDuration="20"),
            self.say(CallStatus="failed", SipResponseCode="503"),
        ]

    def odd(self) -> list[Callback]:
        return [
            self.say(CallStatus="hovering"),
            self.say(),
            self.say("amd/msg-1/a1", AnsweredBy="parrot"),
            self.say(CallStatus="failed", ErrorCode="99999", SipResponseCode="799"),
            self.say("gather/msg-1/a1/1", Digits="\N{SNOWMAN}"),
        ]


class PagerDriver(Scripted):
    """The toy channel of the page on adding channels."""

    name = "pager"
    opening = b"POST /pages"
    paths = ("msg-1/a1",)
    key = "pager-key-never-to-be-seen"
    private = (PERSON, key, "Kypseli")
    cases = {  # noqa: RUF012 - read only
        "taken": Case(Answer(202, {"page": "p-1"})),
        "error_in_success": Case(Answer(200, {"error": "no_such_pager", "text": PERSON}), Fault.BAD_ADDRESS),
        "junk_in_success": Case(Answer(202, f"<html>{PERSON}</html>"), Unknown),
        "empty_success": Case(Answer(202, ""), Unknown),
        "deep_success": Case(Answer(202, DEEP), Unknown),
        "throttled": Case(Answer(429, {"error": "slow_down"}, {"Retry-After": "7"}), Fault.THROTTLED, 7),
        "trouble": Case(Answer(503, PERSON), Unknown),
        "deep_refusal": Case(Answer(400, DEEP), Fault.UNEXPLAINED),
        "hangs": Case(Answer(hang=True), Unknown),
        "refused": Case(Answer(404, {"error": "no_such_pager"}), Fault.BAD_ADDRESS),
        "unknown_code": Case(Answer(400, {"error": "moon_in_the_way"}), Fault.UNEXPLAINED),
        "opted_out": Case(Answer(403, {"error": "opted_out"}), Fault.OPTED_OUT),
    }

    def channel(self, port: int, timeout: float) -> Channel:
        return Pager(Options(f"http://127.0.0.1:{port}", self.key), self.deps.session, timeout)

    def taken(self, count: int) -> list[Answer]:
        return [Answer(202, {"page": f"p-{n}"}) for n in range(count)]

    def signed(self, body: bytes, path: str, nonce: str = "") -> Callback:
        url = f"{PUBLIC}/callbacks/pager/{path}"
        signed = url.encode(errors="replace") + b"\n" + body
        digest = hmac.new(self.key.encode(), signed, hashlib.sha256).hexdigest()
        return _post(path, url, body, {"x-pager-signature": digest})

    def say(self, **fields: str) -> Callback:
        return self.signed(msgspec.json.encode({"page": "p-1", **fields}), self.paths[0])

    def forged(self) -> list[Callback]:
        genuine, change = self.say(status="delivered"), msgspec.structs.replace
        return [
            change(genuine, headers={}),
            change(genuine, headers={"x-pager-signature": "ключ\udcff"}),
            change(genuine, body=genuine.body + b" "),
            change(genuine, url=genuine.url.replace("/a1", "/a2")),
        ]

    def news(self) -> list[Callback]:
        return [
            self.say(status="queued"),
            self.say(status="failed", error="out_of_range"),
            self.say(status="delivered"),
            self.say(status="delivered", pager="7", reply="ok"),
        ]

    def odd(self) -> list[Callback]:
        return [self.say(status="dreaming"), self.say(status="failed", error="moon_in_the_way")]
