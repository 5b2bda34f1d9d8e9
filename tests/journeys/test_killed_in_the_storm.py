"""`kill -9` in the middle of a storm, then a restart: every message ends, none is lost, copies are bounded by what is unknown."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from gateway.sandbox.app import Sandbox, SandboxConfig
from gateway.sandbox.behaviour import Carrier, Delays, Fate
from tests.support.commands import Served, end, environment, ports, start
from tests.support.running import ask, until

PEOPLE: Final = 120
SID: Final = "AC" + "5" * 32
NUMBER: Final = "+15005550006"
LIMITS: Final = """
[channels.sms]
timeout = 2
concurrency = 8
[channels.voice]
timeout = 2
messages_per_second = 50
[channels.email]
timeout = 2
"""
REACH: Final = {"until": "delivered", "step": 2, "within": 200, "rounds": 3}
"""Receipts that came while nobody listened are lost, so another round makes up for them."""


def _phone(n: int) -> str:
    return f"+44740000{7000 + n:04}"


def _rows() -> str:
    rows = [
        {
            "id": f"home-{n}",
            "locale": "en",
            "addresses": [{"channel": c, "value": _phone(n)} for c in ("sms", "voice")],
            "preferences": {"channels": ["sms", "voice"]},
        }
        for n in range(PEOPLE)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.slow
async def test_killed_in_the_storm(tmp_path: Path) -> None:
    listeners = ports()
    sandbox = Sandbox(
        SandboxConfig(
            account_sid=SID,
            auth_token="t" * 32,
            number=NUMBER,
            public_url=f"http://127.0.0.1:{listeners['HTTP_PORT']}",
            phones_port=None,
            time_scale=0.05,
            # Slow answers, so that many requests are under way whenever the end comes.
            delays=Delays(answer=(2.0, 10.0)),
        )
    )
    for n in range(0, PEOPLE, 10):
        sandbox.behaviour.carrier_fates[Carrier.SMS, _phone(n)] = Fate.UNKNOWN
    await sandbox.start()
    (tmp_path / "gateway.toml").write_text(LIMITS)
    (tmp_path / "people.ndjson").write_text(_rows())
    twilio = {
        "TWILIO_ACCOUNT_SID": SID,
        "TWILIO_AUTH_TOKEN": "t" * 32,
        "TWILIO_SMS_FROM": NUMBER,
        "TWILIO_VOICE_FROM": NUMBER,
        "TWILIO_API_BASE": sandbox.twilio_base,
    }
    variables = environment(tmp_path, **listeners, **twilio)
    try:
        first = await start(tmp_path, ["serve"], variables)
        try:
            ids, key = await _accepted(first)
            await until(lambda: sandbox.world.accepted["sms"] >= PEOPLE // 4, 60.0, first.log)
        finally:
            await first.kill()
        second = await start(tmp_path, ["serve"], variables)
        try:
            ended = await _all_ended(second, key, ids)
            again = await _one_more(second, key)
        finally:
            assert await end(second) == 0, second.log()
    finally:
        await sandbox.stop()
    assert Counter(one["verdict"]["state"] for one in ended) == {"reached": PEOPLE}
    for message in [*ended, again]:
        _bounded(sandbox, message)


async def _accepted(served: Served) -> tuple[list[str], str]:
    assert (await served.command("customers", "import", "people.ndjson")).status == 0
    key = await served.key()
    content = {"text": "The power is out."}
    rows = [{"customer": f"home-{n}", "category": "outage", "content": content, "reach": REACH} for n in range(PEOPLE)]
    async with aiohttp.ClientSession() as http:
        answer = await ask(http, served.url, key, "POST", "/v1/messages/batch", {"messages": rows})
    assert answer.status == 202, answer
    assert all("id" in one for one in answer.body["results"]), answer
    return [one["id"] for one in answer.body["results"]], key


async def _all_ended(served: Served, key: str, ids: list[str]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    async with aiohttp.ClientSession() as http:

        async def look() -> bool:
            for one in [one for one in ids if one not in found]:
                answer = await ask(http, served.url, key, "GET", f"/v1/messages/{one}")
                assert answer.status == 200, ("lost", answer)
                if answer.body["status"] == "done":
                    found[one] = answer.body
            return len(found) == len(ids)

        await until(look, 220.0, lambda: (len(found), served.log()[-2000:]))
    return list(found.values())


async def _one_more(served: Served, key: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http:
        body = {"customer": "home-1", "category": "outage", "content": {"text": "The power is back."}, "reach": REACH}
        sent = await ask(http, served.url, key, "POST", "/v1/messages", body)
        assert sent.status == 202, (sent, served.log()[-2000:])
        [told] = await asyncio.wait_for(_all_ended(served, key, [sent.body["id"]]), 60)
    assert told["verdict"]["state"] == "reached", told
    return told


def _bounded(sandbox: Sandbox, message: dict[str, Any]) -> None:
    """The carriers' own count against the record: a copy for each channel and round, and one more for each unknown."""
    rounds = {one["id"]: one["round"] for one in message["attempts"]}
    for channel in ("sms", "voice"):
        copies: Counter[int] = Counter()
        for address, count in sandbox.world.copies(channel, f"/{message['id']}/").items():
            copies[rounds[address.rpartition("/")[2]]] += count
        for number, count in copies.items():
            tries = [one for one in message["attempts"] if (one["channel"], one["round"]) == (channel, number)]
            assert count <= 1 + sum("unknown" in one["times"] for one in tries), (channel, copies, message)
