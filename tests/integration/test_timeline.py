"""The timeline as it is stored: small, in order, each line once, for as long as it is kept and no longer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Accepted
from gateway.message import Mode, Receipt
from gateway.news import absorb
from gateway.prompts import Answer, Prompt
from gateway.store.entries import Entry
from gateway.store.keys import of_customer
from gateway.store.timeline import Timeline
from tests.support.core import OTHER_PHONE, PHONE, Core, Scripted, core

SMALL: int = 150
"""Bytes of a line, whatever it speaks of."""
DAY_MS = 86_400_000


def note(n: int, mode: Mode = "live") -> Entry:
    return Entry(kind="note", of=f"n-{n}", at=n, mode=mode, facts={"text": "Called."})


async def kinds(gw: Core, customer: str) -> list[str]:
    """What stands in the timeline, oldest first."""
    lines, _ = await gw.gateway.timeline.page(customer, None, 500, None)
    return [line.entry.kind for line in reversed(lines) if isinstance(line.entry, Entry)]


async def test_a_line_told_again_stands_there_once(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        timeline = gw.gateway.timeline
        assert [await timeline.add("maria", note(n)) for n in (1, 1, 2)] == [True, False, True]
        assert [await timeline.add("maria", note(n), once="x") for n in (3, 4)] == [True, False]
        await timeline.remove("maria", "note", "n-3", once="x")
        assert await timeline.add("maria", note(4), once="x")
        assert not await timeline.add("nobody", note(1))
        lines, _ = await timeline.page("maria", "live", 10, None)
        assert [line.entry.of for line in lines if isinstance(line.entry, Entry) and line.entry.kind == "note"] == [
            "n-4",
            "n-2",
            "n-1",
        ]


async def test_a_message_leaves_small_lines_without_words_and_addresses(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms", Accepted(provider_id="p1"))) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        prompt = Prompt(kind="scale", min=0, max=10)
        sent = await gw.send(
            "maria", about="response:0123456789abcdef0123456789abcdef", prompt=prompt, reach={"until": "read"}
        )
        gw.gateway.followers["response"] = _nothing
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")

        def news(message: Any, now: int) -> None:
            absorb(message, Receipt(attempt="a1", at=now, status="delivered", engagement="answered"))
            message.answer = Answer(value=9, text="nine, thank you", channel="sms", at=now)

        await gw.gateway.desk.update(sent.id, news)
        await gw.ended(sent)
        assert await kinds(gw, "maria") == ["preferences", "message", "attempt", "attempt", "answer", "verdict"]
        raw = await gw.client.xrange(of_customer("maria").timeline("maria"))
        assert max(len(fields[b"e"]) for _, fields in raw) <= SMALL
        whole = b"".join(fields[b"e"] for _, fields in raw)
        assert b"nine" not in whole
        assert b"News" not in whole
        assert PHONE.encode() not in whole


async def _nothing(_message: Any) -> None:
    """Somebody is told."""


@pytest.mark.parametrize("writer", ["accept", "add", "change"])
async def test_lines_that_have_outlived_their_time_go(redis_url: str, tmp_path: Path, writer: str) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), RETENTION_TIMELINE_DAYS="2") as gw:
        await gw.person("maria", sms=PHONE)
        key = of_customer("maria").timeline("maria")
        await gw.client.delete(key)
        await gw.client.xadd(key, {"e": b"\x81\xa1k\xa3old"}, id=f"{gw.gateway.clock.now() - 3 * DAY_MS}-0")
        await gw.client.xadd(key, {"e": b"\x81\xa1k\xa3new"}, id=f"{gw.gateway.clock.now() - DAY_MS}-0")
        assert await kinds(gw, "maria") == ["new"]
        if writer == "accept":
            await gw.send("maria")
        elif writer == "add":
            await gw.gateway.timeline.add("maria", note(1))
        else:
            await gw.gateway.people.patch("maria", {"name": "Maria"})
        assert await gw.client.xlen(key) == 2
        assert abs(await gw.client.pttl(key) - 2 * DAY_MS) < 60_000


async def test_news_that_comes_late_begins_no_timeline_anew(redis_url: str, tmp_path: Path) -> None:
    """A commit after an erasure, or of a message of somebody who had the id before."""
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        key = of_customer("maria").timeline("maria")
        case = await gw.gateway.desk.reopen(sent.id)
        assert case is not None
        await gw.gateway.erasures.begin("maria", "test")
        assert not await gw.client.exists(key)
        case.message.cancelled_at = 1
        assert await gw.gateway.desk.write(case, gw.gateway.desk.decide(case))
        assert not await gw.client.exists(key)
        assert not await gw.gateway.timeline.add("maria", note(1))
        await gw.person("maria", sms=OTHER_PHONE)
        await gw.gateway.people.patch("maria", {"name": "Another Maria"})
        posts, _ = await gw.gateway.threads.page("maria", None, 50, None)
        assert all(post.of != sent.id for post in posts)


async def test_pages_read_both_streams_as_one(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        at, expected = of_customer("maria"), list[str]()
        begin = gw.gateway.clock.now() - DAY_MS
        await gw.client.delete(at.timeline("maria"), at.ledger("maria"))
        [line] = [
            b"\x86\xa7channel\xa3sms\xa8category\xa1*\xa5state\xa9withdrawn\xa3way\xa1a\xa7wording\xa1b\xa2at\x01"
        ]
        for n in range(700):
            in_ledger = n % 3 == 0
            key, raw = (at.ledger("maria"), line) if in_ledger else (at.timeline("maria"), b"\x81\xa1k\xa3new")
            await gw.client.xadd(key, {"e": raw}, id=f"{begin + n // 4}-{n % 4}")
            expected.append(f"{begin + n // 4}-{n % 4}-{int(in_ledger)}")
        # Of two with one id the timeline's is the newer.
        await gw.client.xadd(at.timeline("maria"), {"e": b"\x81\xa1k\xa3new"}, id=f"{begin + 699 // 4}-9")
        await gw.client.xadd(at.ledger("maria"), {"e": line}, id=f"{begin + 699 // 4}-9")
        expected += [f"{begin + 699 // 4}-9-1", f"{begin + 699 // 4}-9-0"]
        for limit in (1, 7, 500):
            seen, cursor = list[str](), None
            while len(seen) < (40 if limit == 1 else 10_000):
                lines, cursor = await Timeline(gw.gateway.scripts, gw.gateway.clock).page(
                    "maria", "live", limit, cursor
                )
                seen += [one.id for one in lines]
                if cursor is None:
                    break
            assert seen == expected[::-1][: len(seen)]
            assert limit == 1 or len(seen) == len(expected)
