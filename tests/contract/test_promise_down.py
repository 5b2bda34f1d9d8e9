"""A carrier that is down or asks us to wait: critical messages go on at once, the others wait visibly (G3, G6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.rough import TEMPLATE
from tests.contract.wire import Told, refused
from tests.contract.world import HOST, World, world

ORDER = {"channels": ["sms", "wechat"]}
FAR = {"step": 60, "within": 600}


async def test_critical_messages_do_not_wait_for_repeats_at_a_carrier_that_is_gone(tmp_path: Path) -> None:
    """`outage`, channel down: next now. Nobody listens where the carrier was, also for those who find it out."""
    async with world(tmp_path, TWILIO_API_BASE=f"http://{HOST}:9") as w:
        people = [await w.person("sms", "wechat", preferences=ORDER) for _ in range(3)]
        for person in people:
            message = await w.send(person, content=TEMPLATE, reach=FAR)
            now = await w.when(message, lambda one: any(a["channel"] == "wechat" for a in one["attempts"]), 10)
            assert {a["status"] for a in now["attempts"] if a["channel"] == "sms"} <= {"failed"}
        waiting = await w.send(await w.person("sms"), category="survey", reach=FAR)
        now = await w.when(waiting, lambda one: one["held"], 10)
        assert (now["status"], now["held"]["code"]) == ("held", "channel_down")


@pytest.mark.parametrize("value", ["99999999999999999999", "Fri, 31 Dec 2100 23:59:59 GMT", "7200"])
async def test_one_answer_closes_no_channel_for_an_hour(tmp_path: Path, value: str) -> None:
    async with world(tmp_path) as w:
        first, other = await w.person("sms"), await w.person("sms")
        w.twilio.told[first.number].append(refused(20429, 429, **{"Retry-After": value}))
        await w.send(first, reach=FAR)
        await w.twilio.text(first.number)
        message = await w.send(other, category="service", reach=FAR)
        now = await w.when(message, lambda one: one["held"], 10)
        assert (now["status"], now["held"]["code"]) == ("held", "paced")
        shown = (await w.api("GET", "/v1/channels")).body["items"]
        (sms,) = [one for one in shown if one["name"] == "sms"]
        assert sms["state"] == "paced"
        assert " ms" not in sms["reason"]


@pytest.mark.parametrize("answer", [Told(body={"sid": {"a": 1}, "status": 7}), Told(body={"sid": 5})])
async def test_a_sid_that_is_none_is_unknown(w: World, answer: Told) -> None:
    person = await w.person("sms")
    w.twilio.told[person.number].append(answer)
    message = await w.send(person, category="survey", reach={"step": 2, "within": 7})
    now = await w.when(message, lambda one: one["attempts"] and one["attempts"][0]["status"] != "started")
    assert now["attempts"][0]["status"] == "unknown"


async def test_an_empty_answer_of_wechat_is_unknown(w: World) -> None:
    person = await w.person("wechat")
    w.wechat.told[person.openid].append({})
    message = await w.send(person, content=TEMPLATE, category="survey", reach={"step": 2, "within": 7})
    now = await w.when(message, lambda one: one["attempts"] and one["attempts"][0]["status"] != "started")
    assert now["attempts"][0]["status"] == "unknown"
