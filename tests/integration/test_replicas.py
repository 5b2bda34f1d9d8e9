"""With replicas: who is told that something has been accepted can rely on it also after a fail-over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from gateway.app import Gateway
from gateway.check import redis_findings
from gateway.delivery.request import NewMessage
from gateway.store.connect import connect, server_facts
from gateway.store.keys import partition
from gateway.store.pipe import NotReplicated, Replication, StoreUnavailable
from gateway.store.scripts import Scripts
from tests.support.core import PHONE, Scripted, core, until, where
from tests.support.redis_nodes import Node, in_step, replicated, sentinel, wait_for
from tests.support.replica_acts import (
    KEY,
    WAIT_S,
    accept,
    acknowledged,
    cancel,
    claim,
    finished,
    in_a_crowd,
    note,
    profile,
    scripts_on,
    withdraw,
)
from tests.support.web_gateway import public, settings
from tests.support.web_parts import bearer

WANTED: dict[str, Any] = {"REDIS_REPLICAS": "1", "REDIS_REPLICA_TIMEOUT": str(WAIT_S)}


@pytest.fixture(scope="module")
def pair() -> Generator[tuple[Node, Node]]:
    """A primary and its replica, for this module."""
    with replicated() as (primary, [replica]):
        yield primary, replica


@pytest.fixture
def primary(pair: tuple[Node, Node]) -> Node:
    """The primary, empty, with its replica in step."""
    pair[0].ask("FLUSHALL")
    in_step(pair[0])
    return pair[0]


@pytest.fixture
def replica(pair: tuple[Node, Node]) -> Node:
    return pair[1]


def asked(customer: str = "c1") -> NewMessage:
    return NewMessage(customer=customer, category="outage", content={"text": "News."})


@pytest.mark.parametrize(
    "act", [claim, finished, accept, note, cancel, profile, withdraw, in_a_crowd], ids=lambda act: act.__name__
)
async def test_a_repeat_proves_that_the_replica_has_it(
    primary: Node, replica: Node, act: Callable[[Scripts], Awaitable[object]]
) -> None:
    """What was done before, by somebody who didn't wait, is written again for real: WAIT after a mere read proves nothing."""
    with replica.frozen():
        async with scripts_on(primary.url, None) as careless:
            await act(careless)
        async with scripts_on(primary.url) as careful:
            with pytest.raises(NotReplicated, match="0 instead of 1"):
                await act(careful)
    in_step(primary)
    async with scripts_on(primary.url) as careful:
        await act(careful)


async def test_a_new_customer_waits_too(primary: Node, replica: Node) -> None:
    async with scripts_on(primary.url) as scripts:
        with replica.frozen(), pytest.raises(NotReplicated):
            await profile(scripts)


async def test_new_customers_of_an_import_wait_too(primary: Node, replica: Node) -> None:
    async with scripts_on(primary.url) as scripts:
        with replica.frozen(), pytest.raises(NotReplicated):
            await in_a_crowd(scripts)


async def test_a_withdrawal_from_an_address_nobody_has_waits_too(primary: Node, replica: Node) -> None:
    async with scripts_on(primary.url) as scripts:
        with replica.frozen(), pytest.raises(NotReplicated):
            await withdraw(scripts)


async def test_what_was_refused_for_want_of_a_replica_is_made_once_by_its_repeat(
    primary: Node, replica: Node, tmp_path: Path
) -> None:
    async with core(primary.url, tmp_path, Scripted("sms"), **WANTED) as one:
        await one.person("c1", sms=PHONE)
        origin = one.gateway.intake.origin()
        with replica.frozen():
            for _ in range(2):
                with pytest.raises(NotReplicated):
                    await one.gateway.intake.accept("live", asked(), origin)
        in_step(primary)
        made, _ = await one.gateway.intake.accept("live", asked(), origin)
        everything = await one.gateway.messages.load_many([made.id])
        assert [found.version for found in everything if found] == [1]
        assert await one.client.zcard(where(made.id).index("live", "all")) == 1


