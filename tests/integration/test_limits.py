"""Limits on texts and calls with workers on a real store: never passed, and what isn't sent doesn't count."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Refused
from gateway.delivery import limits
from gateway.message import Fault, Message
from gateway.store import keys
from gateway.store.pipe import StoreUnavailable
from gateway.store.scripts import Scripts
from tests.support.commands import ROOT
from tests.support.core import MAIL, OTHER_PHONE, PHONE, Core, Scripted, core, until
from tests.support.turns import before_command

GREEK = keys.uses("live", "+30")


@contextlib.asynccontextmanager
async def limited(redis_url: str, folder: Path, lines: str, *channels: Scripted, **more: Any) -> AsyncGenerator[Core]:
    """A gateway with `[limits]`."""
    (folder / "gateway.toml").write_text(f"[limits]\n{lines}\n")
    async with core(redis_url, folder, *channels, **more) as gw:
        yield gw


async def counted(gw: Core) -> dict[str, int]:
    """How many uses each counter holds."""
    found = sorted([key.decode() async for key in gw.client.scan_iter(match="*uses*", count=1000)])
    return {key: await gw.client.zcard(key) for key in found}


async def turn(gw: Core, message: Message, channel: str = "sms") -> bool:
    """The message's turn on a channel, worked off by this process alone."""
    case = await gw.gateway.desk.reopen(message.id)
    assert case is not None
    board = gw.gateway.boards[message.mode]
    return await gw.gateway.sender.turn(case, board.began(board.posts[channel], "critical"))


def figure(gw: Core, limit: str, of: str = "") -> float:
    """How often the metric says that a limit bit."""
    return gw.gateway.registry.get_sample_value("gateway_limited_attempts_total", {"limit": limit, "of": of}) or 0.0


