"""What the settings allow, measured at the carrier; a gentle stop under load; steps on time (G6, G9, G12)."""

from __future__ import annotations

import asyncio
import signal
from datetime import datetime
from pathlib import Path

from aiohttp import web

from tests.contract.rough import LONG
from tests.contract.waiting import eventually
from tests.contract.wire import HANG, Handed, Told
from tests.contract.world import World, in_time, world

PER_SECOND = 10
TOML = """
[channels.sms]
messages_per_second = 10
concurrency = 40
"""


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def test_messages_per_second_are_shared_by_all_processes(tmp_path: Path) -> None:
    """Two processes; the first second may have what was saved up before, each later one no more than the setting."""
    (tmp_path / "own.toml").write_text(TOML)
    async with world(tmp_path, serve=("serve", "--processes", "2"), CONFIG=tmp_path / "own.toml") as w:
        people = [await w.person("sms") for _ in range(50)]
        given = [{"customer": one.id, "category": "service", "content": {"text": "x"}} for one in people]
        assert (await w.api("POST", "/v1/messages/batch", {"messages": given})).status == 202
        await eventually(lambda: len(w.twilio.texts) >= len(people), 30)
        at = sorted(one.at for one in w.twilio.texts)
        densest = max(sum(start <= one < start + 2 for one in at) for start in at)
        assert densest <= 2 * PER_SECOND + PER_SECOND + 2, densest
        assert at[-1] - at[0] >= (len(people) - PER_SECOND) / PER_SECOND * 0.9


async def test_a_term_signal_under_load_loses_nothing(tmp_path: Path) -> None:
    """What hangs at the carrier is unknown afterwards, what it answers meanwhile is taken in; nobody gets two."""
    async with world(tmp_path) as w:
        people = [await w.person("sms") for _ in range(20)]
        answer = asyncio.Event()

        async def slow(_: web.Request, __: Handed) -> None:
            await answer.wait()

        for one in people:
            w.twilio.before[one.number] = slow
        hanging = await w.person("sms")
        w.twilio.told[hanging.number].append(Told(fate=HANG))
        sent = [await w.send(one, category="service", reach=LONG) for one in (*people, hanging)]
        await eventually(lambda: len(w.twilio.texts) >= 8)
        stopping = asyncio.create_task(w.gateway.stop(signal.SIGTERM))
        asyncio.get_running_loop().call_later(0.5, answer.set)
        asyncio.get_running_loop().call_later(2, w.twilio.release.set)
        async with asyncio.timeout(35):
            assert await stopping == 0
        await w.gateway.start()
        await w.gateway.ready(w.http)
        for one, message in zip((*people, hanging), sent, strict=True):
            await w.twilio.text(one.number)
            now = await w.when(message, lambda now: now["attempts"] and now["attempts"][-1]["status"] == "accepted")
            assert w.twilio.count(one.number) == 1, now


async def test_steps_dates_and_deadlines_are_on_time(w: World) -> None:
    """Within a second, on an idle machine; here with a little more, for machines that are not."""
    person = await w.person("sms", "wechat", preferences={"channels": ["sms", "wechat"]})
    content = {"text": "x", "wechat": {"template_id": "t1", "data": {"thing1": {"value": "x"}}}}
    due = in_time(seconds=2)
    message = await w.send(person, content=content, send_at=due, reach={"step": 2, "within": 4})
    done = await w.done(message)
    first, second = done["attempts"]
    starts = [moment(one["times"]["started"]) for one in (first, second)]
    assert 0 <= starts[0] - moment(due) < 2
    assert 0 <= starts[1] - starts[0] - 2 < 2
    assert 0 <= moment(done["verdict"]["at"]) - moment(done["deadline"]) < 2
