"""Twilio's two channels in every situation of the contract."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import parse_qsl

import msgspec

from gateway.channels.base import Callback, Channel, Unknown
from gateway.channels.sms import Sms
from gateway.channels.voice import Voice
from gateway.message import Fault
from tests.support import twilio_carrier
from tests.support.carriers import DEEP, Case, Scripted, posted
from tests.support.twilio_carrier import ACCOUNT, CALL_SID, PERSON, PUBLIC, SMS_SID, TOKEN, Answer, refusal

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
        return posted(path, url, whole, {**_FORM, "x-twilio-signature": signature})

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