async def test_a_caller_gets_503_and_then_the_same_message(primary: Node, replica: Node) -> None:
    given = msgspec.structs.replace(settings(), redis_replicas=1, redis_replica_timeout=WAIT_S)
    gateway = await Gateway.open(given, primary.url)
    async with public(gateway) as caller:
        headers = {**await bearer(gateway), "Idempotency-Key": KEY}
        body = {
            "recipient": {"addresses": [{"channel": "sms", "value": PHONE}]},
            "category": "outage",
            "content": {"text": "News."},
        }

        async def post() -> tuple[int, str | None, dict[str, Any]]:
            async with caller.post("/v1/messages", json=body, headers=headers) as answer:
                return answer.status, answer.headers.get("Retry-After"), await answer.json()

        with replica.frozen():
            for _ in range(3):
                status, after, _ = await post()
                assert status == 503
                assert after is not None
        in_step(primary)
        first, again = await post(), await post()
        assert [first[0], again[0]] == [202, 202]
        assert first[2]["id"] == again[2]["id"]
        async with caller.get("/v1/messages", headers=headers) as listed:
            assert [one["id"] for one in (await listed.json())["items"]] == [first[2]["id"]]
        with replica.frozen():
            assert (await post())[0] == 503, "a replayed answer is a promise too"
    await gateway.close()


async def test_nothing_else_waits_for_a_replica_that_is_away(primary: Node, replica: Node) -> None:
    async with scripts_on(primary.url, Replication(1, 30)) as scripts:
        await scripts.pipe.send("SET", "{x}k", "v")
        with replica.frozen():
            durable = asyncio.create_task(note(scripts))
            await until(lambda: primary.info("clients")["blocked_clients"] == 1)
            async with asyncio.timeout(5):
                assert await scripts.urgent.send("GET", "{x}k") == b"v"
                assert (await scripts.take(0, 1000, {}, {})).items == ()
            assert not durable.done()
        assert await durable == "ok"


async def test_a_crowd_shares_a_wait(primary: Node) -> None:
    async with scripts_on(primary.url, Replication(1, 5)) as scripts:
        await asyncio.gather(*(scripts.note(partition(0), f"item{n}", b"state", 60_000) for n in range(256)))
        calls = primary.info("commandstats")["cmdstat_wait"]["calls"]
        await asyncio.gather(*(scripts.note(partition(0), f"other{n}", b"state", 60_000) for n in range(256)))
        assert primary.info("commandstats")["cmdstat_wait"]["calls"] - calls <= 8


async def test_scripts_the_server_has_forgotten_are_waited_for_too(primary: Node, replica: Node) -> None:
    async with scripts_on(primary.url) as scripts:
        await scripts.note(partition(0), "before", b"state", 60_000)
        primary.ask("SCRIPT", "FLUSH")
        with replica.frozen(), pytest.raises(NotReplicated):
            await scripts.note(partition(0), "item", b"state", 60_000)


