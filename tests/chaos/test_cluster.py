"""A cluster loses one of its primaries under load: the other partitions go on, its own come back after the fail-over."""

from __future__ import annotations

from pathlib import Path

from gateway.store.ids import place_of
from gateway.store.keys import API_KEYS
from gateway.store.slots import slot_of
from tests.chaos.rig.callers import Sent
from tests.chaos.scene import scene
from tests.support.redis_nodes import Cluster, cluster
from tests.support.running import until

MANY = 40


def home(nodes: Cluster, message: str) -> int:
    """Which primary keeps a message, at the beginning."""
    place = place_of(message)
    assert place is not None
    return nodes.primaries.index(nodes.owner(slot_of(place[1].message(message))))


async def test_a_killed_primary_under_load(tmp_path: Path) -> None:
    with cluster(3, 3, options={"cluster-require-full-coverage": "no"}) as nodes:
        async with scene(tmp_path, nodes.url, REDIS_REPLICAS=1) as here:
            before = await here.accepted(MANY)
            assert {home(nodes, one.id or "") for one in before} == {0, 1, 2}, "all of the cluster is used"
            # Not the one that knows the API keys: without those nobody is let in for longer than a moment.
            dead = next(i for i in range(3) if nodes.primaries[i] is not nodes.owner(slot_of(API_KEYS)))
            lost, heir = nodes.primaries[dead], nodes.replicas[dead]
            heir.freeze()  # so that the fail-over comes when the test says so
            lost.kill()
            sending = here.send(MANY)

            def elsewhere() -> list[Sent]:
                return [one.result() for one in sending if one.done() and one.result().id]

            await until(lambda: len(elsewhere()) >= 5, 45.0, here.state)
            assert dead not in {home(nodes, one.id or "") for one in elsewhere()}
            await until(lambda: all(here.carrier.by_message[one.id or ""] for one in elsewhere()[:5]), 15.0, here.state)
            heir.thaw()
            await until(lambda: heir.info()["role"] == "master", 45.0, heir.log)
            # The heir has no replica yet: what must have one is refused, not believed.
            lost.start()
            await until(lambda: all(one.done() for one in sending), 30.0, here.state)
            await here.ready()
            await here.reckon()
