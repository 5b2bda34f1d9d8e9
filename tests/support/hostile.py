"""Bodies that strangers post to the doors for providers, and how a channel's answer to them is judged."""

from __future__ import annotations

import random
import time

from gateway.channels.base import Callback, Channel, Forged, Malformed, Reading, Reply
from gateway.message import Fault

SECONDS = 5


def read(channel: Channel, call: Callback) -> Reading | None:
    """What a callback says; None when it is refused as it should be, by Forged or Malformed, and quickly."""
    began = time.perf_counter()
    try:
        reading = channel.read(call)
    except (Forged, Malformed):
        reading = None
    assert time.perf_counter() - began < SECONDS
    if reading is not None:
        assert isinstance(reading.respond(None), Reply)
    return reading


def modest(reading: Reading) -> bool:
    """True when a reading claims nothing that would end a message."""
    receipts = [receipt for _, receipt in (*reading.receipts, *reading.by_provider_id)]
    return all(
        receipt.engagement == "none"
        and not receipt.heard
        and (receipt.status in ("started", "accepted", "sent") or receipt.fault is Fault.UNEXPLAINED)
        for receipt in receipts
    )


JUNK = random.Random(7).randbytes(1 << 20)
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE xml [<!ENTITY a "'
    + b"a" * 999
    + b'">]><xml><MsgType>'
    + b"&a;" * 999
    + b"</MsgType></xml>"
)
HOSTILE = {
    "empty": b"",
    "binary": bytes(range(256)) * 4,
    "noise": JUNK,
    "letters": b"a" * (1 << 20),
    "fields": b"a=1&" * (1 << 18),
    "escapes": b"%" * (1 << 20),
    "bad utf-8": b"a=%ff%ed%a0%80&Body=\xff",
    "deep xml": b"<xml>" + b"<a>" * 10_000,
    "closed xml": b"<xml>" * 5_000 + b"</xml>" * 5_000,
    "wide xml": b"<xml>" + b"<a>1</a>" * 120_000 + b"</xml>",
    "doctype": BOMB,
    "external": b'<!DOCTYPE xml SYSTEM "file:///etc/passwd"><xml/>',
    "json": b"[" * 100_000,
    "deep json": b'{"page":"p","status":"sent","x":' + b'{"a":' * 100_000,
    "odd json": b'{"page":"\\ud800","status":NaN}',
    "wrong json": b'{"page":7,"status":[]}',
    "null": b"\x00",
}  # fmt: skip
