from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from gateway.customer import ConsentEntry
from gateway.message import LANES, Message
from gateway.secret_box import SecretBox
from gateway.store import keys
from gateway.store.backup import back_up
from gateway.store.backup_file import Backup, BadBackup, Header, Writer
from gateway.store.clock import Clock
from gateway.store.connect import connect
from gateway.store.restore import Mending, Restore, fitting
from gateway.store.scripts import Scripts
from tests.support.core import MAIL, PEPPER, PHONE, SECRET, Core, core, until, where
from tests.support.redis_nodes import cluster
from tests.support.redis_server import throwaway_redis
from tests.support.scripted import Scripted

BOX = SecretBox(SECRET.encode(), None)
BO = "+306912345609"
CHANNELS = ("sms", "email")
STOP = ConsentEntry("sms", "*", "withdrawn", "sms_keyword", "STOP", 1000)


def nothing(*_: object) -> None:
    """Nobody watches."""


async def installed(client: Any) -> None:
    await client.hset(keys.META, mapping={"partitions": keys.PARTITIONS, "pepper": BOX.seal(PEPPER)})


async def taken(source: Core, folder: Path) -> Backup:
    path = folder / "b.gwb"
    kept, size = await back_up(source.client, source.gateway.scripts, path, Clock().wall, nothing)
    made = Backup(path)
    assert (made.verify(), path.stat().st_size, path.stat().st_mode & 0o777) == (kept, size, 0o600)
    assert await asyncio.to_thread(lambda: list(folder.glob("*gwb*"))) == [path], "no draft is left"
    return made


@contextlib.asynccontextmanager
async def restored(
    url: str, backup: Backup, folder: Path, *channels: Scripted, resume: bool = False
) -> AsyncGenerator[Core]:
    fitting(backup, BOX)
    client = await connect(url, max_connections=8)
    scripts, clock = Scripts(client), Clock()
    work = Restore(client, scripts, backup)
    assert await work.held() is None
    await work.install(BOX, CHANNELS, resume=resume)
    await work.fill(clock.now, CHANNELS, nothing, resume=resume)
    await scripts.close()
    await client.aclose()
    async with core(url, folder, *channels) as made:
        mending = Mending(made.client, made.gateway.scripts, made.gateway.customers, made.gateway.clock)
        await mending.customers(nothing)
        await mending.messages(nothing)
        yield made


async def agendas(client: Any) -> set[str]:
    found: set[str] = set()
    for number in range(keys.PARTITIONS):
        for lane in LANES:
            found |= {one.decode() for one in await client.zrange(keys.partition(number).agenda(lane), 0, -1)}
    return found


async def portable(made: Core) -> list[dict[str, Any]]:
    pages = [page async for page in made.gateway.people.all_portable()]
    return sorted((row for page in pages for row in page), key=lambda row: row["id"])


async def flowing(source: Core, sent: list[Message]) -> None:
    while True:
        sent.append(await source.send("ana", "reply", reach={"channels": ["sms"]}))


async def resumed(made: Core, waiting: Sequence[Message]) -> None:
    for channel in CHANNELS:
        await made.gateway.boards["live"].pause(channel, None, None)
    await made.gateway.follower.once()
    for message in waiting:
        await made.nudge(message)


async def test_the_drill(redis_url: str, tmp_path: Path) -> None:
    sms, email = Scripted("sms"), Scripted("email")
    sent: list[Message] = []
    with throwaway_redis() as other:
        async with core(redis_url, tmp_path, sms, email) as old:
            await installed(old.client)
            await old.person("ana", sms=PHONE, email=MAIL)
            await old.person("bo", sms=BO)
            await old.gateway.customers.withdraw("sms", BO, [STOP])
            old.work()
            done = await old.ended(await old.send("ana", "reply", reach={"channels": ["sms"]}))
            await old.gateway.boards["live"].pause("email", "by hand", "op")
            waiting = [await old.send("ana", "service", reach={"channels": ["email"]}) for _ in range(5)]
            traffic = asyncio.create_task(flowing(old, sent))
            await until(lambda: len(sent) > 20)
            backup = await taken(old, tmp_path)
            traffic.cancel()
            await asyncio.gather(traffic, return_exceptions=True)
            people = await portable(old)
            assert sms.handed
            await old.kill()

        after = Scripted("sms"), Scripted("email")
        async with restored(other, backup, tmp_path, *after) as new:
            assert await portable(new) == people
            assert (await new.message(done)).verdict == done.verdict
            assert [one.state for one in await new.gateway.customers.ledger("bo")] == ["withdrawn"]
            bound = await new.gateway.people.put("cy", {"addresses": [{"channel": "sms", "value": BO}]})
            assert bound.created
            assert any(one.state == "withdrawn" for one in (await new.customer("cy")).consents), "withdrawals bind"
            reasons = {name: post.pause.paused for name, post in new.gateway.boards["live"].posts.items()}
            assert reasons["email"] == "by hand", "an operator's own reason stays"
            assert "restored from the backup" in str(reasons["sms"])

            kept = [one for one in sent if await new.gateway.messages.load(one.id) is not None]
            live = [one for one in (*waiting, *kept) if not (await new.message(one)).done]
            assert {f"m:{one.id}" for one in live} <= await agendas(new.client)
            new.work()
            for one in live:
                await new.nudge(one)
            now = new.gateway.clock.now()
            for one in live:
                await until(lambda one=one: _looked_at(new, one, now))
            assert [channel.handed for channel in after] == [[], []], "nothing goes while it is paused"

            await resumed(new, live)
            for one in live:
                await new.when(one, lambda found: found.done or any(a.provider_id for a in found.attempts))
            assert sorted(out.message for out in after[1].handed) == sorted(one.id for one in waiting), "each goes once"
            again = [out.message for out in after[0].handed]
            assert len(again) == len(set(again))


