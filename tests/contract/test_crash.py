"""The process dies with messages in flight: what was accepted is sent after the restart, and nothing twice without need."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.contract.waiting import eventually
from tests.contract.wire import HANG, Told
from tests.contract.world import Person, World, in_time, world

TOML = """
[categories.survey]
channels = ["email", "sms"]
"""


async def restart(w: World) -> None:
    await w.gateway.stop(signal.SIGKILL)
    await w.gateway.start()
    await w.gateway.ready(w.http)


async def test_kill_nine_with_messages_in_flight(tmp_path: Path) -> None:
    async with world(tmp_path, TWILIO_VOICE_FROM=None) as w:
        people = [await w.person("sms") for _ in range(12)]
        hanging, later, waiting = people[0], people[1], people[2]
        w.twilio.told[hanging.number].append(Told(fate=HANG))
        hung = await w.send(hanging, reach={"step": 60, "within": 300})
        later_message = await w.send(later, send_at=in_time(seconds=4))
        open_message = await w.send(waiting, reach={"step": 60, "within": 300})
        text = await w.twilio.text(waiting.number)
        await w.when(open_message, lambda one: one["attempts"] and one["attempts"][0]["status"] == "accepted")
        await w.twilio.text(hanging.number)
        key = {"Idempotency-Key": "before-the-crash"}
        body = {"customer": people[3].id, "category": "outage", "content": {"text": "Once"}}
        first = await w.api("POST", "/v1/messages", body, headers=key)
        batch = [{"customer": one.id, "category": "outage", "content": {"text": "x"}} for one in people[4:]]
        answer = await w.api("POST", "/v1/messages/batch", {"messages": batch})
        assert answer.status == 202
        await restart(w)
        again = await w.api("POST", "/v1/messages", body, headers=key)
        assert (again.status, again.body["id"]) == (202, first.body["id"])
        for one in (later, *people[3:]):
            await w.twilio.text(one.number, seconds=60)
        await w.twilio.report(text, "delivered")
        assert (await w.done(open_message))["verdict"]["state"] == "reached"
        now = await w.when(hung, lambda one: one["attempts"] and one["attempts"][0]["status"] != "started", 60)
        assert now["attempts"][0]["status"] in {"unknown", "accepted", "sent"}
        assert later_message["status"] == "scheduled"
        counts = Counter(one.to for one in w.twilio.texts)
        assert counts[waiting.number] == 1
        assert all(counts[one.number] <= 2 for one in people)
        assert await listed(w, people[3]) == 1


async def listed(w: World, person: Person) -> int:
    return len((await w.api("GET", "/v1/messages", customer=person.id)).body["items"])


async def test_roles_apart_and_a_gentle_stop(tmp_path: Path) -> None:
    """A term signal ends it in order; what it had taken is on disk and goes on afterwards."""
    async with world(
        tmp_path,
        TWILIO_VOICE_FROM=None,
        WECHAT_APP_ID=None,
        WECHAT_APP_SECRET=None,
        WECHAT_TOKEN=None,
        WECHAT_API_BASE=None,
    ) as w:
        shown = {one["name"]: one["state"] for one in (await w.api("GET", "/v1/channels")).body["items"]}
        assert (shown["wechat"], shown["voice"], shown["sms"]) == ("missing", "missing", "up")
        person = await w.person("sms", "voice")
        given = {"customer": person.id, "category": "outage", "content": {"text": "x"}}
        dry = (await w.api("POST", "/v1/messages", given, dry_run="true")).body
        assert {one["channel"]: one["why"]["code"] for one in dry["skipped"]}["voice"] == "no_channel"
        await w.send(person, send_at=in_time(seconds=1))
        assert await w.gateway.stop(signal.SIGTERM) == 0
        await w.gateway.start()
        await w.gateway.ready(w.http)
        await w.twilio.text(person.number)


async def test_categories_are_changed_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(TOML)
    async with world(tmp_path, CONFIG=tmp_path / "own.toml") as w:
        person = await w.person("sms", "email")
        given = {"customer": person.id, "category": "survey", "content": {"subject": "s", "text": "x"}}
        dry = (await w.api("POST", "/v1/messages", given, dry_run="true")).body
        assert [one["channel"] for one in dry["route"]] == ["email", "sms"]
        assert (dry["reach"]["step"], dry["priority"]) == (3600, "bulk"), "the other rules stay"


async def test_redis_gone_is_503_and_nothing_is_accepted(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        person = await w.person("sms")
        log = w.gateway.log()
        pid = int(log.partition('"pid": ')[2].partition(",")[0])
        import os

        os.kill(pid, signal.SIGSTOP)
        try:
            given = {"customer": person.id, "category": "outage", "content": {"text": "x"}}
            async with asyncio.timeout(20):
                answer = await w.api("POST", "/v1/messages", given)
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.headers["Content-Type"].startswith("application/problem+json")
        finally:
            os.kill(pid, signal.SIGCONT)

        async def back() -> bool:
            return (await w.api("GET", "/readyz")).status == 200

        await eventually(back, 40)


@pytest.mark.parametrize("roles", ["api,nonsense", ""])
async def test_unknown_roles_are_refused(w: World, roles: str) -> None:
    status, out, err = await w.gateway.command("serve", "--roles", roles)
    assert status != 0
    assert "Traceback" not in out + err
