"""Story 1. Ana ranked WeChat, SMS, voice. WeChat refuses, the SMS gets no receipt, she answers the call and presses 1."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from gateway.sandbox.behaviour import Carrier, Fate
from gateway.sandbox.people import ana
from tests.support.running import Running, until

PATIENT: Final = {"until": "acknowledged", "step": 1, "within": 30}
NOTICE: Final = {"area": "Kypseli", "restored_by": "2026-11-22T18:00:00+02:00"}


async def test_ana_is_reached_by_voice_and_nothing_further_is_sent(gw: Running) -> None:
    her = ana()
    await gw.sample(her)
    sent = await gw.send(her.id, template="outage-notice", data=NOTICE, reach=PATIENT)
    assert [step["channel"] for step in sent["route"]] == ["wechat", "sms", "voice"]

    told = await gw.ended(sent["id"])

    assert told["verdict"]["state"] == "reached", told
    assert (told["verdict"]["channel"], told["verdict"]["level"]) == ("voice", "acknowledged")
    assert told["verdict"]["proven"]
    assert told["answer"]["value"] is True
    assert told["answer"]["channel"] == "voice"
    assert _tries(told) == [
        ("wechat", "failed", "none"),
        ("sms", "accepted", "none"),
        ("voice", "delivered", "acknowledged"),
    ]
    wechat, sms, voice = told["attempts"]
    assert wechat["provider_code"] == "43101"
    assert _seconds(sms, voice) >= 1.0, "the SMS had its whole step"
    await _nothing_follows(gw, told)
    assert gw.taken() == {"sms": 1, "voice": 1}
    [call] = gw.sandbox.world.calls(her.address("voice"))
    assert call.answered_by == "human"
    assert "Kypseli" in call.lines[0].text


async def test_the_board_of_an_outage_shows_her_reached_by_voice(gw: Running) -> None:
    """The announcement goes to everybody in the area by one call; a neighbour whom nothing reaches is a door to knock at."""
    her = ana()
    await gw.sample(her)
    home = {"area": "Kypseli", "address": "Spetson 11"}
    phone = "+306900000199"
    await gw.customer("neighbour", sms=phone, attributes=home, preferences={"channels": ["sms"]})
    gw.fate("sms", phone, Fate.UNDELIVERED)
    audience = {"where": {"area": ["Kypseli"]}}
    body = {"title": "Two days without power", "audience": audience, "template": "outage-notice", "data": NOTICE}

    begun = await gw.api("POST", "/v1/outages", {**body, "id": "cut", "reach": {"step": 1, "within": 30}})

    assert begun.status == 202, begun
    board: dict[str, Any] = {}

    async def over() -> bool:
        board.update((await gw.api("GET", "/v1/outages/cut")).body)
        return board["counts"]["reached"] == 1 and board["counts"]["unreached"] == 1

    await until(over, 30.0, lambda: board)
    assert (board["counts"]["audience"], board["counts"]["acknowledged"]) == (2, 1)
    assert board["by_channel"]["voice"] == {"told": 1, "reached": 1, "acknowledged": 1, "failed": 0}
    assert board["by_channel"]["wechat"]["failed"] == 1
    [door] = (await gw.api("GET", "/v1/outages/cut/recipients?state=unreached")).body["items"]
    assert (door["customer"], door["attributes"]["address"]) == ("neighbour", "Spetson 11")
    her_number = her.address("voice").removeprefix("+")
    [caller] = (await gw.api("GET", f"/v1/lookup?address=%2B{her_number}")).body["customers"]
    assert [(one["id"], one["state"]) for one in caller["outages"]] == [("cut", "reached")]


async def test_an_answering_machine_does_not_count(gw: Running) -> None:
    her = ana()
    await gw.sample(her)
    gw.fate("voice", her.address("voice"), Fate.VOICEMAIL)
    sent = await gw.send(her.id, template="outage-notice", data=NOTICE, reach={**PATIENT, "within": 4})

    told = await gw.ended(sent["id"])

    assert (told["verdict"]["state"], told["verdict"]["code"]) == ("unreached", "no_receipt"), told
    voice = told["attempts"][-1]
    assert (voice["channel"], voice["status"], voice["answered_by"]) == ("voice", "sent", "machine")
    [call] = gw.sandbox.world.calls(her.address("voice"))
    assert any("Kypseli" in line.text for line in call.lines), "the machine was told all the same"


async def test_a_call_that_rings_out_is_a_failure_at_once(gw: Running) -> None:
    her = ana()
    await gw.sample(her)
    for carrier, fate in (("sms", Fate.UNDELIVERED), ("voice", Fate.RINGS_OUT)):
        gw.fate(carrier, her.address(carrier), fate)
    sent = await gw.send(her.id, template="outage-notice", data=NOTICE, reach={**PATIENT, "step": 20})

    told = await gw.ended(sent["id"])

    assert (told["verdict"]["state"], told["verdict"]["code"]) == ("unreached", "all_failed"), told
    assert [attempt["fault"] for attempt in told["attempts"]] == ["declined", "bad_address", "no_answer"]


async def test_a_late_receipt_still_counts(gw: Running) -> None:
    """The SMS is delivered while the call already rings: she is reached by SMS, and the call is ended."""
    her = ana()
    await gw.sample(her)
    gw.sandbox.behaviour.carrier_fates.pop((Carrier.SMS, her.address("sms")))
    gw.sandbox.behaviour.delays.receipt = (40.0, 41.0)  # 0.8 seconds of ours to "sent", as long again to "delivered"
    gw.lets_it_ring(her.address("voice"))
    reach = {"until": "delivered", "step": 1, "within": 30}
    sent = await gw.send(her.id, template="outage-notice", data=NOTICE, reach=reach)
    await until(lambda: gw.sandbox.world.calls(her.address("voice")))

    told = await gw.ended(sent["id"])

    assert (told["verdict"]["state"], told["verdict"]["channel"]) == ("reached", "sms"), told
    [call] = gw.sandbox.world.calls(her.address("voice"))
    await until(lambda: call.over)
    assert call.status == "canceled"


def _tries(message: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["channel"], one["status"], one["engagement"]) for one in message["attempts"]]


def _seconds(earlier: dict[str, Any], later: dict[str, Any]) -> float:
    first, second = (datetime.fromisoformat(one["times"]["started"]) for one in (earlier, later))
    return (second - first).total_seconds()


async def _nothing_follows(gw: Running, told: dict[str, Any]) -> None:
    """All that was under way has ended, a further step's time has passed, and the record is as it was."""
    clock = gw.service.gateway.clock
    end = clock.now() + 1_200
    await gw.sandbox.idle()
    await until(lambda: clock.now() > end)
    again = await gw.message(told["id"])
    assert _tries(again) == _tries(told)
    assert again["route"] == []