async def _looked_at(made: Core, message: Message, now: int) -> bool:
    return (await made.wake(message) or 0) > now


async def test_what_does_not_fit_together_is_made_to(redis_url: str, tmp_path: Path) -> None:
    with throwaway_redis() as other:
        async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email")) as old:
            await installed(old.client)
            await old.person("bo", sms=BO)
            await old.gateway.boards["live"].pause("sms", "by hand", "op")
            message = await old.send("bo", "service")
            key = old.gateway.customers.address_key(BO)
            # As a copy that is no single moment can be: a fact the record doesn't know, and no trace of its owner.
            await old.gateway.customers._addresses.remember(key, [msgspec.structs.replace(STOP, address=key)])  # pyright: ignore[reportPrivateUsage] - one half of a withdrawal
            await old.client.delete(keys.address_owners(key), keys.of_customer("bo").customers)
            await old.client.zrem(where(message.id).agenda("normal"), f"m:{message.id}")
            await old.client.hset(where(message.id).message(message.id), "by", "somebody")
            await old.client.set("{i:short}", "x", px=1)
            await old.client.set("{i:long}", "x", px=50_000)
            await old.client.zadd(keys.WORKERS, {"w:1": 1})
            backup = await taken(old, tmp_path)

        async with restored(other, backup, tmp_path, Scripted("sms"), Scripted("email")) as new:
            assert STOP.state in {one.state for one in (await new.customer("bo")).consents}
            assert await new.gateway.customers.owners(BO) == ["bo"]
            assert [name async for name in new.gateway.customers.all_ids()] == ["bo"]
            assert f"m:{message.id}" in await agendas(new.client)
            assert await new.line(message, "sms", "normal"), "it stands where its record says"
            assert not await new.client.hexists(where(message.id).message(message.id), "by")
            assert await new.client.get("{i:short}") is None
            assert 0 < await new.client.pttl("{i:long}") <= 50_000
            assert not await new.client.exists(keys.WORKERS)
            scripts = new.gateway.scripts
            work = Restore(new.client, scripts, backup)
            assert await work.held() is not None, "a Redis that isn't empty is seen"
            await new.client.set("somebody else's", "x", px=60_000)
            await work.clear()
            assert await work.held() is None
            assert await new.client.keys("*") == [b"somebody else's"]


async def test_channels_can_be_left_open(redis_url: str, tmp_path: Path) -> None:
    with throwaway_redis() as other:
        async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email")) as old:
            await installed(old.client)
            await old.gateway.boards["live"].pause("email", "by hand", "op")
            backup = await taken(old, tmp_path)
        async with restored(other, backup, tmp_path, Scripted("sms"), Scripted("email"), resume=True) as new:
            posts = new.gateway.boards["live"].posts
            assert (posts["sms"].pause.paused, posts["email"].pause.paused) == (None, "by hand")


async def test_out_of_a_cluster_into_a_single_server(redis_url: str, tmp_path: Path) -> None:
    with cluster(3, 0, node_timeout_ms=15_000) as made:
        async with core(made.url, tmp_path, Scripted("sms")) as old:
            await installed(old.client)
            for n in range(40):
                await old.gateway.people.put(
                    f"c-{n}", {"addresses": [{"channel": "sms", "value": f"+3069123456{n:02}"}]}
                )
            people, backup = await portable(old), await taken(old, tmp_path)
    async with restored(redis_url, backup, tmp_path, Scripted("sms")) as new:
        assert await portable(new) == people
        assert len(people) == 40


HEADER = Header(gateway="0", schema=1, partitions=keys.PARTITIONS, at=1000, keys=2, server="x", pepper=BOX.seal(PEPPER))


def written(path: Path, header: Header = HEADER) -> Backup:
    writer = Writer(path, header)
    writer.add([(b"{p}:x", 0, b"value" * 1000)])
    writer.add([(b"{p}:y", 5, b"other")])
    writer.close()
    return Backup(path)


def test_a_damaged_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    good = written(tmp_path / "b")
    assert good.verify() == 2
    assert [key for entries in good.entries() for key, _, _ in entries] == [b"{p}:x", b"{p}:y"]
    data = (tmp_path / "b").read_bytes()
    for bad in (data[:-40], data[:-1], data[: len(data) // 2], data[:-50] + bytes([data[-50] ^ 1]) + data[-49:]):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(BadBackup, match="damaged"):
            Backup(tmp_path / "bad").verify()
    for start in (b"PK\3\4 something else\n", data.replace(b"BACKUP 1", b"BACKUP 9", 1), data[:30]):
        (tmp_path / "bad").write_bytes(start)
        with pytest.raises(BadBackup):
            Backup(tmp_path / "bad")


def test_what_does_not_fit_this_installation_is_refused(tmp_path: Path) -> None:
    fitting(written(tmp_path / "b"), BOX)
    for change, match in (
        ({"partitions": 7}, "7 partitions"),
        ({"schema": 99}, "newer release"),
        ({"pepper": SecretBox(b"y" * 32, None).seal(PEPPER)}, "SECRET_KEY"),
    ):
        bad = written(tmp_path / "b", msgspec.structs.replace(HEADER, **change))
        with pytest.raises(BadBackup, match=match):
            fitting(bad, BOX)


async def test_another_kind_of_server_is_refused_before_anything_is_written(
    redis_client: Redis, scripts: Scripts, tmp_path: Path
) -> None:
    work = Restore(redis_client, scripts, written(tmp_path / "b"))
    with pytest.raises(BadBackup, match="can't read"):
        await work.install(BOX, CHANNELS, resume=False)
    assert await work.held() is None
