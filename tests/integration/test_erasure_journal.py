"""Erasures outlive Redis: who is brought back by an older back-up is erased again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from gateway.store.journal import FILE, Journal
from tests.support.core import OTHER_PHONE, PEPPER, PHONE, Scripted, core, until
from tests.support.erasing import NEEDLES, anna, erased, look, work
from tests.support.needles import left


async def held(client: Redis) -> dict[bytes, bytes]:
    """A back-up of everything."""
    asked: Any = client
    return {key: await asked.dump(key) async for key in asked.scan_iter(count=1000)}


async def restore(client: Redis, backup: dict[bytes, bytes]) -> None:
    """Put an older state in the place of everything."""
    asked: Any = client
    await asked.flushall()
    for key, state in backup.items():
        await asked.restore(key, 0, state)


async def test_whoever_an_older_back_up_brings_back_is_erased_again(
    redis_url: str, redis_client: Redis, tmp_path: Path
) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email"), DATA_DIR=str(tmp_path)) as gw:
        erasures = gw.gateway.erasures
        await anna(gw)
        await gw.person("bert", sms=OTHER_PHONE)
        backup = await held(redis_client)
        entry = {"channel": "sms", "category": "*", "state": "withdrawn", "way": "form", "wording": "needle-said"}
        await gw.gateway.people.add_consent("needle-anna", entry)
        first = await erased(gw, "needle-anna")
        assert await erasures.catch_up() == 0, "Redis knows all that the file does"
        await restore(redis_client, backup)
        assert await gw.gateway.customers.load("needle-anna") is not None
        assert await erasures.catch_up() == 1
        for _ in range(5):
            await work(gw, first.id)
        assert await left(redis_client, NEEDLES) == []
        assert (await look(gw, first.id)).state == "done"
        assert await gw.gateway.customers.load("bert") is not None
        await gw.person("dora", sms=PHONE)
        bound = {(one.channel, one.category, one.state) for one in (await gw.customer("dora")).consents}
        assert ("sms", "*", "withdrawn") in bound, "said after the back-up"
        await gw.person("needle-anna", sms=OTHER_PHONE)
        assert await erasures.reapply() == 0, "somebody new of that id"


async def test_certificates_come_back_from_the_journal(redis_url: str, redis_client: Redis, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), DATA_DIR=str(tmp_path)) as gw:
        backup = await held(redis_client)
        await anna(gw)
        first = await erased(gw, "needle-anna")
        await restore(redis_client, backup)
        assert await gw.gateway.erasures.certificate(first.id) is None
        assert await gw.gateway.erasures.catch_up() == 0
        assert await look(gw, first.id) == first
        assert await gw.gateway.erasures.begin("needle-anna", "key-1") == first.id


async def test_the_journal_names_nobody(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), DATA_DIR=str(tmp_path)) as gw:
        await anna(gw)
        await erased(gw, "needle-anna")
        text = (tmp_path / FILE).read_text()
        assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
        assert [needle for needle in NEEDLES if needle in text] == []
        lines = await gw.gateway.erasures.journal()
        assert [line.who for line in lines] == [gw.gateway.erasures.who("needle-anna")]


async def test_every_host_with_a_worker_has_the_whole_journal(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), DATA_DIR=str(tmp_path / "one")) as gw:
        other = Journal(gw.gateway.scripts.urgent, tmp_path / "other", PEPPER)
        stranger = Journal(gw.gateway.scripts.urgent, tmp_path / "other", b"another installation's secret")
        for _ in range(2):
            await anna(gw)
            await erased(gw, "needle-anna")
            await other.copy()
        assert [line.n for line in await other.in_file()] == [line.n for line in await other.in_redis()]
        assert len(await other.in_file()) == 4
        with (tmp_path / "other" / FILE).open("ab") as cut_off:
            cut_off.write(b'{"id":"er00')
        await anna(gw)
        await erased(gw, "needle-anna")
        await other.copy()
        assert len(await other.in_file()) == 6
        assert await stranger.in_file() == []
        text = (tmp_path / "one" / FILE).read_text()
        running = asyncio.create_task(gw.gateway.erasures.run())
        (tmp_path / "one" / FILE).unlink()
        await until(
            lambda: (tmp_path / "one" / FILE).exists() and (tmp_path / "one" / FILE).read_text().split() == text.split()
        )
        running.cancel()
