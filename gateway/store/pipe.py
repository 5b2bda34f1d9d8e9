"""The way of commands to Redis: over one stream, or on a cluster over one for each node."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import AskError, MovedError

from gateway.store.lua_source import sha_of
from gateway.store.nodes import Address, Nodes
from gateway.store.stream import (
    ANSWER_SECONDS,
    MOST,
    Command,
    NotReplicated,
    Replication,
    StoreFull,
    StoreUnavailable,
    Stream,
    check,
    size_of,
)

__all__ = ["ANSWER_SECONDS", "MOST", "NotReplicated", "Pipe", "Replication", "StoreFull", "StoreUnavailable", "scored"]

_REDIRECTIONS: Final = 5
MOST_OF_A_CROWD: Final = 256


class Pipe:
    """Sends commands. What must survive a fail-over has a stream of its own, so that nothing else waits for replicas."""

    def __init__(self, client: Redis, most: int = MOST, replication: Replication | None = None) -> None:
        self._client: Any = client  # redis-py's own types are partly unknown
        self._most = most
        self._replication = replication if replication is not None and replication.replicas > 0 else None
        self._sources: dict[str, str] = {}
        self._nodes = cast("Nodes | None", getattr(client, "nodes", None))
        self._streams: dict[tuple[Address | None, bool, bool], Stream] = {}
        self._closed = False

    @property
    def replicated(self) -> bool:
        """Whether what is durable waits for replicas."""
        return self._replication is not None

    def remember(self, source: str) -> str:
        """Keep a script's source, to send it when the server has forgotten it; what EVALSHA calls it."""
        sha = sha_of(source)
        self._sources[sha] = source
        return sha

    async def send(self, *command: Any, size: int = 200, durable: bool = False) -> Any:
        """The answer to one command. Raises StoreUnavailable when Redis is away, RedisError when it refuses, TypeError.

        `durable`: only once enough replicas have it, else NotReplicated; that proves something for a command that
        writes, and for everything the same server had written before. The command goes on even if the caller is
        cancelled meanwhile: it may already be on its way.
        """
        check(command)
        if self._nodes is not None:
            return await self._routed(self._nodes, command, size, durable=durable)
        # Not shielded: a caller who is cancelled loses the answer, and the command is in the queue all the same.
        return await self._stream(None, durable=durable).put(command, size)

    async def send_all(self, commands: Sequence[tuple[Command, bool]]) -> list[Any]:
        """The answers to commands (and whether each is `durable`) that may leave together, errors in their places.

        On one server those that are durable are carried out in this order, and so are the others; neither waits for the
        other, unless no replica is waited for. Raises TypeError before anything is sent.
        """
        for command, _ in commands:
            check(command)
        if self._nodes is not None:
            nodes = self._nodes
            sends = [self._routed(nodes, command, size_of(command), durable=durable) for command, durable in commands]
            return await asyncio.gather(*sends, return_exceptions=True)
        # Over streams of their own, so that nobody with a single command stands behind a crowd.
        plain, durables = self._stream(None, durable=False, bulk=True), self._stream(None, durable=True, bulk=True)
        return await asyncio.gather(
            *((durables if durable else plain).put(command, size_of(command)) for command, durable in commands),
            return_exceptions=True,
        )

    async def _routed(self, nodes: Nodes, command: Command, size: int, *, durable: bool) -> Any:
        """To the node that has the key; a command that a node sent on was not carried out there."""
        node = await nodes.of(command)
        asking = False
        for _ in range(_REDIRECTIONS):
            stream = self._stream(node, durable=durable)
            try:
                if asking:
                    stream.put(("ASKING",), size)
                return await stream.put(stream.spelt(command) if asking else command, size)
            except AskError as sent_on:
                told: Any = sent_on  # redis-py's own types are partly unknown
                node = told.host or node[0], int(told.port)
                asking = not isinstance(sent_on, MovedError)
                if not asking:
                    nodes.moved(told.slot_id, node)
            except StoreUnavailable as away:
                if not isinstance(away, NotReplicated):
                    nodes.doubt()
                raise
        raise StoreUnavailable("the nodes of the cluster send a command back and forth")

    def _stream(self, node: Address | None, *, durable: bool, bulk: bool = False) -> Stream:
        durable = durable and self._replication is not None
        found = self._streams.get((node, durable, bulk))
        if found is None:
            if self._closed:
                raise StoreUnavailable("the gateway is stopping")
            pool = self._client.connection_pool if self._nodes is None or node is None else self._nodes.pool(node)
            wait = self._replication if durable else None
            most = MOST_OF_A_CROWD if bulk else self._most
            found = Stream(pool, self._client.response_callbacks, self._sources, most, wait)
            self._streams[node, durable, bulk] = found
        return found

    async def close(self) -> None:
        """Take nothing more, and wait for what is under way."""
        self._closed = True
        await asyncio.gather(*(stream.close() for stream in self._streams.values()))


def scored(answer: list[Any]) -> list[tuple[str, float]]:
    """Members and scores of a sorted set, whichever protocol version they came by (pairs in RESP3, flat in RESP2)."""
    flat: list[Any] = []
    for part in answer:
        flat += cast("list[Any]", part) if isinstance(part, list) else [part]
    return [(member.decode(), float(score)) for member, score in zip(flat[::2], flat[1::2], strict=True)]
