"""What a message serves is told of it: its answers, its end, and every correction of it; at least once, whoever dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis

from gateway.channels.base import Accepted, Refused
from gateway.customer import ConsentEntry
from gateway.delivery.intake import NewMessage
from gateway.message import Fault, Message, Receipt
from gateway.news import absorb
from gateway.prompts import Answer, Prompt
from gateway.store.keys import of_customer
from gateway.store.morgue import Morgue, Which
from tests.support.core import OTHER_PHONE, PHONE, Core, Scripted, core, until

NPS = Prompt(kind="scale", min=0, max=10)


class Told:
    """A thing that messages serve, and what it was told: one copy of the message each time."""

    def __init__(self, gw: Core, kind: str = "case") -> None:
        self.of: list[Message] = []
        self.meanwhile: list[Callable[[Message], object]] = []
        self.hangs = asyncio.Event()
        self.hangs.set()
        gw.gateway.followers[kind] = self

    async def __call__(self, message: Message) -> None:
        self.of.append(msgspec.structs.replace(message, later_answers=list(message.later_answers)))
        if self.meanwhile:
            found = self.meanwhile.pop()(message)
            if asyncio.iscoroutine(found):
                await found
        await self.hangs.wait()

    def values(self) -> list[list[object]]:
        """The answers it saw, each time."""
        return [[a.value for a in (m.answer, *m.later_answers) if a is not None] for m in self.of]


async def answered(gw: Core, message: Message, value: int) -> None:
    """She answers, by SMS."""
    given = Answer(value=value, text=str(value), channel="sms", at=gw.gateway.clock.now())

    def news(found: Message, now: int) -> None:
        if found.answer is None:
            found.answer = given
        elif given not in (found.answer, *found.later_answers):
            found.later_answers.append(given)
        if found.attempts:
            absorb(found, Receipt(attempt="a1", at=now, engagement="answered"))

    assert await gw.gateway.desk.update(message.id, news)


async def settled(gw: Core, message: Message) -> Message:
    """The message once nothing is owed."""
    return await gw.when(message, lambda found: not found.owed)


async def test_answers_and_the_end_are_told_and_then_nothing_is_owed(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        told = Told(gw)
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", about="case:77", prompt=NPS)
        alone = await gw.send("maria", prompt=NPS)
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert not told.of
        await answered(gw, alone, 9)
        await answered(gw, sent, 9)
        await until(lambda: told.values() == [[9]])
        assert (told.of[0].id, told.of[0].about, told.of[0].done) == (sent.id, "case:77", True)
        await settled(gw, sent)
        await answered(gw, sent, 3)
        await until(lambda: told.values() == [[9], [9, 3]])
        await settled(gw, sent)
        assert len(told.of) == 2


async def test_a_correction_is_told(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms", Refused(fault=Fault.UNREACHABLE))) as gw:
        told = Told(gw)
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", "service", about="case:77")
        await until(lambda: [m.verdict.state for m in told.of] == ["unreached"])
        await settled(gw, sent)
        late = Receipt(attempt="a1", at=gw.gateway.clock.now(), status="delivered")

        def news(message: Message, _now: int) -> None:
            absorb(message, late)

        await gw.gateway.desk.update(sent.id, news)
        await until(lambda: [m.verdict.state for m in told.of] == ["unreached", "reached"])
        assert told.of[1].verdict.late


async def test_what_ends_as_it_is_accepted_is_told_at_once(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        told = Told(gw)
        await gw.person("maria", sms=PHONE)
        no = ConsentEntry(channel="*", category="*", state="withdrawn", way="api", wording="No.", at=1)
        await gw.gateway.customers.withdraw("sms", PHONE, [no])
        new = NewMessage(customer="maria", category="service", content={"text": "News."}, about="case:77")
        sent, _ = await gw.gateway.intake.accept("live", new, gw.gateway.intake.origin())
        assert (sent.verdict.state, sent.owed) == ("suppressed", True)
        gw.work()
        await until(lambda: [m.verdict.state for m in told.of] == ["suppressed"])
        await settled(gw, sent)


async def test_who_dies_before_it_is_noted_down_leaves_it_to_be_told_again(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        told = Told(gw)
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", about="case:77", prompt=NPS)
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        told.hangs.clear()
        await answered(gw, sent, 9)
        await until(lambda: told.of)
        await gw.kill()
        assert (await gw.message(sent)).owed
        told.hangs.set()
        await gw.nudge(sent)
        gw.work()
        await settled(gw, sent)
        assert told.values() == [[9], [9]]


async def test_news_that_comes_while_it_is_told_is_told_again(redis_url: str, tmp_path: Path) -> None:
    """Clearing compares the version: what came meanwhile must not be lost with it."""
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        told = Told(gw)
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", about="case:77", prompt=NPS)
        told.meanwhile.append(lambda message: answered(gw, message, 2))
        await answered(gw, sent, 9)
        await settled(gw, sent)
        assert told.values()[0] == [9]
        assert told.values()[-1] == [9, 2]


async def test_a_follower_may_send_while_every_place_is_taken(redis_url: str, tmp_path: Path) -> None:
    """It takes turns of its own, so the message it is told of holds none meanwhile."""
    async with core(redis_url, tmp_path, Scripted("sms", usual=Accepted(provider_id="p"))) as gw:
        made: list[Message] = []

        async def follow(message: Message) -> None:
            new = NewMessage(customer="nikos", category="survey", content={"text": "And?"})
            made.append((await gw.gateway.intake.accept("live", new, gw.gateway.intake.origin()))[0])
            assert message.about

        gw.gateway.followers["case"] = follow
        people = [f"p{n}" for n in range(40)]
        await gw.person("nikos", sms=OTHER_PHONE)
        for name in people:
            await gw.person(name, sms=PHONE)
        for name in people:
            await gw.send(name, "survey", about="case:1", reach={"channels": ("email",)})
        gw.work()
        await until(lambda: len(made) >= len(people))


async def test_a_follower_that_fails_leads_to_the_morgue_and_back(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", about="nobody:77", prompt=NPS)
        await answered(gw, sent, 9)
        lies = Morgue(gw.gateway.scripts)

        async def buried() -> bool:
            await gw.nudge(sent)
            return bool(await lies.listed())

        await until(buried)
        [one] = await lies.listed()
        assert "KeyError: 'nobody'" in one.reason
        told = Told(gw, "nobody")
        await lies.retry(Which(ids=[sent.id]))
        await settled(gw, sent)
        assert told.values() == [[9]]


async def test_an_answer_is_told_before_what_waits_in_the_same_lane(
    redis_url: str, redis_client: Redis, tmp_path: Path
) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), categories={"survey": {"cap": None}}) as gw:
        await gw.person("ana", sms=PHONE)
        asked = await gw.send("ana", "survey", about="case:1", prompt=NPS)
        intake = gw.gateway.intake
        news = [NewMessage(customer="ana", category="survey", content={"text": "?"})]
        [waiting] = await intake.accept_many("live", news, intake.origin())
        assert isinstance(waiting, Message)
        await answered(gw, asked, 3)
        server: Any = redis_client  # redis-py's own types are partly unknown
        members: list[bytes] = await server.zrange(of_customer("ana").agenda("bulk"), 0, -1)
        assert members.index(f"m:{asked.id}".encode()) < members.index(f"m:{waiting.id}".encode())
