"""A real SMTP server (aiosmtpd) that answers as told and keeps what it took: the other side of the wire."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HANG = "hang"
DROP = "drop"


class Taken(msgspec.Struct, frozen=True):
    """A mail that the server took."""

    sender: str
    recipient: str
    data: bytes
    options: tuple[str, ...]


class _Dialogue(SMTP):
    relay: Relay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.relay.dialogues.add(self)
        self.relay.connections += 1
        super().connection_made(transport)
        if self.relay.script["connect"] and self.relay.script["connect"].popleft() == DROP:
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.relay.dialogues.discard(self)
        super().connection_lost(error)

    async def smtp_NOOP(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd looks for this name
        self.relay.probes += 1
        await super().smtp_NOOP(arg)

    async def smtp_RSET(self, arg: str | None) -> None:  # noqa: N802 - the same
        self.relay.resets += 1
        await super().smtp_RSET(arg)

    def abort(self) -> None:
        cast("asyncio.Transport", self.transport).abort()


class Relay:
    """`script[stage]` holds the answers for mail, rcpt and data in turn: a reply, HANG or DROP; empty: 250.

    For connect there is DROP alone.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None) -> None:
        self.script: dict[str, deque[str]] = defaultdict(deque)
        self.mails: list[Taken] = []
        self.dialogues: set[_Dialogue] = set()
        self.connections = 0
        self.probes = 0
        self.resets = 0
        self.busy = 0
        self.busiest = 0
        self.arrived = asyncio.Condition()
        self.hanging = asyncio.Event()
        self.release = asyncio.Event()
        self.port = 0
        self._tls = tls
        self._login = login

    def dialogue(self) -> _Dialogue:
        more: dict[str, Any] = {}
        if self._login:
            more = {"authenticator": self._authenticate, "auth_require_tls": False}
        made = _Dialogue(self, hostname="relay.example", enable_SMTPUTF8=True, tls_context=self._tls, **more)
        made.relay = self
        return made

    def _authenticate(self, *given: Any) -> AuthResult:
        data: LoginPassword = given[-1]
        right = (data.login.decode(), data.password.decode()) == self._login
        return AuthResult(success=right, handled=right)

    async def _answer(self, stage: str, server: _Dialogue) -> str | None:
        told = self.script[stage].popleft() if self.script[stage] else None
        if told == HANG:
            self.hanging.set()
            await self.release.wait()
            told = DROP
        if told == DROP:
            server.abort()
            return "421 gone"
        return told

    async def handle_MAIL(  # noqa: N802 - aiosmtpd looks for this name
        self, server: _Dialogue, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._login and not session.authenticated:
            return "530 5.7.0 Log in first"
        if told := await self._answer("mail", server):
            return told
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802 - the same
        self, server: _Dialogue, _s: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if told := await self._answer("rcpt", server):
            return told
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: _Dialogue, _s: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            # Another turn of the loop, so that mails sent at once overlap here.
            await asyncio.sleep(0)
            taken = Taken(
                str(envelope.mail_from),
                envelope.rcpt_tos[0],
                cast("bytes", envelope.content),
                tuple(envelope.mail_options),
            )
            if not (self.script["data"] and self.script["data"][0][0] in "45"):
                self.mails.append(taken)
            async with self.arrived:
                self.arrived.notify_all()
            return await self._answer("data", server) or "250 2.0.0 taken"
        finally:
            self.busy -= 1

    async def until_taken(self, count: int) -> None:
        """Wait for that many mails."""
        async with asyncio.timeout(20), self.arrived:
            await self.arrived.wait_for(lambda: len(self.mails) >= count)

    def hang_up(self) -> None:
        """Close every connection, as a relay does with idle ones."""
        for dialogue in tuple(self.dialogues):
            dialogue.abort()


@asynccontextmanager
async def serving(relay: Relay, host: str = "127.0.0.1") -> AsyncGenerator[Relay]:
    """The relay on a free port, until the block ends."""
    server = await asyncio.get_running_loop().create_server(relay.dialogue, host, 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        relay.release.set()
        server.close()
        relay.hang_up()
        async with asyncio.timeout(5):
            await server.wait_closed()
