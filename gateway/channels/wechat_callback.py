"""Verifies and reads what WeChat posts to us.

The signature is checked before anything is parsed. In plain mode it covers only token, time and nonce, not the body, so
a reading names its nonce: with another body it is refused; the same body again is WeChat's own repeat and does no harm.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final, cast
from xml.parsers.expat import ExpatError

import msgspec
import wechatpy
import wechatpy.crypto

from gateway.channels.base import Callback, Forged, Inbound, Malformed, Reading, Reply
from gateway.message import Fault, Receipt

MENU_WORDS: Final = {"pref": "PREF", "stop": "STOP", "start": "START", "help": "HELP"}
"""The keys of our menu's entries, and the words they stand for; "language:<tag>" stands for LANG and the tag."""

_EVENT_WINDOW: Final = 60
"""For so many seconds an event lets us write three messages (customer service messages, since June 2023)."""
_BODY_MAX: Final = 65_536
_SKEW_SECONDS: Final = 300
# Nothing but the declaration may stand before the root: so there is no DOCTYPE, and without one no entity.
_PROLOG: Final = re.compile(r"\s*(<\?xml[^<>]{0,100}\?>\s*)?<xml[\s>]")
_SEALED: Final = re.compile(rb"<Encrypt>\s*(?:<!\[CDATA\[)?([A-Za-z0-9+/=\s]+)(?:\]\]>)?\s*</Encrypt>")
_FINISHED: Final[dict[str, Fault | None]] = {
    "success": None,
    "failed:userblock": Fault.OPTED_OUT,
    # A repeat with the same id would be swallowed, so trying here again is of no use.
    "failed:systemfailed": Fault.UNREACHABLE,
}
# What hostile bodies are known to raise inside xmltodict and wechatpy.
_HOSTILE: Final = (ValueError, LookupError, TypeError, AttributeError, AssertionError, OverflowError, ExpatError)

_Fields = Mapping[str, str]


