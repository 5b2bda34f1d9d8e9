"""Two processes at once: each thing is done once, whoever was first."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections import Counter
from pathlib import Path

import pytest

from gateway.channels.base import Accepted, Callback, Inbound, Reading
from gateway.message import Message
from gateway.prompts import Prompt
from gateway.settings_types import ChannelSettings
from gateway.store.keys import of_customer
from gateway.store.pipe import StoreUnavailable
from tests.support.core import MAIL, PHONE, Core, Hang, Scripted, core, until
from tests.support.turns import before_command


def stop_callback(gw: Core, words: str) -> Inbound:
    return Inbound(id="SM1", channel="sms", sender=PHONE, text=words, at=gw.gateway.clock.now())


@pytest.mark.parametrize("words", ["1", "STOP", "just words"])
async def test_one_text_delivered_to_two_processes_at_once(redis_url: str, tmp_path: Path, words: str) -> None:
    sms, other = Scripted("sms"), Scripted("sms")
    async with core(redis_url, tmp_path, sms) as one, core(redis_url, tmp_path, other) as two:
        await one.person("maria", sms=PHONE)
        one.work()
        sent = await one.send("maria", prompt=Prompt(kind="acknowledge"))
        await one.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        sms.readings[b"said"] = other.readings[b"said"] = Reading(inbound=(stop_callback(one, words),))
        call = Callback(method="POST", path="", url="", headers={}, query={}, body=b"said", now=1)
        two.work()
        await asyncio.gather(*(gw.gateway.handle("sms", call) for gw in (one, two) for _ in range(4)))
        [item] = await one.items(PHONE)
        outcome = await one.worked(item)
        assert outcome == {"1": "answer", "STOP": "consent", "just words": "linked"}[words]
        found = await one.message(sent)
        assert (found.answer is not None, found.later_answers) == (words == "1", [])
        assert len(await one.gateway.customers.ledger("maria")) == (words == "STOP")
        await one.stop()
        await two.stop()
        await one.gateway.handle("sms", call)
        agenda = of_customer(one.gateway.customers.address_key(PHONE)).agenda("critical")
        assert item.partition(":")[2] not in [m.decode() for m in await one.client.zrange(agenda, 0, -1)], "much later"


@pytest.mark.parametrize("words, ledger, answers", [("1", 0, 1), ("STOP", 1, 0)])
async def test_two_workers_work_off_one_text(
    redis_url: str, tmp_path: Path, words: str, ledger: int, answers: int
) -> None:
    """A lease that ran out: the second worker is done before each single command of the first."""
    async with core(redis_url, tmp_path, Scripted("sms")) as one, core(redis_url, tmp_path, Scripted("sms")) as two:
        for moment in itertools.count():
            await one.client.flushall()
            await one.person("maria", sms=PHONE)
            sent = await one.send("maria", prompt=Prompt(kind="acknowledge"))
            one.work()
            await one.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
            await one.stop()
            assert await one.gateway.inbox.note("live", stop_callback(one, words)) == "ok"
            at = of_customer(one.gateway.customers.address_key(PHONE))
            [taken] = (await one.gateway.scripts.take(at.number, 10_000, {"critical": 9}, {})).items
            again = functools.partial(two.gateway.inbox.work, at, taken)
            with before_command(one.gateway.scripts, moment, again) as done:
                await one.gateway.inbox.work(at, taken)
            if not done:
                break
            found = await one.message(sent)
            assert len(await one.gateway.customers.ledger("maria")) == ledger, moment
            assert (found.answer is not None) == bool(answers)
            assert found.later_answers == []


async def test_a_batch_in_which_one_hangs(redis_url: str, tmp_path: Path) -> None:
    """Sixteen at once by two workers: the one that hangs holds up none, and nobody sends it again."""
    hang = Hang()
    sms = Scripted("sms", hang)
    limits = {"sms": ChannelSettings(concurrency=16)}
    async with (
        core(redis_url, tmp_path, sms, limits=limits) as one,
        core(redis_url, tmp_path, sms, limits=limits) as two,
    ):
        names = [f"c-{n}" for n in range(16)]
        for n, name in enumerate(names):
            await one.person(name, sms=f"+3069123456{n:02d}")
        sent = await one.send_many(names)
        one.work()
        two.work()
        await until(lambda: len(sms.handed) == 16)
        stuck = sms.handed[0].message
        for message in sent:
            if message.id != stuck:
                await one.when(message, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert (await one.message(stuck)).attempts[0].status == "started"
        hang.answer(Accepted(provider_id="late"))
        await one.when(stuck, lambda m: m.attempts[0].provider_id == "late")
        assert set(Counter(sms.to()).values()) == {1}


async def test_who_loses_the_answer_to_a_beginning_withdraws_nobody_elses(redis_url: str, tmp_path: Path) -> None:
    """Both begin the same message; the second, who is told nothing at any moment of its turn, takes back its own."""
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as one, core(redis_url, tmp_path, Scripted("sms")) as two:
        await one.person("maria", sms=PHONE)
        begun: list[asyncio.Task[bool]] = []

        async def begins(sent: Message, hang: Hang) -> None:
            if (await one.message(sent)).attempts:
                return  # the second has begun by now
            begun.append(asyncio.create_task(turn(one, sent)))
            await asyncio.wait_for(hang.reached.wait(), 5)
            raise StoreUnavailable("the answer is lost")

        for moment in itertools.count():
            hang = Hang()
            sms.script.append(hang)
            sent = await one.send("maria")
            act = functools.partial(begins, sent, hang)
            with before_command(two.gateway.scripts, moment, act) as done, contextlib.suppress(StoreUnavailable):
                await turn(two, sent)
            if not done or len(begun) == moment:
                break
            assert [a.status for a in (await one.message(sent)).attempts] == ["started"], moment
            hang.answer(Accepted(provider_id="p-1"))
            await begun[-1]
            assert [a.provider_id for a in (await one.message(sent)).attempts] == ["p-1"], moment
        assert len(begun) > 2


async def test_an_id_is_given_once_whatever_was_withdrawn(redis_url: str, tmp_path: Path) -> None:
    """A first attempt is withdrawn after a second one has begun; the third is neither's namesake."""
    sms, mail = Scripted("sms"), Scripted("email")
    async with core(redis_url, tmp_path, sms, mail) as gw:
        await gw.person("maria", sms=PHONE, email=MAIL)
        post = gw.gateway.boards["live"].posts["sms"]
        for moment in itertools.count():
            sent = await gw.send("maria", reach={"mode": "all_at_once", "until": "delivered", "within": 60})
            seen: list[str] = []

            async def other_channel(sent: Message = sent, seen: list[str] = seen) -> None:
                seen += [a.id for a in (await gw.message(sent)).attempts]
                if seen:
                    await turn(gw, sent, "email")

            # Too late to send, and too early to know it: the attempt begins and is withdrawn.
            post.throttled_until = gw.gateway.clock.now() + 60_000
            with before_command(gw.gateway.scripts, moment, other_channel) as done:
                await turn(gw, sent)
            post.throttled_until = 0
            assert done, "it came after the beginning once"
            if not seen:
                continue
            assert [(a.id, a.channel) for a in (await gw.message(sent)).attempts] == [("a2", "email")]
            await turn(gw, sent)
            attempts = (await gw.message(sent)).attempts
            assert [(a.id, a.channel, a.status) for a in attempts] == [
                ("a2", "email", "accepted"),
                ("a3", "sms", "accepted"),
            ]
            break


async def turn(gw: Core, message: Message, channel: str = "sms") -> bool:
    """The message's turn on a channel, worked off by this process alone."""
    case = await gw.gateway.desk.reopen(message.id)
    assert case is not None
    board = gw.gateway.boards["live"]
    return await gw.gateway.sender.turn(case, board.began(board.posts[channel], "critical"))
