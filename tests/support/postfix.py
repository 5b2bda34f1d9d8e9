"""A Postfix of the test's own: its own folders, loopback alone, gone afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from tests.support.ports import free_port

POSTFIX: Final = shutil.which("postfix", path="/usr/sbin:/usr/local/sbin:/sbin") or ""
MISSING: Final = (
    "Postfix isn't installed (apt-get install postfix)"
    if not POSTFIX
    else "a private Postfix can only be started by root"
    if os.geteuid() != 0
    else ""
)
"""Why there can be none here; empty: there can."""
_MAIN: Final = """
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
transport_maps = inline:{{ {transports} }}
default_transport = error:5.4.4 nobody lives there
"""
_MASTER: Final = """
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
lmtp unix - - n - - lmtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
"""


class Postfix(msgspec.Struct, frozen=True):
    """One that runs. `port`: where it takes mail."""

    home: Path
    port: int

    def log(self) -> str:
        """What it has logged so far."""
        place = self.home / "log" / "mail.log"
        return place.read_text() if place.exists() else ""


@asynccontextmanager
async def postfix(
    transports: Mapping[str, str], *, settings: str = "", services: str = "", files: Mapping[str, str] | None = None
) -> AsyncGenerator[Postfix]:
    """A Postfix that sends each domain's mail where `transports` says (`smtp:[127.0.0.1]:2525`), until the block ends.

    `settings`, `services`: more lines of main.cf and master.cf; `files`: by name in its configuration folder, which both
    may call `{home}/etc`.
    """
    home = _home()
    try:
        made = _laid_out(home, transports, settings, services, files or {})
        # "start" returns when the daemon listens.
        await _command(made, "start")
        try:
            yield made
        finally:
            await _command(made, "stop")
    finally:
        shutil.rmtree(home)


def _home() -> Path:
    # pytest's own folders are closed to others, and Postfix's daemons run as a user of their own.
    made = Path(tempfile.mkdtemp(prefix="gw-postfix-"))
    made.chmod(0o755)
    return made


def _laid_out(
    home: Path, transports: Mapping[str, str], settings: str, services: str, files: Mapping[str, str]
) -> Postfix:
    owner, port = _setting("mail_owner"), free_port()
    for folder in ("etc", "queue", "data", "log"):
        (home / folder).mkdir()
    shutil.chown(home / "data", owner)
    values = {
        "home": str(home),
        "owner": owner,
        "group": _setting("setgid_group"),
        "commands": _setting("command_directory"),
        "daemons": _setting("daemon_directory"),
        "transports": ", ".join(f"{{{domain} = {way}}}" for domain, way in transports.items()),
    }
    (home / "etc" / "main.cf").write_text((_MAIN + settings).format(**values))
    (home / "etc" / "master.cf").write_text((_MASTER + services).format(port=port, **values))
    for name, text in files.items():
        (home / "etc" / name).write_text(text, encoding="utf-8")
    return Postfix(home, port)


async def _command(made: Postfix, command: str) -> None:
    running = await asyncio.create_subprocess_exec(
        POSTFIX,
        "-c",
        str(made.home / "etc"),
        command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await running.communicate()
    assert running.returncode == 0, said.decode() + made.log()


def _setting(name: str) -> str:
    asked = subprocess.run(["/usr/sbin/postconf", "-h", name], capture_output=True, text=True, check=True)
    return asked.stdout.strip()
