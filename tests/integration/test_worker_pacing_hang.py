"""A provider that hangs costs the others nothing, and a pause or a server that is away loses no permit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.channels.base import Absent, Accepted, Outbound, Refused, Unknown
from gateway.delivery import worker
from gateway.delivery.breaker import Turned
from gateway.delivery.post import ASKS_MOST, Pause
from gateway.delivery.worker import CRITICAL_MORE, DECIDING_MOST
from gateway.message import Attempt, Fault
from gateway.settings_types import ChannelSettings
from gateway.store.keys import partition
from tests.support.core import MAIL, OTHER_PHONE, PHONE, Core, Hang, Scripted, core, until

TAKEN = Accepted(provider_id="p")


class Asked(Scripted):
    """A provider that takes everything, loses its answers, and hangs when it is asked about them."""

    def __init__(self) -> None:
        super().__init__("sms", finds=True, usual=Unknown(), timeout=5)
        self.asking = 0
        self.most = 0
        self.answer = asyncio.Event()

    async def find(self, out: Outbound, attempt: Attempt) -> Accepted | Absent | Unknown:
        """It hangs until `answer` is set."""
        self.asking += 1
        self.most = max(self.most, self.asking)
        try:
            await self.answer.wait()
        finally:
            self.asking -= 1
        return Unknown()


@asynccontextmanager
async def hanging(redis_url: str, tmp_path: Path, *, concurrency: int) -> AsyncGenerator[tuple[Core, Scripted, Hang]]:
    """Every permit of `sms` hangs, and a line stands behind; `email` works."""
    hang, mail = Hang(), Scripted("email")
    sms = Scripted("sms", usual=hang, timeout=20)
    limits = {"sms": ChannelSettings(concurrency=concurrency)}
    async with core(redis_url, tmp_path, sms, mail, limits=limits) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", email=MAIL)
        await gw.send_many(["maria"] * (concurrency + 20))
        post = gw.gateway.boards["live"].posts["sms"]
        await until(lambda: post.full)
        yield gw, mail, hang
        hang.answer(TAKEN)
        await until(lambda: len(sms.handed) == concurrency + 20)


async def test_the_others_go_on_while_all_permits_of_a_channel_hang(redis_url: str, tmp_path: Path) -> None:
    async with hanging(redis_url, tmp_path, concurrency=DECIDING_MOST + CRITICAL_MORE + 20) as (gw, mail, _):
        sent = await gw.send_many(["nikos"] * 30)
        for one in sent:
            found = await gw.when(one, lambda m: m.attempts and m.attempts[0].status == "accepted")
            assert found.attempts[0].started_at - found.created_at < 2_000
        assert len(mail.handed) == len(sent)


async def test_what_is_critical_has_room_of_its_own_for_deciding(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All other room for deciding is taken: nothing else is woken, and what is critical is."""
    monkeypatch.setattr(worker, "DECIDING_MOST", 0)
    mail = Scripted("email")
    async with core(redis_url, tmp_path, mail) as gw:
        await gw.person("nikos", email=MAIL)
        gw.work()
        soon = gw.gateway.clock.now() + 100
        other = await gw.send("nikos", "service", send_at=soon)
        sent = await gw.send("nikos", "outage", send_at=soon)
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert other.id not in mail.to()


