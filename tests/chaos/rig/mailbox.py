"""A counting mail relay: every mail it took, by Message-ID and by the text's own reference."""

from __future__ import annotations

import asyncio
import contextlib
import email
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable
from email.message import Message as Mail
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.chaos.rig.carrier import REFERENCE
from tests.support.running import HOST


class _Dialogue(SMTP):
    mailbox: Mailbox

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.mailbox.dialogues.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.mailbox.dialogues.discard(self)
        super().connection_lost(error)

    def abort(self) -> None:
        """End the connection without a farewell."""
        cast("asyncio.Transport", self.transport).abort()


class Mailbox:
    """The relay. `answer` gives the reply to the final dot; "drop" ends the connection after counting instead."""

    def __init__(self) -> None:
        self.by_id: dict[str, Counter[str]] = defaultdict(Counter)
        self.answer: Callable[[str], str] = lambda _reference: "250 OK"
        self.last_at = 0.0
        self.taken = 0
        self.port = 0
        self.dialogues: set[_Dialogue] = set()

    def copies(self, reference: str) -> Counter[str]:
        """How often each Message-ID of a reference was taken."""
        return self.by_id[reference] if reference in self.by_id else Counter()

    async def handle_DATA(self, server: _Dialogue, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Count a mail and answer."""
        assert isinstance(envelope.content, bytes)
        found = email.message_from_bytes(envelope.content)
        named = REFERENCE.search(_subject_and_text(found))
        reference = named[1] if named else ""
        answer = self.answer(reference)
        if not answer.startswith("4"):
            self.by_id[reference][str(found["Message-ID"])] += 1
            self.taken += 1
            self.last_at = time.monotonic()
        if answer == "drop":
            server.abort()
        return answer

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[Mailbox]:
        """The relay, listening."""

        def dialogue() -> SMTP:
            made = _Dialogue(self, hostname="relay.example", enable_SMTPUTF8=True)
            made.mailbox = self
            return made

        server = await asyncio.get_running_loop().create_server(dialogue, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for one in tuple(self.dialogues):
                one.abort()
            await server.wait_closed()


def _subject_and_text(mail: Mail) -> str:
    texts = [str(mail["Subject"] or "")]
    for part in mail.walk():
        if part.get_content_type() == "text/plain":
            raw = part.get_payload(decode=True)
            texts.append(raw.decode(errors="replace") if isinstance(raw, bytes) else "")
    return "\n".join(texts)
