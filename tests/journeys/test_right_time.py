"""Story 5, in part. A survey doesn't come at night, nor twice in a month; an outage notice comes at any hour."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.support.running import Running

PHONE = "+447400000305"


def _night(gw: Running) -> dict[str, Any]:
    """Quiet hours that began an hour ago and last for another one, at Greenwich."""
    now = dt.datetime.fromtimestamp(gw.service.gateway.clock.now() / 1000, dt.UTC)
    start, end = now - dt.timedelta(hours=1), now + dt.timedelta(hours=1)
    return {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}


async def test_quiet_hours_hold_a_survey_and_let_an_outage_pass(gw: Running) -> None:
    night = _night(gw)
    await gw.customer("eleni", sms=PHONE, time_zone="Etc/UTC", preferences={"quiet_hours": night})

    asked = await gw.send("eleni", "survey", reach={"within": 60})
    outage = await gw.send("eleni", "outage")
    planned = await gw.send("eleni", "outage", priority="normal")

    assert (await gw.ended(outage["id"]))["verdict"]["state"] == "reached"
    for waiting in (asked, planned):
        held = await gw.when(waiting["id"], lambda found: found["status"] == "held")
        assert held["held"]["code"] == "quiet_hours", held
        until = dt.datetime.fromisoformat(held["held"]["until"]).astimezone(dt.UTC)
        assert f"{until:%H:%M}" == night["end"]
        assert held["attempts"] == []
    await gw.sandbox.idle()
    assert gw.taken() == {"sms": 1}


async def test_a_survey_that_is_held_can_be_cancelled(gw: Running) -> None:
    await gw.customer("eleni", sms=PHONE, time_zone="Etc/UTC", preferences={"quiet_hours": _night(gw)})
    asked = await gw.send("eleni", "survey")
    assert (await gw.api("POST", f"/v1/messages/{asked['id']}/cancel")).status == 202
    assert (await gw.ended(asked["id"]))["verdict"]["state"] == "cancelled"


async def test_one_survey_in_a_month(gw: Running) -> None:
    await gw.customer("eleni", sms=PHONE, preferences={"channels": ["sms"]})
    first = await gw.ended((await gw.send("eleni", "survey"))["id"])
    second = await gw.ended((await gw.send("eleni", "survey"))["id"])
    assert first["verdict"]["state"] == "reached", first
    assert (second["verdict"]["state"], second["verdict"]["code"]) == ("suppressed", "cap"), second
    assert gw.taken() == {"sms": 1}


async def test_not_before_its_time(gw: Running) -> None:
    await gw.customer("eleni", sms=PHONE, preferences={"channels": ["sms"]})
    at = dt.datetime.fromtimestamp(gw.service.gateway.clock.now() / 1000 + 1.5, dt.UTC)
    sent = await gw.send("eleni", send_at=at.isoformat())
    assert sent["status"] == "scheduled"
    told = await gw.ended(sent["id"])
    begun = dt.datetime.fromisoformat(told["attempts"][0]["times"]["started"])
    assert 0 <= (begun - at).total_seconds() < 1.0, told


async def test_too_late_to_be_of_use(gw: Running) -> None:
    """Held for the night, with an end of its own before the morning."""
    await gw.customer("eleni", sms=PHONE, time_zone="Etc/UTC", preferences={"quiet_hours": _night(gw)})
    ends = dt.datetime.fromtimestamp(gw.service.gateway.clock.now() / 1000 + 1.5, dt.UTC)
    sent = await gw.send("eleni", "service", expires_at=ends.isoformat())
    told = await gw.ended(sent["id"])
    assert (told["verdict"]["state"], told["attempts"]) == ("expired", []), told
