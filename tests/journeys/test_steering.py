"""What callers do with a message that is under way: cancel, acknowledge, send again, replace, send everywhere at once."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.sandbox.behaviour import Fate
from tests.support.running import Running, running, until

PHONE: Final = "+447400000306"
ACK: Final = {"kind": "acknowledge"}


async def test_cancelled_while_the_call_rings(gw: Running) -> None:
    await gw.customer("c-1", voice=PHONE, email="c@example.org", preferences={"channels": ["voice", "email"]})
    gw.lets_it_ring(PHONE)
    sent = await gw.send("c-1", reach={"step": 5, "within": 60})
    await until(lambda: [call for call in gw.sandbox.world.calls(PHONE) if call.status == "ringing"])
    await gw.when(sent["id"], lambda found: found["attempts"][0]["provider_id"])

    answer = await gw.api("POST", f"/v1/messages/{sent['id']}/cancel")

    assert answer.status == 202, answer
    told = await gw.ended(sent["id"])
    assert told["verdict"]["state"] == "cancelled"
    [call] = gw.sandbox.world.calls(PHONE)
    await until(lambda: call.over)
    assert call.status == "canceled"
    assert (await gw.api("POST", f"/v1/messages/{sent['id']}/cancel")).status == 409
    assert gw.taken() == {"voice": 1}, "no mail follows"


async def test_acknowledged_by_the_call_centre(gw: Running) -> None:
    await gw.customer("c-1", sms=PHONE, voice=PHONE, preferences={"channels": ["sms", "voice"]})
    sent = await gw.send("c-1", prompt=ACK, reach={"step": 60, "within": 300})
    await gw.when(sent["id"], lambda found: found["attempts"] and found["attempts"][0]["status"] == "delivered")

    answer = await gw.api("POST", f"/v1/messages/{sent['id']}/acknowledge", {"by": "agent 7", "note": "She called."})

    assert answer.status == 200, answer
    verdict = answer.body["verdict"]
    assert (verdict["state"], verdict["level"], verdict["proven"]) == ("reached", "acknowledged", True)
    assert "agent 7" in verdict["text"]
    assert gw.taken() == {"sms": 1}


async def test_acknowledged_by_sms(gw: Running) -> None:
    await gw.customer("c-1", sms=PHONE, preferences={"channels": ["sms"]})
    sent = await gw.send("c-1", prompt=ACK, reach={"step": 60, "within": 300})
    await gw.when(sent["id"], lambda found: found["attempts"] and found["attempts"][0]["status"] == "delivered")
    await gw.texts_us(PHONE, " 1 ")
    told = await gw.ended(sent["id"])
    assert (told["answer"]["value"], told["answer"]["channel"]) == (True, "sms")
    assert told["verdict"]["level"] == "acknowledged"


async def test_sent_again_another_way(gw: Running) -> None:
    await gw.customer("c-1", sms=PHONE, voice=PHONE, preferences={"channels": ["sms", "voice"]})
    gw.fate("sms", PHONE, Fate.UNDELIVERED)
    first = await gw.ended((await gw.send("c-1", reach={"channels": ["sms"]}))["id"])
    assert first["verdict"]["state"] == "unreached", first

    answer = await gw.api("POST", f"/v1/messages/{first['id']}/retry", {"reach": {"channels": ["voice"]}})

    assert answer.status == 202, answer
    assert answer.body["retry_of"] == first["id"]
    told = await gw.ended(answer.body["id"])
    assert (told["verdict"]["state"], told["verdict"]["channel"]) == ("reached", "voice"), told
    [call] = gw.sandbox.world.calls(PHONE)
    assert "The power is out." in call.lines[0].text


async def test_an_update_takes_the_place_of_what_has_not_gone_out(gw: Running) -> None:
    await gw.customer("c-1", email="c@example.org", sms=PHONE, preferences={"channels": ["email", "sms"]})
    old = await gw.send("c-1", thread="outage-77", reach={"step": 60, "within": 300})
    await gw.when(old["id"], lambda found: found["attempts"])

    new = await gw.send("c-1", thread="outage-77", reach={"channels": ["sms"]})

    assert (await gw.ended(old["id"]))["verdict"]["state"] == "superseded"
    assert (await gw.ended(new["id"]))["verdict"]["channel"] == "sms"
    assert gw.taken() == {"email": 1, "sms": 1}, "the older one's SMS never goes out"


async def test_an_answer_to_the_older_one_counts_for_the_newest(gw: Running) -> None:
    await gw.customer("c-1", sms=PHONE, preferences={"channels": ["sms"]})
    old = await gw.send("c-1", thread="outage-77", prompt=ACK, reach={"step": 60, "within": 300})
    await gw.when(old["id"], lambda found: found["attempts"])
    new = await gw.send("c-1", thread="outage-77", prompt=ACK, reach={"step": 60, "within": 300})
    await gw.ended(old["id"])
    await gw.when(new["id"], lambda found: found["attempts"])
    await gw.texts_us(PHONE, "1")
    assert (await gw.ended(new["id"]))["answer"]["value"] is True
    assert (await gw.message(old["id"]))["answer"] is None


async def test_everywhere_at_once(gw: Running) -> None:
    await gw.customer("c-1", sms=PHONE, voice=PHONE, email="c@example.org", wechat="oSomebody0002x")
    gw.fate("sms", PHONE, Fate.NO_RECEIPT)
    gw.fate("wechat", "oSomebody0002x", Fate.REFUSED)
    gw.lets_it_ring(PHONE)
    reach = {"mode": "all_at_once", "until": "delivered", "step": 60, "within": 300}
    sent = await gw.send("c-1", reach=reach)
    begun = await gw.when(sent["id"], lambda found: len(found["attempts"]) == 4)
    assert {one["channel"] for one in begun["attempts"]} == {"sms", "wechat", "email", "voice"}

    await gw.picks_up(PHONE, "1")

    told = await gw.ended(sent["id"])
    assert (told["verdict"]["state"], told["verdict"]["channel"]) == ("reached", "voice"), told
    assert len(told["attempts"]) == 4


async def test_a_team_key_reaches_the_team_alone(redis_url: str, tmp_path: Path) -> None:
    async with running(redis_url, tmp_path, TEAM_ADDRESSES=PHONE) as gw:
        team = await gw.new_key("team")
        await gw.customer("ours", sms=PHONE, preferences={"channels": ["sms"]})
        await gw.customer("theirs", sms="+447400000307", preferences={"channels": ["sms"]})
        ours = await gw.send("ours", key=team)
        theirs = await gw.send("theirs", key=team)
        assert (await gw.ended(ours["id"], key=team))["verdict"]["state"] == "reached"
        assert (theirs["verdict"]["state"], theirs["verdict"]["code"]) == ("suppressed", "not_in_team"), theirs
        assert (await gw.api("GET", f"/v1/messages/{ours['id']}")).status == 404, "another mode's id is unknown"
        assert gw.sandbox.world.texts("+447400000307") == []
