"""Builds the bytes of an e-mail, once and quickly, by hand.

The standard library's `EmailMessage` takes over 2 ms a message and encodes a List-Unsubscribe link of 78 characters or
more (RFC 2047), which breaks one-click without a word. Here header names are fixed, values are checked, every body part
is 7-bit (so no relay re-codes it and breaks a signature) and no line is longer than 998 octets (RFC 5322 2.1.1).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from datetime import UTC, datetime
from email.utils import format_datetime, parseaddr
from typing import Final
from urllib.parse import quote

import idna
import msgspec

from gateway.channels.base import Attachment, Rendered
from gateway.channels.verp import REF_HEADER

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PLAIN_BODY: Final = re.compile(rb"[\t\r\n\x20-\x7e]*")
_LONG_LINE: Final = re.compile(rb"[^\r\n]{900}")
_NEWLINE: Final = re.compile(r"\r\n|\r|\n")
_LONE_NEWLINE: Final = re.compile(rb"(?<!\r)\n")
_ATOM_TEXT: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9_=.-]{1,200}", re.ASCII)
_MIME_TYPE: Final = re.compile(r"(?!multipart/|message/)[a-z0-9][\w.+-]*/[a-z0-9][\w.+-]*", re.ASCII | re.IGNORECASE)
_ADDRESS: Final = re.compile(r"[^\s<>,;:\"()\[\]\\@]+@[^\s<>,;:\"()\[\]\\@]+")
_LINK: Final = re.compile(r"https?://[\x21-\x3b\x3d\x3f-\x7e]+")
_LINE: Final = 76  # RFC 2047: encoded words and the lines that hold them
_LINK_MAX: Final = 990


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers say. `sender` is a From line as configured; `token` becomes the Message-ID; times in ms.

    `ref` is the signed name of the attempt; `unsubscribe_url` the one-click link (RFC 8058).
    """

    sender: str
    to: str
    token: str
    now: int
    ref: str = ""
    unsubscribe_url: str | None = None
    feedback: str | None = None


class Mail(msgspec.Struct, frozen=True):
    """A mail ready for DATA: CRLF line ends, not yet dot-stuffed."""

    data: bytes
    message_id: str
    eight_bit: bool
    """True when a header holds UTF-8 (an internationalised address), so SMTPUTF8 is needed."""


def build(words: Rendered, envelope: Envelope) -> Mail:
    """The mail for these words.

    Raises ValueError for an address, link or text that can't stand in a mail; the reason names no content.
    """
    if _CONTROL.search(envelope.sender):
        raise ValueError("the sender can't stand in a header")
    name, sender = parseaddr(envelope.sender)
    sender = ascii_address(sender)
    check_address(sender)
    check_address(envelope.to)
    token = _safe_token(envelope.token)
    message_id = f"<{token}@{sender.rpartition('@')[2]}>"
    lines = [
        f"Date: {format_datetime(datetime.fromtimestamp(envelope.now // 1000, UTC))}",
        f"From: {_phrase(name)}<{sender}>",
        f"To: <{envelope.to}>",
        f"Message-ID: {message_id}",
        "Subject:" + fold(words.subject, used=8),
        "MIME-Version: 1.0",
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: OOF, AutoReply",
        f"Content-Language: {_CONTROL.sub('', words.language)}",
        *_reference(envelope),
        *_unsubscribe(envelope.unsubscribe_url),
    ]
    try:
        head = "\r\n".join(lines).encode()
        data = head + b"\r\n" + _body(words, hashlib.blake2b(token.encode(), digest_size=12).hexdigest())
    except UnicodeEncodeError:
        raise ValueError("a text holds half a character (a lone surrogate)") from None
    return Mail(data, message_id, eight_bit=not head.isascii())


def check_address(address: str) -> None:
    """Raises ValueError for an address that could break out of its header or envelope command."""
    if _ADDRESS.fullmatch(address) is None or _CONTROL.search(address):
        raise ValueError("an address can't stand in a header")


def ascii_domain(domain: str) -> str:
    """The domain as DNS writes it (IDNA); unchanged when it is ASCII. Raises ValueError for one that has no such form."""
    return domain if domain.isascii() else idna.encode(domain, uts46=True).decode()


