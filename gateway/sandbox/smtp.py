"""A mail host that takes everything and shows it in the mailboxes.

ESMTP with 8BITMIME, SMTPUTF8 and DSN (RFC 3461); refusals, delays, lost answers and reports follow the behaviour.
"""

from __future__ import annotations

import asyncio
import re
from hashlib import sha256
from typing import Any, cast

import aiohttp
import aiosmtplib
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from aiosmtpd.smtp import Envelope as Dialogue

from .behaviour import Behaviour, Carrier, Fate, State
from .clock import Clock, Tasks
from .items import Mail
from .mail import Envelope, read_mail, report
from .world import World

HOST = "mail.sandbox.example"
RCPT_ANSWERS = {
    Fate.REFUSED: "550 5.1.1 Recipient address rejected: user unknown",
    Fate.THROTTLED: "451 4.7.1 Greylisted, please try again later",
    Fate.OPTED_OUT: "550 5.7.1 The recipient does not accept your mail",
}
PARAMETER = re.compile(r"\s+(RET|ENVID|NOTIFY|ORCPT)=(\S*)", re.IGNORECASE)
XTEXT = re.compile(r"\+([0-9A-F]{2})")


def unxtext(value: str) -> str:
    """Decodes the xtext of RFC 3461, section 4."""
    return XTEXT.sub(lambda match: chr(int(match.group(1), 16)), value)


