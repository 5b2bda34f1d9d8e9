"""What texts need on their way out: clean characters, a count of SMS segments, and masked addresses for eyes and logs."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import phonenumbers

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
# C0 but tab and line feed, DEL, C1, lone surrogates, and the two code points XML 1.0 forbids.
_UNSENDABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Segments(NamedTuple):
    """How a text travels by SMS: `units` are the segments a carrier charges, `length` counts septets or UTF-16 units."""

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    length: int


def segments(text: str) -> Segments:
    """Count the segments of an SMS (3GPP TS 23.038: 160 alone or 153 each in septets, else 70 or 67 in UTF-16 units).

    A character of two units (GSM-7 extension, surrogate pair) never straddles two segments. An empty text is one segment.
    """
    if all(char in _BASIC or char in _EXTENDED for char in text):
        widths, alone, joined = [2 if char in _EXTENDED else 1 for char in text], 160, 153
        encoding: Literal["GSM-7", "UCS-2"] = "GSM-7"
    else:
        widths, alone, joined = [2 if ord(char) > 0xFFFF else 1 for char in text], 70, 67
        encoding = "UCS-2"
    length = sum(widths)
    if length <= alone:
        return Segments(encoding, 1, length)
    units, used = 1, 0
    for width in widths:
        if used + width > joined:
            units, used = units + 1, 0
        used += width
    return Segments(encoding, units, length)


def clean(text: str) -> str:
    """The text without characters that a carrier, an XML parser or a terminal trips over.

    Control characters go, line ends become line feeds, tabs become blanks (a tab would turn an SMS into UCS-2).
    """
    return _UNSENDABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))


@lru_cache(maxsize=4096)
def mask(channel: str, value: str) -> str:
    """An address that its owner recognises and a stranger can't use: `+30…4567`, `a…@example.com`, `oA…9xYz`."""
    if channel == "email" or "@" in value:
        name, at, domain = value.rpartition("@")
        return f"{name[:1]}…{at}{domain}" if name else "…"
    if channel in ("sms", "voice") or value.startswith("+"):
        return _mask_number(value)
    return f"{value[:2]}…{value[-4:]}" if len(value) >= 12 else "…"


def _mask_number(value: str) -> str:
    try:
        prefix = f"+{phonenumbers.parse(value, None).country_code}"
    except phonenumbers.NumberParseException:
        prefix = ""
    shown = 4 if len(value) - len(prefix) >= 8 else 2
    return f"{prefix}…{value[-shown:]}" if len(value) - len(prefix) > shown else "…"
