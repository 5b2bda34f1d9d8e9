"""Everything that reads what strangers write, as functions of bytes: only the errors they promise may come out.

Where a signature stands before a parser, the target signs what it was given, so that the parser is reached.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import msgspec
from twilio.request_validator import RequestValidator

from gateway import settings_values
from gateway.channels.base import Callback, Deps, Forged, Malformed, Rendered
from gateway.channels.bounces import parse as parse_mail
from gateway.channels.mime import Envelope, build
from gateway.channels.sms import Sms
from gateway.channels.verp import read_verp, verp_reader, verp_token
from gateway.channels.voice import Voice
from gateway.channels.wechat_callback import CallbackReader
from gateway.content.language import DataError, Reader, TemplateError, compile_text
from gateway.content.run import MAX_OUTPUT
from gateway.links import ANSWER, BadLink, Links
from gateway.numbers import country_of, normalise, zones_of
from gateway.preferences.keywords import understand
from gateway.prompts import Option, Prompt, read_answer, read_key
from gateway.redis_url import parse_redis_url
from gateway.settings import load
from gateway.store.ids import made_at, place_of
from gateway.text import clean, mask, segments
from gateway.web.api.customer_types import PreferencesIO, ProfileIn
from gateway.web.api.message_request import new_message
from gateway.web.api.types import BatchIn, MessageIn
from gateway.web.fields import convert
from gateway.web.json_body import DEPTH, parse
from gateway.web.problems import Problem
from tests.support.web_gateway import SETTINGS

NOW: Final = 1_795_327_932_000
KEY: Final = b"k" * 32
TOKEN: Final = verp_token("m1m81hcef00fwaesxk3mvye9", "a1", KEY)
TYPES: Final[tuple[type[msgspec.Struct], ...]] = (MessageIn, BatchIn, ProfileIn, PreferencesIO)
PROMPTS: Final = (
    Prompt(kind="acknowledge"),
    Prompt(kind="yes_no"),
    Prompt(kind="scale", min=0, max=10),
    Prompt(kind="choice", options=(Option("mon", "Monday"), Option("tue", "Τρίτη"), Option("wed", "星期三"))),
    Prompt(kind="text"),
)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def api_body(data: bytes) -> None:
    """A body of the API: strict JSON, then the types of its operations."""
    try:
        tree = parse(data)
    except Problem as refused:
        if refused.status != 400:
            raise
        return
    assert _depth(tree) <= DEPTH
    assert msgspec.json.decode(msgspec.json.encode(tree)) is not None or tree is None
    assert msgspec.msgpack.encode(tree)
    assert json.loads(data) == tree, "another reader understands something else"
    for wanted in TYPES:
        try:
            made = convert(tree, wanted)
        except Problem as refused:
            if refused.status != 422 or not refused.errors:
                raise
            continue
        if isinstance(made, MessageIn):
            new_message(made, cast("dict[str, Any]", tree), NOW)


def _depth(tree: Any) -> int:
    if isinstance(tree, dict):
        return 1 + max(map(_depth, cast("dict[str, Any]", tree).values()), default=0)
    return 1 + max(map(_depth, cast("list[Any]", tree)), default=0) if isinstance(tree, list) else 0


class _Twilio:
    """Sms and Voice of an account, and its signature. Built once, when the first form comes."""

    base = "https://gateway.example.com/callbacks/"
    paths = ("sms/inbound", "sms/status/m1/a1", "voice/inbound", "voice/status/m1/a1", "voice/gather/m1/a1/0")

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


def template(data: bytes) -> None:
    """A template's text in each of its kinds, rendered with what follows the first NUL as data."""
    text, _, rest = _text(data).partition("\0")
    given: dict[str, Any] = {"a": rest, "b": [rest, 1, {"c": None}], "n": len(rest), "d": "2026-11-22T18:00:00+02:00"}
    for kind in ("line", "sms", "text", "html", "speech"):
        try:
            compiled = compile_text(text, kind)
            problems = compiled.problems(given)
            made = compiled.render(given, Reader("el", "Europe/Athens"))
        except (TemplateError, DataError):
            continue
        assert not problems
        assert len(made) <= MAX_OUTPUT + len(text)


def answer(data: bytes) -> None:
    """What a person writes back: opt-out words, answers to every kind of question, keys."""
    text = _text(data)
    for asked in (False, True):
        understand(text, country="GR", open_prompt=asked)
    for prompt in PROMPTS:
        read_answer(prompt, text)
        read_key(prompt, text)
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert segments(cleaned).units >= 1


def address(data: bytes) -> None:
    """An address of every channel; its normal form is its own normal form."""
    text = _text(data)
    for channel in ("sms", "email", "wechat", "pager"):
        mask(channel, text)
        try:
            value = normalise(channel, text)
        except ValueError:
            continue
        assert normalise(channel, value) == value
        assert not any(ord(char) < 32 for char in value)
        country_of(channel, value)
        zones_of(value)


_PARSERS: Final[tuple[Callable[[str], Any], ...]] = (
    parse_redis_url,
    settings_values.smtp_url,
    settings_values.web_url,
    settings_values.host,
    settings_values.locale,
    settings_values.time_zone,
    settings_values.quiet_hours,
    settings_values.countries,
    settings_values.mailbox,
    settings_values.team_addresses,
    settings_values.sms_sender,
    settings_values.aes_key,
    settings_values.days,
    settings_values.secret_key,
    settings_values.boolean,
)  # fmt: skip - a table


def setting(data: bytes) -> None:
    """The value of every kind of setting; what is said of a bad URL repeats no password."""
    text = _text(data)
    for parser in _PARSERS:
        try:
            parser(text)
        except ValueError as refused:
            if "hunter2" in str(refused) and parser in (parse_redis_url, settings_values.smtp_url):
                raise AssertionError("a password is repeated") from refused


def token(data: bytes) -> None:
    """Signed links, return paths and the cursors of lists: nothing but our own is taken."""
    text = _text(data)
    links = Links("https://gateway.example.com", KEY, b"o" * 32, lambda: NOW)
    made = links.sign(ANSWER, text, 60) if text.isprintable() else ""
    with contextlib.suppress(BadLink):
        assert links.read(ANSWER, text) is None, "a forged link"
    if made and len(made) < 2048:
        assert links.read(ANSWER, made) == text
    assert read_verp(text, [KEY]) in (None, ("m1m81hcef00fwaesxk3mvye9", "a1"))
    if place_of(text) is not None:
        assert made_at(text) >= 0


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
    name, subject, text, language = (_text(data).split("\0") + [""] * 4)[:4]
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


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    one.__name__: one
    for one in (
        api_body,
        twilio_form,
        wechat_callback,
        returned_mail,
        template,
        answer,
        address,
        setting,
        token,
        mail_headers,
    )
}  # fmt: skip - a table


def seeds(name: str) -> Iterator[bytes]:
    """Where to begin: one input a line in `seeds/<name>.txt`, with escapes as in a Python string of bytes."""
    for line in (Path(__file__).parent / "seeds" / f"{name}.txt").read_text().splitlines():
        yield line.encode("latin-1").decode("unicode_escape").encode("latin-1")
