"""An answer that is kept for repeats while its person is erased: stripped, whichever of the two comes first."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from tests.support.core import Scripted, core
from tests.support.erasing import NEEDLES, anna, erased
from tests.support.needles import everything, left, spelt
from tests.support.turns import before_command
from tests.support.web_gateway import public
from tests.support.web_parts import bearer

BODY = {
    "customer": "needle-anna",
    "category": "service",
    "content": {"text": "needle-text"},
    "reference": "needle-reference",
}


async def test_whenever_the_erasure_comes_no_answer_names_the_person(
    redis_url: str, redis_client: Redis, tmp_path: Path
) -> None:
    """The whole erasure happens before one command of a request, before each of them in turn."""
    client: Any = redis_client
    async with (
        core(redis_url, tmp_path, Scripted("sms"), Scripted("email"), DATA_DIR=str(tmp_path)) as gw,
        public(gw.gateway) as caller,
    ):
        answers: set[int] = set()
        for moment in itertools.count():
            await client.flushall()
            await anna(gw)
            headers = {**await bearer(gw.gateway), "Idempotency-Key": "k"}

            async def forget() -> None:
                await erased(gw, "needle-anna")

            with before_command(gw.gateway.scripts, moment, forget) as reached:
                async with caller.post("/v1/messages", json=BODY, headers=headers) as answer:
                    answers.add(answer.status)
            if not reached:
                break
            kept = {key: held async for key, held in everything(redis_client) if key.startswith(b"{i:")}
            named = [key for key, held in kept.items() for needle in NEEDLES for one in spelt(needle) if one in held]
            assert named == [], moment
        assert answers >= {202, 422}, "before and after it was accepted"
        assert await left(redis_client, NEEDLES) != [], "without an erasure it is there"