async def test_a_hundred_at_once_from_three_processes_never_pass_it(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    lines = 'per_prefix_per_day = { "+30" = 20, "+44" = 1000 }\nper_country_per_day = { "*" = 30 }'
    async with contextlib.AsyncExitStack() as stack:
        gws = [await stack.enter_async_context(limited(redis_url, tmp_path, lines, sms)) for _ in range(3)]
        names = [f"c-{n}" for n in range(100)]
        for n, name in enumerate(names):
            await gws[0].person(name, sms=f"+30691234{n:04d}")
        await gws[0].person("elsewhere", sms="+447911123456")
        sent = await gws[0].send_many(names, "code")
        for gw in gws:
            gw.work()
        ended = [await gws[0].when(one, lambda m: m.done or m.attempts) for one in sent]
        assert len(sms.handed) == sum(bool(m.attempts) for m in ended) == 20
        refused = [m.verdict for m in ended if not m.attempts]
        assert {(v.state, v.code) for v in refused} == {("suppressed", "cap")}
        assert "per_prefix_per_day +30" in (refused[0].text or "")
        assert await counted(gws[0]) == {GREEK: 20, keys.uses("live", "GR"): 20}
        assert sum(figure(gw, "per_prefix_per_day", "+30") for gw in gws) == 80
        other = await gws[0].send("elsewhere", "code")
        await gws[0].when(other, lambda m: m.attempts)


async def test_there_is_room_again_after_a_day(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with limited(redis_url, tmp_path, 'per_prefix_per_day = { "+30" = 2 }', sms) as gw:
        await gw.person("maria", sms=PHONE)
        gw.work()
        for _ in range(2):
            await gw.when(await gw.send("maria"), lambda m: m.attempts)
        waits = await gw.send("maria", "follow_up")
        held = (await gw.when(waits, lambda m: m.held)).held
        assert held is not None
        [(_, first), _] = await gw.client.zrange(GREEK, 0, -1, withscores=True)
        assert (held.code, held.until) == ("cap", int(first) + limits.DAY_MS)
        assert 0 < await gw.client.pttl(GREEK) <= limits.DAY_MS
        await gw.client.zincrby(GREEK, -limits.DAY_MS - 1, (await gw.client.zrange(GREEK, 0, 0))[0])
        await gw.age(waits, limits.DAY_MS / 1000)
        await gw.when(waits, lambda m: m.attempts)
        assert await counted(gw) == {GREEK: 2}


async def test_what_waits_looks_again_after_a_minute_at_the_soonest(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with limited(redis_url, tmp_path, "per_customer_per_day = 1", sms) as gw:
        await gw.person("maria", sms=PHONE)
        gw.work()
        await gw.when(await gw.send("maria"), lambda m: m.attempts)
        [key] = await counted(gw)
        await gw.client.zincrby(key, 1000 - limits.DAY_MS, (await gw.client.zrange(key, 0, 0))[0])
        held = (await gw.when(await gw.send("maria"), lambda m: m.held)).held
        assert held is not None
        assert held.until - held.since >= limits.LOOK_AGAIN_MS - 100


@pytest.mark.parametrize("limit", ["per_customer_per_day = 2", "per_address_per_day = 2"])
async def test_trying_again_and_calling_count_too(redis_url: str, tmp_path: Path, limit: str) -> None:
    away = Refused(fault=Fault.UNAVAILABLE)
    sms, voice, mail = Scripted("sms", usual=away), Scripted("voice", rings=1), Scripted("email")
    async with limited(redis_url, tmp_path, limit, sms, voice, mail) as gw:
        await gw.person("maria", sms=PHONE, voice=PHONE, email=MAIL)
        gw.work()
        sent = await gw.send("maria", "code")
        await gw.when(sent, lambda m: len(m.attempts) == 1 and m.attempts[0].status == "failed")
        await gw.age(sent, 5)
        found = await gw.when(sent, lambda m: len(m.attempts) == 2 and m.attempts[1].status == "failed")
        await gw.age(sent, 10)
        found = await gw.when(sent, lambda m: len(m.attempts) == 3)
        assert [a.channel for a in found.attempts] == ["sms", "sms", "email"], "e-mail is no text"
        assert [(s.channel, s.why.code) for s in found.skipped] == [("voice", "cap")]
        assert list((await counted(gw)).values()) == [2]


async def test_an_address_has_one_limit_whoever_it_belongs_to(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with limited(redis_url, tmp_path, "per_address_per_day = 1", sms) as gw:
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", sms=PHONE)
        await gw.person("eleni", sms=OTHER_PHONE)
        gw.work()
        await gw.when(await gw.send("maria"), lambda m: m.attempts)
        assert (await gw.ended(await gw.send("nikos"))).verdict.code == "cap"
        await gw.when(await gw.send("eleni"), lambda m: m.attempts)
        [one, other] = await counted(gw)
        assert PHONE not in one + other, "addresses stand in no key"


async def test_a_wide_limit_that_is_used_up_costs_nothing_of_the_narrow_ones(redis_url: str, tmp_path: Path) -> None:
    lines = 'per_address_per_day = 5\nper_customer_per_day = 5\nper_prefix_per_day = { "+30" = 1, "+3069" = 5 }'
    async with limited(redis_url, tmp_path, lines, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        await gw.person("eleni", sms=OTHER_PHONE)
        gw.work()
        await gw.when(await gw.send("maria"), lambda m: m.attempts)
        assert (await gw.ended(await gw.send("eleni"))).verdict.code == "cap"
        assert list((await counted(gw)).values()) == [1, 1, 1, 1]


async def test_test_keys_use_up_nothing_of_the_live_ones(redis_url: str, tmp_path: Path) -> None:
    live, test = Scripted("sms"), Scripted("sms")
    lines = "per_customer_per_day = 1"
    async with limited(redis_url, tmp_path, lines, live, test_channels=[test]) as gw:
        await gw.person("maria", sms=PHONE)
        gw.work()
        await gw.when(await gw.send("maria", mode="test"), lambda m: m.attempts)
        assert (await gw.ended(await gw.send("maria", mode="test"))).verdict.code == "cap"
        await gw.when(await gw.send("maria"), lambda m: m.attempts)
        assert (len(live.handed), len(test.handed)) == (1, 1)


async def test_without_limits_nothing_is_counted(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        gw.work()
        await gw.when(await gw.send("maria"), lambda m: m.attempts)
        assert await counted(gw) == {}


LINES = 'per_customer_per_day = 9\nper_prefix_per_day = { "+30" = 9 }'


@pytest.mark.parametrize("what", ["cancelled", "stopped", "sent by another"])
async def test_only_what_is_sent_counts_whatever_comes_between(redis_url: str, tmp_path: Path, what: str) -> None:
    """Something else happens before each single command of the turn."""
    sms = Scripted("sms")
    async with (
        limited(redis_url, tmp_path, LINES, sms) as one,
        limited(redis_url, tmp_path, LINES, sms) as two,
    ):

        async def act(sent: Message) -> None:
            if what == "cancelled":
                await two.gateway.messages.cancel(sent.id)
            elif what == "stopped":
                await two.gateway.people.put_preferences("maria", {"categories": {"outage": {"enabled": False}}})
            else:
                await turn(two, sent)

        for moment in itertools.count():
            await one.client.flushall()
            sms.handed.clear()
            await one.person("maria", sms=PHONE)
            sent = await one.send("maria")
            with before_command(one.gateway.scripts, moment, lambda sent=sent: act(sent)) as done:
                await turn(one, sent)
            assert len(sms.handed) <= 1
            assert list((await counted(one)).values()) == [1, 1] * len(sms.handed), moment
            if not done:
                assert moment > 5
                break


async def test_an_attempt_whose_beginning_is_in_doubt_is_withdrawn_and_not_counted(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sms = Scripted("sms")
    async with limited(redis_url, tmp_path, LINES, sms) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        begin = gw.gateway.scripts.begin

        async def unheard(*args: Any, **more: Any) -> Any:
            await begin(*args, **more)
            raise StoreUnavailable("the answer is lost")

        with monkeypatch.context() as patch:
            patch.setattr(gw.gateway.scripts, "begin", unheard)
            with pytest.raises(StoreUnavailable):
                await turn(gw, sent)
        assert (await counted(gw), sms.handed, (await gw.message(sent)).attempts) == ({}, [], [])


USER = """
import asyncio, sys
from gateway.store.connect import connect
from gateway.store.scripts import Scripts

async def main():
    client = await connect(sys.argv[1], max_connections=4)
    scripts = Scripts(client)
    told = await asyncio.gather(*(scripts.use("{k}", 70, 60_000, f"{sys.argv[2]}-{n}") for n in range(100)))
    await scripts.close()
    await client.aclose()
    print(told.count(None))

asyncio.run(main())
"""


async def test_three_processes_in_a_hurry_are_given_no_more_than_there_is(redis_url: str) -> None:
    """Three hundred uses of seventy, each process at full speed."""
    run = (sys.executable, "-c", USER, redis_url)
    pipe = asyncio.subprocess.PIPE
    users = [await asyncio.create_subprocess_exec(*run, str(n), cwd=ROOT, stdout=pipe) for n in range(3)]
    told = await asyncio.wait_for(asyncio.gather(*(user.communicate() for user in users)), 60)
    assert sum(int(out) for out, _ in told) == 70


async def test_a_use_given_back_makes_room_for_exactly_one(scripts: Scripts) -> None:
    """The script alone: at once, given back, given back twice, and with a lower limit."""
    who = [f"m{n}" for n in range(30)]
    told = await asyncio.gather(*(scripts.use("{k}", 7, 60_000, one) for one in who))
    granted = [one for one, room in zip(who, told, strict=True) if room is None]
    assert len(granted) == 7
    for _ in range(2):
        await scripts.unuse("{k}", granted[0])
    told = await asyncio.gather(*(scripts.use("{k}", 7, 60_000, f"again {n}") for n in range(5)))
    assert told.count(None) == 1
    assert await scripts.use("{k}", 3, 60_000, "too many are in it") is not None


async def test_a_limit_that_bites_is_logged_without_who_it_was(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict[str, Any]] = []

    class Log:
        def warning(self, event: str, **fields: Any) -> None:
            said.append({"event": event, **fields})

    monkeypatch.setattr(limits, "log", Log())
    async with limited(redis_url, tmp_path, "per_address_per_day = 1", Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        gw.work()
        await gw.when(await gw.send("maria"), lambda m: m.attempts)
        barred = [await gw.send("maria"), await gw.send("maria")]
        for one in barred:
            await gw.ended(one)
        await until(lambda: figure(gw, "per_address_per_day") == 2)
    assert [line["event"] for line in said] == ["limit_reached"], "once a minute"
    assert said[0]["message"] in [one.id for one in barred]
    assert PHONE not in str(said)
    assert "maria" not in str(said)