class CallbackReader:
    """Reads an account's callbacks. `aes_key`: then only encrypted ones are taken."""

    def __init__(self, *, token: str, app_id: str, aes_key: str | None) -> None:
        self._token = token
        self._app_id = app_id
        self._envelope = cast("Any", wechatpy.crypto).WeChatCrypto(token, aes_key, app_id) if aes_key else None
        self._cipher = cast("Any", wechatpy.crypto).PrpCrypto(self._envelope.key) if self._envelope else None

    def read(self, call: Callback) -> Reading:
        """What a callback says. Raises Forged or Malformed."""
        if len(call.body) > _BODY_MAX:
            raise Malformed("longer than 64 KB")
        if call.path:
            raise Malformed("WeChat calls one address only")
        stamp, nonce = call.query.get("timestamp", ""), call.query.get("nonce", "")
        self._check_time(stamp, call.now)
        if call.method == "GET":
            return self._echo(call.query, stamp, nonce)
        self._check(call.query.get("signature"), stamp, nonce)
        xml = self._opened(call, stamp, nonce)
        reading = _reading(_parsed(xml), call.now)
        if reading.inbound:
            person, account = reading.inbound[0].sender, reading.inbound[0].to
            say = functools.partial(self._answer, person, account, stamp, nonce)
            reading = msgspec.structs.replace(reading, say=say)
        digest = hashlib.blake2b(xml.encode("utf-8", "replace"), digest_size=16).digest()
        return msgspec.structs.replace(reading, once=(f"{stamp}:{nonce}", digest))

    def _answer(self, person: str, account: str, stamp: str, nonce: str, words: str) -> Reply:
        """Words that WeChat hands to the person as the answer to their message (passive reply), encrypted as it came."""
        fields = {"ToUserName": person, "FromUserName": account, "MsgType": "text", "Content": words}
        told = "".join(f"<{name}><![CDATA[{_safe(text)}]]></{name}>" for name, text in fields.items())
        xml = f"<xml>{told}<CreateTime>{stamp}</CreateTime></xml>"
        if self._envelope is not None:
            xml = str(self._envelope.encrypt_message(xml, nonce, stamp))
        return Reply(content_type="text/xml", body=xml)

    def _echo(self, query: _Fields, stamp: str, nonce: str) -> Reading:
        """WeChat's proof of ownership when the address is set: repeat `echostr`, decrypted where it is encrypted."""
        text = query.get("echostr", "")
        if "msg_signature" in query and self._cipher is not None:
            self._check(query["msg_signature"], stamp, nonce, text)
            text = self._decrypted(text)
        else:
            self._check(query.get("signature"), stamp, nonce)
        return Reading(respond=lambda _out: Reply(body=text))

    def _opened(self, call: Callback, stamp: str, nonce: str) -> str:
        """The XML in clear."""
        if self._cipher is None:
            try:
                return call.body.decode()
            except UnicodeDecodeError:
                raise Malformed("not UTF-8") from None
        found = _SEALED.search(call.body)
        if found is None:
            raise Forged("not encrypted, though the account has an AES key")
        sealed = found[1].decode()
        self._check(call.query.get("msg_signature"), stamp, nonce, sealed)
        return self._decrypted(sealed)

    def _decrypted(self, sealed: str) -> str:
        try:
            return str(cast("Any", self._cipher).decrypt(sealed, self._app_id))
        except Exception as bad:  # noqa: BLE001 - a boundary: signed, but unpadding and unpacking fail in many ways
            raise Malformed(f"can't be decrypted ({type(bad).__name__})") from None

    def _check(self, signature: str | None, *signed: str) -> None:
        told = "".join(sorted((self._token, *signed))).encode("utf-8", "replace")
        ours = hashlib.sha1(told, usedforsecurity=False).hexdigest()
        if not signature or not hmac.compare_digest(ours.encode(), signature.encode("utf-8", "replace")):
            raise Forged("signature missing or wrong")

    def _check_time(self, stamp: str, now: int) -> None:
        if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 11):
            raise Forged("no timestamp")
        if abs(int(stamp) - now // 1000) > _SKEW_SECONDS:
            raise Forged("timestamp too far from our clock")


def _parsed(xml: str) -> Any:
    if _PROLOG.match(xml) is None:
        raise Malformed("not WeChat's XML")
    try:
        return cast("Any", wechatpy).parse_message(xml)
    except _HOSTILE as bad:
        raise Malformed(f"can't be parsed ({type(bad).__name__})") from None


def _reading(message: Any, now: int) -> Reading:
    """The reading of a parsed message; its fields are converted on access, so access may fail."""
    try:
        match message.type:
            case "event":
                receipts, inbound = _finished(message, now), _event(message, now)
            case "unknown":  # kinds that wechatpy doesn't know, such as news of subscription messages
                receipts, inbound = (), ()
            case _:
                receipts, inbound = (), _said(message, now)
    except _HOSTILE as bad:
        raise Malformed(f"can't be read ({type(bad).__name__})") from None
    return Reading(by_provider_id=receipts, inbound=inbound, respond=lambda _out: Reply(body="success"))


def _finished(event: Any, now: int) -> tuple[tuple[str, Receipt], ...]:
    """TEMPLATESENDJOBFINISH: the only news of a template message after its acceptance."""
    if event.event != "templatesendjobfinish":
        return ()
    msgid, status = event.id, _text(event.status)
    if not isinstance(msgid, int) or msgid <= 0:
        raise Malformed("no MsgID")
    known = status.lower().replace(" ", "")
    if known == "success":
        return ((str(msgid), Receipt(attempt="", at=now, status="delivered")),)
    if not known.startswith("failed"):
        return ()
    fault = _FINISHED.get(known) or Fault.UNEXPLAINED
    return ((str(msgid), Receipt(attempt="", at=now, status="failed", fault=fault, provider_code=status[:64])),)


def _event(event: Any, now: int) -> tuple[Inbound, ...]:
    name = str(event.event)
    if name == "click":
        return _pressed(event, now)
    kinds = {"subscribe": "follow", "subscribe_scan": "follow", "unsubscribe": "unfollow", "scan": "scan"}
    if name not in kinds:
        return ()
    # An event has no id of its own (WeChat's advice: sender, time and name).
    sender = _text(event.source)
    found = Inbound(
        id=f"{sender}:{event.time}:{name}",
        channel="wechat",
        sender=sender,
        kind=cast("Any", kinds[name]),
        to=_text(event.target),
        at=_when(event, now),
        opens=_EVENT_WINDOW,
    )
    if name not in ("scan", "subscribe_scan"):
        return (found,)
    scene = _text(event.scene_id)
    scanned = msgspec.structs.replace(found, id=f"{found.id}:{scene}", kind="scan", text=scene)
    return (scanned,) if name == "scan" else (found, scanned)


def _pressed(event: Any, now: int) -> tuple[Inbound, ...]:
    """An entry of our menu: what it stands for, as if it had been written."""
    sender, key = _text(event.source), _text(event.key)
    words = MENU_WORDS.get(key) or (f"LANG {key.partition(':')[2]}" if key.startswith("language:") else "")
    pressed = Inbound(
        id=f"{sender}:{event.time}:click:{key}",
        channel="wechat",
        sender=sender,
        text=words,
        to=_text(event.target),
        at=_when(event, now),
        opens=_EVENT_WINDOW,
        raw={"menu": key},
    )
    return (pressed,) if words else ()


def _said(message: Any, now: int) -> tuple[Inbound, ...]:
    """A person's message. What isn't text comes without words: it still opens the window in which we may answer."""
    sender, msgid = _text(message.source), message.id
    if not isinstance(msgid, int) or msgid <= 0:
        raise Malformed("no MsgId")
    kind = str(message.type)
    words = {"text": "content", "voice": "recognition"}.get(kind)
    spoken = getattr(message, words) if words else None
    text = spoken if isinstance(spoken, str) else ""
    raw = {} if kind == "text" else {"type": kind}
    found = Inbound(
        id=str(msgid),
        channel="wechat",
        sender=sender,
        text=text,
        to=_text(message.target),
        at=_when(message, now),
        raw=raw,
    )
    return (found,)


def _safe(text: str) -> str:
    return text.replace("]]>", "]]]]><![CDATA[>")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > 256:
        raise Malformed("a field is missing or no text")
    return value


def _when(message: Any, now: int) -> int:
    """When it was said, by WeChat's clock; ours where that is missing or ahead."""
    said = message.time
    # WeChat counts whole seconds. Within that second our clock tells what came first: leaving, or following again.
    return min(said * 1000 + 999, now) if isinstance(said, int) and said > 0 else now
