"""A day's traffic, honest and hostile: nothing that names a person, a word or a secret stands in any log or event."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.sandbox.behaviour import Fate
from gateway.store.keys import PARTITIONS, partition
from tests.support.front import talk
from tests.support.running import running

WORDS = "ζεστό-νερό-verbatim"
SUBJECT = "Subject-verbatim"
NAME = "Persephone-verbatim"
REPLY = "reply-verbatim"
ADDRESSES = ("+447400000377", "+447400000378", "persephone.verbatim@example.org", "oPersephoneVerbatim01")


async def test_logs_and_events_hold_ids_alone(
    redis_url: str,
    redis_client: Redis,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The logs are taken at their most talkative: every level, as written without any setting."""
    caplog.set_level(logging.INFO)
    secret = "secret-key-verbatim-0123456789abcdef"
    sms, lost, email, openid = ADDRESSES
    async with running(redis_url, tmp_path, SECRET_KEY=secret) as gw:
        key = gw.key
        await gw.customer("c-0", sms=sms, voice=sms)
        await gw.customer("c-1", email=email)
        await gw.customer("c-2", wechat=openid)
        await gw.customer("c-3", sms=lost)
        gw.fate("sms", lost, Fate.REFUSED)
        content = {"subject": SUBJECT, "text": WORDS, "html": f"<p>{WORDS}</p>"}
        sent = [
            await gw.send(f"c-{number}", content=content, prompt={"kind": "text"}, reference=NAME)
            for number in range(4)
        ]
        await gw.texts_us(sms, REPLY)
        await gw.texts_us(sms, "STOP")
        for one in sent:
            await gw.when(one["id"], lambda found: found["attempts"] or found["status"] == "done")
        await gw.api("PUT", "/v1/customers/x", {"name": NAME, "addresses": [{"channel": "email", "value": WORDS}]})
        await gw.api("GET", f"/v1/messages?reference={NAME}&customer={NAME}")
        await gw.api("GET", f"/v1/customers/{NAME}?{WORDS}=1")
        await gw.api("POST", "/v1/addresses/lift", {"channel": "email", "value": email, "reason": WORDS})
        async with gw.http.post(f"{gw.url}/callbacks/sms/inbound", data={"From": sms, "Body": WORDS}) as forged:
            assert forged.status == 403
        port = int(gw.url.rpartition(":")[2])
        await talk(port, f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\x00\r\n\r\n".encode())
        bounces: Any = gw.service._bounces  # pyright: ignore[reportPrivateUsage] - its port is picked by the system
        await talk(bounces.port, f"{NAME}\r\nEHLO {NAME}\r\nMAIL FROM:<{email}>\r\nRCPT TO:<{email}>\r\nDATA\r\nFrom: {email}\r\n\r\n{REPLY}\r\n.\r\nQUIT\r\n".encode())  # fmt: skip
    store: Any = redis_client
    events = [str(await store.xrange(partition(number).events)) for number in range(PARTITIONS)]
    said = "".join(capfd.readouterr())
    assert "http_request" in said, "the log has been read"
    assert any("message" in one for one in events), "the events have been read"
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("aiohttp.access")]
    for where, text in (("the log", said), ("the events", "".join(events)), ("the libraries' log", "\n".join(ours))):
        for banned in (WORDS, SUBJECT, NAME, REPLY, *ADDRESSES, *(one.lstrip("+") for one in ADDRESSES), secret, key.split("_")[3]):  # fmt: skip
            assert banned not in text, f"{banned} stands in {where}: …{text[max(0, text.find(banned) - 300) :][:600]}"
