"""Fuzz targets for what providers and mail servers send, and for the mails that we make of strangers' words.

Where a signature stands before a parser, the target signs what it was given, so that the parser is reached.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import msgspec
from twilio.request_validator import RequestValidator

from gateway.channels.base import Callback, Deps, Forged, Malformed, Rendered
from gateway.channels.bounces import parse as parse_mail
from gateway.channels.mime import Envelope, build
from gateway.channels.sms import Sms
from gateway.channels.verp import verp_reader, verp_token
from gateway.channels.voice import Voice
from gateway.channels.wechat_callback import CallbackReader
from gateway.settings import load
from tests.support.web_gateway import SETTINGS

NOW: Final = 1_795_327_932_000
KEY: Final = b"k" * 32
TOKEN: Final = verp_token("m1m81hcef00fwaesxk3mvye9", "a1", KEY)


def as_text(data: bytes) -> str:
    """The text of any bytes."""
    return data.decode("utf-8", "replace")


class _Twilio:
    """Sms and Voice of an account, and its signature. Built once, when the first form comes."""

    base = "https://gateway.example.com/callbacks/"
    paths = (
        "sms/inbound",
        "sms/status/m1/a1",
        "voice/inbound",
        "voice/status/m1/a1",
        "voice/gather/m1/a1/0",
        "voice/menu/main.en.1.0.all....",
    )

    def __init__(self) -> None:
        settings = load(SETTINGS, Path("/nowhere"), command="check")
        deps = Deps(cast("Any", None), cast("Any", None), lambda: NOW)
        self.channels: dict[str, Any] = {"sms": Sms.build(settings, deps), "voice": Voice.build(settings, deps)}
        self.account = SETTINGS["GATEWAY_TWILIO_ACCOUNT_SID"]
        self.sign: Any = cast("Any", RequestValidator(SETTINGS["GATEWAY_TWILIO_AUTH_TOKEN"])).compute_signature


_twilio: list[_Twilio] = []


def twilio_form(data: bytes) -> None:
    """Twilio's form posts, as they come and genuinely signed."""
    twilio = _twilio[0] if _twilio else _twilio.append(_Twilio()) or _twilio[0]
    path = twilio.paths[data[0] % len(twilio.paths)] if data else twilio.paths[0]
    body = f"AccountSid={twilio.account}&".encode() + data[1:]
    try:
        signature: str = twilio.sign(twilio.base + path, dict(parse_qsl(body.decode(), keep_blank_values=True)))
    except ValueError:
        signature = "none"
    channel, _, tail = path.partition("/")
    call = _call(body, tail, {"x-twilio-signature": signature}, twilio.base + path)
    _read(twilio.channels[channel], call)


def _call(body: bytes, path: str, headers: dict[str, str], url: str, query: dict[str, str] | None = None) -> Callback:
    known = {"content-type": "application/x-www-form-urlencoded", **headers}
    return Callback(method="POST", path=path, url=url, headers=known, query=query or {}, body=body, now=NOW)


def _read(channel: Any, call: Callback) -> None:
    try:
        reading = channel.read(call)
    except (Forged, Malformed):
        return
    assert reading.respond(None).status == 200
    msgspec.msgpack.encode([reading.receipts, reading.by_provider_id, reading.inbound])


def wechat_callback(data: bytes) -> None:
    """WeChat's posts with a genuine signature; the first byte says whether its XML is wrapped as usual."""
    stamp, nonce = str(NOW // 1000), data[:8].hex()
    body = data[1:] if data[:1] < b"\x80" else b"<xml>" + data[1:] + b"</xml>"
    signed = hashlib.sha1("".join(sorted(("atoken", stamp, nonce))).encode(), usedforsecurity=False).hexdigest()
    query = {"timestamp": stamp, "nonce": nonce, "signature": signed}
    _read(CallbackReader(token="atoken", app_id="wx1", aes_key=None), _call(body, "", {}, "", query))


def returned_mail(data: bytes) -> None:
    """A bounce, whose return path may be genuine (`TOKEN` stands for it)."""
    news = parse_mail(data.replace(b"TOKEN", TOKEN.encode()), verp_reader(KEY), NOW, ["b+x.y.z@example.com"])
    msgspec.msgpack.encode(news)


_HEADERS: Final = frozenset(
    (
        "date",
        "from",
        "to",
        "message-id",
        "subject",
        "mime-version",
        "auto-submitted",
        "x-auto-response-suppress",
        "content-language",
        "x-message-ref",
        "feedback-id",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "content-type",
        "content-transfer-encoding",
    )
)  # fmt: skip - a set


def mail_headers(data: bytes) -> None:
    """Whatever stands in names, subjects and texts, a mail has our headers and no others."""
    name, subject, text, language = (as_text(data).split("\0") + [""] * 4)[:4]
    words = Rendered(language=language[:35], subject=subject, text=text, html=text)
    envelope = Envelope(
        sender=f"{name} <us@example.com>",
        to="ana@example.com",
        token=name,
        now=NOW,
        ref=TOKEN,
        feedback=language[:64],
        unsubscribe_url="https://gateway.example.com/u/x",
    )  # fmt: skip - one line would hide its end
    try:
        made = build(words, envelope)
    except ValueError:
        return
    head = made.data.partition(b"\r\n\r\n")[0]
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"\r" not in head.replace(b"\r\n", b"")
    mail = email.message_from_bytes(made.data, policy=email.policy.compat32)
    assert {header.lower() for header in mail.keys()} <= _HEADERS  # noqa: SIM118 - a mail isn't its keys
    assert len(mail.keys()) == len(set(mail.keys()))
    assert max(map(len, made.data.split(b"\r\n"))) <= 998
