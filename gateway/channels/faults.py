"""Vendor error tables become our faults here, and only here.

A row of a table in `tables/` says how its vendor's code behaves: `class`, `retry`, `fallback`, `suppress`. `fault_of`
reduces those four words to one named `Fault`; what a fault then asks for is `routing.retry.REMEDIES`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec

from gateway.message import Fault


class Row(msgspec.Struct, frozen=True):
    """How one vendor code behaves."""

    cls: str
    retry: str
    fallback: str
    suppress: str
    meaning: str


def load_table(name: str) -> list[dict[str, Any]]:
    """The rows of `tables/<name>.json`, as they stand there."""
    text = (files("gateway.channels") / "tables" / f"{name}.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Any])["rows"]


def row_of(raw: dict[str, Any]) -> Row:
    """The words of a raw row that decide its fault."""
    return Row(raw["class"], raw["retry"], raw["fallback"], raw["suppress"], raw["meaning"])


def ambiguous(row: Row) -> bool:
    """True when the code leaves open whether the request was carried out."""
    return row.retry == "ambiguous"


def fault_of(row: Row) -> Fault:
    """The fault a row stands for."""
    retried_here = row.fallback == "after_retry"
    match row.cls:
        case "throttled":
            return Fault.THROTTLED if retried_here else Fault.QUOTA
        case "transient":
            return Fault.UNAVAILABLE if retried_here else Fault.UNREACHABLE
        case "permanent_recipient":
            return _recipient_fault(row.suppress)
        case "opted_out":
            return Fault.DECLINED if row.suppress == "template" else Fault.OPTED_OUT
        case "carrier_filtered":
            return Fault.BLOCKED if row.suppress == "pair" else Fault.FILTERED
        case "permanent_content":
            return Fault.CONTENT_REFUSED
        case "auth_config":
            return Fault.ACCOUNT_SHUT if row.retry == "stop_sender" else Fault.MISCONFIGURED
        case _:
            return Fault.UNEXPLAINED


def _recipient_fault(suppress: str) -> Fault:
    if suppress == "address_after_2":
        return Fault.DOUBTFUL_ADDRESS
    return Fault.UNREACHABLE if suppress == "none" else Fault.BAD_ADDRESS
