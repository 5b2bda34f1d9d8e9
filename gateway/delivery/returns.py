"""Mail that comes back: bounces and complaints, by SMTP or LMTP on BOUNCE_PORT or from `gateway bounce`."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import Any, Final, cast

import msgspec
import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from gateway.channels.bounces import BounceNews, parse
from gateway.channels.mime import ascii_address
from gateway.channels.verp import PREFIX, verp_reader
from gateway.customer import ConsentEntry, Customer
from gateway.delivery.metrics import Metrics
from gateway.delivery.receipts import Receipts
from gateway.preferences.consent import dated
from gateway.settings_types import Settings
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.messages import Messages
from gateway.store.pipe import StoreUnavailable

MAIL_MOST: Final = 1_000_000
RECIPIENTS_MOST: Final = 100
"""What RFC 5321, 4.5.3.1.8, asks for at least; a returned mail has one."""
NAME: Final = "omnichannel-gateway"
SILENCE_S: Final = 60.0
"""Between two commands, and for a whole mail."""
COMPLAINT_CATEGORIES: Final = ("survey", "marketing")
FOR_A_PERSON: Final = frozenset(("unmatched", "unmatched_complaint", "no_action", "no_bounce", "unreadable"))
"""Outcomes of mails that somebody should look at: what they say is known to nobody else."""
_OUTCOMES: Final = {"failed": "bounced", "delivered": "delivered", "sent": "in_transit"}

log = structlog.get_logger()
# aiosmtpd's log repeats whatever strangers send, addresses and all.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)


class Returns:
    """Takes in returned mails. What nobody can make sense of is counted, and logged by its id for a person to look at."""

    def __init__(
        self, settings: Settings, receipts: Receipts, messages: Messages, customers: Customers, metrics: Metrics
    ) -> None:
        self._read = verp_reader(settings.secret_key, settings.secret_key_old)
        self._relay = settings.smtp
        self._receipts = receipts
        self._messages = messages
        self._customers = customers
        self._metrics = metrics

    def ours(self, address: str) -> bool:
        """Whether mail to this address can be for us: it is a return path that we have signed, or leads, without any
        signature, to where our mail is returned to; a bare "postmaster" is everybody's (RFC 5321, 4.5.1).
        """
        if self._read(address) is not None:
            return True
        local, _, domain = (plain := address.lower()).rpartition("@")
        if self._relay is None or local.startswith(PREFIX):
            return False
        if self._relay.bounce_domain is None:
            return plain in (ascii_address(self._relay.from_address).lower(), "postmaster")
        return domain == self._relay.bounce_domain.lower() or plain == "postmaster"

    async def take(self, raw: bytes, envelope_to: list[str], now: int) -> str:
        """Take in one mail at `now` (ms), as often as it comes; what it was, in a word or two. Raises StoreUnavailable."""
        # In a thread: a mail made to be slow takes a third of a second.
        news = await asyncio.to_thread(parse, raw, self._read, now, envelope_to)
        number = bounce_id(raw)
        known = [
            await self._receipts.absorb(message_id, [msgspec.structs.replace(receipt, bounce=number)])
            for message_id, receipt in news.receipts
        ]
        if news.complaint and news.about is not None:
            await self._complained(*news.about, number, now)
        said = outcome_of(news) if not known or any(known) else "outlived"
        self._metrics.returned(said)
        tell = log.warning if said in FOR_A_PERSON else log.info
        tell("returned_mail", bounce=number, outcome=said, message=news.about[0] if news.about else None)
        return said

    async def _complained(self, message_id: str, attempt_id: str, bounce: str, now: int) -> None:
        """Somebody reported us as unwanted: no more surveys and marketing by e-mail, for them and at that address."""
        loaded = await self._messages.load(message_id)
        attempt = None if loaded is None else loaded.message.attempt(attempt_id)
        if loaded is None or attempt is None or loaded.message.mode != "live" or loaded.message.erased:
            return
        address = attempt.address
        key = self._customers.address_key(address)
        entries = [
            ConsentEntry(
                channel="email",
                category=category,
                state="withdrawn",
                way="complaint",
                wording="The person's mail provider reported a complaint.",
                at=now,
                proof=bounce,
                source=key,
            )
            for category in COMPLAINT_CATEGORIES
        ]

        def withdrawn(known: Customer) -> tuple[Customer, list[ConsentEntry]] | None:
            # The same report comes again when its answer was lost.
            noted = any(entry.proof == bounce and entry.source == key for entry in known.consents)
            return None if noted else (known, [dated(known.consents, entry) for entry in entries])

        try:
            before = await self._customers.load(loaded.message.customer)
            await self._customers.change(loaded.message.customer, withdrawn)
        except KeyError:
            log.info("complaint_customer_gone", message=message_id)
            before = None
        known = () if before is None else before[0].consents
        if not any(entry.proof == bounce and entry.address == key for entry in known):
            held = await self._customers.bound([address])
            bound = [dated(held, msgspec.structs.replace(entry, address=key, source=None)) for entry in entries]
            await self._customers.withdraw("email", address, bound)


def bounce_id(raw: bytes) -> str:
    """What a returned mail is called in the log and in an address's health: the same whenever it comes."""
    return "b-" + hashlib.blake2b(raw, digest_size=8).hexdigest()


