"""What the e-mail tests share: channels to relays of the test's own, and a message to send."""

from __future__ import annotations

import email
import email.policy
from contextlib import AsyncExitStack
from email.message import EmailMessage
from typing import Any

import msgspec

from gateway.channels.base import Outbound, Rendered
from gateway.channels.email import EmailChannel
from gateway.settings_types import SmtpSettings
from tests.support.smtp_relay import Relay, serving

NOW = 1_795_327_932_000
KEY = b"k" * 32
WORDS = Rendered(language="el", subject="Διακοπή ρεύματος", text="Καλημέρα\n.\nτέλος", html="<p>Καλημέρα</p>")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class Bench:
    """One relay and the channels that use it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.clock = Clock()
        self._stack = stack

    async def relay(self, **how: Any) -> Relay:
        return await self._stack.enter_async_context(serving(Relay(**how)))

    def channel(self, port: int, *, timeout: float = 5.0, concurrency: int = 8, **smtp: Any) -> EmailChannel:
        given: dict[str, Any] = {
            "starttls": "never",
            "email_from": "Acme <no-reply@acme.example>",
            "bounce_domain": "b.acme.example",
        }
        relay = SmtpSettings(host="127.0.0.1", port=port, from_address="no-reply@acme.example", **(given | smtp))
        made = EmailChannel(relay, secret_key=KEY, clock=self.clock, timeout=timeout, concurrency=concurrency)
        self._stack.push_async_callback(made.close)
        return made


def outbound(**changes: Any) -> Outbound:
    made = Outbound(
        message="00m-1",
        attempt="a1",
        mode="live",
        round=1,
        token="tok-00m-1-email-1",
        to="maria@example.org",
        category="service",
        words=WORDS,
        valid_for=3600,
        callback_base="https://gw.example",
    )
    return msgspec.structs.replace(made, **changes)


def parsed(data: bytes) -> EmailMessage:
    return email.message_from_bytes(data, policy=email.policy.default)