def ascii_address(address: str) -> str:
    """The address with its domain in IDNA form, so that only a non-ASCII local part needs SMTPUTF8. Raises ValueError."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{ascii_domain(domain)}"


def _safe_token(token: str) -> str:
    if _SAFE_ID.fullmatch(token) and not token.startswith(".") and not token.endswith(".") and ".." not in token:
        return token
    return hashlib.blake2b(token.encode(), digest_size=16).hexdigest()


def _reference(envelope: Envelope) -> list[str]:
    lines = [f"{REF_HEADER}: {_CONTROL.sub('', envelope.ref)}"] if envelope.ref else []
    if envelope.feedback:
        lines.append(f"Feedback-ID: {_CONTROL.sub('', envelope.feedback)}")
    return lines


def _unsubscribe(url: str | None) -> list[str]:
    if url is None:
        return []
    if len(url) > _LINK_MAX or _LINK.fullmatch(url) is None:
        raise ValueError("the unsubscribe link can't stand in a header")
    # Never folded inside: a link broken by white space is no link. A long one begins on its own line.
    gap = "\r\n " if len(url) > 950 else " "
    return [f"List-Unsubscribe:{gap}<{url}>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"]


def _phrase(name: str) -> str:
    if not name:
        return ""
    if not name.isascii() or "=?" in name or len(name) > _LINE - 10:
        return _encoded_words(name, used=6).lstrip() + "\r\n "
    if _ATOM_TEXT.fullmatch(name):
        return f"{name} "
    return '"' + name.replace("\\", r"\\").replace('"', r"\"") + '" '


def fold(text: str, *, used: int) -> str:
    """An unstructured header's value with its leading blank, folded; control characters become blanks.

    `used`: columns already taken by the name and colon. RFC 5322 2.2.3, RFC 2047.
    """
    text = _CONTROL.sub(" ", text).strip()
    if not text.isascii() or "=?" in text or any(len(word) > _LINE - used for word in text.split(" ")):
        return _encoded_words(text, used=used)
    lines = [""]
    for word in text.split(" "):
        # A line of blanks alone ends the headers for some readers, so an empty word never starts a line.
        if word and lines[-1].strip() and used + len(lines[-1]) + 1 + len(word) > _LINE:
            lines.append("")
            used = 0
        lines[-1] += f" {word}"
    return "\r\n".join(lines)


def _encoded_words(text: str, *, used: int) -> str:
    # 75 - len("=?utf-8?B??=") = 63 columns of base64 = 45 octets; the first word shares its line with the name.
    room = min(45, (_LINE - used - 13) // 4 * 3)
    words: list[bytes] = []
    piece = b""
    for char in text:
        octets = char.encode()
        if len(piece) + len(octets) > room:
            words.append(piece)
            piece, room = b"", 45
        piece += octets
    words.append(piece)
    return "\r\n".join(f" =?utf-8?B?{base64.b64encode(word).decode()}?=" for word in words)


def _body(words: Rendered, mark: str) -> bytes:
    text = _text_part("plain", words.text)
    if words.html is not None:
        html = _text_part("html", words.html)
        text = _multipart("alternative", f"=_a{mark}", [text, html])
    if words.attachments:
        text = _multipart("mixed", f"=_m{mark}", [text, *(_attachment(a) for a in words.attachments)])
    return text


def _multipart(kind: str, boundary: str, parts: list[bytes]) -> bytes:
    # "=_" can't come out of base64 or quoted-printable; against plain parts the mark is a hash of the token.
    edge = f"\r\n--{boundary}".encode()
    opening = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n'.encode()
    return opening + b"".join(edge + b"\r\n" + part for part in parts) + edge + b"--\r\n"


def _text_part(kind: str, text: str) -> bytes:
    raw = _NEWLINE.sub("\r\n", text).encode()
    encoding, body = _seven_bit(raw)
    charset = "us-ascii" if encoding == "7bit" else "utf-8"
    return (
        f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body
    )


def _seven_bit(raw: bytes) -> tuple[str, bytes]:
    if _PLAIN_BODY.fullmatch(raw) and _LONG_LINE.search(raw) is None:
        return "7bit", raw
    # Quoted-printable grows each odd octet to three, base64 the whole by a third: the smaller one goes.
    odd = len(raw) - len(raw.translate(None, bytes(range(128, 256))))
    if odd * 6 < len(raw):
        return "quoted-printable", _LONE_NEWLINE.sub(b"\r\n", binascii.b2a_qp(raw))
    return "base64", _base64_lines(raw)


def _base64_lines(raw: bytes) -> bytes:
    lines = [binascii.b2a_base64(raw[at : at + 57], newline=False) for at in range(0, len(raw), 57)]
    return b"\r\n".join(lines)


def _attachment(file: Attachment) -> bytes:
    kind = file.type if _MIME_TYPE.fullmatch(file.type) else "application/octet-stream"
    name = _CONTROL.sub(" ", file.name).replace("/", "_").replace("\\", "_")
    if name.isascii() and len(name) <= 60:
        given = 'filename="' + name.replace('"', "'") + '"'
    else:
        given = _long_parameter("filename", name)
    return (
        f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n {given}\r\n\r\n"
    ).encode() + _base64_lines(file.data)


def _long_parameter(key: str, value: str) -> str:
    """A parameter in UTF-8, in numbered pieces when long (RFC 2231)."""
    coded = quote(value, safe="")
    if len(coded) <= _LINE - 20:
        return f"{key}*=utf-8''{coded}"
    pieces = re.findall(r"(?:%..|[^%]){1,18}", coded)
    pieces[0] = "utf-8''" + pieces[0]
    return ";\r\n ".join(f"{key}*{n}*={piece}" for n, piece in enumerate(pieces))
