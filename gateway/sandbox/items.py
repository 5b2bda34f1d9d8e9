"""What can be seen on a person's devices."""

from __future__ import annotations

from collections import deque
from typing import Literal

from msgspec import Struct, field

Way = Literal["phone", "email", "openid"]


class Text(Struct, kw_only=True, tag="text"):
    """An SMS; ``mine`` when the person wrote it. ``at`` in milliseconds since the epoch."""

    id: str
    at: int
    mine: bool
    other: str
    body: str
    status: str = ""


class Line(Struct):
    """Something heard or done in a call: a spoken text, a key, a note about the line."""

    at: int
    kind: Literal["say", "key", "note"]
    text: str
    voice: str = ""
    language: str = ""
    seconds: float = 0.0


class Call(Struct, kw_only=True, tag="call"):
    """A telephone call; ``mine`` when the person rang up."""

    id: str
    at: int
    mine: bool
    other: str
    status: str
    answered_by: str = ""
    answered_at: int | None = None
    ended_at: int | None = None
    wants_key: bool = False
    lines: list[Line] = field(default_factory=list["Line"])

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self.ended_at is not None


class Mail(Struct, kw_only=True, tag="mail"):
    """A mail in the mailbox; headers in the order they came."""

    id: str
    at: int
    sender: str
    to: str
    subject: str
    text: str
    html: str
    headers: list[tuple[str, str]]
    links: list[str]
    unsubscribe: str = ""
    one_click: bool = False
    envelope_from: str = ""
    attachments: list[str] = field(default_factory=list[str])


class Chat(Struct, kw_only=True, tag="chat"):
    """A WeChat message, template card or event; ``mine`` when the person wrote it."""

    id: str
    at: int
    mine: bool
    kind: Literal["text", "template", "event"]
    text: str = ""
    template_id: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    url: str = ""
    status: str = ""


Item = Text | Call | Mail | Chat


class Person(Struct, kw_only=True):
    """Who owns a set of devices; an address that nobody introduced gets a person of its own."""

    id: str
    name: str
    phone: str = ""
    email: str = ""
    openid: str = ""
    locale: str = ""
    time_zone: str = ""
    note: str = ""


class Device(Struct, kw_only=True, eq=False):
    """One person's phone, mailbox and WeChat, with what arrived on them, oldest first.

    ``hands_on``: the person answers calls on the phones page; else the behaviour decides.
    """

    person: Person
    items: deque[Item]
    introduced: bool = False
    hands_on: bool = False
    following: bool = True
    unread: int = 0
    touched: int = 0