def outcome_of(news: BounceNews) -> str:
    """What a returned mail was, in a word or two."""
    if news.complaint:
        return "complaint" if news.about is not None else "unmatched_complaint"
    if news.receipts:
        # Of several recipients the gravest: a copy that failed matters more than one that came through.
        found = {receipt.status for _, receipt in news.receipts}
        return next((told for status, told in _OUTCOMES.items() if status in found), "in_transit")
    return news.reason or "ignored"


class BounceServer:
    """Listens for returned mails; speaks SMTP, and LMTP to a client that greets with LHLO.

    Whoever connects is a stranger: at most `sessions` at once, each for `seconds` at most.
    """

    def __init__(self, returns: Returns, clock: Clock, *, sessions: int = 200, seconds: float = 600.0) -> None:
        self._returns = returns
        self._clock = clock
        self._most = sessions
        self._seconds = seconds
        self._open: set[_Both] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int, *, share: bool = False) -> None:
        """Open the port; 0 lets the system pick, `share`: with other processes of ours. Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, host, port, reuse_port=share or None)
        self.port = self._server.sockets[0].getsockname()[1]

    def _protocol(self) -> asyncio.BaseProtocol:
        return _Both(self, data_size_limit=MAIL_MOST, ident=NAME, hostname=NAME, timeout=SILENCE_S)

    def enter(self, session: _Both) -> float | None:
        """Let a connection in, for so many seconds; None: there are too many."""
        if len(self._open) >= self._most:
            return None
        self._open.add(session)
        return self._seconds

    def leave(self, session: _Both) -> None:
        """A connection has ended."""
        self._open.discard(session)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd looks for this name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """One recipient, of whom there are few; anybody else's mail isn't swallowed, its sender is told."""
        if len(envelope.rcpt_tos) >= RECIPIENTS_MOST:
            return "452 4.5.3 Too many recipients"
        if not self._returns.ours(address):
            return "550 5.1.1 No such recipient here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        """One mail has come in."""
        content: Any = envelope.original_content or envelope.content or b""
        try:
            await self._returns.take(bytes(content), [str(to) for to in envelope.rcpt_tos], self._clock.now())
        except StoreUnavailable:
            return "451 4.3.0 Try again later"
        return "250 2.0.0 Noted"

    async def handle_exception(self, error: Exception) -> str:
        """What aiosmtpd stumbled over is ours to know, not the stranger's."""
        log.error("bounce_server_bug", exc_info=error)
        return "451 4.3.0 Try again later"

    async def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


class _Both(LMTP):
    """LMTP that also answers the greetings of SMTP, within limits of time and size."""

    smtp_HELO = SMTP.smtp_HELO  # noqa: N815 - aiosmtpd looks for these names
    smtp_EHLO = SMTP.smtp_EHLO  # noqa: N815 - as above
    event_handler: BounceServer
    _end: asyncio.TimerHandle | None = None
    _left: int

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless too many are under way."""
        self._left = 2 * MAIL_MOST
        seconds = self.event_handler.enter(self)
        if seconds is None:
            full = cast("asyncio.Transport", transport)
            full.write(b"421 4.3.2 Too many connections\r\n")
            full.close()
            return
        self._end = asyncio.get_running_loop().call_later(seconds, transport.close)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Count what comes: the server would keep the pieces of a line without an end for as long as they come."""
        self._left -= len(data)
        if self._left >= 0:
            super().data_received(data)
        elif self.transport is not None:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        if self._end is None:
            return
        self._end.cancel()
        self.event_handler.leave(self)
        super().connection_lost(error)

    def _set_post_data_state(self) -> None:
        """After each mail the count begins anew."""
        self._left = 2 * MAIL_MOST
        super()._set_post_data_state()
