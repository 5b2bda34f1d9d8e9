"""Reading a mail the way a mailbox shows it, and writing the reports a mail host sends back (RFC 3464)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import format_datetime
from typing import Literal

from msgspec import Struct, field

from .items import Mail

LINK = re.compile(r"https?://[^\s<>\"')\]]+")
HREF = re.compile(r"href\s*=\s*[\"'](https?://[^\"']+)[\"']", re.IGNORECASE)
SHOWN = 200_000


class Envelope(Struct, kw_only=True):
    """What the SMTP dialogue said about a mail, with the wishes for reports (RFC 3461)."""

    sender: str
    recipient: str
    envid: str = ""
    ret: str = ""
    notify: frozenset[str] = field(default_factory=frozenset[str])
    orcpt: str = ""


def read_mail(content: bytes, envelope: Envelope, *, mail_id: str, at: int) -> Mail:
    """The mail as shown; texts are cut at 200,000 characters, unreadable parts are left out."""
    message = message_from_bytes(content, policy=default)
    text, html = _part(message, "plain"), _part(message, "html")
    unsubscribe = str(message.get("List-Unsubscribe", ""))
    web = re.search(r"<(https?://[^>]+)>", unsubscribe)
    links = [*HREF.findall(html), *LINK.findall(text)]
    return Mail(
        id=mail_id,
        at=at,
        sender=str(message.get("From", "")),
        to=str(message.get("To", envelope.recipient)),
        subject=str(message.get("Subject", "")),
        text=text,
        html=html,
        headers=[(name, str(value)) for name, value in message.items()],
        links=list(dict.fromkeys(link.replace("&amp;", "&") for link in links)),
        unsubscribe=web.group(1) if web else "",
        one_click="one-click" in str(message.get("List-Unsubscribe-Post", "")).lower(),
        envelope_from=envelope.sender,
        attachments=[part.get_filename() or "unnamed" for part in message.iter_attachments()],
    )


def _part(message: EmailMessage, kind: Literal["plain", "html"]) -> str:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content())[:SHOWN]
    except (LookupError, ValueError):
        return ""


def report(
    content: bytes, envelope: Envelope, *, action: Literal["failed", "delivered"], host: str, at: int, number: str
) -> bytes:
    """A delivery status notification about one recipient, as bytes with CRLF."""
    moment = format_datetime(datetime.fromtimestamp(at // 1000, UTC))
    failed = action == "failed"
    status, diagnostic = ("5.1.1", "550 5.1.1 Recipient unknown") if failed else ("2.0.0", "250 2.0.0 Ok")
    words = "could not be delivered to" if failed else "was delivered to"
    per_message = [f"Reporting-MTA: dns; {host}", f"Arrival-Date: {moment}"]
    if envelope.envid:
        per_message.insert(1, f"Original-Envelope-Id: {envelope.envid}")
    per_recipient = [
        f"Final-Recipient: rfc822; {envelope.recipient}",
        f"Action: {action}",
        f"Status: {status}",
        f"Diagnostic-Code: smtp; {diagnostic}",
    ]
    if envelope.orcpt:
        per_recipient.insert(0, f"Original-Recipient: {envelope.orcpt}")
    head = content.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0].decode("utf-8", "replace")
    boundary = f"report-{number}"
    parts = [
        (
            "text/plain; charset=utf-8",
            f"This is the mail system at {host}.\n\nYour message {words} {envelope.recipient}.\n",
        ),
        ("message/delivery-status", "\n".join(per_message) + "\n\n" + "\n".join(per_recipient) + "\n"),
        ("text/rfc822-headers", head + "\n"),
    ]
    body = "".join(f"--{boundary}\nContent-Type: {kind}\n\n{text}\n" for kind, text in parts) + f"--{boundary}--\n"
    header = EmailMessage(policy=SMTP)
    header["From"] = f"Mail Delivery System <MAILER-DAEMON@{host}>"
    header["To"] = envelope.sender
    header["Subject"] = "Undelivered Mail Returned to Sender" if failed else "Successful Mail Delivery Report"
    header["Date"] = moment
    header["Message-ID"] = f"<{number}@{host}>"
    header["Auto-Submitted"] = "auto-replied"
    header["MIME-Version"] = "1.0"
    # The parts are written by hand, so their type is too: EmailMessage would write parts of its own.
    kind = f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"\r\n\r\n'
    return header.as_bytes().rstrip() + b"\r\n" + kind.encode() + body.replace("\n", "\r\n").encode()
