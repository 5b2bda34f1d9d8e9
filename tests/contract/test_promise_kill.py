"""`kill -9` at random while a caller sends with keys; afterwards the carrier's count is held against the record
(G1, G3, G4, G5)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.contract.waiting import eventually
from tests.contract.wire import Handed, cut
from tests.contract.world import Person, World, world

ROUNDS = int(os.environ.get("CONTRACT_KILLS", "1"))


async def caller(w: World, person: Person, key: str, stop: asyncio.Event) -> dict[str, Any]:
    """Sends one message as a good client does: the same key until there is an answer that settles it."""
    body = {"customer": person.id, "category": "outage", "content": {"text": key},
            "reach": {"step": 45, "within": 240}}  # fmt: skip
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(15):
                answer = await w.api("POST", "/v1/messages", body, headers={"Idempotency-Key": key})
            if answer.status == 202:
                return answer.body
            assert answer.status in {429, 503}, answer
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.3)


def redis_pid(w: World) -> int:
    return int(w.gateway.log().rpartition('"pid": ')[2].partition(",")[0])


@pytest.mark.parametrize("victim", ["gateway", "redis"])
async def test_nothing_accepted_is_lost_and_nothing_is_sent_twice_without_a_record(tmp_path: Path, victim: str) -> None:
    chance = random.Random()
    async with world(tmp_path, TWILIO_VOICE_FROM=None) as w:
        people = [await w.person("sms") for _ in range(20 * ROUNDS)]

        async def moody(request: web.Request, handed: Handed) -> web.StreamResponse | None:
            if chance.random() < 0.15:
                return cut(request)
            return None

        for one in people:
            w.twilio.before[one.number] = moody
        stop = asyncio.Event()
        told: dict[str, Any] = {}
        for round_ in range(ROUNDS):
            part = people[round_ * 20 : round_ * 20 + 20]
            sending = [asyncio.create_task(caller(w, one, f"k-{one.id}", stop)) for one in part]
            moment = len(w.twilio.texts) + chance.randrange(1, 12)
            await eventually(lambda moment=moment: len(w.twilio.texts) >= moment)
            if victim == "gateway":
                await w.gateway.stop(signal.SIGKILL)
                await w.gateway.start()
            else:
                os.kill(redis_pid(w), signal.SIGKILL)
            await w.gateway.ready(w.http)
            for one, made in zip(part, await asyncio.gather(*sending), strict=True):
                told[one.id] = made
        for one in people:
            again = await caller(w, one, f"k-{one.id}", stop)
            assert again["id"] == told[one.id]["id"]
            listed = (await w.api("GET", "/v1/messages", customer=one.id)).body["items"]
            assert [item["id"] for item in listed] == [again["id"]]
        for one in people:
            await w.twilio.text(one.number, seconds=60)
        for one in people:
            await w.when(told[one.id], lambda now: now["attempts"] and now["attempts"][-1]["status"] != "started", 60)
        for one in people:
            now = await w.get(told[one.id])
            copies = w.twilio.count(one.number)
            unknown = sum("unknown" in a["times"] or a["status"] == "unknown" for a in now["attempts"])
            assert copies <= 1 + unknown, (copies, now["attempts"])
        for one in people:
            for text in [text for text in w.twilio.texts if text.to == one.number]:
                await w.twilio.report(text, "delivered")
        for one in people:
            done = await w.done(told[one.id], 60)
            assert done["verdict"]["state"] == "reached", done
