"""One line of a customer's timeline as it is stored: what happened, and to what; never words or addresses."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.message import Mode


class Entry(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"kind": "k", "of": "i", "at": "t", "mode": "m", "facts": "d"},
):
    """What happened. Kept for years, so it is small: texts come from the records it refers to, while these live.

    `kind`: "message", "attempt", "answer", "acknowledged", "verdict", "inbound", "address", "preferences", "profile",
    "note", "case" or what else a service tells. `of`: the id of the message, item or thing. `at`: when, ms; None: when
    the line was written. `facts`: small plain values, keyed as people see them.
    """

    kind: str
    of: str = ""
    at: int | None = None
    mode: Mode = "live"
    facts: dict[str, Any] = {}


DAY_MS: Final = 86_400_000
TIMELINE_DAYS: Final = 730
"""How long a timeline keeps its lines unless the settings say otherwise."""
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Entry)


def encoded(entry: Entry) -> bytes:
    """An entry as it is stored."""
    return _encoder.encode(entry)


def decoded(raw: bytes) -> Entry:
    """A stored entry. Raises msgspec.DecodeError."""
    return _decoder.decode(raw)
