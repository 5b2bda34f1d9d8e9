"""Redis full, gone, or hanging: what can't be kept is refused, what was accepted comes out right (G7)."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from tests.contract.client import Answer
from tests.contract.own_redis import own_redis
from tests.contract.waiting import eventually
from tests.contract.world import World, fresh, in_time, world

SECRET_KEY = "contract-secret-key-of-a-made-up-installation"


async def post(w: World, customer: str, category: str = "outage", **more: Any) -> Answer:
    given = {"customer": customer, "category": category, "content": {"text": "x"}, **more}
    return await w.api("POST", "/v1/messages", given)


def assert_refused(answer: Answer, status: int) -> None:
    assert answer.status == status, answer
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_memory_that_fills_up(tmp_path: Path) -> None:
    """Bulk from 70 %, everything that creates from 85 %; what was accepted, looking and opting out go on."""
    async with (
        own_redis(tmp_path / "redis", "--maxmemory", "20mb") as redis,
        world(tmp_path, REDIS_URL=redis.url, SECRET_KEY=SECRET_KEY) as w,
    ):
        person = await w.person("sms")
        message = await w.send(person, send_at=in_time(seconds=8))
        later = {"send_at": in_time(hours=1)}
        await redis.fill(0.75)

        async def bulk_refused() -> bool:
            return (await post(w, person.id, "survey", **later)).status == 429

        await eventually(bulk_refused)
        assert_refused(await post(w, person.id, "survey", **later), 429)
        for category in ("outage", "service"):
            assert (await post(w, person.id, category, **later)).status == 202
        await redis.fill(0.95)

        async def all_refused() -> bool:
            return (await post(w, person.id, **later)).status == 503

        await eventually(all_refused)
        for category in ("outage", "service", "survey"):
            assert_refused(await post(w, person.id, category, **later), 503)
        stranger = {"addresses": [{"channel": "sms", "value": fresh()}]}
        assert_refused(await w.api("PUT", "/v1/customers/stranger", stranger), 503)
        withdrawal = {"channel": "email", "category": "*", "state": "withdrawn", "way": "phone", "wording": "no"}
        assert (await w.api("POST", f"/v1/customers/{person.id}/consents", withdrawal)).status == 201
        assert (await w.get(message))["status"] in {"scheduled", "waiting", "sending"}
        await w.twilio.report(await w.twilio.text(person.number), "delivered")
        assert (await w.done(message))["verdict"]["state"] == "reached"
        await redis("DEL", "ballast")

        async def recovered() -> bool:
            return (await post(w, person.id, "survey", **later)).status == 202

        await eventually(recovered, 15)


async def not_ready(w: World) -> bool:
    return (await w.api("GET", "/readyz")).status == 503


async def ready(w: World) -> bool:
    return (await w.api("GET", "/readyz")).status == 200


async def assert_away(w: World, customer: str) -> None:
    """What holds while Redis gives no answer: the process is well, and what needs Redis is put off."""
    await eventually(lambda: not_ready(w), 15)
    asked = post(w, customer), w.api("GET", "/v1/messages", customer=customer), w.api("GET", "/healthz")
    async with asyncio.timeout(15):
        made, listed, health = await asyncio.gather(*asked)
    assert health.status == 200
    assert_refused(made, 503)
    assert_refused(listed, 503)


async def test_redis_stopped_and_started_again(tmp_path: Path) -> None:
    async with (
        own_redis(tmp_path / "redis") as redis,
        world(tmp_path, REDIS_URL=redis.url, SECRET_KEY=SECRET_KEY) as w,
    ):
        person = await w.person("sms")
        message = await w.send(person, send_at=in_time(seconds=2))
        await redis.stop()
        await assert_away(w, person.id)
        assert w.twilio.count(person.number) == 0
        await redis.start()
        await eventually(lambda: ready(w), 20)
        await w.twilio.report(await w.twilio.text(person.number), "delivered")
        assert (await w.done(message))["verdict"]["state"] == "reached"
        assert w.twilio.count(person.number) == 1


async def test_redis_that_hangs_and_wakes(tmp_path: Path) -> None:
    async with (
        own_redis(tmp_path / "redis") as redis,
        world(tmp_path, REDIS_URL=redis.url, SECRET_KEY=SECRET_KEY) as w,
    ):
        person = await w.person("sms")
        message = await w.send(person, send_at=in_time(seconds=2))
        assert redis.process is not None
        redis.process.send_signal(signal.SIGSTOP)
        await assert_away(w, person.id)
        redis.process.send_signal(signal.SIGCONT)
        await eventually(lambda: ready(w), 20)
        await w.twilio.report(await w.twilio.text(person.number), "delivered")
        assert (await w.done(message))["verdict"]["state"] == "reached"
        assert w.twilio.count(person.number) == 1