async def test_an_attempt_no_replica_knows_of_is_not_sent(primary: Node, replica: Node, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(primary.url, tmp_path, sms, **WANTED) as one:
        await one.person("c1", sms=PHONE)
        one.work()
        before = await one.send("c1")
        await until(lambda: sms.to() == [before.id])
        await one.stop()
        message = await one.send("c1")
        with replica.frozen():
            one.work()
            # Accepted, begun, withdrawn: and that more than once.
            await until(lambda: int(primary.ask("HGET", where(message.id).message(message.id), "v")) > 4)
            assert sms.to() == [before.id]
        found = await one.when(message, lambda found: any(a.status != "started" for a in found.attempts))
        assert [(a.id, a.status) for a in found.attempts] == [("a1", "accepted")]
        assert sms.to() == [before.id, message.id]


async def test_a_begin_whose_answer_was_lost_leaves_nothing_behind(tmp_path: Path) -> None:
    """The server dies between begin and its answer. Nothing was sent, and later nobody wonders whether it was."""
    sms = Scripted("sms", timeout=20)  # so long that the attempt's lease has no part in this
    with replicated(options={"appendonly": "yes", "appendfsync": "always"}) as (primary, [replica]):
        async with core(primary.url, tmp_path, sms, REDIS_REPLICAS="1", REDIS_REPLICA_TIMEOUT="4") as one:
            await one.person("c1", sms=PHONE)
            message = await one.send("c1")
            with replica.frozen():
                one.work()
                await until(lambda: primary.ask("HGET", where(message.id).message(message.id), "v") == "2")
                await asyncio.to_thread(primary.restart)
            found = await one.when(message, lambda found: any(a.status != "started" for a in found.attempts), 15)
            assert [(a.id, a.status) for a in found.attempts] == [("a1", "accepted")]
            assert sms.to() == [message.id]


async def test_who_hangs_on_to_a_deposed_primary_is_told_nothing() -> None:
    """Frozen, replaced, thawed: the old primary still takes writes, and nobody must be told that they count."""
    with replicated() as (old, [new]):
        async with scripts_on(old.url) as pinned:
            await acknowledged(claim, pinned)
            await acknowledged(note, pinned)
            old.freeze()
            new.ask("REPLICAOF", "NO", "ONE")
            old.thaw()
            for act in (claim, note, profile):
                with pytest.raises(NotReplicated):
                    await act(pinned)
        async with scripts_on(new.url, None) as current:
            assert await note(current) == "seen", "what was acknowledged is there"


async def test_an_address_that_leads_to_another_server_by_now_is_entered_anew() -> None:
    """A fail-over by name: the connection still leads to the old primary, which follows the new one."""
    with replicated(options={"unixsocket": "s"}) as (old, [new]):
        name = old.folder / "name"
        name.symlink_to(old.folder / "s")
        async with scripts_on(f"unix://{name}") as scripts:
            assert await note(scripts) == "ok"
            new.ask("REPLICAOF", "NO", "ONE")
            old.ask("REPLICAOF", "127.0.0.1", new.port)
            name.unlink()
            name.symlink_to(new.folder / "s")
            in_step(new)
            with pytest.raises(StoreUnavailable):
                await note(scripts)
            assert await note(scripts) == "seen"


async def test_after_a_fail_over_by_sentinel_commands_find_the_new_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.stream.ANSWER_SECONDS", 1.0)
    with replicated() as (old, [new]), sentinel(old) as watcher:
        wait_for(lambda: watcher.ask("SENTINEL", "REPLICAS", "main"), "the sentinel finds no replica")
        async with scripts_on(f"redis+sentinel://{watcher.address}/main") as scripts:
            assert await note(scripts) == "ok"
            with old.frozen():
                async with asyncio.timeout(20):
                    while await written(scripts) != "ok":
                        pass
                assert new.info()["role"] == "master"
                assert await scripts.pipe.send("EXISTS", partition(0).member("i:item")) == 1


async def written(scripts: Scripts) -> str:
    """What comes of a write that waits for nobody; of a broken connection, that."""
    try:
        return await scripts.cancel(partition(0), "m1", 1) if await scripts.pipe.send("SET", "{x}k", "v") else ""
    except NotReplicated:
        return "ok"
    except StoreUnavailable as away:
        return str(away)


@pytest.mark.parametrize("wanted, result", [(1, "ok"), (2, "fault")])
async def test_the_check_counts_replicas(primary: Node, wanted: int, result: str) -> None:
    client = await connect(primary.url, max_connections=1)
    facts = await server_facts(client, lambda: 0)
    assert {one.name: one.result for one in redis_findings(facts, wanted)}["redis_replicas"] == result
    await client.aclose()


async def test_the_start_says_that_replicas_are_missing(primary: Node) -> None:
    given = msgspec.structs.replace(settings(), redis_replicas=2)
    with structlog.testing.capture_logs() as logs:
        await (await Gateway.open(given, primary.url)).close()
    assert {"event": "redis_replicas_missing", "found": 1, "wanted": 2, "log_level": "warning"} in logs
