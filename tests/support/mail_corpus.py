"""Makes the mails of `tests/data/mail` that a real Postfix returns: `python -m tests.support.mail_corpus` (as root).

Each original goes out as the gateway sends it, with a signed return path and envelope id, to a server that answers as
told; what Postfix then says about it is written down as it came.
"""

from __future__ import annotations

import asyncio
import re
import smtplib
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from gateway.channels.base import Accepted, Outbound, Rendered
from gateway.channels.email import EmailChannel
from gateway.channels.verp import verp_address, verp_token
from gateway.settings_types import SmtpSettings
from tests.support.postfix import postfix
from tests.support.smtp_relay import Relay, serving

KEY: Final = b"key of the corpus, known to all!"
NOW: Final = 1_795_327_932_000
FOLDER: Final = Path(__file__).parent.parent / "data" / "mail"
BOUNCES: Final = "bounces.acme.example"
SLOW: Final = "maximal_queue_lifetime = {life}s\nbounce_queue_lifetime = {life}s\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nqueue_run_delay = 1s\n"
_TEMPLATE: Final = (
    "failure_template = <<EOF\nCharset: utf-8\nFrom: MAILER-DAEMON ({name})\nSubject: {subject}\n\n{text}\nEOF\n"
)
GREEK: Final = _TEMPLATE.format(
    name="Mail Delivery System",
    subject="=?utf-8?B?zqTOvyDOvM6uzr3Phc68zqwgz4POsc+CIM60zrXOvSDPgM6xz4HOsc60z4zOuM63zrrOtQ==?=",
    text="Εδώ το σύστημα αλληλογραφίας του $myhostname.\n\nΤο μήνυμά σας δεν μπόρεσε να παραδοθεί σε έναν ή\nπερισσότερους παραλήπτες. Ακολουθεί ο λόγος.",
)
CHINESE: Final = _TEMPLATE.format(
    name="Mail Delivery System",
    subject="=?utf-8?B?5oKo55qE6YKu5Lu25peg5rOV6YCB6L6+?=",
    text="这里是 $myhostname 的邮件系统。\n\n很抱歉，您的邮件未能送达下列一位或多位收件人。\n原因附后。",
)


class Case(msgspec.Struct, frozen=True):
    """One original. `rcpt`, `data`: what the server answers each time; `life`: seconds in the queue, 0: none."""

    name: str
    to: str = "maria@people.example"
    rcpt: str = ""
    data: str = ""
    life: int = 0
    notify: str = ""
    returned: int = 1
    template: str = ""


CASES: Final = (
    Case("hard-unknown-user", rcpt="550 5.1.1 <maria@people.example>: Recipient address rejected: User unknown"),
    Case("hard-unknown-user-no-enhanced-code", rcpt="550 No such user here"),
    Case("hard-unknown-host", to="maria@nowhere.example", life=3),
    Case("hard-mailbox-disabled", rcpt="550 5.2.1 The account that you tried to reach is disabled"),
    Case("full-over-quota", rcpt="552 5.2.2 Mailbox full"),
    Case("full-after-expiry", rcpt="452 4.2.2 Mailbox full, try again later", life=3),
    Case("delayed", rcpt="451 4.3.0 Try again later", life=60),
    Case("greylisted-until-expiry", rcpt="450 4.7.1 Greylisted, please try again in 300 seconds", life=3),
    Case("spam-refused", data="550 5.7.1 Message rejected as spam"),
    Case("policy-authentication", data="550 5.7.26 Unauthenticated mail is not accepted"),
    Case("too-big", data="552 5.3.4 Message size exceeds fixed limit"),
    Case("blocked-without-detail", data="554 Transaction failed"),
    Case("relayed", notify="SUCCESS,FAILURE"),
    Case("delivered", to="maria@kept.example", notify="SUCCESS,FAILURE"),
    Case("greek-report", rcpt="550 5.1.1 Άγνωστος παραλήπτης", template=GREEK),
    Case("chinese-report", rcpt="550 5.1.1 收件人不存在", template=CHINESE),
)


async def make(case: Case, back: Relay, people: Relay) -> bytes:
    """The mail that comes back for one original."""
    for stage, answer in (("rcpt", case.rcpt), ("data", case.data)):
        people.script[stage] = deque([answer] * 99 if answer else [])
    ways = {
        "people.example": f"smtp:[127.0.0.1]:{people.port}",
        BOUNCES: f"smtp:[127.0.0.1]:{back.port}",
        "kept.example": "discard:",
        "nowhere.example": "smtp:[mx.nowhere.invalid]",
    }
    settings = SLOW.format(life=case.life) if case.life else ""
    if case.name == "delayed":
        settings += "delay_warning_time = 1s\n"
    if case.template:
        settings += "bounce_template_file = {home}/etc/bounce.cf\n"
    before = len(back.mails)
    async with postfix(ways, settings=settings, files={"bounce.cf": case.template}) as mta:
        if case.notify:
            await asyncio.to_thread(_send_asking, case, mta.port)
        else:
            await _send(case, mta.port)
        await back.until_taken(before + 1)
    return back.mails[-1].data


async def _send(case: Case, port: int) -> None:
    relay = SmtpSettings(
        host="127.0.0.1",
        port=port,
        starttls="never",
        email_from="Acme <no-reply@acme.example>",
        from_address="no-reply@acme.example",
        bounce_domain=BOUNCES,
    )
    channel = EmailChannel(relay, secret_key=KEY, clock=lambda: NOW, timeout=20)
    out = Outbound(
        message=case.name,
        attempt="a1",
        mode="live",
        round=1,
        token=f"tok-{case.name}",
        to=case.to,
        category="service",
        words=Rendered(language="el", subject="Διακοπή ρεύματος", text="Καλημέρα, η παροχή διακόπτεται."),
        valid_for=3600,
        callback_base="https://gw.example",
    )
    assert isinstance(await channel.send(out), Accepted), case.name
    await channel.close()


def _send_asking(case: Case, port: int) -> None:
    """As `_send`, but asking for good news too, which the gateway never does."""
    sender, token = verp_address(case.name, "a1", domain=BOUNCES, key=KEY), verp_token(case.name, "a1", KEY)
    mail = f"From: no-reply@acme.example\r\nTo: {case.to}\r\nSubject: News\r\nX-Message-Ref: {token}\r\n\r\nNews.\r\n"
    with smtplib.SMTP("127.0.0.1", port) as client:
        asked = [f"NOTIFY={case.notify}"]
        client.sendmail(sender, [case.to], mail, [f"ENVID={token}", "RET=HDRS"], asked)


def tidied(mail: bytes) -> bytes:
    """Without the ports and the queue's folder of this one run."""
    return re.sub(rb"\[127\.0\.0\.1\]:\d+", b"[127.0.0.1]:25", mail)


async def main() -> None:
    """Make all of them anew."""
    async with serving(Relay()) as back, serving(Relay()) as people:
        for case in CASES:
            if not case.rcpt:
                people.script["rcpt"].clear()
            (FOLDER / f"{case.name}.eml").write_bytes(tidied(await make(case, back, people)))
            print(case.name)  # noqa: T201 - a command


if __name__ == "__main__":
    asyncio.run(main())
