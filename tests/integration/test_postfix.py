"""E-mail through a real Postfix of its own: one mail arrives, one comes back as a bounce that names its attempt."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.channels import bounces
from gateway.channels.base import Accepted, Outbound, Rendered
from gateway.channels.email import EmailChannel
from gateway.channels.verp import verp_reader, verp_token
from gateway.message import Fault
from gateway.settings_types import SmtpSettings
from tests.support.smtp_relay import Relay, serving

NOW = 1_795_327_932_000
KEY = b"k" * 32
POSTFIX = shutil.which("postfix", path="/usr/sbin:/usr/local/sbin:/sbin") or ""

pytestmark = [
    pytest.mark.mta,
    pytest.mark.skipif(not POSTFIX, reason="Postfix isn't installed (apt-get install postfix)"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a private Postfix can only be started by root"),
]

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
command_directory = {commands}
daemon_directory = {daemons}
mail_owner = {owner}
setgid_group = {group}
maillog_file = {home}/log/mail.log
maillog_file_prefixes = {home}
myhostname = mta.example
myorigin = mta.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_host_lookup = native
transport_maps = inline:{{ {{people.example = smtp:[127.0.0.1]:{people}}}, {{back.example = smtp:[127.0.0.1]:{back}}} }}
default_transport = error:5.4.4 nobody lives there
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
"""


def setting(name: str) -> str:
    asked = subprocess.run(["/usr/sbin/postconf", "-h", name], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def home() -> Iterator[Path]:
    # pytest's own folders are closed to others, and Postfix's daemons run as a user of their own.
    made = Path(tempfile.mkdtemp(prefix="gw-postfix-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def people() -> AsyncIterator[Relay]:
    async with serving(Relay()) as relay:
        yield relay


@pytest.fixture
async def back() -> AsyncIterator[Relay]:
    async with serving(Relay()) as relay:
        yield relay


async def postfix(home: Path, command: str) -> None:
    running = await asyncio.create_subprocess_exec(
        POSTFIX, "-c", str(home / "etc"), command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await running.communicate()
    log = home / "log" / "mail.log"
    assert running.returncode == 0, said.decode() + (log.read_text() if log.exists() else "")


@pytest.fixture
async def mta(home: Path, people: Relay, back: Relay) -> AsyncIterator[int]:
    owner, port = setting("mail_owner"), free_port()
    for folder in ("etc", "queue", "data", "log"):
        (home / folder).mkdir()
    shutil.chown(home / "data", owner)
    values = {"home": home, "people": people.port, "back": back.port, "owner": owner, "group": setting("setgid_group")}
    folders = {"commands": setting("command_directory"), "daemons": setting("daemon_directory")}
    (home / "etc" / "main.cf").write_text(MAIN.format(**values, **folders))
    (home / "etc" / "master.cf").write_text(MASTER.format(port=port))
    # "start" returns when the daemon listens.
    await postfix(home, "start")
    yield port
    await postfix(home, "stop")


@pytest.fixture
async def channel(mta: int) -> AsyncIterator[EmailChannel]:
    relay = SmtpSettings(
        host="127.0.0.1",
        port=mta,
        starttls="never",
        email_from="Acme <no-reply@acme.example>",
        from_address="no-reply@acme.example",
        bounce_domain="back.example",
    )
    made = EmailChannel(relay, secret_key=KEY, clock=lambda: NOW, timeout=20)
    yield made
    await made.close()


def outbound(attempt: str, to: str) -> Outbound:
    return Outbound(
        message="00m-1",
        attempt=attempt,
        mode="live",
        round=1,
        token=f"tok-{attempt}",
        to=to,
        category="service",
        words=Rendered(language="el", subject="Διακοπή ρεύματος", text="Καλημέρα\n.\n" + "x" * 1200),
        valid_for=3600,
        callback_base="https://gw.example",
        unsubscribe_url="https://gw.example/u/" + "t" * 420,
    )


async def test_delivery_and_bounce(channel: EmailChannel, people: Relay, back: Relay) -> None:
    people.script["rcpt"].append("550 5.1.1 <nobody@people.example>: User unknown")
    gone = await channel.send(outbound("a1", "nobody@people.example"))
    assert gone == Accepted(provider_id="<tok-a1@acme.example>", status="sent"), (
        "Postfix takes it, and bounces it later"
    )
    await back.until_taken(1)
    bounce = back.mails[0]
    reader = verp_reader(KEY)

    news = bounces.parse(bounce.data, reader, NOW, [bounce.recipient])
    ((message, receipt),) = news.receipts
    assert (message, receipt.attempt) == ("00m-1", "a1")
    assert (receipt.status, receipt.fault, receipt.provider_code) == ("failed", Fault.BAD_ADDRESS, "550 5.1.1")
    assert news.recipient == "nobody@people.example"

    token = verp_token("00m-1", "a1", KEY)
    assert f"Original-Envelope-Id: {token}\n".encode() in bounce.data.replace(b"\r\n", b"\n")
    assert b"x" * 60 not in bounce.data, "only the headers came back (RET=HDRS)"
    headless = re.sub(rb"b\+[\w.-]+@back\.example", b"lost@back.example", bounce.data)
    headless = headless.replace(b"X-Message-Ref: " + token.encode(), b"X-Message-Ref: lost")
    assert bounces.parse(headless, reader, NOW).about == ("00m-1", "a1"), "the envelope id alone is enough"

    fine = await channel.send(outbound("a2", "maria@people.example"))
    assert isinstance(fine, Accepted)
    await people.until_taken(1)
    mail = people.mails[0].data
    assert b"List-Unsubscribe: <https://gw.example/u/" + b"t" * 420 + b">\r\n" in mail
    assert len(back.mails) == 1
