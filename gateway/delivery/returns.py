"""Mail that comes back: bounces and complaints, by SMTP or LMTP on BOUNCE_PORT or from `gateway bounce`."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from gateway.channels.bounces import parse
from gateway.channels.verp import verp_reader
from gateway.customer import ConsentEntry, Customer
from gateway.delivery.receipts import Receipts
from gateway.settings_types import Settings
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.messages import Messages
from gateway.store.pipe import StoreUnavailable

MAIL_MOST: Final = 1_000_000
COMPLAINT_CATEGORIES: Final = ("survey", "marketing")

log = structlog.get_logger()


class Returns:
    """Takes in returned mails."""

    def __init__(
        self, settings: Settings, receipts: Receipts, messages: Messages, customers: Customers, clock: Clock
    ) -> None:
        self._read = verp_reader(settings.secret_key, settings.secret_key_old)
        self._receipts = receipts
        self._messages = messages
        self._customers = customers
        self._clock = clock

    async def take(self, raw: bytes, envelope_to: list[str]) -> str:
        """Take in one mail; what it was, in a word. Raises StoreUnavailable."""
        # In a thread: a mail made to be slow takes a third of a second.
        news = await asyncio.to_thread(parse, raw, self._read, self._clock.now(), envelope_to)
        for message_id, receipt in news.receipts:
            await self._receipts.absorb(message_id, [receipt])
        if news.complaint and news.about is not None:
            await self._complained(news.about[0])
        said = "complaint" if news.complaint else "receipt" if news.receipts else news.reason or "ignored"
        log.info("returned_mail", outcome=said, message=news.about[0] if news.about else None)
        return said

    async def _complained(self, message_id: str) -> None:
        """Somebody reported us as unwanted: no more surveys and marketing by e-mail."""
        loaded = await self._messages.load(message_id)
        if loaded is None or loaded.message.mode != "live":
            return
        entries = [
            ConsentEntry(
                channel="email",
                category=category,
                state="withdrawn",
                way="complaint",
                wording="The person's mail provider reported a complaint.",
                at=self._clock.now(),
            )
            for category in COMPLAINT_CATEGORIES
        ]

        def withdrawn(known: Customer) -> tuple[Customer, list[ConsentEntry]]:
            return msgspec.structs.replace(known, consents=(*known.consents, *entries)), entries

        try:
            await self._customers.change(loaded.message.customer, withdrawn)
        except KeyError:
            log.info("complaint_customer_gone", message=message_id)


class BounceServer:
    """Listens for returned mails; speaks SMTP, and LMTP to a client that greets with LHLO."""

    def __init__(self, returns: Returns) -> None:
        self._returns = returns
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int, *, share: bool = False) -> None:
        """Open the port; 0 lets the system pick, `share`: with other processes of ours. Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, host, port, reuse_port=share or None)
        self.port = self._server.sockets[0].getsockname()[1]

    def _protocol(self) -> asyncio.BaseProtocol:
        return _Both(self, data_size_limit=MAIL_MOST, ident="omnichannel-gateway", timeout=60)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd looks for this name
        """One mail has come in."""
        content: Any = envelope.original_content or envelope.content or b""
        try:
            await self._returns.take(bytes(content), [str(to) for to in envelope.rcpt_tos])
        except StoreUnavailable:
            return "451 4.3.0 Try again later"
        return "250 2.0.0 Noted"

    async def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


class _Both(LMTP):
    """LMTP that also answers the greetings of SMTP."""

    smtp_HELO = SMTP.smtp_HELO  # noqa: N815 - aiosmtpd looks for these names
    smtp_EHLO = SMTP.smtp_EHLO  # noqa: N815 - as above
