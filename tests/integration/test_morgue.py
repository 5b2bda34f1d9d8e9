"""The morgue: found by what is wrong with them, put back to work or freed, and never in anybody's way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.channels.base import Inbound
from gateway.cli import app
from gateway.message import Message
from gateway.store import morgue
from gateway.store.keys import Partition, of_customer
from gateway.store.morgue import Buried, Morgue, Which
from tests.support.commands import command, environment
from tests.support.core import PHONE, SECRET, Core, Scripted, core, until, where


async def bury(gw: Core, message: Message, reason: str, at: int | None = None) -> None:
    """Put a message there; `at`: when, ms."""
    await gw.gateway.scripts.bury(where(message.id), f"m:{message.id}", reason)
    if at is not None:
        await gw.client.zadd(where(message.id).morgue, {f"m:{message.id}": at})


def members(found: list[Buried]) -> list[str]:
    return [one.member for one in found]


async def test_an_unreadable_record_lies_there_with_its_reason_and_frees_the_way(
    redis_url: str, tmp_path: Path
) -> None:
    sms = Scripted("sms", RuntimeError("a provider's library went mad"))
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        bad = await gw.send("maria")
        await gw.client.hset(where(bad.id).message(bad.id), "s", b"\xc1")
        gw.work()
        lies = Morgue(gw.gateway.scripts)
        [one] = await until(lies.listed)
        assert (one.member, "can't be read" in one.reason) == (f"m:{bad.id}", True)
        good = await gw.send("maria")
        await gw.when(good, lambda m: m.attempts)
        assert await lies.discard(Which(ids=[bad.id])) == 1
        assert await gw.client.exists(where(bad.id).message(bad.id), where(bad.id).body(bad.id)) == 0
        assert await lies.listed() == []


async def test_which_ones(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        first, second, third = [await gw.send("maria") for _ in range(3)]
        await bury(gw, first, "Traceback\nKeyError: 'flash'", at=1000)
        await bury(gw, second, "Taken again and again", at=2000)
        await bury(gw, third, "Traceback\nKEYERROR: other", at=3000)
        await gw.gateway.inbox.note("live", Inbound(id="1", channel="sms", sender=PHONE, text="hi", at=1))
        [item] = [key.partition(":")[2] for key in await gw.items(PHONE)]
        at = of_customer(gw.gateway.customers.address_key(PHONE))
        await gw.gateway.scripts.bury(at, item, "KeyError: inbound")
        lies = Morgue(gw.gateway.scripts)
        ids = [f"m:{m.id}" for m in (first, second, third)]
        assert members(await lies.listed()) == [*ids, item], "oldest first, over all partitions"
        assert members(await lies.listed(most=2)) == ids[:2]
        assert members(await lies.listed(Which(reason="keyerror"))) == [ids[0], ids[2], item]
        assert members(await lies.listed(Which(reason="keyerror", kind="m"))) == [ids[0], ids[2]]
        assert members(await lies.listed(Which(since=2000, before=3000))) == [ids[1]]
        assert members(await lies.listed(Which(ids=[first.id, ids[1]]))) == ids[:2]
        assert await lies.size() == 4
        assert await lies.retry(Which(reason="keyerror", kind="m")) == 2
        assert members(await lies.listed()) == [ids[1], item]
        gw.work()
        for message in (first, third):
            await gw.when(message, lambda m: m.attempts and m.attempts[0].status == "accepted")
        assert (await gw.message(second)).attempts == []


async def test_page_by_page_each_once(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when many were put there in one millisecond, and while those that were read are taken out."""
    monkeypatch.setattr(morgue, "PAGE", 3)
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = [await gw.send("maria") for _ in range(11)]
        for n, message in enumerate(sent):
            await bury(gw, message, "because", at=1000 if n < 7 else 1000 + n)
        lies = Morgue(gw.gateway.scripts)
        assert sorted(members(await lies.listed())) == sorted(f"m:{m.id}" for m in sent)
        assert await lies.retry() == 11
        assert await lies.size() == 0


async def test_what_falls_again_at_once_is_not_retried_for_ever(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = [await gw.send("maria") for _ in range(3)]
        for n, message in enumerate(sent):
            await bury(gw, message, "because", at=1000 + n)
        lies, exhume = Morgue(gw.gateway.scripts), gw.gateway.scripts.exhume
        taken_out: list[str] = []

        async def falls_again(at: Partition, member: str, *, retry: bool, **_more: Any) -> str:
            taken_out.append(member)
            assert len(taken_out) < 10
            outcome = await exhume(at, member, retry=retry)
            await gw.gateway.scripts.bury(at, member, "again")
            return outcome

        gw.gateway.scripts.exhume = falls_again  # pyright: ignore[reportAttributeAccessIssue] - the worker is that quick
        assert await lies.retry() == 3
        assert sorted(taken_out) == sorted(f"m:{m.id}" for m in sent)
        assert len(await lies.listed(Which(reason="again"))) == 3


async def test_a_record_that_is_gone_is_not_brought_back(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        await bury(gw, sent, "because")
        await gw.client.delete(where(sent.id).message(sent.id))
        assert await Morgue(gw.gateway.scripts).retry() == 0
        assert await gw.wake(sent) is None


async def test_by_the_command_line(redis_url: str, tmp_path: Path) -> None:
    variables = environment(tmp_path, REDIS_URL=redis_url, SECRET_KEY=SECRET)
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        await bury(gw, sent, "Traceback (most recent call last):\nKeyError: 'flash'")
        shown = await command(
            tmp_path, "morgue", "list", "--full", "--reason", "flash", "--since", "2h", variables=variables
        )
        assert (shown.status, "Traceback" in shown.out, f"m:{sent.id}" in shown.out) == (0, True, True), shown
        back = await command(tmp_path, "morgue", "retry", sent.id, variables=variables)
        assert "1 put back to work" in back.out, back
        assert await gw.wake(sent) is not None


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["discard"], "--all"),
        (["list", "--kind", "ghosts"], "ghosts"),
        (["retry", "--since", "yesterday"], "yesterday"),
    ],
)
def test_bad_asks_are_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, ["morgue", *arguments])
    assert refused.exit_code == 1
    assert said in refused.stderr
    assert list(tmp_path.iterdir()) == []
