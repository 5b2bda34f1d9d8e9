"""Whoever was erased after a back-up is erased again by the restore itself, and nothing they said is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.cli.backup import put_back
from gateway.secret_box import SecretBox
from gateway.store import keys
from gateway.store.backup import back_up
from gateway.store.backup_file import Backup
from gateway.store.clock import Clock
from gateway.store.journal import FILE
from tests.support.core import OTHER_PHONE, PEPPER, PHONE, SECRET, Core, Scripted, core
from tests.support.erasing import NEEDLES, anna, ended, erased, look
from tests.support.needles import left


def nothing(*_: object) -> None:
    """Nobody watches."""


async def before_and_after(gw: Core, file: Path) -> str:
    """A back-up, then what it knows nothing of: a withdrawal, and that the person was erased; the erasure's id."""
    sealed = SecretBox(SECRET.encode(), None).seal(PEPPER)
    await gw.client.hset(keys.META, mapping={"partitions": keys.PARTITIONS, "pepper": sealed})
    await anna(gw)
    await gw.person("bert", sms=OTHER_PHONE)
    await back_up(gw.client, gw.gateway.scripts, file, Clock().wall, nothing)
    entry = {"channel": "sms", "category": "*", "state": "withdrawn", "way": "form", "wording": "needle-said"}
    await gw.gateway.people.add_consent("needle-anna", entry)
    return (await erased(gw, "needle-anna")).id


@pytest.mark.parametrize("lost", [True, False], ids=["redis-lost", "redis-kept"])
async def test_the_drill_with_somebody_erased_since(
    redis_url: str, redis_client: Redis, tmp_path: Path, *, lost: bool
) -> None:
    """Either memory is enough: the file in DATA_DIR, or the Redis that is replaced."""
    client: Any = redis_client
    file, data = tmp_path / "b.gwb", tmp_path / "data"
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email"), DATA_DIR=str(data)) as gw:
        erasure = await before_and_after(gw, file)
        settings = gw.gateway.settings
    if lost:
        await client.flushall()
    else:
        (data / FILE).unlink()
    done = await put_back(settings, Backup(file), file, replace=not lost, resume=False, force=False)
    assert (done.customers, done.erased_again) == (2, 1)

    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email"), DATA_DIR=str(data)) as gw:
        assert await gw.gateway.customers.load("needle-anna") is None, "unknown before a worker has started"
        gw.work()
        found = await ended(gw, erasure)
        assert (found.state, found.customer, found.erased["profiles"]) == ("done", None, 1)
        await gw.stop()
        assert await left(redis_client, NEEDLES) == []
        assert (await look(gw, erasure)).who == gw.gateway.erasures.who("needle-anna"), "the certificate is readable"
        assert await gw.gateway.customers.load("bert") is not None
        for name in ("dora", "needle-anna"):
            await gw.person(name, sms=PHONE)
            bound = {(one.channel, one.category, one.state) for one in (await gw.customer(name)).consents}
            assert ("sms", "*", "withdrawn") in bound, "said after the back-up"
            assert ("email", "survey", "withdrawn") in bound or name == "dora"
