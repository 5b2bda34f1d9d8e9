"""WeChat that answers badly: tokens that lapse at once, its own overload, limits, and what follows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.rough import LONG, TEMPLATE, calm
from tests.contract.waiting import eventually
from tests.contract.world import Person, World

ORDER = {"channels": ["wechat", "sms"]}


def no(code: int) -> dict[str, Any]:
    return {"errcode": code, "errmsg": f"no {code}"}


def count(rough: World, person: Person) -> int:
    return sum(one["touser"] == person.openid for one in rough.wechat.sent)


@pytest.mark.parametrize("code", [40001, 42001, 40014])
async def test_a_token_that_lapses_at_once_is_renewed_and_the_message_goes(rough: World, code: int) -> None:
    person = await rough.person("wechat", "sms", preferences=ORDER)
    rough.wechat.told[person.openid].append(no(code))
    message = await rough.send(person, content=TEMPLATE, reach=LONG)
    await rough.wechat.got(person.openid, 2)
    now = await rough.when(
        message, lambda one: one["attempts"] and one["attempts"][-1]["status"] in {"accepted", "sent"}
    )
    assert rough.twilio.count(person.number) == 0
    assert all(one["status"] != "unknown" for one in now["attempts"])


async def test_tokens_that_always_lapse_are_not_asked_for_for_ever(rough: World) -> None:
    person = await rough.person("wechat", "sms", preferences=ORDER)
    rough.wechat.told[person.openid].extend([no(42001)] * 200)
    await rough.send(person, content=TEMPLATE, reach={"step": 4, "within": 60})
    await rough.twilio.text(person.number, seconds=20)
    assert count(rough, person) <= 10
    await calm(rough, "wechat")


@pytest.mark.parametrize("code", [45009, 45047, 48001, 40037, 45015])
async def test_limits_and_refusals_go_on_to_the_next_channel(rough: World, code: int) -> None:
    person = await rough.person("wechat", "sms", preferences=ORDER)
    rough.wechat.told[person.openid].extend([no(code)] * 9)
    message = await rough.send(person, content=TEMPLATE, reach={"step": 4, "within": 60})
    await rough.twilio.text(person.number, seconds=20)
    now = await rough.when(message, lambda one: len(one["attempts"]) >= 2)
    first = now["attempts"][0]
    assert (first["channel"], first["status"], first["provider_code"]) == ("wechat", "failed", str(code))
    await calm(rough, "wechat")


async def test_minus_one_is_wechats_own_trouble_and_said_so(rough: World) -> None:
    """-1: the system is busy. Whatever it is taken for, copies and record agree, and the next channel has its turn."""
    person = await rough.person("wechat", "sms", preferences=ORDER)
    rough.wechat.told[person.openid].extend([no(-1)] * 9)
    message = await rough.send(person, content=TEMPLATE, reach={"step": 4, "within": 60})
    await rough.twilio.text(person.number, seconds=20)
    now = await rough.get(message)
    tried = [one for one in now["attempts"] if one["channel"] == "wechat"]
    assert count(rough, person) <= len(tried) + 1, now["attempts"]
    assert {one["status"] for one in tried} <= {"failed", "unknown"}


async def test_a_repeat_carries_the_same_client_msg_id(rough: World) -> None:
    person = await rough.person("wechat")
    rough.wechat.told[person.openid].append(no(-1))
    await rough.send(person, content=TEMPLATE, reach={"step": 40, "within": 60})
    second = await rough.wechat.got(person.openid, 2)
    first = await rough.wechat.got(person.openid, 1)
    assert first["client_msg_id"] == second["client_msg_id"]
    other = await rough.person("wechat")
    await rough.send(other, content=TEMPLATE, reach=LONG)
    assert (await rough.wechat.got(other.openid))["client_msg_id"] != first["client_msg_id"]


@pytest.mark.parametrize("answer", [{"errcode": "ok"}, {"errcode": None}, {"errcode": 987654}, {"errcode": 0}])
async def test_an_odd_answer_is_taken_and_the_channel_lives(rough: World, answer: dict[str, Any]) -> None:
    person = await rough.person("wechat", "sms", preferences=ORDER)
    rough.wechat.told[person.openid].append(answer)
    message = await rough.send(person, content=TEMPLATE, category="survey", reach={"step": 2, "within": 5})
    done = await rough.done(message)
    first = done["attempts"][0]
    assert first["status"] in {"failed", "accepted", "sent", "unknown"}, first
    free = await rough.person("wechat")
    await rough.send(free, content=TEMPLATE, reach=LONG)
    await rough.wechat.got(free.openid)
    await eventually(lambda: count(rough, person) == 1, 1)
