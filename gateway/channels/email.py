"""E-mail by SMTP.

A 250 after the final dot means that our relay has the mail, no more: bounces come back later as mails of their own
(`bounces`). SMTP can't be asked whether it took a mail, so a repeat carries the same Message-ID.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final, Self
from urllib.parse import urlsplit

import msgspec
import structlog

from gateway.channels import mime
from gateway.channels.base import (
    Absent,
    Accepted,
    Callback,
    CannotErase,
    Deps,
    Malformed,
    Outbound,
    Reading,
    Refused,
    Traits,
    Unknown,
)
from gateway.channels.smtp_dialogue import Job, Lost, ReplyRefused, Unusable
from gateway.channels.smtp_faults import explain
from gateway.channels.smtp_pool import SmtpPool
from gateway.channels.verp import PREFIX, verp_token
from gateway.message import Attempt, Fault
from gateway.settings_types import ChannelSettings, Settings, SmtpSettings

_CONCURRENCY: Final = 8
# A relay may scan a mail's content between the final dot and its answer.
_TIMEOUT: Final = 30.0

log = structlog.get_logger()


class EmailChannel:
    """Sends mails through one relay. Proves acceptance, and acknowledgement by the pages its links lead to."""

    name = "email"
    traits = Traits(proves=frozenset(("accepted", "acknowledged")), timeout=_TIMEOUT)

    def __init__(
        self,
        relay: SmtpSettings,
        *,
        secret_key: bytes,
        clock: Callable[[], int],
        hello: str = "localhost",
        concurrency: int = _CONCURRENCY,
        timeout: float = _TIMEOUT,
        senders: dict[str, str] | None = None,
    ) -> None:
        """`hello`: our name in EHLO. `concurrency`: connections at most. `timeout`: seconds. `senders`: by category."""
        self.traits = msgspec.structs.replace(self.traits, timeout=timeout)
        self._relay = relay
        self._key = secret_key
        self._clock = clock
        self._senders = senders or {}
        self._pool = SmtpPool(relay, size=concurrency, timeout=timeout, hello=hello, clock=clock)

    @classmethod
    def build(cls, settings: Settings, deps: Deps) -> Self | None:
        """The channel these settings describe; None without a mail relay."""
        if settings.smtp is None:
            return None
        own = settings.channels.get(cls.name, ChannelSettings())
        return cls(
            settings.smtp,
            secret_key=settings.secret_key,
            clock=deps.clock,
            hello=_hello(settings.public_url),
            concurrency=own.concurrency or _CONCURRENCY,
            timeout=own.timeout or _TIMEOUT,
            senders=_senders(settings.senders),
        )

    async def send(self, out: Outbound) -> Accepted | Refused | Unknown:
        """Hand one mail to the relay."""
        try:
            to = mime.ascii_address(out.to)
            mime.check_address(to)
        except ValueError:
            return Refused(fault=Fault.BAD_ADDRESS, detail="the address can't be written in a mail")
        ref = verp_token(out.message, out.attempt, self._key)
        try:
            mail = mime.build(out.words, self._envelope(out, to, ref))
        except ValueError as bad:
            return Refused(fault=Fault.CONTENT_REFUSED, detail=str(bad))
        sender = self._return_path(ref)
        utf8 = mail.eight_bit or not (sender + to).isascii()
        job = Job(sender=sender, recipient=to, data=mail.data, envelope_id=ref, utf8=utf8)
        return await self._deliver(out, job, mail.message_id)

    async def find(self, out: Outbound, attempt: Attempt) -> Accepted | Absent | Unknown:
        """SMTP has no way to ask."""
        _ = out, attempt
        return Unknown(detail="SMTP can't be asked")

    async def recall(self, attempt: Attempt) -> None:
        """A mail can't be called back."""

    async def erase(self, attempt: Attempt) -> CannotErase:  # noqa: ARG002 - no mail can be
        """A delivered mail can't be deleted."""
        return CannotErase(
            reason="An e-mail lies in the mailboxes of others: what was delivered there can't be deleted from here.",
            code="no_way",
        )

    def read(self, call: Callback) -> Reading:
        """No provider calls back about e-mail by HTTP. Raises Malformed."""
        raise Malformed(f"e-mail has no callback {call.path!r}: bounces come as mails")

    async def close(self) -> None:
        """Let mails under way end, then close the connections."""
        await self._pool.close()

    def _envelope(self, out: Outbound, to: str, ref: str) -> mime.Envelope:
        sender = self._senders.get(out.category, self._relay.email_from)
        return mime.Envelope(
            sender=sender,
            to=to,
            token=out.token,
            now=self._clock(),
            ref=ref,
            unsubscribe_url=out.unsubscribe_url,
            feedback=f"{out.category}:{out.mode}::gateway" if out.unsubscribe_url else None,
        )

    def _return_path(self, ref: str) -> str:
        domain = self._relay.bounce_domain
        return f"{PREFIX}{ref}@{domain}" if domain else mime.ascii_address(self._relay.from_address)

    async def _deliver(self, out: Outbound, job: Job, message_id: str) -> Accepted | Refused | Unknown:
        where = log.bind(channel=self.name, message=out.message, attempt=out.attempt)
        try:
            await self._pool.deliver(job)
        except ReplyRefused as refused:
            verdict = explain(refused.stage, refused.code, refused.text)
            where.info("email_refused", stage=refused.stage, code=verdict.code, fault=verdict.fault)
            return Refused(
                fault=verdict.fault, detail=verdict.meaning, code=verdict.code, retry_after=verdict.retry_after
            )
        except Lost as lost:
            where.warning("email_answer_lost", stage=lost.stage, why=lost.why)
            if lost.stage == "after_data_dot":
                return Unknown(detail=f"no answer after the final dot ({lost.why})")
            return Refused(fault=Fault.UNAVAILABLE, detail=f"the relay gave no answer: {lost.why} at {lost.stage}")
        except Unusable as unusable:
            where.error("email_relay_unusable", why=str(unusable))
            return Refused(fault=Fault.MISCONFIGURED, detail=str(unusable))
        return Accepted(provider_id=message_id, status="sent")


def _senders(senders: dict[str, dict[str, str]]) -> dict[str, str]:
    """Category -> From address, of those categories whose sender for every country (`*`) is a mail address."""
    everywhere = {category: by_country.get("*", "") for category, by_country in senders.items()}
    return {category: sender for category, sender in everywhere.items() if "@" in sender}


def _hello(public_url: str) -> str:
    """Our name for EHLO (RFC 5321 4.1.3): the public host name, or its address as a literal."""
    host = urlsplit(public_url).hostname or "localhost"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return mime.ascii_domain(host)
    return f"[{address}]" if address.version == 4 else f"[IPv6:{address}]"
