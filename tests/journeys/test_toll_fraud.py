"""A stolen key, or a form that asks for codes: a thousand to numbers that somebody is paid for. It ends at the limit."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import Running, running, until

LIMITS = """
[limits]
per_prefix_per_day = { "+4479" = 25 }
"""
PUMPED = 1000


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Running]:
    """A whole gateway with a limit on the numbers that begin with +4479."""
    (tmp_path / "gateway.toml").write_text(LIMITS)
    async with running(redis_url, tmp_path) as made:
        yield made


def code(number: str) -> dict[str, Any]:
    """A request for a code to a number of somebody unknown."""
    recipient: dict[str, Any] = {"addresses": [{"channel": "sms", "value": number}]}
    return {"category": "code", "recipient": recipient, "content": {"text": "Your code is 4711."}}


async def test_a_thousand_codes_to_one_prefix_end_at_its_limit(gw: Running) -> None:
    pumped = [code(f"+4479111{n:05d}") for n in range(100, 100 + PUMPED)]
    answer = await gw.api("POST", "/v1/messages/batch", {"messages": pumped})
    assert answer.status == 202, answer
    assert all("id" in one for one in answer.body["results"]), answer.body["results"][:2]
    ids = [one["id"] for one in answer.body["results"]]

    def stopped() -> bool:
        labels = {"category": "code", "state": "suppressed", "code": "cap"}
        figure = gw.service.gateway.registry.get_sample_value("gateway_verdicts_total", labels)
        return figure == PUMPED - 25

    await until(stopped, 60.0)
    await gw.sandbox.idle()
    assert gw.taken() == {"sms": 25}

    found = [await gw.message(one) for one in ids[:40]]
    [verdict, *others] = [one["verdict"] for one in found if not one["attempts"]]
    assert (verdict["state"], verdict["code"]) == ("suppressed", "cap")
    assert "per_prefix_per_day +4479" in verdict["text"]
    assert all(other["text"] == verdict["text"] for other in others)

    honest = await gw.api("POST", "/v1/messages", code("+447400000305"))
    assert honest.status == 202, honest
    assert (await gw.ended(honest.body["id"]))["verdict"]["state"] == "reached"
    late = await gw.api("POST", "/v1/messages", code("+447911199999"))
    assert (await gw.ended(late.body["id"]))["verdict"]["code"] == "cap"
    assert gw.taken() == {"sms": 26}


async def test_the_person_hears_by_mail_what_may_not_be_texted(gw: Running) -> None:
    pumped = [code(f"+4479111{n:05d}") for n in range(100, 125)]
    assert (await gw.api("POST", "/v1/messages/batch", {"messages": pumped})).status == 202
    await until(lambda: gw.taken() == {"sms": 25})
    await gw.customer("eleni", sms="+447911199999", email="eleni@example.org")
    told = await gw.when((await gw.send("eleni"))["id"], lambda found: found["attempts"])
    assert [one["channel"] for one in told["attempts"]] == ["email"]
    assert ("sms", "cap") in [(one["channel"], one["why"]["code"]) for one in told["skipped"]]
