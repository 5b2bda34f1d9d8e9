"""Clocks: due, deadline, quiet hours, caps, and what is held or expires."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.contract.world import World, in_time


def quiet_now(zone: str, before: int = 1, after: int = 1) -> dict[str, str]:
    """Quiet hours that began some hours ago and end in some."""
    local = datetime.now(ZoneInfo(zone))
    return {"start": f"{local - timedelta(hours=before):%H:%M}", "end": f"{local + timedelta(hours=after):%H:%M}"}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_due_and_deadline(w: World) -> None:
    person = await w.person("sms")
    at = in_time(hours=5)
    message = await w.send(person, send_at=at, reach={"within": 1234})
    assert message["status"] == "scheduled"
    assert abs(moment(message["due_at"]) - moment(at)) < timedelta(seconds=1)
    assert moment(message["deadline"]) - moment(message["due_at"]) == timedelta(seconds=1234)
    past = await w.send(person, send_at=in_time(hours=-5), reach={"within": 1234})
    assert abs(moment(past["due_at"]) - datetime.now(UTC)) < timedelta(seconds=30)


async def test_send_at_is_kept_to(w: World) -> None:
    person = await w.person("sms")
    at = in_time(seconds=2)
    await w.send(person, send_at=at)
    text = await w.twilio.text(person.number)
    assert text.at >= moment(at).timestamp() - 0.05


async def test_the_deadline_never_passes_expires_at(w: World) -> None:
    person = await w.person("sms")
    ends = in_time(seconds=100)
    message = await w.send(person, expires_at=ends, reach={"within": 3600, "step": 60})
    assert abs(moment(message["deadline"]) - moment(ends)) < timedelta(seconds=1)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York", "UTC", "Asia/Kolkata"])
async def test_send_at_local_is_the_persons_next(w: World, zone: str) -> None:
    person = await w.person("sms", time_zone=zone)
    wanted = datetime.now(ZoneInfo(zone)) + timedelta(hours=2)
    message = await w.send(person, send_at_local=f"{wanted:%H:%M}")
    due = moment(message["due_at"]).astimezone(ZoneInfo(zone))
    assert f"{due:%H:%M}" == f"{wanted:%H:%M}"
    assert timedelta(hours=1) < due - datetime.now(UTC) < timedelta(hours=3)


async def test_quiet_hours_hold_a_service_message_and_move_its_deadline(w: World) -> None:
    zone = "Europe/Athens"
    person = await w.person("sms", time_zone=zone, preferences={"quiet_hours": quiet_now(zone)})
    message = await w.send(person, category="service", reach={"within": 600})
    held = await w.when(message, lambda one: one["status"] == "held")
    assert held["held"]["code"] == "quiet_hours"
    assert held["held"]["text"]
    until = moment(held["held"]["until"])
    assert timedelta(minutes=58) < until - datetime.now(UTC) < timedelta(minutes=62)
    assert timedelta(minutes=60) < moment(held["deadline"]) - datetime.now(UTC) < timedelta(minutes=75)
    assert w.twilio.count(person.number) == 0


async def test_time_held_for_quiet_hours_is_not_counted(w: World) -> None:
    zone = "Europe/Athens"
    person = await w.person("sms", time_zone=zone, preferences={"quiet_hours": quiet_now(zone)})
    message = await w.send(person, category="service", reach={"within": 1, "step": 1})
    over = datetime.now(UTC) + timedelta(seconds=3)
    now = await w.when(message, lambda one: datetime.now(UTC) > over or one["status"] == "done")
    assert (now["status"], now["verdict"]["state"]) == ("held", "pending")


async def test_a_hold_that_lies_ahead_is_shown(w: World) -> None:
    """A survey for three in the morning: in a dry run, in the answer, and whenever it is looked at."""
    zone = ZoneInfo("Europe/Athens")
    person = await w.person("sms", time_zone=zone.key, preferences={"quiet_hours": {"start": "21:00", "end": "08:00"}})
    night = (datetime.now(zone) + timedelta(days=1)).replace(hour=3, minute=0, second=0, microsecond=0)
    body = {"customer": person.id, "category": "survey", "content": {"text": "Well?"}, "send_at": night.isoformat()}
    dry = (await w.api("POST", "/v1/messages?dry_run=true", body)).body
    made = (await w.api("POST", "/v1/messages", body)).body
    for shown in (dry, made, await w.get(made)):
        assert (shown["status"], shown["held"]["code"]) == ("scheduled", "quiet_hours")
        assert moment(shown["held"]["until"]) == night.replace(hour=8)
        [step] = shown["route"][:1]
        assert abs(step["after"] - (night.replace(hour=8) - datetime.now(UTC)).total_seconds()) < 60
        assert moment(shown["deadline"]) - night.replace(hour=8) == timedelta(seconds=259_200)
    await w.api("PUT", f"/v1/customers/{person.id}/preferences", {"quiet_hours": None})
    later = await w.get(made)
    assert (later["status"], later["held"]) == ("scheduled", None)


async def test_the_zone_comes_from_the_number_when_the_customer_has_none(w: World) -> None:
    person = await w.person("sms", preferences={"quiet_hours": quiet_now("Europe/Athens")})
    await w.when(await w.send(person, category="service"), lambda one: one["status"] == "held")


async def test_a_critical_outage_passes_quiet_hours_and_a_planned_cut_does_not(w: World) -> None:
    zone = "Europe/Athens"
    person = await w.person("sms", time_zone=zone, preferences={"quiet_hours": quiet_now(zone)})
    planned = await w.send(person, priority="normal")
    assert planned["priority"] == "normal"
    await w.when(planned, lambda one: one["status"] == "held")
    assert w.twilio.count(person.number) == 0
    await w.send(person)
    await w.twilio.text(person.number)


@pytest.mark.parametrize("category", ["code", "reply"])
async def test_asked_for_messages_pass_quiet_hours(w: World, category: str) -> None:
    zone = "Europe/Athens"
    person = await w.person("sms", time_zone=zone, preferences={"quiet_hours": quiet_now(zone)})
    await w.send(person, category=category)
    await w.twilio.text(person.number)


async def test_quiet_hours_null_is_none_and_outside_is_free(w: World) -> None:
    zone = "Europe/Athens"
    for hours in (None, quiet_now(zone, before=-2, after=3)):
        person = await w.person("sms", time_zone=zone, preferences={"quiet_hours": hours})
        await w.send(person, category="service")
        await w.twilio.text(person.number)


async def test_what_would_expire_in_quiet_hours_is_expired(w: World) -> None:
    """At the deadline: no attempt begun: `expired`."""
    zone = "Europe/Athens"
    person = await w.person("sms", time_zone=zone, preferences={"quiet_hours": quiet_now(zone)})
    done = await w.done(await w.send(person, category="service", expires_at=in_time(seconds=2)))
    assert done["verdict"]["state"] == "expired"
    assert done["attempts"] == []


async def test_over_the_cap_is_held_if_room_comes_else_suppressed(w: World) -> None:
    """`code`: 5 in 3600 s."""
    person = await w.person("sms")
    for number in range(1, 6):
        await w.send(person, category="code")
        await w.twilio.text(person.number, number)
    held = await w.when(
        await w.send(person, category="code", reach={"within": 7200}), lambda one: one["status"] in {"held", "done"}
    )
    assert held["status"] == "held"
    assert held["held"]["code"] == "cap"
    done = await w.done(await w.send(person, category="code"))
    assert (done["verdict"]["state"], done["verdict"]["code"]) == ("suppressed", "cap")
    assert w.twilio.count(person.number) == 5


async def test_caps_of_a_survey_count_by_person_and_a_test_key_counts_apart(w: World) -> None:
    person = await w.person("sms", "email")
    await w.send(person, category="survey")
    await w.twilio.text(person.number)
    done = await w.done(await w.send(person, category="survey"))
    assert (done["verdict"]["state"], done["verdict"]["code"]) == ("suppressed", "cap")
    trial = await w.key(mode="test")
    other = await w.send(person, category="survey", api=trial)
    assert (await w.done(other, api=trial))["verdict"]["state"] == "reached"


async def test_caps_apply_to_one_off_recipients_by_address(w: World) -> None:
    person = await w.person("sms")
    recipient = {"addresses": [{"channel": "sms", "value": person.number}]}
    ids: list[Any] = []
    for _ in range(2):
        answer = await w.api(
            "POST", "/v1/messages", {"recipient": recipient, "category": "survey", "content": {"text": "How was it?"}}
        )
        assert answer.status == 202, answer
        await w.when(answer.body, lambda one: one["attempts"] or one["status"] == "done")
        ids.append(answer.body)
    done = await w.done(ids[1])
    assert (done["verdict"]["state"], done["verdict"]["code"]) == ("suppressed", "cap")


DEFAULTS: dict[str, tuple[str, str, str, int, int]] = {
    "code": ("critical", "delivered", "go_on", 60, 600),
    "reply": ("normal", "accepted", "settle", 900, 86400),
    "outage": ("critical", "delivered", "go_on", 300, 3600),
    "service": ("normal", "delivered", "settle", 900, 86400),
    "follow_up": ("normal", "delivered", "settle", 3600, 172800),
    "survey": ("bulk", "delivered", "settle", 3600, 259200),
}


@pytest.mark.parametrize("category", DEFAULTS)
async def test_the_table_of_categories(w: World, category: str) -> None:
    person = await w.person("sms", "email")
    given = {"customer": person.id, "category": category, "content": {"subject": "s", "text": "x"}}
    body = (await w.api("POST", "/v1/messages", given, dry_run="true")).body
    reach = body["reach"]
    assert (body["priority"], reach["until"], reach["unproven"], reach["step"], reach["within"]) == DEFAULTS[category]
    assert (reach["mode"], reach["rounds"]) == ("in_turn", 1)


async def test_marketing_has_no_fall_back(w: World) -> None:
    person = await w.person("sms", "email")
    for channel in ("sms", "email"):
        await w.api(
            "POST", f"/v1/customers/{person.id}/consents",
            {"channel": channel, "category": "marketing", "state": "granted", "way": "form", "wording": "Yes."},
        )  # fmt: skip
    given = {"customer": person.id, "category": "marketing", "content": {"subject": "s", "text": "x"}}
    body = (await w.api("POST", "/v1/messages", given, dry_run="true")).body
    assert (body["priority"], body["reach"]["until"], body["reach"]["within"]) == ("bulk", "accepted", 86400)
    assert len(body["route"]) <= 1
