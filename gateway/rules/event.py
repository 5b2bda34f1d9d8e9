"""An event: something that happened in the business, told once."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.message import Mode


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it was told. `at` in ms, None: now. `digest`: of everything told, to know a repeat by."""

    type: str
    customer: str
    id: str
    at: int | None
    data: dict[str, Any]
    digest: bytes


class Begun(msgspec.Struct, frozen=True):
    """A run that an event began; due in ms."""

    rule: str
    run: str
    due_at: int


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event as it is kept. Times in ms. `handled`: everything has followed from it, and its data is no longer held."""

    type: str
    id: str
    mode: Mode
    customer: str
    at: int
    received_at: int
    digest: bytes
    data: dict[str, Any] = {}
    handled: bool = False
    runs: tuple[Begun, ...] = ()


class Another(Exception):
    """The type and id were told before, with other contents."""
