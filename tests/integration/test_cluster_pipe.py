"""On a cluster: every command reaches the node that has its key, and a node that is away concerns nobody else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from gateway.people.people import People
from gateway.store.connect import connect, followers
from gateway.store.keys import BELL, PARTITIONS, Partition, partition
from gateway.store.listing import Filter
from gateway.store.morgue import Morgue
from gateway.store.pipe import NotReplicated, Replication, StoreUnavailable
from gateway.store.scripts import Scripts
from gateway.store.slots import slot_of
from tests.support.core import PHONE, Scripted, core, until
from tests.support.redis_nodes import Cluster, Node, cluster, wait_for

AWAY_S = 20


@pytest.fixture(scope="module")
def shared() -> Generator[Cluster]:
    """Three primaries without replicas, for tests that leave them as they were."""
    with cluster(3, 0, node_timeout_ms=15_000) as made:
        yield made


@pytest.fixture
def nodes(shared: Cluster) -> Cluster:
    """The cluster, empty, its scripts forgotten."""
    wait_for(shared.settled, "the cluster is not whole")
    for one in shared.primaries:
        one.ask("FLUSHALL")
        one.ask("SCRIPT", "FLUSH")
    return shared


@asynccontextmanager
async def opened(made: Cluster, replication: Replication | None = None) -> AsyncGenerator[Scripts]:
    client = await connect(made.url, max_connections=8)
    scripts = Scripts(client, replication)
    try:
        yield scripts
    finally:
        await scripts.close()
        await client.aclose()


def at_node(made: Cluster, node: Node) -> Partition:
    """A partition that lives on a node."""
    return next(p for p in map(partition, range(PARTITIONS)) if made.owner(slot_of(p.prefix)) is node)


async def note(scripts: Scripts, at: Partition, item: str = "item") -> str:
    return await scripts.note(at, item, b"state", 60_000)


async def test_commands_and_scripts_reach_the_nodes_of_their_keys(nodes: Cluster) -> None:
    async with opened(nodes) as scripts:
        for told, value in (("ok", 1), ("seen", 2)):
            assert (
                await asyncio.gather(*(note(scripts, partition(n)) for n in range(PARTITIONS))) == [told] * PARTITIONS
            )
            counted = await asyncio.gather(*(scripts.pipe.send("INCR", f"{{{n}}}:n") for n in range(50)))
            assert counted == [value] * 50
        assert all(one.ask("DBSIZE") > 20 for one in nodes.primaries)
        assert (await scripts.pipe.send("PING"), await scripts.pipe.send("ECHO", "a")) == (True, b"a")
        assert len(await scripts.pipe.send("TIME")) == 2


async def test_a_crowd_shares_writes_to_each_node(nodes: Cluster) -> None:
    async with opened(nodes) as scripts:
        await asyncio.gather(*(scripts.pipe.send("PING") for _ in range(9)))
        before = [one.info("stats")["total_reads_processed"] for one in nodes.primaries]
        await asyncio.gather(*(scripts.pipe.send("INCR", f"{{{n}}}:n") for n in range(640)))
        reads = [one.info("stats")["total_reads_processed"] for one in nodes.primaries]
        assert sum(reads) - sum(before) < 640 / 4


async def test_a_node_that_hangs_holds_up_nobody_else(nodes: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.stream.ANSWER_SECONDS", 1.5)
    sick = nodes.primaries[1]
    async with opened(nodes) as scripts:
        await note(scripts, at_node(nodes, sick))
        with sick.frozen():
            hanging = asyncio.create_task(note(scripts, at_node(nodes, sick), "late"))
            async with asyncio.timeout(1):
                for one in (nodes.primaries[0], nodes.primaries[2]):
                    assert await note(scripts, at_node(nodes, one)) == "ok"
            assert not hanging.done()
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(hanging, 6)
        await until(lambda: alive(scripts, at_node(nodes, sick)))


async def alive(scripts: Scripts, at: Partition) -> bool:
    try:
        return await note(scripts, at, "later") in ("ok", "seen")
    except StoreUnavailable:
        return False


async def test_a_moved_slot_is_followed_without_a_word(nodes: Cluster) -> None:
    source, target = nodes.primaries[0], nodes.primaries[2]
    at = at_node(nodes, source)
    async with opened(nodes) as scripts:
        assert await note(scripts, at) == "ok"
        with moving(nodes, at, source, target):
            move(nodes, at, source, target)
        assert await note(scripts, at) == "seen"
        assert target.ask("EXISTS", at.member("i:item")) == 1
        with moving(nodes, at, target, source):
            move(nodes, at, target, source)
        assert await note(scripts, at) == "seen"


async def test_while_a_slot_moves_each_key_is_asked_for_where_it_is(nodes: Cluster) -> None:
    source, target = nodes.primaries[0], nodes.primaries[2]
    at = at_node(nodes, source)
    async with opened(nodes) as scripts:
        await scripts.pipe.send("SET", at.member("stays"), "a")
        with moving(nodes, at, source, target):
            # What isn't here yet is made over there, and so are scripts that the other one has never seen.
            assert await scripts.pipe.send("SET", at.member("goes"), "b") is True
            assert await scripts.tokens(at.member("rate"), 1, 4, 1, critical=True) == (1, 0)
            assert await scripts.pipe.send("GET", at.member("stays")) == b"a"
            assert await scripts.pipe.send("GET", at.member("goes")) == b"b"
            assert sorted(target.ask("CLUSTER", "GETKEYSINSLOT", slot_of(at.prefix), 9)) == [
                at.member("goes"),
                at.member("rate"),
            ]
            with pytest.raises(StoreUnavailable):  # half of its keys here, half there: later
                await scripts.pipe.send("MGET", at.member("stays"), at.member("goes"))
            move(nodes, at, source, target)
        assert await scripts.pipe.send("MGET", at.member("stays"), at.member("goes")) == [b"a", b"b"]
        with moving(nodes, at, target, source):
            move(nodes, at, target, source)


@contextlib.contextmanager
def moving(made: Cluster, at: Partition, source: Node, target: Node) -> Generator[None]:
    """A slot on its way from one node to another; stable afterwards, wherever it is."""
    slot = slot_of(at.prefix)
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.ask("CLUSTER", "MYID"))
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.ask("CLUSTER", "MYID"))
    try:
        yield
    finally:
        for one in made.primaries:
            one.ask("CLUSTER", "SETSLOT", slot, "STABLE")


def move(made: Cluster, at: Partition, source: Node, target: Node) -> None:
    """Move the keys that are there, and tell every node who has the slot now."""
    slot = slot_of(at.prefix)
    if found := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1000):
        assert source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "REPLACE", "KEYS", *found) in ("OK", True)
    for one in (target, *made.primaries):
        one.ask("CLUSTER", "SETSLOT", slot, "NODE", target.ask("CLUSTER", "MYID"))


async def test_bells_are_heard_across_the_cluster(nodes: Cluster) -> None:
    async with opened(nodes) as scripts:
        client: Any = scripts.pipe._client  # pyright: ignore[reportPrivateUsage] - the one it has
        heard: list[bytes] = []
        listeners = [client.pubsub() for _ in nodes.primaries]
        for bells in listeners:
            await bells.subscribe(BELL)
            assert (await bells.get_message(timeout=5))["type"] == "subscribe"
        ports = {bells.connection.port for bells in listeners}
        assert ports == {one.port for one in nodes.primaries}, "each on another node"
        for one in nodes.primaries:
            await note(scripts, at_node(nodes, one))
        for bells in listeners:
            heard += [(await bells.get_message(timeout=5))["data"] for _ in nodes.primaries]
            await bells.aclose()
        numbers = [at_node(nodes, one).number for one in nodes.primaries]
        assert sorted(heard) == sorted([b"critical:%d:" % n for n in numbers] * 3)


async def test_a_message_goes_its_way_on_a_cluster(nodes: Cluster, tmp_path: Path) -> None:
    sms, email = Scripted("sms"), Scripted("email")
    async with core(nodes.url, tmp_path, sms, email) as one:
        one.work()
        names = [f"c{n}" for n in range(8)]
        for name in names:
            await one.person(name, sms=PHONE, email=f"{name}@example.org")
        made = [await one.send(name, thread="t", reference="SAP-1") for name in names]
        for message in made:
            await one.when(message, lambda found: any(a.status != "started" for a in found.attempts))
        assert sorted(sms.to()) == sorted(message.id for message in made)
        assert {made_at(nodes, name) for name in names} == {one.port for one in nodes.primaries}
        assert await one.hears(PHONE, "STOP") != "new"
        people: People = one.gateway.people
        consents = [await people.consents(name) for name in names]
        assert all("withdrawn" in str(found) for found in consents), "one phone, eight people, three nodes"
        found, _ = await one.gateway.listing.page("live", Filter(reference="SAP-1"), 50, None)
        assert [message.id for message in found] == sorted((message.id for message in made), reverse=True)
        await one.gateway.scripts.bury(partition(0), "m:nobody", "why")
        assert await Morgue(one.gateway.scripts).listed() == []
        key, text = await one.gateway.api_keys.create("k", "live", ["send"])
        assert await one.gateway.api_keys.verify(text) == key
        assert await one.gateway.api_keys.revoke(key.id)
        assert await one.gateway.customers.delete("c0")
        assert [name async for name in one.gateway.customers.all_ids()] != []
        assert await one.gateway.trouble() is None


def made_at(nodes: Cluster, customer: str) -> int:
    from gateway.store.keys import of_customer

    return nodes.owner(slot_of(of_customer(customer).prefix)).port


async def test_a_fail_over_inside_the_cluster_loses_nothing_acknowledged() -> None:
    with cluster(3, 3) as made:
        async with opened(made, Replication(1, 1.0)) as scripts:
            client: Any = scripts.pipe._client  # pyright: ignore[reportPrivateUsage] - the one it has
            assert await followers(client) == 1
            at = at_node(made, made.primaries[0])
            assert await note(scripts, at) == "ok"
            made.primaries[0].kill()
            with pytest.raises(StoreUnavailable):
                await note(scripts, at, "lost")
            await until(lambda: answers(scripts, at), AWAY_S)
            assert await scripts.pipe.send("EXISTS", at.member("i:item")) == 1
            with pytest.raises(NotReplicated):  # its only replica is the primary now
                await note(scripts, at, "alone")
            assert await note(scripts, at_node(made, made.primaries[1])) == "ok"


async def answers(scripts: Scripts, at: Partition) -> bool:
    try:
        return bool(await scripts.pipe.send("SET", at.member("x"), "y"))
    except (StoreUnavailable, RedisError):
        return False
