"""The nodes of a Redis cluster, and which of them has which slots (Redis Cluster specification).

The map is read from any node that answers within a second, again after every sign that it has changed: a redirection, a
node that is away, a cluster that is down. Each node has a pool of its own, so one that hangs holds up nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from redis.asyncio import BlockingConnectionPool, RedisCluster
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError

from gateway.store.slots import slot_of
from gateway.store.stream import Command, StoreUnavailable

ASK_SECONDS: Final = 1.0
_KEYLESS: Final = frozenset({"ECHO", "PING", "PUBLISH", "TIME"})

Address = tuple[str, int]


class Nodes:
    """The map of a cluster. `seeds`: nodes to ask first; `pool` makes a pool of connections to one."""

    def __init__(self, seeds: Iterable[Address], pool: Callable[[str, int], BlockingConnectionPool]) -> None:
        self._make = pool
        self._pools: dict[Address, BlockingConnectionPool] = {}
        self._seeds = tuple(seeds)
        self._ends: list[int] = []
        self._owners: list[Address | None] = []
        self._members: list[Address] = []
        self._moved: dict[int, Address] = {}
        self._turn = 0
        self._reading: asyncio.Task[None] | None = None

    async def of(self, command: Command) -> Address:
        """The node that a command belongs to. Raises StoreUnavailable when nobody knows."""
        if not self._ends:
            await self.refresh()
        key = _key(command)
        owner = self._any() if key is None else self._owner(slot_of(key))
        if owner is None:
            self.doubt()
            raise StoreUnavailable("no node of the cluster has the slot")
        return owner

    def pool(self, node: Address) -> BlockingConnectionPool:
        """The connections to a node."""
        if node not in self._pools:
            self._pools[node] = self._make(*node)
        return self._pools[node]

    def any_pool(self) -> BlockingConnectionPool:
        """The connections to some node, another one each time: for what every node can do."""
        self._turn += 1
        return self.pool(self._any() or self._seeds[self._turn % len(self._seeds)])

    def moved(self, slot: int, node: Address) -> None:
        """A node said that another one has the slot."""
        self._moved[slot] = node
        self.doubt()

    def doubt(self) -> asyncio.Task[None]:
        """The map may be outdated: read it again, which nobody need wait for."""
        self._turn += 1
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read())
        return self._reading

    async def refresh(self) -> None:
        """Read the map and wait for it. Raises StoreUnavailable when no node tells."""
        await asyncio.shield(self.doubt())
        if not self._ends:
            raise StoreUnavailable("no node of the cluster answers")

    async def _read(self) -> None:
        known = list(dict.fromkeys([*self._members, *self._seeds]))
        random.shuffle(known)
        for node in known:
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    told = await self._asked(node)
            except (RedisError, OSError):
                continue  # away, or not a cluster's node any more: the next one
            if told:
                self._learn(node, told)
                return

    async def _asked(self, node: Address) -> list[Any]:
        pool: Any = self.pool(node)  # redis-py's own types are partly unknown
        connection = await pool.get_connection()
        try:
            await connection.send_command("CLUSTER", "SLOTS")
            return await connection.read_response()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    def _learn(self, source: Address, told: list[Any]) -> None:
        ends: list[int] = []
        owners: list[Address | None] = []
        members: list[Address] = []
        for first, last, *nodes in sorted(told, key=lambda one: one[0]):
            if first > (ends[-1] + 1 if ends else 0):
                ends.append(first - 1)
                owners.append(None)
            ends.append(last)
            # The primary comes first. A node that doesn't know its own name means the address it was asked under.
            members += [((node[0] or b"").decode() or source[0], int(node[1])) for node in nodes]
            owners.append(members[-len(nodes)])
        self._ends, self._owners, self._members = ends, owners, members
        self._moved.clear()

    def _owner(self, slot: int) -> Address | None:
        if slot in self._moved:
            return self._moved[slot]
        i = bisect_left(self._ends, slot)
        return self._owners[i] if i < len(self._owners) else None

    def _any(self) -> Address | None:
        known = list(dict.fromkeys(owner for owner in self._owners if owner))
        return known[self._turn % len(known)] if known else None

    async def aclose(self) -> None:
        """Close every connection."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        await asyncio.gather(*(pool.aclose() for pool in self._pools.values()))


class ClusterClient(RedisCluster):
    """redis-py's client of a cluster, for single commands, with the nodes that streams of commands go to."""

    def __init__(self, nodes: Nodes, **options: Any) -> None:
        cast("Any", super()).__init__(**options)  # redis-py's own types are partly unknown
        self.nodes = nodes

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """The answer to one command. Raises RedisError, which redis-py's own exception of a cluster that is away isn't."""
        try:
            return await cast("Any", super()).execute_command(*args, **kwargs)
        except RedisClusterException as away:
            raise RedisConnectionError(str(away)) from away

    def pubsub(self, *_args: Any, **_kwargs: Any) -> Any:
        """A listener on some node: what is published anywhere in a cluster is heard everywhere."""
        return PubSub(self.nodes.any_pool())

    async def aclose(self) -> None:
        """Close every connection."""
        await self.nodes.aclose()
        await super().aclose()


def _key(command: Command) -> str | None:
    """The key that decides where a command goes; None: it has none."""
    if command[0] in ("EVALSHA", "EVAL"):
        return command[3] if int(command[2]) else None
    return None if command[0] in _KEYLESS else command[1]
