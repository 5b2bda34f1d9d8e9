"""WeChat, the mail relay and the toy channel's provider in every situation of the contract."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

import msgspec
from aiohttp.test_utils import TestServer

from gateway.channels.base import Callback, Channel, Outbound, Unknown
from gateway.channels.email import EmailChannel
from gateway.channels.wechat import WeChatChannel
from gateway.message import Fault
from gateway.settings_types import SmtpSettings
from tests.data.toy_channel.pager import Options, Pager
from tests.support import email_bench, wechat_carrier
from tests.support.carriers import DEEP, CallsBack, Case, Driver, Scripted, posted
from tests.support.smtp_relay import HANG, Relay, serving
from tests.support.twilio_carrier import NOW, PERSON, PUBLIC, Answer
from tests.support.wechat_carrier import OPENID, SECRET, WeChat


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
        return posted(path, url, body, {"x-pager-signature": digest})

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


STAMP = str(NOW // 1000)


def _wechat_signature(*parts: str) -> str:
    told = "".join(sorted(("callback-token", *parts)))
    return hashlib.sha1(told.encode(errors="replace"), usedforsecurity=False).hexdigest()


class WeChatDriver(CallsBack):
    name = "wechat"
    opening = b"/message/template/send"
    paths = ("",)
    private = (OPENID, SECRET, "Διακοπή", "access-token-1")
    cases = {  # noqa: RUF012 - read only
        "taken": Case({"errcode": 0, "errmsg": "ok", "msgid": 1}),
        "error_in_success": Case({"errcode": 45009, "errmsg": f"reach max api daily quota {OPENID}"}, Fault.QUOTA),
        "junk_in_success": Case(f"<html>{OPENID}</html>", Unknown),
        "empty_success": Case("", Unknown),
        "deep_success": Case(DEEP, Unknown),
        "throttled": Case((429, OPENID), Fault.THROTTLED, 7),
        "trouble": Case((503, OPENID), Unknown),
        "deep_refusal": Case((400, DEEP), Fault.MISCONFIGURED),
        "hangs": Case(wechat_carrier.HANG, Unknown),
        "refused": Case({"errcode": 40003, "errmsg": f"invalid openid {OPENID}"}, Fault.BAD_ADDRESS),
        "unknown_code": Case({"errcode": 987_654, "errmsg": OPENID}, Fault.UNEXPLAINED),
        "opted_out": Case({"errcode": 43004, "errmsg": OPENID}, Fault.OPTED_OUT),
    }

    async def serve(self, stack: AsyncExitStack) -> int:
        self.carrier = WeChat()
        self.carrier.current = "access-token-1"
        server = await stack.enter_async_context(TestServer(self.carrier.app))
        return cast("int", server.port)  # pyright: ignore[reportUnknownMemberType] - aiohttp's is untyped

    def channel(self, port: int, timeout: float) -> Channel:
        account = wechat_carrier.account(f"http://127.0.0.1:{port}")
        session, redis, clock = self.deps.session, self.deps.redis, self.deps.clock
        return WeChatChannel(account, session=session, redis=redis, clock=clock, timeout=timeout)

    def script(self, *told: Any) -> None:
        self.carrier.script.extend(told)

    def taken(self, count: int) -> list[dict[str, Any]]:
        return [{"errcode": 0, "errmsg": "ok", "msgid": 1 + n} for n in range(count)]

    def had(self) -> int:
        return len(self.carrier.sent)

    def unused(self) -> object:
        return [*self.carrier.script, *self.carrier.token_script]

    def release(self) -> None:
        self.carrier.release.set()

    def outbound(self, number: int = 1) -> Outbound:
        return wechat_carrier.outbound(attempt=f"a{number}", token=f"token-{number}")

    def signed(self, body: bytes, path: str, nonce: str = "n1") -> Callback:
        query = {"timestamp": STAMP, "nonce": nonce, "signature": _wechat_signature(STAMP, nonce)}
        return posted(path, f"{PUBLIC}/callbacks/wechat", body, {}, **query)

    def say(self, nonce: str, event: str, **fields: str | int) -> Callback:
        named = {"ToUserName": "gh_1", "FromUserName": OPENID, "CreateTime": NOW // 1000, "Event": event, **fields}
        cells = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in named.items())
        return self.signed(f"<xml><MsgType>event</MsgType>{cells}</xml>".encode(), "", nonce)

    def forged(self) -> list[Callback]:
        genuine, change = self.news()[0], msgspec.structs.replace
        return [
            change(genuine, query={}),
            change(genuine, query={**genuine.query, "signature": "0" * 40}),
            change(genuine, query={**genuine.query, "signature": "ключ\udcff"}),
            change(genuine, query={**genuine.query, "nonce": "n2\udcff"}),
            change(genuine, query={**genuine.query, "timestamp": str(NOW // 1000 - 301)}),
        ]

    def news(self) -> list[Callback]:
        finished = "TEMPLATESENDJOBFINISH"
        return [
            self.say("n1", finished, MsgID=1, Status="failed: system failed"),
            self.say("n2", finished, MsgID=1, Status="failed:user block"),
            self.say("n3", finished, MsgID=1, Status="success"),
        ]

    def odd(self) -> list[Callback]:
        return [
            self.say("o1", "TEMPLATESENDJOBFINISH", MsgID=1, Status="failed: comet"),
            self.say("o2", "TEMPLATESENDJOBFINISH", MsgID=1, Status="pondering"),
            self.say("o3", "brand_new_event"),
        ]


class EmailDriver(Driver):
    """An SMTP relay: what it is told goes to a stage of the dialogue."""

    name = "email"
    opening = b"MAIL FROM:"
    end = b"\r\n.\r\n"
    head = (b"250", 0)
    body = (b"250 2.0.0", 2)
    private = ("maria", "Διακοπή", "Καλημέρα")
    cases = {  # noqa: RUF012 - read only
        "taken": Case(("data", "250 2.0.0 taken")),
        "error_in_success": Case(("data", "250-but 5.7.1 <maria@example.org> does not want it"), Unknown),
        "junk_in_success": Case(("data", "what? maria@example.org"), Unknown),
        "empty_success": Case(("data", " "), Unknown),
        "throttled": Case(("rcpt", "421 4.7.0 too many for maria@example.org"), Fault.THROTTLED),
        "trouble": Case(("data", "451 4.3.0 maria@example.org: queue trouble"), Fault.UNAVAILABLE),
        "hangs": Case(("data", HANG), Unknown),
        "refused": Case(("rcpt", "550 5.1.1 <maria@example.org> unknown"), Fault.BAD_ADDRESS),
        "unknown_code": Case(("data", "598 9.9.9 what no table knows of maria@example.org"), Fault.UNEXPLAINED),
    }

    async def serve(self, stack: AsyncExitStack) -> int:
        self.relay = await stack.enter_async_context(serving(Relay()))
        return self.relay.port

    def channel(self, port: int, timeout: float) -> Channel:
        sender = "no-reply@acme.example"
        relay = SmtpSettings(host="127.0.0.1", port=port, starttls="never", email_from=sender, from_address=sender)
        return EmailChannel(relay, secret_key=email_bench.KEY, clock=self.deps.clock, timeout=timeout)

    def script(self, *told: tuple[str, str]) -> None:
        for stage, reply in told:
            self.relay.script[stage].append(reply)

    def taken(self, count: int) -> Sequence[tuple[str, str]]:
        return [("data", "250 2.0.0 taken")] * count

    def had(self) -> int:
        return len(self.relay.mails)

    def unused(self) -> object:
        return [reply for stage in self.relay.script.values() for reply in stage]

    def release(self) -> None:
        self.relay.release.set()

    def outbound(self, number: int = 1) -> Outbound:
        return email_bench.outbound(attempt=f"a{number}", token=f"token-{number}")
