"""Everything that reads what strangers write, as functions of bytes: only the errors they promise may come out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from gateway import settings_values
from gateway.channels.verp import read_verp
from gateway.content.language import DataError, Reader, TemplateError, compile_text
from gateway.content.run import MAX_OUTPUT
from gateway.links import ANSWER, BadLink, Links
from gateway.numbers import country_of, normalise, zones_of
from gateway.preferences.keywords import understand
from gateway.prompts import Option, Prompt, read_answer, read_key
from gateway.redis_url import parse_redis_url
from gateway.store.ids import made_at, place_of
from gateway.text import clean, mask, segments
from gateway.web.api.customer_types import PreferencesIO, ProfileIn
from gateway.web.api.message_request import new_message
from gateway.web.api.types import BatchIn, MessageIn
from gateway.web.fields import convert
from gateway.web.json_body import DEPTH, parse
from gateway.web.problems import Problem
from tests.fuzz.mail_and_callbacks import (
    KEY,
    NOW,
    as_text,
    mail_headers,
    returned_mail,
    twilio_form,
    wechat_callback,
)

TYPES: Final[tuple[type[msgspec.Struct], ...]] = (MessageIn, BatchIn, ProfileIn, PreferencesIO)
PROMPTS: Final = (
    Prompt(kind="acknowledge"),
    Prompt(kind="yes_no"),
    Prompt(kind="scale", min=0, max=10),
    Prompt(kind="choice", options=(Option("mon", "Monday"), Option("tue", "Τρίτη"), Option("wed", "星期三"))),
    Prompt(kind="text"),
)


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


def template(data: bytes) -> None:
    """A template's text in each of its kinds, rendered with what follows the first NUL as data."""
    text, _, rest = as_text(data).partition("\0")
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
    text = as_text(data)
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
    text = as_text(data)
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
    text = as_text(data)
    for parser in _PARSERS:
        try:
            parser(text)
        except ValueError as refused:
            if "hunter2" in str(refused) and parser in (parse_redis_url, settings_values.smtp_url):
                raise AssertionError("a password is repeated") from refused


def token(data: bytes) -> None:
    """Signed links, return paths and the cursors of lists: nothing but our own is taken."""
    text = as_text(data)
    links = Links("https://gateway.example.com", KEY, b"o" * 32, lambda: NOW)
    made = links.sign(ANSWER, text, 60) if text.isprintable() else ""
    with contextlib.suppress(BadLink):
        assert links.read(ANSWER, text) is None, "a forged link"
    if made and len(made) < 2048:
        assert links.read(ANSWER, made) == text
    assert read_verp(text, [KEY]) in (None, ("m1m81hcef00fwaesxk3mvye9", "a1"))
    if place_of(text) is not None:
        assert made_at(text) >= 0


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
