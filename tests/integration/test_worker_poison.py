"""What nobody can work off reaches the morgue; its neighbours go out (G11)."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from gateway.channels.base import Inbound, Refused, Unknown
from gateway.message import SCHEMA, Fault, Message
from gateway.store.morgue import Buried, Morgue, Which
from tests.support.core import MAIL, OTHER_PHONE, PHONE, Core, Hang, Scripted, core, until, where

LANE = {"outage": "critical", "service": "normal", "survey": "bulk"}


@pytest.fixture(autouse=True)
def plain_logs() -> Generator[None]:
    """Tracebacks as data: rendering them for people takes longer than all else here."""
    with structlog.testing.capture_logs():
        yield


class Bug(Exception):
    """What a plug-in might raise."""


async def buried(gw: Core, member: str) -> Buried:
    """A record once it is in the morgue."""
    morgue = Morgue(gw.gateway.scripts)

    async def found() -> Buried | None:
        return next((one for one in await morgue.listed() if one.member == member), None)

    one = await until(found)
    assert one is not None
    return one


async def spoil(gw: Core, message: Message, **fields: Any) -> None:
    """Write into a record what a future or broken process might have written."""
    key = where(message.id).message(message.id)
    state = msgspec.msgpack.decode(await gw.client.hget(key, "s"))
    await gw.client.hset(key, "s", msgspec.msgpack.encode(state | fields))


@pytest.mark.parametrize("category", ["outage", "service", "survey"])
@pytest.mark.parametrize("woken", [True, False], ids=["by the agenda", "in the line"])
async def test_an_unreadable_record(redis_url: str, tmp_path: Path, category: str, woken: bool) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", sms=OTHER_PHONE)
        bad, good = await gw.send("maria", category), await gw.send("nikos", category)
        await gw.client.hset(where(bad.id).message(bad.id), "s", b"\xc1 not msgpack")
        if woken:
            await gw.nudge(bad)
        gw.work()
        await gw.when(good, lambda m: m.attempts and m.attempts[0].status == "accepted")
        one = await buried(gw, f"m:{bad.id}")
        assert "can't be read" in one.reason
        assert await gw.wake(bad) is None, "nothing else wakes it"
        await until(lambda: _in_no_line(gw, bad, LANE[category]))
        assert sms.to() == [good.id]


@pytest.mark.parametrize("field, value", [("v", "no number"), ("v", ""), ("can", "no time"), ("sup", b"\xff")])
async def test_a_record_with_a_spoilt_field_ends_nobodys_work(
    redis_url: str, tmp_path: Path, field: str, value: Any
) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", sms=OTHER_PHONE)
        bad = await gw.send("maria", "outage")
        await gw.client.hset(where(bad.id).message(bad.id), field, value)
        await gw.nudge(bad)
        gw.work()
        if field == "v":
            assert "version" in (await buried(gw, f"m:{bad.id}")).reason
        good = await gw.send("nikos", "outage")
        await gw.when(good, lambda m: m.attempts and m.attempts[0].status == "accepted")


async def _in_no_line(gw: Core, message: Message, lane: str) -> bool:
    return not await gw.line(message, "sms", lane)


async def test_a_record_of_a_newer_release_is_left_alone(redis_url: str, tmp_path: Path) -> None:
    """Also when it is handed out again and again, and when this release can't even read it."""
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        newer = [await gw.send("maria", "service") for _ in range(2)]
        await spoil(gw, newer[0], schema=SCHEMA + 1)
        await spoil(gw, newer[1], schema=SCHEMA + 1, attempts="somewhere else now", reach=[1, 2, 3])
        gw.work()
        for message in newer:
            key = where(message.id).message(message.id)
            await gw.client.hset(key, mapping={"t": 50, "by": "somebody"})
            await gw.nudge(message)
            await until(lambda key=key: _count(gw, key, "t", 51))
        proof = await gw.send("maria", "service")
        await gw.when(proof, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert await Morgue(gw.gateway.scripts).listed() == []
        assert sms.to() == [proof.id]
        for message in newer:
            assert await gw.wake(message) is not None, "its own release will find it"


async def _count(gw: Core, key: str, field: str, times: int) -> bool:
    return int(await gw.client.hget(key, field) or 0) >= times


async def test_content_that_cannot_be_read(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        bad, good = await gw.send("maria"), await gw.send("maria")
        await gw.client.set(where(bad.id).body(bad.id), b"\xc1", keepttl=True)
        gw.work()
        await buried(gw, f"m:{bad.id}")
        await gw.when(good, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert sms.to() == [good.id]


async def test_content_that_is_gone_is_no_poison(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        await gw.client.delete(where(sent.id).body(sent.id))
        gw.work()
        ended = await gw.ended(sent)
        assert (ended.verdict.state, ended.verdict.code) == ("suppressed", "no_template")


async def test_a_bug_while_asking_is_taken_three_times(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms = Scripted("sms", hang, finds=True)
    sms.found.extend([Bug("one"), Bug("two"), Bug("three")])
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", sms=OTHER_PHONE)
        sent = await gw.send("maria", "service")
        await asyncio.wait_for(hang.reached.wait(), 5)
        hang.answer(Unknown())
        await gw.when(sent, lambda m: m.attempts[0].lease_until < m.attempts[0].started_at + 6000)
        await gw.age(sent, 30)
        for times in (1, 2, 3):
            await until(lambda times=times: len(sms.asked) == times)
            if times < 3:
                assert await Morgue(gw.gateway.scripts).listed() == []
                await gw.nudge(sent)
        one = await buried(gw, f"m:{sent.id}")
        assert "Bug: three" in one.reason, "with its traceback"
        good = await gw.send("nikos", "service")
        await gw.when(good, lambda m: m.attempts and m.attempts[0].status == "accepted")
        # Mended and put back to work, it goes on where it was.
        assert await Morgue(gw.gateway.scripts).retry(Which(ids=[sent.id])) == 1
        await gw.when(sent, lambda m: m.attempts[0].asked == 1)
        assert await Morgue(gw.gateway.scripts).listed() == []


async def test_a_bug_in_a_channel_counts_as_a_lost_answer(redis_url: str, tmp_path: Path) -> None:
    """A plug-in that raises: nobody knows whether the provider has it. The message goes on, so do its neighbours."""
    sms, voice = Scripted("sms", Bug("once"), Bug("twice")), Scripted("voice")
    async with core(redis_url, tmp_path, sms, voice) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        await gw.person("nikos", sms=OTHER_PHONE)
        bad = await gw.send("maria")
        await until(lambda: len(sms.handed) == 1)
        await gw.age(bad, 30)
        await until(lambda: len(sms.handed) == 2)
        good = await gw.send("nikos")
        await gw.when(good, lambda m: m.attempts and m.attempts[0].status == "accepted")
        await gw.age(bad, 30)
        await gw.when(bad, lambda m: [a.status for a in m.attempts] == ["unknown", "unknown"])
        await gw.age(bad, 300)
        found = await gw.when(bad, lambda m: len(m.attempts) == 3 and m.attempts[2].status == "accepted")
        assert [a.channel for a in found.attempts] == ["sms", "sms", "voice"]


async def test_a_bug_in_a_probe_does_not_shut_the_channel_for_good(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", Refused(fault=Fault.ACCOUNT_SHUT), Bug("while probing"))
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.ended(await gw.send("maria"))
        post = gw.gateway.boards["live"].posts["sms"]
        assert not post.breaker.closed
        survey = await gw.send("maria", "survey")
        gw.rested("sms")
        await gw.nudge(survey)
        await until(lambda: len(sms.handed) == 2)
        await until(lambda: post.breaker.facts.open_until > 0)
        gw.rested("sms")
        later = await gw.send("maria", "follow_up")
        await gw.when(later, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert post.breaker.closed
        assert (await gw.message(survey)).attempts[0].status == "started"


async def test_a_category_that_the_settings_no_longer_know(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms, categories={"flash": {}}) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", "flash")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        for times in (1, 2, 3):
            await until(lambda times=times: _count(gw, where(sent.id).message(sent.id), "f", times))
            await gw.nudge(sent)
        one = await buried(gw, f"m:{sent.id}")
        assert "KeyError" in one.reason
        good = await gw.send("maria")
        await gw.when(good, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert await Morgue(gw.gateway.scripts).discard() == 1
        assert await gw.gateway.messages.load(sent.id) is None


async def test_an_unreadable_inbound_item(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        await gw.gateway.inbox.note("live", Inbound(id="1", channel="sms", sender=PHONE, text="hi", at=1))
        [key] = await gw.items(PHONE)
        await gw.client.hset(key, "s", b"\xc1")
        gw.work()
        await buried(gw, key.partition(":")[2])
        assert await gw.hears(MAIL, "hello", channel="email") == "unlinked"