async def test_of_a_batch_one_hangs_and_fifteen_go_out(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms = Scripted("sms", hang)
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send_many(["maria"] * 16)
        await until(lambda: len(sms.handed) == 16)
        stuck = sms.handed[0].message
        for one in sent:
            if one.id != stuck:
                await gw.when(one, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert (await gw.message(stuck)).attempts[0].status == "started"
        hang.answer(TAKEN)
        await gw.when(stuck, lambda m: m.attempts[0].status == "accepted")


async def test_questions_to_a_provider_that_hangs_leave_room_for_deciding(redis_url: str, tmp_path: Path) -> None:
    sms = Asked()
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        post = gw.gateway.boards["live"].posts["sms"]
        sent = [await gw.send("maria", "service") for _ in range(ASKS_MOST + 10)]
        for one in sent:
            post.breaker.follow(Turned())
            await gw.when(one, lambda m: m.attempts and m.attempts[0].lease_until < m.attempts[0].started_at + 9_000)
        post.breaker.follow(Turned())
        for one in sent:
            await gw.age(one, 10)
        await until(lambda: sms.asking == ASKS_MOST)
        put_off = [one for one in sent if (await gw.message(one)).attempts[0].asked]
        await until(lambda: sms.asking == ASKS_MOST)
        for one in put_off:
            assert (await gw.message(one)).attempts[0].status == "unknown", "asked again later"
        sms.answer.set()
        for one in sent:
            await gw.when(one, lambda m: m.attempts[0].asked)
        assert sms.most == ASKS_MOST


async def test_a_provider_that_is_down_is_not_asked(redis_url: str, tmp_path: Path) -> None:
    sms = Asked()
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", "service")
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].lease_until < m.attempts[0].started_at + 9_000)
        board, post = gw.gateway.boards["live"], gw.gateway.boards["live"].posts["sms"]
        permit = board.began(post, "normal")
        await board.heard(permit, Refused(fault=Fault.ACCOUNT_SHUT))
        board.ended(permit)
        await gw.age(sent, 10)
        await gw.when(sent, lambda m: m.attempts[0].asked)
        assert (sms.most, (await gw.message(sent)).attempts[0].status) == (0, "unknown")


async def test_a_pause_while_attempts_are_in_flight(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms = Scripted("sms", hang)
    async with core(redis_url, tmp_path, sms, limits={"sms": ChannelSettings(concurrency=1)}) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", sms=OTHER_PHONE)
        flying = await gw.send("maria")
        await asyncio.wait_for(hang.reached.wait(), 5)
        waiting = await gw.send("nikos")
        await gw.gateway.boards["live"].pause("sms", "maintenance", "ops")
        await gw.gateway.follower.once()
        held = await gw.when(waiting, lambda m: m.held)
        assert held.held is not None
        assert held.held.code == "paused"
        hang.answer(TAKEN)
        await gw.when(flying, lambda m: m.attempts[0].status == "accepted")
        await until(lambda: gw.gateway.boards["live"].posts["sms"].in_flight == 0)
        await gw.stop()
    async with core(redis_url, tmp_path, sms) as again:
        assert again.gateway.boards["live"].posts["sms"].pause == Pause("maintenance", "ops")
        again.work()
        await again.nudge(waiting)
        later = await again.send("maria")
        await again.when(later, lambda m: m.held)
        assert len(sms.handed) == 1
        await again.gateway.boards["live"].pause("sms", None, "ops")
        for one in (waiting, later):
            found = await again.when(one, lambda m: m.attempts and m.attempts[0].status == "accepted")
            assert found.held is None


async def test_a_take_that_fails_leaks_neither_permit_nor_seat(redis_url: str, tmp_path: Path) -> None:
    voice = Scripted("voice", rings=180)
    limits = {"voice": ChannelSettings(concurrency=2, messages_per_second=10_000.0)}
    async with core(redis_url, tmp_path, voice, limits=limits) as gw:
        await gw.person("maria", voice=PHONE)
        sent = [await gw.send("maria") for _ in range(2)]
        broken = partition(0).agenda("bulk")
        await gw.client.set(broken, "not a sorted set")
        worker = gw.work()
        await until(lambda: worker._attendance.absent == {0})  # pyright: ignore[reportPrivateUsage] - a round has failed
        await gw.client.delete(broken)
        for one in sent:
            await gw.when(one, lambda m: m.attempts and m.attempts[0].status == "accepted")
        await until(lambda: gw.gateway.boards["live"].posts["voice"].in_flight == 0)
