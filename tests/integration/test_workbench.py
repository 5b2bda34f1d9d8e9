"""What a living process has in hand: nobody begins it again, and nobody takes it for dead."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.channels.base import Absent, Accepted, Outbound, Unknown
from gateway.message import Attempt
from gateway.store.pipe import StoreUnavailable
from tests.support.core import PHONE, Scripted, core, until, where
from tests.support.turns import before_command


class SlowToSay(Scripted):
    """A provider that takes everything, loses its answer, and is slow to say so when it is asked."""

    def __init__(self) -> None:
        super().__init__("sms", finds=True, usual=Unknown(), timeout=5)
        self.says = asyncio.Event()

    async def find(self, out: Outbound, attempt: Attempt) -> Accepted | Absent | Unknown:
        self.asked.append(attempt.id)
        await self.says.wait()
        return Accepted(provider_id="p-1")


async def test_what_takes_longer_than_its_lease_is_not_begun_again(redis_url: str, tmp_path: Path) -> None:
    sms = SlowToSay()
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", "service")
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].lease_until < m.attempts[0].started_at + 9_000)
        await gw.age(sent, 10)
        await until(lambda: sms.asked)
        leases: set[int | None] = set()

        async def taken_again() -> bool:
            leases.add(await gw.wake(sent))
            return len(leases) > 2

        await until(taken_again)
        assert sms.asked == ["a1"]
        sms.says.set()
        assert (await gw.when(sent, lambda m: m.attempts[0].provider_id)).attempts[0].status == "accepted"


async def test_who_loses_redis_answers_does_not_look_dead(redis_url: str, tmp_path: Path) -> None:
    """Else an outage of Redis would send whatever is due during it to a process of its own, and to the morgue."""

    async def lost() -> None:
        raise StoreUnavailable("the answer is lost")

    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        at, scripts, worker = where(sent.id), gw.gateway.scripts, gw.gateway.worker()
        for taker in ("one", "two", "three", "four"):
            scripts.taker = taker
            await gw.nudge(sent)
            [taken] = (await scripts.take(at.number, 10_000, {"critical": 9}, {})).items
            assert taken.abandoned == 0, taker
            with before_command(scripts, 0, lost) as done:
                await worker.work_one(at.number, taken)
            assert done