class _Protocol(SMTP):
    """aiosmtpd's dialogue, which knows no DSN parameters: they are taken off before it looks."""

    sink: Mailboxes
    wishes: dict[str, str]
    rcpt_wishes: list[dict[str, str]]

    def _take(self, arg: str | None) -> tuple[str | None, dict[str, str]]:
        if not arg:
            return arg, {}
        found = {name.upper(): value for name, value in PARAMETER.findall(arg)}
        return PARAMETER.sub("", arg), found

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd looks for this name
        """MAIL FROM with RET and ENVID; a carrier that refuses or throttles says so here."""
        match self.sink.behaviour.state(Carrier.EMAIL):
            case State.REFUSES:
                await self.push("421 4.3.2 Service not available, closing connection")
                self._close()
                return
            case State.THROTTLES:
                await self.push("451 4.7.0 Too many messages, slow down")
                return
            case State.HANGS:
                await self.sink.behaviour.while_hanging(Carrier.EMAIL)
                self._close()
                return
            case _:
                arg, self.wishes = self._take(arg)
                self.rcpt_wishes = []
                await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd looks for this name
        """RCPT TO with NOTIFY and ORCPT."""
        arg, wishes = self._take(arg)
        before = self._recipients()
        await super().smtp_RCPT(arg)
        if self._recipients() > before:
            self.rcpt_wishes.append(wishes)

    def _recipients(self) -> int:
        return len(self.envelope.rcpt_tos) if self.envelope is not None else 0

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Ends the connection at once."""
        cast("asyncio.Transport", self.transport).abort()


class Mailboxes:
    """The mail host; ``start`` opens its port in the running loop."""

    def __init__(
        self,
        world: World,
        behaviour: Behaviour,
        clock: Clock,
        tasks: Tasks,
        *,
        http: aiohttp.ClientSession | None = None,
        login: tuple[str, str] | None = None,
        bounce: tuple[str, int] | None = None,
    ) -> None:
        self.behaviour = behaviour
        self.bounce = bounce
        self.host = ""
        self.port = 0
        self._world = world
        self._clock = clock
        self._tasks = tasks
        self._http = http
        self._login = login
        self._server: asyncio.Server | None = None
        self._connections: set[_Protocol] = set()
        self._number = 0

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listens; port 0 picks a free one."""
        self._server = await asyncio.get_running_loop().create_server(self._connection, host, port)
        self.host, self.port = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Closes the port and every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            if connection.transport is not None:
                connection.abort()
        self._connections.clear()

    @property
    def url(self) -> str:
        """The address for an SMTP client, with the login if one is asked."""
        login = f"{self._login[0]}:{self._login[1]}@" if self._login else ""
        return f"smtp://{login}{self.host}:{self.port}?starttls=never"

    def _connection(self) -> asyncio.BaseProtocol:
        if self.behaviour.state(Carrier.EMAIL) is State.REFUSES:
            return _Refuser()
        protocol = _Protocol(
            self,
            hostname=HOST,
            ident="ESMTP sandbox",
            enable_SMTPUTF8=True,
            auth_require_tls=False,
            authenticator=self._authenticate,
            loop=asyncio.get_running_loop(),
        )
        protocol.sink, protocol.wishes, protocol.rcpt_wishes = self, {}, []
        protocol.command_size_limits.update({"MAIL": 1024, "RCPT": 1024})
        self._connections = {known for known in self._connections if known.transport is not None} | {protocol}
        return protocol

    def _authenticate(self, _server: SMTP, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        return AuthResult(success=self._login is None or given == self._login, handled=False)

    # aiosmtpd's hooks.

    async def handle_EHLO(  # noqa: N802 - aiosmtpd looks for this name
        self, _server: SMTP, session: Any, _envelope: Dialogue, hostname: str, responses: list[str]
    ) -> list[str]:
        """Adds DSN to what is offered."""
        session.host_name = hostname
        return [*responses[:-1], "250-DSN", "250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_MAIL(  # noqa: N802 - aiosmtpd looks for this name
        self, _server: SMTP, session: Any, envelope: Dialogue, address: str, options: list[str]
    ) -> str:
        """Asks for the login when one is configured."""
        if self._login is not None and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd looks for this name
        self, _server: SMTP, _session: Any, envelope: Dialogue, address: str, options: list[str]
    ) -> str:
        """Accepts or refuses one recipient by its fate."""
        fate = self.behaviour.fate(Carrier.EMAIL, address.lower())
        if fate in RCPT_ANSWERS:
            return RCPT_ANSWERS[fate]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: _Protocol, _session: Any, envelope: Dialogue) -> str:  # noqa: N802 - as above
        """Takes the message, for each recipient by its fate."""
        await self._clock.sleep(self.behaviour.draw(self.behaviour.delays.answer))
        content = cast("bytes", envelope.content or b"")
        fates = {address: self.behaviour.fate(Carrier.EMAIL, address.lower()) for address in envelope.rcpt_tos}
        if Fate.LOST in fates.values():
            server.abort()
            return "421 4.4.2 lost"
        for address, wishes in zip(envelope.rcpt_tos, server.rcpt_wishes, strict=True):
            sealed = Envelope(
                # aiosmtpd keeps the null sender of a report as "<>".
                sender=(envelope.mail_from or "").removeprefix("<>"),
                recipient=address,
                envid=unxtext(server.wishes.get("ENVID", "")),
                ret=server.wishes.get("RET", "").upper(),
                notify=frozenset(wishes.get("NOTIFY", "").upper().split(",")) - {""},
                orcpt=unxtext(wishes.get("ORCPT", "")),
            )
            self._take(content, sealed, fates[address])
        if Fate.UNKNOWN in fates.values():
            server.abort()
        return f"250 2.0.0 Ok: queued as {self._number:08X}"

    def _take(self, content: bytes, envelope: Envelope, fate: Fate) -> None:
        self._number += 1
        mail = read_mail(content, envelope, mail_id=f"mail-{self._number}", at=self._clock.now())
        message_id = next((value for name, value in mail.headers if name.lower() == "message-id"), "")
        self._world.took(Carrier.EMAIL, message_id or f"{envelope.recipient} {sha256(content).hexdigest()[:16]}")
        if fate is not Fate.UNDELIVERED:
            self._world.add(self._world.device("email", envelope.recipient), mail)
        self._tasks.start(self._report(content, envelope, fate))

    async def _report(self, content: bytes, envelope: Envelope, fate: Fate) -> None:
        """Sends a report where one is due: failures unless NOTIFY forbids them, successes if it asks for them."""
        failed = fate is Fate.UNDELIVERED
        wanted = not envelope.notify or "FAILURE" in envelope.notify if failed else "SUCCESS" in envelope.notify
        if not wanted or not self.behaviour.receipts(Carrier.EMAIL, fate) or self.bounce is None or not envelope.sender:
            return
        await self._clock.sleep(self.behaviour.draw(self.behaviour.delays.receipt))
        self._number += 1
        number, now = f"dsn-{self._number}", self._clock.now()
        action = "failed" if failed else "delivered"
        mail = report(content, envelope, action=action, host=HOST, at=now, number=number)
        host, port = self.bounce
        client = aiosmtplib.SMTP(
            hostname=host, port=port, start_tls=False, use_tls=False, local_hostname=HOST, timeout=10
        )
        try:
            async with client:
                # The null sender keeps reports from answering each other (RFC 3464, section 2).
                await client.sendmail("", [envelope.sender], mail)
        except (aiosmtplib.SMTPException, OSError) as problem:
            self._world.problem(Carrier.EMAIL, f"The report could not be delivered: {type(problem).__name__}")

    async def unsubscribe(self, mail: Mail) -> None:
        """The mailbox's own unsubscribe button: one POST without cookies (RFC 8058)."""
        if self._http is None:
            return
        form, timeout = {"List-Unsubscribe": "One-Click"}, aiohttp.ClientTimeout(total=10)
        try:
            async with self._http.post(mail.unsubscribe, data=form, allow_redirects=False, timeout=timeout) as answer:
                failure = f"answered {answer.status}" if answer.status >= 300 else ""
        except (TimeoutError, aiohttp.ClientError, ValueError) as problem:
            failure = type(problem).__name__
        if failure:
            self._world.problem(Carrier.EMAIL, f"The one-click unsubscribe failed: {failure}")


class _Refuser(asyncio.Protocol):
    """A port that says 421 and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        stream.write(b"421 4.3.2 Service not available\r\n")
        stream.close()
