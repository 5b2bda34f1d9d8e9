"""`kill -9` twice in the middle of a broadcast: it goes on by itself, and everybody gets exactly one message."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from gateway.sandbox.app import Sandbox, SandboxConfig
from tests.support.commands import Served, end, environment, ports, start
from tests.support.running import ask, until

PEOPLE: Final = 150
KILLED_AT: Final = (30, 80)
SID: Final = "AC" + "6" * 32
NUMBER: Final = "+15005550006"
LIMITS: Final = """
[channels.sms]
timeout = 2
concurrency = 16
"""
BROADCAST: Final = {
    "id": "cut-1",
    "audience": {"where": {"area": "north"}},
    "category": "outage",
    "content": {"text": "The power is out."},
    # Receipts that came while nobody listened are lost, so another round makes up for them.
    "reach": {"until": "delivered", "step": 3, "within": 200, "rounds": 3},
}


def _rows() -> str:
    rows = [
        {
            "id": f"home-{n}",
            "locale": "en",
            "attributes": {"area": "north"},
            "addresses": [{"channel": "sms", "value": f"+44740000{1000 + n:04}"}],
        }
        for n in range(PEOPLE)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.slow
async def test_a_broadcast_outlives_two_kills(tmp_path: Path) -> None:
    listeners = ports()
    sandbox = Sandbox(
        SandboxConfig(
            account_sid=SID,
            auth_token="t" * 32,
            number=NUMBER,
            public_url=f"http://127.0.0.1:{listeners['HTTP_PORT']}",
            phones_port=None,
            time_scale=0.05,
        )
    )
    await sandbox.start()
    (tmp_path / "gateway.toml").write_text(LIMITS)
    (tmp_path / "people.ndjson").write_text(_rows())
    twilio = {
        "TWILIO_ACCOUNT_SID": SID,
        "TWILIO_AUTH_TOKEN": "t" * 32,
        "TWILIO_SMS_FROM": NUMBER,
        "TWILIO_API_BASE": sandbox.twilio_base,
    }
    variables = environment(tmp_path, **listeners, **twilio)
    key = ""
    try:
        for at in KILLED_AT:
            served = await start(tmp_path, ["serve"], variables)
            try:
                key = key or await _accepted(served)
                await until(lambda at=at: sandbox.world.accepted["sms"] >= at, 60.0, served.log)
            finally:
                await served.kill()
        served = await start(tmp_path, ["serve"], variables)
        try:
            found = await _done(served, key)
        finally:
            assert await end(served) == 0, served.log()
    finally:
        await sandbox.stop()
    assert found["counts"]["audience"] == found["progress"]["of"] == PEOPLE
    assert found["counts"]["reached"] == PEOPLE
    messages = Counter(place.split("/")[-2] for place in sandbox.world.copies("sms", "/"))
    assert len(messages) == PEOPLE


async def _accepted(served: Served) -> str:
    assert (await served.command("customers", "import", "people.ndjson")).status == 0
    key = await served.key()
    async with aiohttp.ClientSession() as http:
        answer = await ask(http, served.url, key, "POST", "/v1/broadcasts", BROADCAST)
    assert answer.status == 202, answer
    return key


async def _done(served: Served, key: str) -> dict[str, Any]:
    last: list[dict[str, Any]] = []
    async with aiohttp.ClientSession() as http:

        async def look() -> bool:
            answer = await ask(http, served.url, key, "GET", "/v1/broadcasts/cut-1")
            assert answer.status == 200, answer
            last[:] = [answer.body]
            return answer.body["state"] == "done"

        await until(look, 220.0, lambda: (last, served.log()[-2000:]))
    return last[0]
