"""The SMTP dialogue for one mail: connect, introduce it, hand over its text; each ends in a named failure or not at all."""

from __future__ import annotations

import re
import ssl
from typing import Final

import aiosmtplib
import msgspec
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from gateway.channels.smtp_faults import Stage
from gateway.settings_types import SmtpSettings

LOST: Final = (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError)
"""What the library raises when no reply came."""

_DOT: Final = re.compile(rb"^\.", re.MULTILINE)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One mail to one recipient. `data` has CRLF line ends; `envelope_id` is asked back in delivery reports (RFC 3461)."""

    sender: str
    recipient: str
    data: bytes
    envelope_id: str
    utf8: bool = False


class ReplyRefused(Exception):
    """The server answered a stage with an error; nothing was taken. `text` may hold addresses: never log it."""

    def __init__(self, stage: Stage, code: int, text: str) -> None:
        super().__init__(stage, code)
        self.stage: Stage = stage
        self.code = code
        self.text = text


class Lost(Exception):
    """No answer: refused or broken connection, or time-out. Only `after_data_dot` leaves open whether it was taken."""

    def __init__(self, stage: Stage, why: str) -> None:
        super().__init__(stage, why)
        self.stage: Stage = stage
        self.why = why


class Unusable(Exception):
    """The relay and our settings don't fit each other (certificate, STARTTLS, login, SMTPUTF8)."""


class Progress:
    """How far a mail has come."""

    def __init__(self) -> None:
        self.stage: Stage = "connect"


def _no_line(failed: BaseException) -> bool:
    return isinstance(failed, Lost) and failed.why != "timeout"


# Before MAIL nothing of a mail has been said, so a line that was refused or dropped may be opened again. Not one that
# hung, since it has used up its time, and not one that was answered: what to do then stands in the answer.
@retry(
    retry=retry_if_exception(_no_line),
    wait=wait_exponential(multiplier=0.1) + wait_random(0, 0.1),
    stop=stop_after_attempt(3),
    reraise=True,
)
async def connect(relay: SmtpSettings, tls: ssl.SSLContext | None, *, hello: str, timeout: float) -> aiosmtplib.SMTP:
    """A connection that is greeted and logged in, at the third try at the latest. `timeout`: seconds per reply.

    Raises ReplyRefused, Lost or Unusable.
    """
    smtp = aiosmtplib.SMTP(
        hostname=relay.host,
        port=relay.port,
        username=relay.user,
        password=relay.password,
        local_hostname=hello,
        timeout=timeout,
        use_tls=relay.tls,
        start_tls={"required": True, "never": False, "offered": None}[relay.starttls] if not relay.tls else False,
        tls_context=tls,
    )
    try:
        await smtp.connect()
        await _greet(smtp)
    except aiosmtplib.SMTPResponseException as refused:
        smtp.close()
        if refused.code < 0:
            raise Lost("connect", "disconnect") from None
        raise ReplyRefused(_stage_of(refused), refused.code, refused.message) from None
    except LOST as lost:
        smtp.close()
        if _is_certificate_error(lost):
            raise Unusable("the relay's certificate can't be verified") from None
        raise Lost("connect", why_lost(lost)) from None
    except aiosmtplib.SMTPException as bad:
        smtp.close()
        # The library's own sentence about STARTTLS or AUTH not being offered; no server text in it.
        raise Unusable(bad.message) from None
    except BaseException:
        smtp.close()
        raise
    return smtp


async def _greet(smtp: aiosmtplib.SMTP) -> None:
    if smtp.is_ehlo_or_helo_needed:
        try:
            await smtp.ehlo()
        except aiosmtplib.SMTPHeloError:
            if not smtp.is_connected:
                raise
            await smtp.helo()


async def introduce(smtp: aiosmtplib.SMTP, job: Job, progress: Progress) -> None:
    """MAIL, RCPT and DATA. Raises ReplyRefused, Unusable, or what LOST names."""
    encoding = "utf-8" if job.utf8 else "ascii"
    if job.utf8 and not smtp.supports_extension("smtputf8"):
        raise Unusable("the relay can't carry an address with letters outside ASCII (SMTPUTF8)")
    reports = smtp.supports_extension("dsn")
    options = ["SMTPUTF8", "BODY=8BITMIME"] if job.utf8 else []
    if smtp.supports_extension("size"):
        options.append(f"SIZE={len(job.data)}")
    if reports:
        options += ["RET=HDRS", f"ENVID={job.envelope_id}"]
    try:
        progress.stage = "mail"
        await smtp.mail(job.sender, options=options, encoding=encoding)
        progress.stage = "rcpt"
        # Success isn't asked for: one report per mail would double the traffic and some receivers frown on it.
        notify = ["NOTIFY=FAILURE,DELAY"] if reports else []
        await smtp.rcpt(job.recipient, options=notify, encoding=encoding)
        progress.stage = "data"
        code, text = await smtp.execute_command(b"DATA")
    except aiosmtplib.SMTPResponseException as refused:
        if refused.code < 0:  # the library's mark for a line that is no SMTP reply: out of step from here on
            raise aiosmtplib.SMTPServerDisconnected("unreadable reply") from None
        raise ReplyRefused(progress.stage, refused.code, refused.message) from None
    if code != 354:
        raise ReplyRefused("data", code, text)


async def transmit(smtp: aiosmtplib.SMTP, data: bytes, timeout: float) -> tuple[int, str]:
    """Text and final dot, then the reply. Done here because the library's own DATA hides on which side of the dot it broke."""
    protocol = smtp.protocol
    if protocol is None:
        raise aiosmtplib.SMTPServerDisconnected("Connection lost")
    stuffed = _DOT.sub(b"..", data)
    protocol.write(stuffed + (b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"))
    code, text = await protocol.read_response(timeout=timeout)
    return code, text


def _stage_of(refused: aiosmtplib.SMTPResponseException) -> Stage:
    if isinstance(refused, aiosmtplib.SMTPAuthenticationError):
        return "auth"
    return "connect" if isinstance(refused, aiosmtplib.SMTPConnectResponseError) else "ehlo"


def why_lost(lost: BaseException) -> str:
    """The word that stands for a missing reply in the table of replies."""
    return "timeout" if isinstance(lost, TimeoutError) else "disconnect"


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def tls_context(relay: SmtpSettings) -> ssl.SSLContext | None:
    """Made once: the library would load the certificate store anew for every connection.

    Without a login and with STARTTLS merely taken when offered, an unproven certificate is still better than none
    (opportunistic security, RFC 7435); everywhere else the certificate is checked.
    """
    if relay.starttls == "never" and not relay.tls:
        return None
    context = ssl.create_default_context()
    if relay.starttls == "offered" and not relay.tls and relay.user is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
