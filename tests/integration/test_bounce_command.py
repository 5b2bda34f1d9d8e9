"""`gateway bounce` as a mail server runs it: what it says, and with which status it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.channels.verp import verp_address
from tests.support.commands import Ended, command, environment

KEY = "k" * 40
REPORT = """From: MAILER-DAEMON@mx.example
To: postmaster@example.org
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; maria@example.org
Action: failed
Status: 5.1.1

--b--
"""


async def bounce(redis_url: str, mail: str, *arguments: str, folder: Path, **variables: str) -> Ended:
    given = environment(folder, REDIS_URL=redis_url, SECRET_KEY=KEY) | variables
    return await command(folder, "bounce", *arguments, given=mail.encode(), variables=given)


@pytest.mark.parametrize("way", ["option", "ORIGINAL_RECIPIENT"])
async def test_it_says_what_the_mail_was(redis_url: str, tmp_path: Path, way: str) -> None:
    to = verp_address("00m-nobody", "a1", domain="bounces.example.org", key=KEY.encode())
    arguments, variables = (["--recipient", to], {}) if way == "option" else ([], {way: to})
    done = await bounce(redis_url, REPORT + "x" * 3_000_000, *arguments, folder=tmp_path, **variables)
    assert (done.status, done.out) == (0, "outlived\n"), done


@pytest.mark.parametrize("fault", ["redis away", "bad settings"])
async def test_what_can_be_mended_has_the_mail_server_keep_the_mail(tmp_path: Path, fault: str) -> None:
    bad = {"GATEWAY_EMAIL_FROM": "nonsense"} if fault == "bad settings" else {}
    done = await bounce("redis://127.0.0.1:9", REPORT, folder=tmp_path, **bad)
    assert (done.status, done.out) == (os.EX_TEMPFAIL, "")
    assert "Error:" in done.err
    assert os.EX_TEMPFAIL == 75
