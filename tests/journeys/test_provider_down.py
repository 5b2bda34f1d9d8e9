"""Story 11. 03:00, the SMS provider is down: critical goes by voice, surveys wait, nobody else notices, the line drains."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any, Final

from gateway.sandbox.behaviour import State
from tests.support.running import Running, until

CRITICAL: Final = 12
ASKED: Final = 6
QUICK: Final = {"until": "delivered", "step": 2, "within": 300}
LONG: Final = {"until": "delivered", "step": 60, "within": 300}


async def test_the_sms_provider_is_down(gw: Running) -> None:
    for n in range(CRITICAL):
        phone = f"+4474000004{n:02}"
        await gw.customer(f"home-{n}", sms=phone, voice=phone, preferences={"channels": ["sms", "voice"]})
    for n in range(ASKED):
        await gw.customer(f"asked-{n}", sms=f"+4474000005{n:02}", preferences={"channels": ["sms"]})
    await gw.customer("chats", wechat="oSomebody0001x", preferences={"channels": ["wechat"]})
    gw.switch("sms", State.REFUSES)

    # The first few find out. Each answer is lost, so none of them is given up before its step is over.
    notices = await asyncio.gather(*(gw.send(f"home-{n}", reach=QUICK) for n in range(5)))
    await until(lambda: _is(gw, "sms", "broken"))
    # From now on notices go by voice at once, but for the few that serve as probes.
    notices += await asyncio.gather(*(gw.send(f"home-{n}", reach=QUICK) for n in range(5, CRITICAL)))
    told = [await gw.ended(one["id"]) for one in notices]
    assert [one["verdict"]["channel"] for one in told] == ["voice"] * CRITICAL, told
    untried = [one for one in told[5:] if one["attempts"][0]["channel"] == "voice"]
    assert len(untried) >= CRITICAL - 5 - 2
    assert all(_waited(one) < 1.0 for one in untried), untried
    assert await _state(gw, "sms") == "broken"

    # Surveys wait in line, and operators see it.
    surveys = await asyncio.gather(*(gw.send(f"asked-{n}", "survey") for n in range(ASKED)))
    assert all(one["verdict"]["state"] == "pending" for one in surveys)
    await until(lambda: _waits(gw, "sms", "bulk", ASKED - 1))

    # The failure of one provider never delays another channel.
    began = gw.service.gateway.clock.now()
    chat = await gw.ended((await gw.send("chats"))["id"])
    assert chat["verdict"]["channel"] == "wechat"
    assert gw.service.gateway.clock.now() - began < 1_500
    assert gw.taken().get("sms") is None

    # The provider is back; nobody touches anything.
    gw.switch("sms", State.UP)
    # A survey that served as a probe has an unknown outcome, and surveys are never repeated.
    answers = [await gw.when(one["id"], _over, 40) for one in surveys]
    reached = [one for one in answers if one["status"] == "done"]
    assert [(one["verdict"]["state"], one["verdict"]["channel"]) for one in reached] == [("reached", "sms")] * len(
        reached
    )
    assert len(reached) >= ASKED - 1, answers
    await until(lambda: _is(gw, "sms", "up"))
    await gw.sandbox.idle()
    assert gw.taken() == {"voice": CRITICAL, "wechat": 1, "sms": len(reached)}, "nobody who was reached is told again"


async def test_an_operator_pauses_a_channel_and_lets_it_go_on(gw: Running) -> None:
    phone = "+447400000410"
    await gw.customer("home", sms=phone, voice=phone, preferences={"channels": ["sms", "voice"]})
    await gw.customer("asked", sms="+447400000411", preferences={"channels": ["sms"]})
    paused = await gw.api("POST", "/v1/channels/sms/pause", {"reason": "Wrong sender name"})
    assert (paused.status, paused.body["state"]) == (200, "paused"), paused

    survey = await gw.send("asked", "survey")
    notice = await gw.ended((await gw.send("home", reach=LONG))["id"])

    assert notice["verdict"]["channel"] == "voice"
    held = await gw.when(survey["id"], lambda found: found["status"] == "held")
    assert held["held"]["code"] == "paused"
    await gw.api("POST", "/v1/channels/sms/resume", {"reason": "Mended"})
    assert (await gw.ended(survey["id"], 20))["verdict"]["channel"] == "sms"


async def test_a_provider_that_asks_us_to_slow_down(gw: Running) -> None:
    """429 with Retry-After: the same channel is tried again, later, and nothing is lost or sent twice."""
    await gw.customer("home", sms="+447400000412", preferences={"channels": ["sms"]})
    gw.switch("sms", State.THROTTLES)
    sent = await gw.send("home", reach=LONG)
    await gw.when(sent["id"], lambda found: found["attempts"])
    gw.switch("sms", State.UP)
    told = await gw.ended(sent["id"])
    assert (told["verdict"]["state"], told["verdict"]["channel"]) == ("reached", "sms"), told
    assert gw.taken() == {"sms": 1}


def _waited(message: dict[str, Any]) -> float:
    """Seconds from acceptance to the first try."""
    first, begun = (
        dt.datetime.fromisoformat(at) for at in (message["created_at"], message["attempts"][0]["times"]["started"])
    )
    return (begun - first).total_seconds()


async def _state(gw: Running, channel: str) -> str:
    answer = await gw.api("GET", "/v1/channels")
    items: list[dict[str, Any]] = answer.body["items"]
    return next(one["state"] for one in items if one["name"] == channel)


def _over(message: dict[str, Any]) -> bool:
    held = message["held"]
    return message["status"] == "done" or (held is not None and held["code"] == "unknown_outcome")


async def _waits(gw: Running, channel: str, lane: str, count: int) -> bool:
    items: list[dict[str, Any]] = (await gw.api("GET", "/v1/channels")).body["items"]
    return next(one["waiting"][lane] for one in items if one["name"] == channel) >= count


async def _is(gw: Running, channel: str, state: str) -> bool:
    return await _state(gw, channel) == state
